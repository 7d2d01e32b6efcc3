"""Rank stability of hierarchies: against scipy, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import nn

from pyxai.decomposition import ACD, ContextualDecomposition, GroupOcclusion, rank_stability

F64 = torch.float64
DRAW = torch.Generator().manual_seed(3)
X = torch.randn(3, 1, 5, 5, generator=DRAW, dtype=F64)
MOVED = X + 0.4 * torch.randn(X.shape, generator=DRAW, dtype=F64)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)).double()


def joined_at(method, x, target):
    """Return the iteration in which each pixel was selected first, by the lists of the code."""
    found = []
    for tree in method.agglomerate(x, target):
        masks = tree.to_official_image()["im_thresh_list"][: len(tree.selected)]
        found.append(np.sum(~np.stack(masks), 0))
    return found


def test_it_is_the_mean_correlation_over_the_predicted_classes():
    model = net()
    method = ACD(model, percentile=80, variant="official")
    found = rank_stability(method, X, MOVED)
    classes = [model(x).argmax(1).tolist() for x in (X, MOVED)]
    ranks = [[joined_at(method, x, target) for x in (X, MOVED)] for target in classes]
    expected = [
        sum(spearmanr(a[row].ravel(), b[row].ravel()).statistic for a, b in ranks) / 2
        for row in range(3)
    ]
    assert found.tolist() == pytest.approx(expected)
    assert 0 < max(expected) < 1
    given = rank_stability(method, X, MOVED, targets=classes, internal_batch_size=7)
    assert torch.allclose(given, found)
    # A row gets what it gets alone.
    assert float(rank_stability(method, X[[1]], MOVED[[1]])) == pytest.approx(expected[1])


def test_the_same_input_has_the_same_ranks():
    found = rank_stability(ACD(net(), percentile=80), X, X, targets=[0])
    assert found.tolist() == pytest.approx([1, 1, 1])


def test_words_that_join_at_once_have_no_ranks():
    # A single output needs no target; all words of one score join in the first iteration.
    def counted(x):
        return (x * 0 + 1).sum(1)

    method = ACD(counted, scorer=lambda i, g, t, a: g.double().sum(2))
    assert rank_stability(method, X[:, 0, 0], MOVED[:, 0, 0]).isnan().all()


def test_an_attack_moves_ranks_of_occluded_probabilities_more():
    # The paper's comparison on small digits, one net and one seed. Its order, contextual
    # decomposition before occlusion, holds for occlusion of probabilities, which saturate; of
    # logits occlusion has the stabler ranks here, see docs/agglomeration.md.
    data = load_digits()
    x, y = torch.tensor(data.images).float()[:, None] / 16, torch.tensor(data.target)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(6):
        for rows in torch.randperm(1500).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    clean, labels = x[1500:1600].clone().requires_grad_(), y[1500:1600]
    loss = nn.functional.cross_entropy(model(clean), labels)
    attacked = (clean + 0.2 * torch.autograd.grad(loss, clean)[0].sign()).clamp(0, 1).detach()
    before, after = model(clean).argmax(1), model(attacked).argmax(1)
    fooled = ((before == labels) & (after != labels)).nonzero()[:8, 0]
    classes = [each[fooled].tolist() for each in (before, after)]
    mean = {}
    for name, scorer in (
        ("decomposition", ContextualDecomposition(model.eval())),
        ("probabilities", GroupOcclusion(lambda rows: model(rows).softmax(1))),
    ):
        method = ACD(None, scorer=scorer, variant="official")
        found = rank_stability(method, clean.detach()[fooled], attacked[fooled], classes)
        mean[name] = float(found.mean())
    assert mean["decomposition"] > mean["probabilities"] + 0.1


def test_refusals():
    method = ACD(net())
    with pytest.raises(TypeError, match=r"^method must be an AgglomerativeDecomposition"):
        rank_stability(net(), X, MOVED)
    with pytest.raises(ValueError, match=r"^perturbed must have the shape of inputs, \[3, 1, 5, 5"):
        rank_stability(method, X, MOVED[:2])
    with pytest.raises(ValueError, match=r"^targets must be a list of targets, got 1"):
        rank_stability(method, X, MOVED, targets=1)
    own = ACD(None, scorer=lambda i, g, t, a: g.flatten(2).double().sum(2))
    with pytest.raises(ValueError, match=r"^targets must be given for a method without a model"):
        rank_stability(own, X, MOVED)
    [first] = own.agglomerate(X[:1])
    [other] = own.agglomerate(X[:1, :, :4])
    with pytest.raises(ValueError, match=r"^other must have the 25 units of this hierarchy"):
        first.rank_correlation(other)
