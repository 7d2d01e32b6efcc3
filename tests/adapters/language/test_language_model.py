"""What tokens of a continuation owe to units of a prompt: naive loops, captum, closed forms."""

import itertools
import math

import captum.attr as captum
import pytest
import torch
from language_models import (
    SHAPES,
    byte_level_tokenizer,
    language_model,
    naive_log_probabilities,
    word_tokenizer,
)

from pyxai import registry
from pyxai.adapters import LanguageModel, read_tokens
from pyxai.adapters.language.methods import UNITS, VECTORS
from pyxai.attribution import FeatureAblation

pytestmark = pytest.mark.filterwarnings("ignore")  # those of transformers are its own affair

PROMPT, WRITTEN = "the cat sat on the lazy dog", " and looked at"


def explainer(shape, begin=True, **options):
    tokenizer = byte_level_tokenizer(begin)
    return LanguageModel(language_model(shape, **options), tokenizer)


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def joined(parts):
    return [number for part in parts for number in part]


def naive_ablation(model, tokenizer, prompt, written, baseline, begin):
    """Leave out one word at a time, and score one token at a time: [tokens, words]."""
    words, first = prompt.split(" "), [1] if begin else []
    texts = [words[0], *(f" {word}" for word in words[1:])]
    after = ids_of(tokenizer, written)
    own = [ids_of(tokenizer, text) for text in texts]
    assert first + joined(own) == first + ids_of(tokenizer, prompt)
    whole = naive_log_probabilities(model, first + joined(own), after)
    drops = []
    for absent in range(len(own)):
        rows = [
            ([] if baseline is None else [baseline] * len(part)) if number == absent else part
            for number, part in enumerate(own)
        ]
        drops.append(whole - naive_log_probabilities(model, first + joined(rows), after))
    return torch.stack(drops, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("baseline", ["remove", "mask", 7])
@pytest.mark.parametrize("begin", [True, False])
def test_ablation_equals_a_loop_over_words_and_tokens(shape, baseline, begin):
    explain = explainer(shape, begin)
    found = explain.explain(PROMPT, WRITTEN, baseline=baseline)
    token = {"remove": None, "mask": 2}.get(baseline, baseline)
    expected = naive_ablation(explain.model, explain.tokenizer, PROMPT, WRITTEN, token, begin)
    assert found.units == PROMPT.split()
    assert found.attributions.dtype == torch.float64
    assert expected.abs().amax(1).min() > 1e-3  # the model reads all of them
    torch.testing.assert_close(found.attributions, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(found.total.attributions[0], expected.sum(0), rtol=0, atol=1e-9)
    torch.testing.assert_close(found.total.outputs[0], found.outputs.sum(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_ablation_of_tokens_equals_captum(shape):
    explain = explainer(shape, dtype=torch.float32)
    tokenizer = explain.tokenizer
    inputs = captum.TextTokenInput(PROMPT, tokenizer, baselines=7, skip_tokens=[1])
    peer = captum.LLMAttribution(captum.FeatureAblation(explain.model), tokenizer)
    target = torch.tensor(ids_of(tokenizer, WRITTEN))
    theirs = peer.attribute(inputs, target=target, use_cached_outputs=False)
    ours = explain.explain(PROMPT, WRITTEN, unit="token", baseline=7)
    torch.testing.assert_close(ours.attributions, theirs.token_attr, rtol=0, atol=2e-5)
    torch.testing.assert_close(ours.total.attributions[0], theirs.seq_attr, rtol=0, atol=1e-4)


class Counted(torch.nn.Module):
    """A language model that counts the rows that it is given."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.rows = []

    def get_input_embeddings(self):
        return self.model.get_input_embeddings()

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, inputs_embeds=None):
        rows = input_ids if inputs_embeds is None else inputs_embeds
        self.rows.append(tuple(rows.shape[:2]))
        return self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
        )


@pytest.mark.parametrize("n_tokens", [1, 12])
def test_rows_do_not_grow_with_the_continuation(n_tokens):
    model = Counted(language_model("gpt2"))
    explain = LanguageModel(model, byte_level_tokenizer(True))
    written = list(range(20, 20 + n_tokens))
    cases = [({}, 7 + 1), ({"method": "shapley_values", "unit": [(0, 3), (4, 7), (8, 11)]}, 2**3)]
    for options, asked in cases:
        explain.explain(PROMPT, written, **options)  # what the model needs is known from here on
        model.rows.clear()
        explain.explain(PROMPT, written, **options)
        # The prompt, two rows that see whether the model does as said, and those of the method;
        # all coalitions come with the two ends, and the outputs.
        ends = 3 if options else 0
        assert sum(rows for rows, _ in model.rows) == 1 + 2 + asked + ends


@pytest.mark.parametrize("method", ["feature_ablation", "kernel_shap", "integrated_gradients"])
def test_rows_in_one_pass_change_nothing(method):
    explain = explainer("llama")
    option = "perturbations_per_eval"
    if method == "integrated_gradients":
        option = "internal_batch_size"
    whole = explain.explain(PROMPT, WRITTEN, method=method)
    parts = explain.explain(PROMPT, WRITTEN, method=method, **{option: 2})
    torch.testing.assert_close(whole.attributions, parts.attributions, rtol=0, atol=1e-12)


def test_a_longer_continuation_leaves_the_rows_of_its_first_tokens():
    explain = explainer("llama")
    short = explain.explain(PROMPT, WRITTEN)
    long = explain.explain(PROMPT, WRITTEN + " a brown fox.")
    torch.testing.assert_close(
        long.attributions[: len(short)], short.attributions, rtol=0, atol=1e-12
    )
    assert long.tokens[: len(short)] == short.tokens


@pytest.mark.parametrize("shape", SHAPES)
def test_shapley_values_are_those_of_all_prompts(shape):
    explain = explainer(shape)
    model, tokenizer = explain.model, explain.tokenizer
    prompt, parts = "the cat sat", ["the", " cat", " sat"]
    after = ids_of(tokenizer, WRITTEN)
    values = {}
    for chosen in itertools.product([False, True], repeat=3):
        ids = [1]
        for part, there in zip(parts, chosen, strict=True):
            ids += ids_of(tokenizer, part) if there else []
        values[chosen] = naive_log_probabilities(model, ids, after)
    expected = torch.zeros(len(after), 3, dtype=torch.float64)
    for order in itertools.permutations(range(3)):
        there = [False] * 3
        for player in order:
            before = values[tuple(there)]
            there[player] = True
            expected[:, player] += (values[tuple(there)] - before) / math.factorial(3)
    for method in ("shapley_values", "kernel_shap", "partition_shap"):
        flat = {"hierarchy": [0, 1, 2]} if method == "partition_shap" else {}
        found = explain.explain(prompt, WRITTEN, method=method, **flat)
        torch.testing.assert_close(found.attributions, expected, rtol=0, atol=1e-10)
        assert found.convergence_delta.abs().max() < 1e-10
        torch.testing.assert_close(found.total.attributions[0], expected.sum(0), rtol=0, atol=1e-10)
    sampled = explain.explain(
        prompt, WRITTEN, method="shapley_value_sampling", n_samples=40, return_error=True
    )
    miss = (sampled.attributions - expected).abs()
    assert bool((miss <= 5 * sampled.error + 1e-9).all())


def test_partition_shap_shares_out_sentences_words_and_tokens():
    explain = explainer("llama")
    text = "the lazy dog sat. A fox"
    found = explain.explain(text, WRITTEN, method="partition_shap", unit="token", baseline=7)
    words = explain.explain(text, WRITTEN, method="partition_shap", baseline=7)
    sentences = explain.explain(text, WRITTEN, method="shapley_values", unit="sentence", baseline=7)
    owners = read_tokens(explain.tokenizer, text).units("word").owners[1:]
    sums = torch.zeros_like(words.attributions)
    sums.index_add_(1, torch.tensor(owners), found.attributions)
    torch.testing.assert_close(sums, words.attributions, rtol=0, atol=1e-9)
    first = words.attributions[:, :5].sum(1)  # four words and a full stop
    torch.testing.assert_close(first, sentences.attributions[:, 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("baseline", ["zero", "mask", 7])
def test_integrated_gradients_are_complete_for_each_token(shape, baseline):
    explain = explainer(shape)
    found = explain.explain(
        "the cat sat", WRITTEN, method="integrated_gradients", baseline=baseline, n_steps=300
    )
    model, tokenizer = explain.model, explain.tokenizer
    after = ids_of(tokenizer, WRITTEN)
    read = [1, *ids_of(tokenizer, "the cat sat")]
    with torch.no_grad():
        layer = model.get_input_embeddings()
        vectors = layer(torch.tensor([[*read, *after[:-1]]]))
        start = vectors.clone()
        start[0, 1 : len(read)] = 0 if baseline == "zero" else layer.weight[found_token(baseline)]
        ends = [
            model(inputs_embeds=each).logits[0, -len(after) :].log_softmax(-1)
            for each in (vectors, start)
        ]
    at = torch.arange(len(after)), torch.tensor(after)
    change = ends[0][at] - ends[1][at]
    assert change.abs().min() > 1e-2
    torch.testing.assert_close(found.attributions.sum(1), change, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        found.attributions.sum(1) - change, found.convergence_delta, rtol=0, atol=1e-9
    )
    assert found.fixed.abs().max() == 0  # the first token stays as it is


def found_token(baseline):
    return 2 if baseline == "mask" else baseline


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient"])
def test_gradients_are_those_of_each_token(method):
    explain = explainer("llama")
    found = explain.explain(PROMPT, WRITTEN, method=method, unit="token")
    model, tokenizer = explain.model, explain.tokenizer
    after = ids_of(tokenizer, WRITTEN)
    read = [1, *ids_of(tokenizer, PROMPT)]
    layer = model.get_input_embeddings()
    vectors = layer(torch.tensor([[*read, *after[:-1]]])).detach().requires_grad_()
    logits = model(inputs_embeds=vectors).logits[0, -len(after) :].log_softmax(-1)
    for row, token in enumerate(after):
        (grad,) = torch.autograd.grad(logits[row, token], vectors, retain_graph=True)
        each = grad.abs() if method == "saliency" else grad * vectors.detach()
        each = each.sum(2)[0, : len(read)]
        torch.testing.assert_close(found.attributions[row], each[1:], rtol=0, atol=1e-9)
        torch.testing.assert_close(found.fixed[row], each[0], rtol=0, atol=1e-9)
    assert found.fixed_tokens == ("<begin>",)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("output", ["logit", "probability"])
def test_other_outputs(output):
    explain = explainer("gpt2")
    found = explain.explain("the cat", WRITTEN, output=output)
    model, tokenizer = explain.model, explain.tokenizer
    after = ids_of(tokenizer, WRITTEN)

    def scores(ids):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[1, *ids, *after[:-1]]])).logits[0]
        rows = logits[-len(after) :]
        rows = rows if output == "logit" else rows.softmax(-1)
        each = rows[torch.arange(len(after)), after]
        return torch.cat([each, (each.sum() if output == "logit" else each.prod())[None]])

    parts = [ids_of(tokenizer, "the"), ids_of(tokenizer, " cat")]
    drops = torch.stack([scores(joined(parts)) - scores(parts[1 - at]) for at in (0, 1)], 1)
    torch.testing.assert_close(found.attributions, drops[:-1], rtol=0, atol=1e-10)
    torch.testing.assert_close(found.total.attributions[0], drops[-1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_model_writes_what_generate_writes(shape):
    explain = explainer(shape)
    ids = torch.tensor([[1, *ids_of(explain.tokenizer, PROMPT)]])
    state = torch.get_rng_state()
    found = explain.explain(PROMPT, max_new_tokens=6)
    assert torch.equal(torch.get_rng_state(), state)
    written = explain.model.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=0)
    written = written[0, ids.shape[1] :].tolist()
    assert found.continuation == explain.tokenizer.decode(written)
    again = explain.explain(PROMPT, written)
    assert torch.equal(again.attributions, found.attributions)


def test_the_model_stops_at_the_end_of_the_text():
    explain = explainer("llama")
    model = explain.model
    ids = torch.tensor([[1, *ids_of(explain.tokenizer, PROMPT)]])
    free = model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)
    free = free[0, ids.shape[1] :].tolist()
    at = max(place for place, token in enumerate(free) if free.index(token) == place)
    assert at > 1
    model.generation_config.eos_token_id = [0, free[at]]
    found = explain.explain(PROMPT, max_new_tokens=8)
    assert found.continuation == explain.tokenizer.decode(free[:at])
    model.generation_config.eos_token_id = free[0]
    with pytest.raises(ValueError, match="end-of-text token first"):
        explain.explain(PROMPT, max_new_tokens=8)


def test_fixed_parts_of_a_template_are_no_units():
    explain = explainer("llama")
    template = "the {who} sat on the {what} and"
    found = explain.explain(
        template, " looked", values={"who": "quick fox", "what": "mat"}, unit="slot"
    )
    assert found.units == ["quick fox", "mat"]
    assert found.prompt == "the quick fox sat on the mat and"
    words = explain.explain(template, " looked", values={"who": "quick fox", "what": "mat"})
    assert words.units == ["quick", "fox", "mat"]
    everything = explain.explain(found.prompt, " looked")
    same = [everything.units.index(unit) for unit in words.units]
    torch.testing.assert_close(
        words.attributions, everything.attributions[:, same], rtol=0, atol=1e-12
    )
    spans = explain.explain(found.prompt, " looked", spans=[(25, 28), (4, 13)], unit="slot")
    torch.testing.assert_close(spans.attributions, found.attributions, rtol=0, atol=0)
    assert set(words.fixed_tokens) >= {"<begin>", "the", "Ġsat"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("baseline", ["remove", 7])
def test_a_long_fixed_start_is_computed_once_and_changes_nothing(shape, baseline):
    explain = explainer(shape)
    start = "the quick brown fox jumps over the lazy dog. a dog looked at a fox, and "
    options = {"values": {"word": "lazy cat"}, "baseline": baseline}
    question = (start + "the {word} sat on", " the mat")
    explain.explain(*question, **options)
    shapes = []
    hook = explain.model.register_forward_pre_hook(
        lambda _, args, given: shapes.append(given["input_ids"].shape), with_kwargs=True
    )
    found = explain.explain(*question, **options)
    hook.remove()
    longest = max(tokens for _, tokens in shapes)
    short = [rows for rows, tokens in shapes if tokens < longest // 2]
    assert sum(short) == 1 + 3  # the agreement, and all rows of the method
    # A model that takes no cache gets whole rows.
    plain = LanguageModel(Counted(explain.model), explain.tokenizer).explain(*question, **options)
    torch.testing.assert_close(found.attributions, plain.attributions, rtol=0, atol=1e-12)
    assert found.attributions.abs().min() > 1e-4


def test_special_tokens_are_no_units():
    explain = explainer("llama")
    found = explain.explain("<begin>the cat<end> sat", " on", special_tokens=False)
    assert found.units == ["the", "cat", "sat"]
    assert found.fixed_tokens == ("<begin>", "<end>")
    found = explain.explain("<begin>the cat<end>", " sat<end>", special_tokens=False)
    assert found.fixed_tokens == ("<begin>", "<end>")
    assert found.tokens[-1] == "<end>"
    # An unknown word has a special id, and is a word; what ends a text is not in its middle.
    tokenizer = word_tokenizer()
    model = language_model("llama", n_ids=len(tokenizer))
    found = LanguageModel(model, tokenizer).explain("the zebra sat", " on the mat")
    assert found.units == ["the", "zebra", "sat"]
    assert found.tokens == ("on", "the", "mat")
    assert found.fixed_tokens == ()
    for baseline in ("unknown", "pad", 0):
        other = LanguageModel(model, tokenizer).explain(
            "the zebra sat", " on the mat", baseline=baseline
        )
        zero = other.attributions[:, 1].abs().max()
        assert (zero < 1e-12) == (baseline != "pad")  # it is unknown already


def test_units_of_each_kind():
    explain = explainer("gpt2")
    text = "the cat sat. A dog looked at"
    assert explain.explain(text, " the", unit="sentence").units == [
        "the cat sat.",
        "A dog looked at",
    ]
    assert explain.explain(text, " the", unit="word").units[3] == "."
    tokens = explain.explain(text, " the", unit="token")
    assert len(tokens.units) == len(ids_of(explain.tokenizer, text))
    with pytest.raises(ValueError, match="unit must be one of 'token', 'word', 'sentence'"):
        explain.explain(text, " the", unit="paragraph")
    with pytest.raises(ValueError, match="unit must be 'slot' only with values or spans"):
        explain.explain(text, " the", unit="slot")


@pytest.mark.parametrize("name", registry.names())
def test_every_method_works_or_says_why_not(name):
    explain = explainer("gpt2")
    if name in (*UNITS, *VECTORS):
        found = explain.explain("the cat sat", " on", method=name)
        assert found.method == name
        assert found.attributions.shape == (1, 3)
        assert found.attributions.abs().max() > 0
        return
    with pytest.raises(ValueError, match=f"method must be one of .* got '{name}', which "):
        explain.explain("the cat sat", " on", method=name)


def test_the_model_is_left_as_found():
    explain = explainer("gpt2")
    model = explain.model
    found = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [parameter.requires_grad for parameter in model.parameters()]
    for method in ("feature_ablation", "integrated_gradients", "lrp"):
        explain.explain(PROMPT, method=method, max_new_tokens=2)
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert not model.training
    assert all(torch.equal(value, found[name]) for name, value in model.state_dict().items())
    assert not model._forward_hooks


def test_eager_attention_and_half_precision_run():
    for dtype in (torch.float32, torch.bfloat16):
        explain = explainer("llama", dtype=dtype, attn_implementation="eager")
        exact = explainer("llama")
        found = explain.explain(PROMPT, WRITTEN)
        expected = exact.explain(PROMPT, WRITTEN)
        assert found.attributions.dtype == torch.float32
        near = 1e-4 if dtype == torch.float32 else 0.3
        torch.testing.assert_close(
            found.attributions.double(), expected.attributions, rtol=0, atol=near
        )


def test_a_class_is_as_good_as_a_name():
    explain = explainer("gpt2")
    by_class = explain.explain(PROMPT, WRITTEN, method=FeatureAblation)
    assert torch.equal(by_class.attributions, explain.explain(PROMPT, WRITTEN).attributions)
