"""What a classifier of texts refuses, and what it says then would do."""

import re

import pytest
import torch
from text_models import classifier
from torch import nn

import pyxai
from pyxai.adapters import TextClassifier

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


@pytest.fixture(scope="module")
def made():
    return TextClassifier(*classifier())


def embeds(size=9, width=3):
    return nn.Embedding(size, width)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"unit": "words"}, ValueError, "got 'words'; did you mean 'word'?"),
        ({"unit": re.compile("zz")}, ValueError, "unit must have at least one span in .* got none"),
        ({"baseline": "removed"}, ValueError, "got 'removed'; 'unattended' hides"),
        ({"baseline": "remove"}, ValueError, "got 'remove'; 'unattended' hides"),
        ({"baseline": 3}, TypeError, "baseline must be one of 'mask', .* or a vector, got 3"),
        ({"method": "layer_activation"}, ValueError, "'layer_activation', which attributes to a l"),
        ({"method": pyxai.attribution.NeuronGradient}, ValueError, "'NeuronGradient', which attri"),
        (
            {"method": "lrp", "composite": {"clasifier": "gamma"}},
            ValueError,
            "composite must be a name among .* got 'clasifier'; did you mean 'classifier'?",
        ),
    ],
)
def test_what_does_not_fit_says_what_would(options, kind, message, made):
    with pytest.raises(kind, match=message):
        made.explain("not good", **options)


def test_which_of_several_texts_does_not_fit(made):
    with pytest.raises(ValueError, match=r"texts\[1\] must have a character that is no space"):
        made.explain(["good", " "])
    with pytest.raises(TypeError, match=r"texts\[1\] must be a string, got 3"):
        made.explain(["good", 3])
    with pytest.raises(ValueError, match=r"texts\[0\] must have at most 48 tokens"):
        made.explain(["good " * 80, "good"])
    with pytest.raises(ValueError, match=r"^texts must have at most 48 tokens .* got 82"):
        made.explain("good " * 80)


def test_which_id_the_model_does_not_have():
    model, _ = classifier(vocab_size=20)
    for ids, wrong in (([5, 41, 6], "41 for"), ([-1, 5], "-1 for")):
        made = TextClassifier(model, lambda _, ids=ids: ids, pieces=lambda ids: ["a"] * len(ids))
        with pytest.raises(ValueError, match=f"ids from 0 to 19, .* got {wrong}"):
            made.explain("good film")


def test_what_embeds_the_tokens_is_named():
    model, tokenizer = classifier()
    with pytest.raises(ValueError, match=r"embedding must be a name .* did you mean 'bert"):
        TextClassifier(model, tokenizer, embedding="bert.embeddings.word_embedding")
    with pytest.raises(ValueError, match="embedding must be a module of the model, got a Embeddi"):
        TextClassifier(model, tokenizer, embedding=embeds())
    with pytest.raises(ValueError, match=r"embedding must be given, .* None; it has '0', '1'"):
        TextClassifier(nn.Sequential(embeds(), embeds()), tokenizer)
    made = TextClassifier(model, tokenizer, embedding="classifier")  # three numbers, three tokens
    with pytest.raises(ValueError, match="embedding must give a vector for each of the tokens"):
        made.explain("good")


def test_layers_have_their_own_rules_by_the_names_that_the_model_gives_them(made):
    named, by_module, plain = (
        made.explain("not good", method="lrp", **options).attributions
        for options in (
            {"composite": {"classifier": "gamma"}},
            {"composite": {made.model.classifier: "gamma"}},
            {},
        )
    )
    assert torch.equal(named, by_module)
    assert not torch.equal(named, plain)
