"""LRP through whole transformers, against input x gradient with each rule as another gradient."""

import importlib
import importlib.util

import pytest
import torch
from modified_gradients import Attention, modified
from torch import nn

from pyxai.attribution import LRP, LayerLRP

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("transformers") is None, reason="transformers not installed"
    ),
    pytest.mark.filterwarnings("ignore"),  # those of transformers are its own affair
]
F64 = torch.float64
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 40}
WIDTHS = {"hidden_size": 16, "intermediate_size": 24, **SIZES}
NO_WORDS = {"bos_token_id": None, "eos_token_id": None}
KINDS = {
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**WIDTHS, "num_key_value_heads": 2, **NO_WORDS}),
    "gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 8, "vocab_size": 40, **NO_WORDS},
    ),
    "bert": ("BertForSequenceClassification", "BertConfig", {**WIDTHS, "num_labels": 3}),
    "vit": (
        "ViTForImageClassification",
        "ViTConfig",
        {**WIDTHS, "image_size": 8, "patch_size": 4, "num_labels": 3},
    ),
}
IDS = torch.tensor([[5, 7, 2, 30, 11], [3, 3, 9, 1, 0], [8, 21, 4, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 1, 0, 0]])


class Scores(nn.Module):
    """A model's logits, of a language model those after the last word, as one tensor."""

    def __init__(self, model, name):
        super().__init__()
        self.model, self.name = model, name

    def forward(self, given, mask=None):
        if self.name == "vit":
            return self.model(pixel_values=given).logits
        key = "inputs_embeds" if given.is_floating_point() else "input_ids"
        # With a mask keys and values go through a cache, as by default.
        options = {"use_cache": False} if mask is None else {}
        logits = self.model(**{key: given}, attention_mask=mask, **options).logits
        return logits if self.name == "bert" else logits[:, -1]


def make(name, attention="sdpa", **sizes):
    """Return a random model with weights that make attention choose, and a mask on its side."""
    import transformers

    kind, config, options = KINDS[name]
    options = {**options, **sizes, "attn_implementation": attention}
    config = getattr(transformers, config)(**options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, kind)(config).to(F64).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(parameter * 8 if parameter.dim() > 1 else parameter + 0.1)
    mask = MASK.flip(1) if name in {"llama", "gpt2"} else MASK  # the last word is the one read
    return Scores(model, name), mask


def given_to(model, name):
    if name == "vit":
        return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=F64)
    return model.model.get_input_embeddings()(IDS).detach()


def by_gradients(name, x, mask, target):
    """Return relevance, outputs, and what softmaxes absorb, from modified gradients."""
    model, _ = make(name, "eager")
    module = importlib.import_module(type(model.model).__module__)
    attention, leaf = Attention(), x.clone().requires_grad_()
    with modified(module, attention):
        output = model(leaf, mask)[:, target]
        (gradient,) = torch.autograd.grad(output.sum(), leaf)
    return x * gradient, output.detach(), attention.absorbed


# Llama's norms, and the softmax of some models' eager attention, compute in float32 whatever comes.
CASES = {
    ("llama", "sdpa"): 1e-6,
    ("llama", "eager"): 1e-6,
    ("gpt2", "sdpa"): 1e-10,
    ("bert", "sdpa"): 1e-10,
    ("bert", "eager"): 1e-10,
    ("vit", "sdpa"): 1e-10,
}


@pytest.mark.parametrize(("name", "attention"), CASES)
def test_equals_input_x_modified_gradient(name, attention):
    model, mask = make(name, attention)
    x = given_to(model, name)
    # A word before the sentence sees nothing, of which a softmax in float32 makes NaN.
    mask = None if name == "vit" or (name, attention) == ("llama", "eager") else mask
    method = LRP(model, composite="attn_lrp", epsilon=0.0)
    found, delta = method.attribute(x, 1, mask, return_convergence_delta=True)
    expected, output, absorbed = by_gradients(name, x, mask, 1)
    close = CASES[name, attention] * expected.abs().max()
    assert (found - expected).abs().max() < close
    assert (output - found.flatten(1).sum(1) - delta).abs().max() < 10 * close
    assert absorbed.abs().min() > 1e-4  # attention is not constant
    if name == "llama":  # without biases only softmax absorbs
        assert (delta - absorbed).abs().max() < 10 * close


@pytest.mark.parametrize("composite", [None, "attn_lrp"])
@pytest.mark.parametrize("name", ["llama", "bert"])
def test_at_the_embeddings_of_padded_sentences(name, composite):
    model, mask = make(name, num_hidden_layers=1)
    table, output = model.model.get_input_embeddings(), model(IDS, mask)[:, 1].detach()
    explainer = LayerLRP(model, table, composite=composite)
    found, delta = explainer.attribute(IDS, 1, mask, return_convergence_delta=True)
    assert (found[mask == 0] == 0).all()
    assert (found[mask == 1].abs().sum(1) > 1e-6).all()
    torch.testing.assert_close(found.flatten(1).sum(1) + delta, output)
    if composite == "attn_lrp":
        inside = LRP(model, composite=composite).attribute(table(IDS).detach(), 1, mask)
        torch.testing.assert_close(found, inside)
    elif name == "llama":  # no biases, and attention is constant
        assert (delta / output).abs().max() < 1e-6
    alone = explainer.attribute(IDS[2:], 1, mask[2:])
    torch.testing.assert_close(alone[0], found[2])
    other = torch.where(mask == 1, IDS, 17)  # words behind the end change nothing
    torch.testing.assert_close(explainer.attribute(other, 1, mask), found)


def test_float32_follows_float64():
    model, mask = make("gpt2")
    x = given_to(model, "gpt2")
    exact, _, _ = by_gradients("gpt2", x, mask, 1)
    found = LRP(model.float(), composite="attn_lrp").attribute(x.float(), 1, mask)
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() < 1e-4 * exact.abs().max()
