"""A real pretrained encoder: what captum gets at its embeddings, completeness, and padding."""

import pytest
import torch
from captum.attr import LayerIntegratedGradients
from pretrained_encoder import MARKS, SENTENCES, classifier_and_tokenizer

from pyxai.adapters import TextClassifier

pytestmark = MARKS


@pytest.fixture(scope="module")
def made():
    model, tokenizer = classifier_and_tokenizer()
    words = "bert.embeddings.word_embeddings"
    return TextClassifier(model, tokenizer, labels=["a", "b", "c"], embedding=words)


def test_captum_gets_the_same_for_the_words_of_each_sentence(made):
    found = made.explain(SENTENCES, target="b", unit="token", n_steps=20)
    ours = LayerIntegratedGradients(made.model, made.model.bert.embeddings.word_embeddings)
    for one, text in zip(found, SENTENCES, strict=True):
        ids = made.tokenizer(text, return_tensors="pt")["input_ids"]
        absent = torch.full_like(ids, made.tokenizer.mask_token_id)
        absent[:, [0, -1]] = ids[:, [0, -1]]
        values = ours.attribute(
            ids, absent, 1, torch.ones_like(ids), n_steps=20, internal_batch_size=20
        )
        torch.testing.assert_close(
            one.attributions, values.sum(2)[:, 1:-1].float(), rtol=1e-4, atol=1e-5
        )
        assert torch.equal(one.baselines, absent)
        assert one.options["other_tokens"] == 0.0


@pytest.mark.parametrize(
    ("name", "options", "bound"),
    [
        ("integrated_gradients", {"n_steps": 50}, 1e-3),
        ("deep_lift", {}, 1e-4),
    ],
)
def test_words_add_up_to_the_change_of_the_score(made, name, options, bound):
    for found in made.explain(SENTENCES, method=name, target="c", **options):
        delta = float(found.convergence_delta) + found.options["other_tokens"]
        assert abs(delta) < bound
        assert found.attributions.abs().sum() > 0.02


def test_special_tokens_have_their_share_of_the_relevance(made):
    for found in made.explain(SENTENCES, method="lrp", target="c"):
        missed = float(found.convergence_delta) + found.options["other_tokens"]
        total = float(found.attributions.sum()) + found.options["other_tokens"]
        assert total - missed == pytest.approx(float(found.outputs), abs=1e-5)
        assert found.options["other_tokens"] != 0.0


def test_words_are_whole(made):
    [found] = made.explain(["Surprisingly un-put-downable, isn't it?"], method="saliency")
    assert found.feature_names == [["Surprisingly", "un-put-downable", ",", "isn't", "it", "?"]]
