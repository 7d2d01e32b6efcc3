"""A pretrained transformer, 6 layers of BERT, explained at its embeddings from word numbers."""

import copy

import captum.attr as captum
import pytest
import torch
from pretrained_encoder import MARKS, classifier_and_words
from torch import nn

from pyxai.attribution import LayerDeepLift, LayerIntegratedGradients, LayerLRP

pytestmark = MARKS
TARGET = 1


@pytest.fixture(scope="module")
def case():
    """Return the model, word numbers, those of empty sentences of these lengths, and the mask."""
    model, words, mask = classifier_and_words()
    kept = (words == 101) | (words == 102)  # where a sentence starts and ends
    return model, words, torch.where(kept, words, 0), mask


def change_of(model, words, start, mask):
    with torch.no_grad():
        return (model(words, mask) - model(start, mask))[:, TARGET]


@pytest.mark.parametrize("layer", ["bert.embeddings", "bert.embeddings.word_embeddings"])
def test_integrated_gradients_equal_captum(case, layer):
    model, words, start, mask = case
    ours, theirs = (
        method.attribute(words, start, TARGET, mask, n_steps=8)
        for method in (
            LayerIntegratedGradients(model, layer),
            captum.LayerIntegratedGradients(model, model.get_submodule(layer)),
        )
    )
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)
    assert (ours[mask == 0] == 0).all()


def test_integrated_gradients_and_deep_lift_are_complete(case):
    model, words, start, mask = case
    change = change_of(*case)
    for method, options in ((LayerIntegratedGradients, {"n_steps": 40}), (LayerDeepLift, {})):
        found, delta = method(model, "bert.embeddings").attribute(
            words, start, TARGET, mask, return_convergence_delta=True, **options
        )
        sums = found.flatten(1).sum(1) - change
        torch.testing.assert_close(delta, sums, rtol=0, atol=1e-6)
        assert delta.abs().max() < 1e-5 * change.abs().max()


def test_relevance_is_the_output_but_for_what_biases_take(case):
    model, words, _, mask = case
    plain = copy.deepcopy(model)
    for module in plain.modules():
        if isinstance(module, (nn.Linear, nn.LayerNorm)):
            nn.init.zeros_(module.bias)
    for net, most in ((plain, 1e-5), (model, None)):
        found, delta = LayerLRP(net, "bert.embeddings").attribute(
            words, TARGET, mask, return_convergence_delta=True
        )
        with torch.no_grad():
            output = net(words, mask)[:, TARGET]
        torch.testing.assert_close(delta, output - found.flatten(1).sum(1), rtol=0, atol=1e-6)
        if most is not None:
            assert delta.abs().max() < most * output.abs().max()
        else:  # of the weights as they are biases take about as much as there is
            assert delta.abs().max() < output.abs().max()
