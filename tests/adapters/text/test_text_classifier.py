"""From texts to attributions of their words: every method, padding, units, baselines, errors."""

import contextlib
import copy
import re
import warnings

import numpy as np
import pytest
import torch
from text_models import classifier
from torch import nn

import pyxai
from pyxai import Explanation, plot, registry
from pyxai.adapters import TextClassifier
from pyxai.adapters.text.ways import AT_UNITS, REFUSED
from pyxai.adapters.units.hierarchy import nested_units
from pyxai.adapters.units.tokens import read_tokens

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")

TEXTS = ["the film was surprisingly good", "not good, not bad. a day", "good"]
# Where ten texts would take long, less is asked of each.
QUICK = {"guided_ig": {"n_steps": 5}, "noise_tunnel": {"nt_samples": 2}}
QUICK["deep_taylor"] = {"on_negative": "clamp"}
# Completeness takes more steps, or more samples.
ROUGH = ("guided_ig", "expected_gradients", "gradient_shap")
RELU = "changes the gradient of ReLUs, and the model has none: the result is the plain gradient"


@pytest.fixture(scope="module")
def made():
    model, tokenizer = classifier()
    return TextClassifier(model, tokenizer)


def state(model):
    return (
        {name: (value.clone(), value.requires_grad) for name, value in model.named_parameters()},
        [(module.training, len(module._forward_hooks)) for module in model.modules()],
        torch.get_rng_state(),
    )


def same(first, second):
    parameters, modules, rng = first
    for name, (value, flag) in second[0].items():
        assert torch.equal(value, parameters[name][0])
        assert flag == parameters[name][1]
    assert modules == second[1]
    assert torch.equal(rng, second[2])


def test_every_method_is_placed():
    names = set(registry.names())
    assert names >= AT_UNITS
    assert names >= set(REFUSED)
    assert not AT_UNITS & set(REFUSED)


@pytest.mark.parametrize("name", sorted(registry.names()))
def test_each_method_explains_or_is_refused_by_name(made, name):
    if name in REFUSED:
        with pytest.raises(ValueError, match=f"method must be one that explains .* {name!r}: it "):
            made.explain(TEXTS, method=name)
        return
    before = state(made.model)
    plain = name in ("guided_backprop", "deconvolution")  # there are no ReLUs
    with pytest.warns(pyxai.PyxaiWarning, match=RELU) if plain else contextlib.nullcontext():
        together = made.explain(TEXTS, method=name, **QUICK.get(name, {}))
    same(before, state(made.model))
    logits = [made.model(**made.tokenizer(text, return_tensors="pt")).logits for text in TEXTS]
    for text, found, scores in zip(TEXTS, together, logits, strict=True):
        assert isinstance(found, Explanation)
        assert found.method == name
        assert found.feature_names == [read_tokens(made.tokenizer, text).units().labels]
        assert found.attributions.shape == (1, len(found.feature_names[0]))
        assert found.attributions.isfinite().all()
        assert found.target == int(scores.argmax())
        torch.testing.assert_close(found.outputs, scores.max(1).values, rtol=1e-5, atol=1e-5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone = made.explain(text, method=name, **QUICK.get(name, {}))
        torch.testing.assert_close(found.attributions, alone.attributions, rtol=1e-4, atol=1e-5)
        if registry.get(name).complete and name not in ROUGH:
            missed = found.convergence_delta + found.options["other_tokens"]
            assert abs(float(missed)) < 2e-3 * max(1.0, float(found.outputs.abs()))


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta"])
def test_ablation_is_the_loop_that_one_would_write(kind):
    model, tokenizer = classifier(kind)
    made = TextClassifier(model, tokenizer)
    for found in made.explain(TEXTS, method="feature_ablation", target="good"):
        tokens = read_tokens(tokenizer, found.options["text"])
        ids, units = torch.tensor([tokens.ids]), tokens.units("word")
        with torch.no_grad():
            full = model(ids).logits[0, 2]
            for value, unit in zip(found.attributions[0], units, strict=True):
                changed = ids.clone()
                changed[0, list(unit.tokens)] = tokenizer.mask_token_id
                torch.testing.assert_close(value, full - model(changed).logits[0, 2])
    for found in made.explain(TEXTS, method="feature_ablation", target=2, baseline="unattended"):
        tokens = read_tokens(tokenizer, found.options["text"])
        ids, units = torch.tensor([tokens.ids]), tokens.units("word")
        with torch.no_grad():
            full = model(ids).logits[0, 2]
            for value, unit in zip(found.attributions[0], units, strict=True):
                mask = torch.ones_like(ids)
                mask[0, list(unit.tokens)] = 0
                expected = full - model(ids, attention_mask=mask).logits[0, 2]
                torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["distilbert", "roberta"])
def test_padding_changes_nothing(kind):
    made = TextClassifier(*classifier(kind))
    texts = [*TEXTS, "the film was surprisingly not good"]
    lengths = sorted(len(read_tokens(made.tokenizer, text)) for text in texts)
    assert lengths[-2] < lengths[-1] < 1.4 * lengths[-2]  # these share a batch
    for name in ("integrated_gradients", "shapley_values", "saliency"):
        together = made.explain(texts, method=name, baseline="mask")
        for text, found in zip(texts, together, strict=True):
            alone = made.explain(text, method=name, baseline="mask")
            assert alone.attributions.abs().max() > 1e-3
            torch.testing.assert_close(found.attributions, alone.attributions, rtol=1e-4, atol=1e-5)
            assert torch.equal(found.inputs, alone.inputs)
            assert found.target == alone.target


def test_texts_whose_sentences_differ_get_what_they_get_alone(made):
    texts = ["not good! bad day film", "not good bad! day film", "not good bad day! film"]
    for text, found in zip(texts, made.explain(texts, method="partition_shap"), strict=True):
        alone = made.explain(text, method="partition_shap")
        torch.testing.assert_close(found.attributions, alone.attributions, rtol=1e-4, atol=1e-5)


def test_a_reordered_batch_gives_reordered_results(made):
    first = made.explain(TEXTS)
    second = made.explain(TEXTS[::-1])
    for one, other in zip(first, reversed(second), strict=True):
        torch.testing.assert_close(one.attributions, other.attributions)


class Words(nn.Module):
    """A sum of a number for each token, so that all is known."""

    def __init__(self, count):
        super().__init__()
        self.table = nn.Embedding(count, 4, dtype=torch.float64)
        self.heads = nn.Linear(4, 2, bias=False, dtype=torch.float64)

    def forward(self, ids, mask):
        return self.heads((self.table(ids) * mask[..., None]).sum(1))


LINEAR = ("input_x_gradient", "integrated_gradients", "deep_lift", "shapley_values", "lrp")


@pytest.mark.parametrize("name", [*LINEAR, "feature_ablation", "partition_shap", "kernel_shap"])
def test_units_of_a_linear_model_get_what_their_tokens_add(name):
    _, tokenizer = classifier()
    model = Words(len(tokenizer)).eval()
    made = TextClassifier(model, tokenizer, labels=["no", "yes"])
    given = {} if name == "lrp" else {"baseline": "zero"}
    scores = model.heads(model.table.weight).detach()[:, 1]
    for text in TEXTS:
        for kind in ("token", "word", "sentence"):
            found = made.explain(text, method=name, unit=kind, target="yes", **given)
            tokens = read_tokens(tokenizer, text)
            values = scores[list(tokens.ids)]
            expected = [values[list(unit.tokens)].sum() for unit in tokens.units(kind)]
            torch.testing.assert_close(
                found.attributions[0], torch.stack(expected), rtol=1e-5, atol=1e-6
            )
            others = values[[0, -1]].sum() if name == "lrp" else 0.0
            assert found.options["other_tokens"] == pytest.approx(float(others), abs=1e-6)
            if found.convergence_delta is not None:  # of the units alone
                assert float(found.convergence_delta) == pytest.approx(-float(others), abs=1e-5)


def test_phrases_of_a_linear_model_score_what_their_words_add():
    _, tokenizer = classifier()
    model = Words(len(tokenizer)).eval()
    with torch.no_grad():
        model.table.weight[2:4] = 0.0  # special tokens, which are shared out as a bias is
    made = TextClassifier(model, tokenizer, labels=["no", "yes"])
    scores = model.heads(model.table.weight).detach()[:, 1]
    found = made.agglomerate(TEXTS[0], target="yes")
    tokens = read_tokens(tokenizer, TEXTS[0])
    units = tokens.units("word")
    words = [scores[[tokens.ids[at] for at in unit.tokens]].sum().item() for unit in units]
    assert found.names == tuple(units.labels)
    for node in found.nodes:
        assert float(node.score) == pytest.approx(sum(words[at] for at in node.members), abs=1e-6)


def test_phrases_of_a_transformer_add_up_to_its_output(made):
    with torch.no_grad():
        scores = made.model(**made.tokenizer("not good", return_tensors="pt")).logits[0]
    [found] = made.agglomerate(["not good"], target="good")
    assert found.names == ("not", "good")
    whole = max(found.nodes, key=lambda node: len(node.members))
    assert float(whole.score) == pytest.approx(float(scores[2]), abs=1e-4)
    with pytest.raises(
        ValueError, match="baseline must be a token or a vector here, got 'unattended'"
    ):
        made.agglomerate("good", baseline="unattended")


def test_baselines_are_what_they_say():
    _, tokenizer = classifier()
    model = Words(len(tokenizer)).eval()
    made = TextClassifier(model, tokenizer)
    scores = model.heads(model.table.weight).detach()[:, 0]
    ids = list(read_tokens(tokenizer, TEXTS[0]).ids)[1:-1]
    vector = torch.arange(4.0, dtype=torch.float64)
    absent = {
        "mask": scores[tokenizer.mask_token_id],
        "pad": scores[tokenizer.pad_token_id],
        "unknown": scores[tokenizer.unk_token_id],
        "zero": torch.tensor(0.0),
        vector: model.heads(vector).detach()[0],
    }
    for baseline, value in absent.items():
        for name in ("integrated_gradients", "feature_ablation"):
            found = made.explain(TEXTS[0], method=name, unit="token", target=0, baseline=baseline)
            torch.testing.assert_close(
                found.attributions[0], scores[ids] - value, rtol=1e-5, atol=1e-6
            )
            assert found.options["baseline"] is baseline
    found = made.explain(TEXTS[0], baseline="mask")
    inner = found.baselines[0, 1:-1]
    assert inner.eq(tokenizer.mask_token_id).all()
    assert torch.equal(found.baselines[0, [0, -1]], found.inputs[0, [0, -1]])


def test_tokens_add_up_to_words_and_words_to_sentences(made):
    text = "not good, not bad. Surprisingly good day"
    tokens = read_tokens(made.tokenizer, text)
    for name in ("integrated_gradients", "lrp"):
        fine = made.explain(text, method=name, unit="token")
        for kind in ("word", "sentence"):
            coarse = made.explain(text, method=name, unit=kind)
            parts = torch.tensor(tokens.units("token").owners)
            sums = [
                fine.attributions[0, parts[list(unit.tokens)]].sum() for unit in tokens.units(kind)
            ]
            torch.testing.assert_close(
                coarse.attributions[0], torch.stack(sums), rtol=1e-5, atol=1e-6
            )
            assert coarse.options["other_tokens"] == pytest.approx(fine.options["other_tokens"])
    assert abs(fine.options["other_tokens"]) > 1e-4  # of lrp, special tokens have a share


def test_own_units_leave_the_rest_in_place(made):
    found = made.explain(TEXTS[0], method="shapley_values", unit=re.compile("film|good"))
    assert found.feature_names == [["film", "good"]]
    assert found.options["unit"] == "own"
    changed = found.baselines != found.inputs
    assert changed.sum() == sum(
        len(unit.tokens)
        for unit in read_tokens(made.tokenizer, TEXTS[0]).units("word")
        if unit.label in ("film", "good")
    )


def test_a_hierarchy_has_sentences_words_and_tokens():
    _, tokenizer = classifier()
    text = "not good! a film was bad"
    tokens = read_tokens(tokenizer, text)

    def nested(kind):
        return nested_units(tokens, tokens.units(kind))

    assert tokens.units("word").labels == ["not", "good", "!", "a", "film", "was", "bad"]
    assert nested("word") == [[[0, 1], 2], [[3, 4], [5, 6]]]
    assert nested("sentence") == [0, 1]
    fine = nested("token")
    counts = [len(unit.tokens) for unit in tokens.units("word")]

    def flat(node):
        return [node] if isinstance(node, int) else [leaf for child in node for leaf in flat(child)]

    assert flat(fine) == list(range(sum(counts)))
    assert flat(fine[0]) == list(range(sum(counts[:3])))


def test_targets(made):
    model, tokenizer = made.model, made.tokenizer
    best = [found.target for found in made.explain(TEXTS, method="saliency")]
    named = made.explain(TEXTS, method="saliency", target=["good", 0, None])
    assert [found.target for found in named] == [2, 0, best[2]]
    assert [found.options["label"] for found in named][:2] == ["good", "bad"]
    renamed = TextClassifier(model, tokenizer, labels=["-", "0", "+"])
    assert renamed.explain(TEXTS[0], method="saliency", target="+").target == 2
    with pytest.raises(
        ValueError, match="must be a label of the model, got 'Godo'; did you mean 'good'"
    ):
        made.explain(TEXTS[0], target="Godo")
    with pytest.raises(ValueError, match="target must be from 0 to 2, got 3"):
        made.explain(TEXTS[0], target=3)
    with pytest.raises(
        TypeError, match=r"target must be None, a class or the label of one, got 1.0"
    ):
        made.explain(TEXTS[0], target=1.0)
    with pytest.raises(ValueError, match="target must be one for all texts or one for each of 3"):
        made.explain(TEXTS, target=[0])
    bare = Words(len(tokenizer)).eval()
    with pytest.raises(ValueError, match="labels must be given to say a target by name, got None"):
        TextClassifier(bare, tokenizer).explain("good", target="good")


def test_results_are_shown_kept_and_read(made, tmp_path):
    found = made.explain(TEXTS[1], target="good")
    assert "good" in plot.text_html(found)
    assert "surprisingly" in made.explain(TEXTS[0])._repr_html_()
    assert found.plot("text").get_title(loc="left") == "integrated gradients"
    assert found.plot() is not None
    plot.waterfall(found)
    table = found.to_pandas()
    assert list(table.columns) == found.feature_names[0]
    np.testing.assert_allclose(table.to_numpy(), found.attributions.numpy())
    again = Explanation.load(found.save(tmp_path / "found.safetensors"))
    assert torch.equal(again.attributions, found.attributions)
    assert again.feature_names == found.feature_names
    assert again.options == found.options
    assert found.options["embedding"] == "bert.embeddings.word_embeddings"
    assert "film" in str(made.explain(TEXTS[0]))


def test_other_models_by_arguments():
    model, tokenizer = classifier()
    expected = TextClassifier(model, tokenizer).explain(TEXTS[0], target=1)

    def forward(ids, mask):
        return model(input_ids=ids, attention_mask=mask).logits

    words = model.bert.embeddings.word_embeddings
    for embedding in (words, "bert.embeddings.word_embeddings"):
        made = TextClassifier(model, tokenizer, forward=forward, embedding=embedding)
        torch.testing.assert_close(
            made.explain(TEXTS[0], target=1).attributions, expected.attributions
        )
    whole = TextClassifier(model, tokenizer, embedding="bert.embeddings")
    found = whole.explain(TEXTS[0], target=1)
    assert found.options["embedding"] == "bert.embeddings"
    missed = found.convergence_delta + found.options["other_tokens"]
    assert abs(float(missed)) < 1e-2
    with pytest.raises(
        ValueError, match=r"embedding must be a name .* got 'bert.embedding'; did you"
    ):
        TextClassifier(model, tokenizer, embedding="bert.embedding")
    with pytest.raises(ValueError, match="embedding must be given, a module or its name"):
        TextClassifier(nn.Linear(2, 2), tokenizer)


def test_a_tokenizer_without_padding_takes_texts_of_one_length(made):
    tokenizer = copy.deepcopy(made.tokenizer)
    tokenizer.pad_token = None
    bare = TextClassifier(made.model, tokenizer)
    for name in ("integrated_gradients", "feature_ablation"):
        for found, other in zip(
            bare.explain(TEXTS, method=name), made.explain(TEXTS, method=name), strict=True
        ):
            torch.testing.assert_close(found.attributions, other.attributions, rtol=1e-4, atol=1e-5)


def test_a_model_with_one_output():
    made = TextClassifier(*classifier(num_labels=1, id2label={0: "score"}))
    for name in ("integrated_gradients", "kernel_shap"):
        found = made.explain(TEXTS, method=name)
        assert [each.options["label"] for each in found] == ["score"] * 3
        for each in found:
            assert abs(float(each.convergence_delta)) < 1e-3


def test_training_mode_is_left(made):
    model, tokenizer = classifier()
    model.train()
    with pytest.warns(pyxai.PyxaiWarning, match="training mode"):
        TextClassifier(model, tokenizer).explain(TEXTS[0], method="feature_ablation")
    assert all(module.training for module in model.modules())


def test_a_tokenizer_and_a_model_that_do_not_fit(made):
    model, tokenizer = classifier(vocab_size=20)
    with pytest.raises(
        ValueError, match=r"tokenizer must have no more tokens than .* vectors, 20, got"
    ):
        TextClassifier(model, tokenizer)

    def only_ids(text):
        return [2, 25, 3]

    bare = TextClassifier(model, only_ids, pieces=lambda ids: ["a"] * len(ids))
    with pytest.raises(
        ValueError, match=r"tokenizer must give ids from 0 to 19, .* got 25 for 'a'"
    ):
        bare.explain("a a a")
    with pytest.raises(TypeError, match="tokenizer must be callable, got None"):
        TextClassifier(model, None)
    with pytest.raises(TypeError, match="forward must be callable, got 3"):
        TextClassifier(model, only_ids, forward=3)
    with pytest.raises(TypeError, match=r"model must be an? (torch\.)?nn.Module, got"):
        TextClassifier(only_ids, tokenizer)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"texts": ""}, ValueError, "texts must have a character that is no space, got ''"),
        ({"texts": []}, ValueError, "texts must hold at least one text, got none"),
        ({"texts": ["good", 3]}, TypeError, r"texts\[1\] must be a string, got 3"),
        ({"texts": 3}, TypeError, "texts must be a string or a list of strings, got 3"),
        (
            {"texts": "good " * 60},
            ValueError,
            "texts must have at most 48 tokens for the positions",
        ),
        ({"unit": "letter"}, ValueError, "unit must be one of 'token', 'word', 'sentence'"),
        ({"method": "nothing"}, ValueError, "nothing"),
        ({"method": 3}, TypeError, "method must be a name or a registered class, got 3"),
        (
            {"baseline": "blank"},
            ValueError,
            "baseline must be one of 'mask', 'pad', 'unknown', 'zero'",
        ),
        ({"baseline": torch.tensor(3)}, TypeError, "baseline must be of a floating dtype"),
        ({"baseline": torch.tensor(torch.nan)}, ValueError, "baseline must be finite"),
        (
            {"baseline": torch.ones(5)},
            ValueError,
            r"baseline must have the shape .* \[16\], got \[5\]",
        ),
        (
            {"baseline": "unattended"},
            ValueError,
            "baseline must be a token or a vector for integrated",
        ),
        (
            {"method": "saliency", "baseline": "pad"},
            ValueError,
            "baseline must be left out for saliency",
        ),
        ({"baselines": 0}, TypeError, "options must not hold baselines: baseline says"),
        (
            {"method": "noise_tunnel", "return_error": True},
            ValueError,
            "return_error must be left out for noise_tunnel of a text, .* got True",
        ),
        (
            {"n_stepz": 3},
            TypeError,
            "options of integrated_gradients must be among .* got 'n_stepz'",
        ),
    ],
)
def test_arguments_that_do_not_fit(made, changes, error, match):
    before = state(made.model)
    with pytest.raises(error, match=match):
        made.explain(**{"texts": "good film", **changes})
    same(before, state(made.model))


class FewPositions(Words):
    """Embeds positions too, of which there are just enough."""

    def __init__(self, count, positions):
        super().__init__(count)
        self.places = nn.Embedding(positions, 4, dtype=torch.float64)

    def forward(self, ids, mask):
        values = self.table(ids) + self.places(torch.arange(ids.shape[1]))
        return self.heads((values * mask[..., None]).sum(1))


def test_padding_asks_for_no_position_that_no_text_has():
    _, tokenizer = classifier()
    width = max(len(read_tokens(tokenizer, text)) for text in TEXTS)
    model = FewPositions(len(tokenizer), width).eval()
    made = TextClassifier(model, tokenizer, embedding="table")
    for found in made.explain(TEXTS, method="lrp", target=0):
        total = float(found.attributions.sum()) + found.options["other_tokens"]
        delta = float(found.convergence_delta) + found.options["other_tokens"]
        assert total - delta == pytest.approx(float(found.outputs), abs=1e-6)


def test_attention_must_have_a_token_left():
    model, tokenizer = classifier()

    def bare(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    made = TextClassifier(model, bare, pieces=tokenizer.convert_ids_to_tokens)
    given = {"method": "feature_ablation", "baseline": "unattended"}
    with pytest.raises(ValueError, match="baseline must be a token or a vector for a text whose"):
        made.explain("good film", **given)
    found = made.explain("good film", unit=re.compile("film"), **given)
    assert found.attributions.shape == (1, 1)


def test_a_tokenizer_without_a_mask_says_which_baselines_there_are():
    model, tokenizer = classifier()
    tokenizer.mask_token = None
    made = TextClassifier(model, tokenizer)
    with pytest.raises(
        ValueError,
        match=r"one of 'pad', 'unknown', 'zero', 'unattended' or .* 'mask'; .* no mask_token",
    ):
        made.explain("good")
    assert made.explain("good", method="saliency").attributions.shape == (1, 1)
