"""LRP and DeepLIFT of a continuation: other gradients, each token alone, and what adds up."""

import importlib
from unittest import mock

import pytest
import torch
from language_models import SHAPES, byte_level_tokenizer, language_model
from modified_gradients import Attention, modified

from pyxai import UnsupportedOperationError
from pyxai.adapters import LanguageExplanation, LanguageModel

pytestmark = pytest.mark.filterwarnings("ignore")  # those of transformers are its own affair
PROMPT, WRITTEN = "the cat sat on the lazy dog", " and looked at"
RULES = ["lrp", "attn_lrp", "deep_lift"]
# Norms of Llama compute in float32, whatever comes.
CLOSE = {"gpt2": 1e-10, "llama": 1e-5}


@pytest.fixture(scope="module")
def models():
    tokenizer = byte_level_tokenizer(True)
    return {shape: LanguageModel(language_model(shape), tokenizer) for shape in SHAPES}


def options_of(rule, **options):
    options = {"output": "logit", **options}
    if rule == "attn_lrp":
        return {"method": "lrp", "composite": rule, **options}
    return {"method": rule, **options}


def ids_of(explainer, text):
    return explainer.tokenizer(text, add_special_tokens=False)["input_ids"]


def read_by(explainer, written=WRITTEN, prompt=PROMPT):
    """Return the ids that are read and those that are scored."""
    after = ids_of(explainer, written)
    return [1, *ids_of(explainer, prompt), *after[:-1]], after


@pytest.mark.parametrize("shape", SHAPES)
def test_attention_aware_relevance_is_input_x_modified_gradient(shape, models):
    """Of each token's logit at all vectors that are read, those of earlier tokens too."""
    explainer = models[shape]
    found = explainer.explain(PROMPT, WRITTEN, unit="token", **options_of("attn_lrp", epsilon=0.0))
    other = language_model(shape, attn_implementation="eager")
    ids, after = read_by(explainer)
    length = len(ids) - len(after) + 1
    vectors = other.get_input_embeddings()(torch.tensor([ids])).detach().requires_grad_()
    with modified(importlib.import_module(type(other).__module__), Attention()):
        logits = other(inputs_embeds=vectors).logits[0, -len(after) :]
        for row, token in enumerate(after):
            (slope,) = torch.autograd.grad(logits[row, token], vectors, retain_graph=True)
            each = (slope * vectors.detach()).sum(2)[0]
            near = {"rtol": 0, "atol": CLOSE[shape] * float(each.abs().max())}
            torch.testing.assert_close(found.attributions[row], each[1:length], **near)
            torch.testing.assert_close(found.fixed[row], each[0], **near)
            torch.testing.assert_close(found.earlier[row], each[length:].sum(), **near)
    assert found.attributions.abs().min() > 1e-4
    assert found.earlier[0] == 0
    assert found.earlier[1:].abs().min() > 1e-4


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", RULES)
def test_each_token_has_what_it_has_alone(shape, rule, models):
    explainer = models[shape]
    found = explainer.explain(PROMPT, WRITTEN, **options_of(rule))
    after = ids_of(explainer, WRITTEN)
    read = PROMPT + explainer.tokenizer.decode(after[:2])
    alone = explainer.explain(read, after[2:3], spans=[(0, len(PROMPT))], **options_of(rule))
    assert alone.units == found.units
    near = {"rtol": 0, "atol": 1e-6 if shape == "llama" else 1e-9}
    torch.testing.assert_close(alone.attributions[0], found.attributions[2], **near)
    torch.testing.assert_close(alone.fixed[0], found.fixed[2] + found.earlier[2], **near)
    short = explainer.explain(PROMPT, after[:2], **options_of(rule))
    torch.testing.assert_close(short.attributions, found.attributions[:2], **near)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", ["lrp", "attn_lrp"])
def test_relevance_adds_up_to_the_logit_but_for_the_delta(shape, rule, models):
    explainer = models[shape]
    method = {"method": "lrp", **({"composite": rule} if rule == "attn_lrp" else {})}
    found = explainer.explain(PROMPT, WRITTEN, **method)
    assert found.options["output"] == "logit"
    ids, after = read_by(explainer)
    with torch.no_grad():
        logits = explainer.model(input_ids=torch.tensor([ids])).logits[0, -len(after) :]
    outputs = logits[torch.arange(len(after)), after]
    near = {"rtol": 0, "atol": 1e-6}
    torch.testing.assert_close(found.outputs, outputs, **near)
    sums = found.attributions.sum(1) + found.fixed + found.earlier
    torch.testing.assert_close(sums - outputs, found.convergence_delta, **near)
    if (shape, rule) == ("llama", "lrp"):  # no biases, and attention is constant
        assert found.convergence_delta.abs().max() < 1e-6
    whole = found.total
    torch.testing.assert_close(whole.attributions[0], found.attributions.sum(0), **near)
    torch.testing.assert_close(whole.outputs[0], outputs.sum(), **near)
    torch.testing.assert_close(whole.convergence_delta[0], found.convergence_delta.sum(), **near)
    torch.testing.assert_close(found.whole["earlier"][0], found.earlier.sum(), **near)


class Cancelling(torch.nn.Module):
    """Says of the second word the opposite of what it says of the first."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding.from_pretrained(torch.tensor([[1.0], [2.0], [4.0]]))

    def get_input_embeddings(self):
        return self.table

    def forward(self, input_ids=None, inputs_embeds=None):
        rows = self.table(input_ids) if inputs_embeds is None else inputs_embeds
        signs = torch.where(torch.arange(rows.shape[1]) % 2 == 0, 1.0, -1.0)
        return torch.cat([signs[:, None] * rows[:, :1], rows * 0, rows * 0], 2)


def test_the_whole_is_the_sum_also_where_logits_cancel():
    explainer = LanguageModel(
        Cancelling(), lambda text: [int(each) for each in text.split()], pieces=lambda ids: ids
    )
    found = explainer.explain("2", [0, 0], method="lrp")
    assert found.outputs.tolist() == [4.0, -4.0]
    assert found.attributions.tolist() == [[4.0], [-4.0]]
    assert found.total.attributions.tolist() == [[0.0]]
    unequal = explainer.explain("2", [0, 0, 0], method="lrp", epsilon=1.0)
    assert unequal.total.attributions[0, 0] == unequal.attributions.sum()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("output", ["log_probability", "logit", "probability"])
def test_deep_lift_is_complete_for_each_token_and_the_whole(shape, output, models):
    explainer = models[shape]
    found = explainer.explain(PROMPT, WRITTEN, method="deep_lift", output=output, baseline="mask")
    ids, after = read_by(explainer)
    masked = [1, *[2] * len(ids_of(explainer, PROMPT)), *after[:-1]]
    with torch.no_grad():
        logits = explainer.model(input_ids=torch.tensor([ids, masked])).logits[:, -len(after) :]
    scores = logits if output == "logit" else logits.log_softmax(2)
    scores = scores[:, torch.arange(len(after)), after]
    scores = torch.cat([scores, scores.sum(1, keepdim=True)], 1)
    scores = scores.exp() if output == "probability" else scores
    change = scores[0] - scores[1]
    near = {"rtol": 0, "atol": CLOSE[shape] * float(scores.abs().max())}
    torch.testing.assert_close(found.attributions.sum(1), change[:-1], **near)
    torch.testing.assert_close(found.total.attributions.sum(1), change[-1:], **near)
    assert change[:-1].abs().min() > 100 * near["atol"]
    assert found.fixed.abs().max() == found.earlier.abs().max() == 0


@pytest.mark.parametrize("rule", ["lrp", "deep_lift"])
def test_a_model_is_traced_once_for_texts_of_the_same_lengths(rule, models):
    explainer = models["gpt2"]
    first = explainer.explain("the cat", " sat on", **options_of(rule))
    ids = [number + 1 for number in ids_of(explainer, " sat on")]
    with mock.patch("pyxai.tracing.trace.export", side_effect=AssertionError):
        other = explainer.explain("the dog", ids, **options_of(rule))
    assert (first.outputs - other.outputs).abs().min() > 1e-3
    assert not torch.equal(first.attributions, other.attributions)


def test_layers_have_their_own_rules_by_the_names_that_the_model_gives_them(models):
    explainer = models["llama"]
    names = [f"model.layers.{number}.mlp.down_proj" for number in range(2)]
    modules = [explainer.model.get_submodule(name) for name in names]
    given = {"method": "lrp", "composite": dict.fromkeys(names, "gamma")}
    found = explainer.explain(PROMPT, WRITTEN, **given)
    same = explainer.explain(
        PROMPT, WRITTEN, method="lrp", composite=dict.fromkeys(modules, "gamma")
    )
    plain = explainer.explain(PROMPT, WRITTEN, method="lrp")
    assert torch.equal(found.attributions, same.attributions)
    assert (found.attributions - plain.attributions).abs().max() > 1e-3
    assert found.options["composite"] == dict.fromkeys(names, "gamma")
    with pytest.raises(ValueError, match=r"composite must be a name .*did you mean 'model.norm'"):
        explainer.explain(PROMPT, WRITTEN, method="lrp", composite={"model.nrm": "gamma"})


@pytest.mark.parametrize("output", ["log_probability", "probability"])
def test_of_probabilities_there_is_no_relevance(output, models):
    with pytest.raises(ValueError, match=f"output must be 'logit' for lrp, .*, got '{output}'"):
        models["gpt2"].explain(PROMPT, WRITTEN, method="lrp", output=output)


@pytest.mark.parametrize("rule", ["lrp", "deep_lift"])
def test_what_cannot_be_traced_is_refused(rule, models):
    words = models["gpt2"]

    class Called:
        def get_input_embeddings(self):
            return words.model.get_input_embeddings()

        def __call__(self, input_ids=None, inputs_embeds=None):
            return words.model(input_ids=input_ids, inputs_embeds=inputs_embeds)

    plain = LanguageModel(Called(), words.tokenizer)
    assert plain.explain(PROMPT, WRITTEN, method="saliency").attributions.shape == (3, 7)
    with pytest.raises(TypeError, match=r"model must be .*Module"):
        plain.explain(PROMPT, WRITTEN, method=rule)

    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = words.model

        def get_input_embeddings(self):
            return self.inner.get_input_embeddings()

        def forward(self, input_ids=None, inputs_embeds=None):
            logits = self.inner(input_ids=input_ids, inputs_embeds=inputs_embeds).logits
            return logits if logits.sum() > 0 else logits + 1

    with pytest.raises(UnsupportedOperationError, match=r"value of a tensor.*in forward"):
        LanguageModel(Odd(), words.tokenizer).explain(PROMPT, WRITTEN, **options_of(rule))


def test_relevance_is_kept_in_a_file_and_said(models, tmp_path):
    found = models["gpt2"].explain(PROMPT, WRITTEN, method="lrp")
    again = LanguageExplanation.load(found.save(tmp_path / "found.safetensors"))
    assert torch.equal(again.earlier, found.earlier)
    assert torch.equal(found.to("cpu").earlier, found.earlier)
    assert f"which got {float(found.whole['earlier'][0]):.3g}" in str(found)


def test_single_precision_follows_double(models):
    exact = models["gpt2"].explain(PROMPT, WRITTEN, **options_of("attn_lrp")).attributions
    single = LanguageModel(language_model("gpt2", dtype=torch.float32), byte_level_tokenizer(True))
    found = single.explain(PROMPT, WRITTEN, **options_of("attn_lrp"))
    assert found.attributions.dtype == torch.float32
    assert (found.attributions - exact).abs().max() < 1e-4 * exact.abs().max()
