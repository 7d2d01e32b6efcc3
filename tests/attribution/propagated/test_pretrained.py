"""DeepLIFT on a real pretrained transformer: 6 layers of BERT, attributed at its embeddings."""

import pytest
import torch
from pretrained_encoder import MARKS, classifier_and_words

from pyxai.attribution import DeepLift, DeepLiftShap

pytestmark = MARKS


@pytest.fixture(scope="module")
def case():
    model, words, mask = classifier_and_words()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        random_words = torch.randint(1000, 20000, words.shape)
    table = model.bert.embeddings.word_embeddings
    return model, table(words).detach(), table(random_words).detach(), mask


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
def test_complete_and_row_by_row(case, rule):
    model, x, b, mask = case
    explainer = DeepLift(model, rule=rule)
    found, delta = explainer.attribute(x, b, 1, mask, return_convergence_delta=True)
    change = (model(x, mask) - model(b, mask))[:, 1].abs()
    assert (delta.abs() / change).max() < 1e-5
    assert (found[mask == 0] == 0).all()
    for row in range(len(x)):
        alone = explainer.attribute(x[row : row + 1], b[row : row + 1], 1, mask[row : row + 1])
        torch.testing.assert_close(alone[0], found[row], rtol=1e-4, atol=1e-6)


def test_mean_over_several_random_baselines(case):
    model, x, b, mask = case
    found, delta = DeepLiftShap(model).attribute(
        x[:1], b, 1, mask[:1], return_convergence_delta=True
    )
    change = model(x[:1], mask[:1])[:, 1] - model(b, mask[:1].expand(3, -1))[:, 1]
    assert (delta.abs() / change.abs()).max() < 1e-5
    assert found.shape == x[:1].shape
