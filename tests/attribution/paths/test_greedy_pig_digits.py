"""What Greedy PIG is for, on eight convolutional nets that tell the digits of scikit-learn apart.

The claims are about sufficiency: curves that reveal features. Deletion is not among them. Each
holds on every one of the eight nets, unless it is said to hold on average. Of 24 images the gap to
integrated gradients has a standard error of .01 to .04, which is why there are more.
"""

import functools
from typing import NamedTuple

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pyxai import metrics
from pyxai.attribution import GreedyPIG, IntegratedGradients

pytestmark = pytest.mark.usefixtures("one_thread")

SEEDS = range(8)
N_IMAGES, N_FEW = 64, 24  # a few for what costs as much as the full loop once more


class Case(NamedTuple):
    model: nn.Module
    x: Tensor
    target: Tensor
    ranks: dict[str, Tensor]
    mean_image: Tensor

    def mean(self, metric, name, count=N_IMAGES):
        options = {} if metric is metrics.kl_auc else {"target": self.target[:count]}
        curve = metric(self.model, self.x[:count], self.ranks[name][:count], **options)
        return float(curve.auc.mean())


def trained(seed):
    """Return a net trained on 1437 digits, other digits, and the mean of the first."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        order = torch.randperm(len(images))
        train, rest = order[:1437], order[1437:]
        model = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)),
        )
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        for _ in range(12):
            for rows in torch.randperm(len(train)).split(64):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images[train[rows]]), labels[train[rows]])
                loss.backward()
                optimizer.step()
    return model.eval(), images[rest], images[train].mean(0, keepdim=True)


@functools.cache
def case_of(seed):
    model, images, mean_image = trained(seed)
    x = images[:N_IMAGES]
    target = model(x).argmax(1)
    greedy, integrated = GreedyPIG(model), IntegratedGradients(lambda x: model(x).softmax(1))
    full = {"rounds": 1, "n_steps": 2}  # 128 gradients an image
    ranks = {
        "ig": integrated.attribute(x, target=target, n_steps=32, method="midpoint"),
        "full": greedy.attribute(x, target=target, **full),
        "geometric": greedy.attribute(x, target=target),
        "kl": greedy.attribute(x[:N_FEW], output="kl", **full),
    }
    return Case(model, x, target, ranks, mean_image)


@pytest.fixture(params=SEEDS)
def case(request):
    return case_of(request.param)


@functools.cache
def gains(name):
    """Softmax AUC of an order above that of integrated gradients, by seed."""
    cases = [case_of(seed) for seed in SEEDS]
    return torch.tensor(
        [
            case.mean(metrics.softmax_auc, name) - case.mean(metrics.softmax_auc, "ig")
            for case in cases
        ]
    )


@pytest.mark.parametrize("name", ["full", "geometric"])
def test_softmax_auc_is_above_that_of_integrated_gradients(name):
    found = gains(name)
    assert found.min() >= 0.02, found
    assert found.mean() > 0.05, found


def test_the_same_from_the_mean_image(case):
    """From a baseline that looks like a digit integrated gradients do better; the gap shrinks."""
    mean = case.mean_image
    integrated = IntegratedGradients(lambda x: case.model(x).softmax(1))
    call = {"baselines": mean, "target": case.target}
    plain = integrated.attribute(case.x, n_steps=32, method="midpoint", **call)
    greedy = GreedyPIG(case.model).attribute(case.x, **call)
    curves = [
        metrics.softmax_auc(case.model, case.x, ranks, **call).auc.mean()
        for ranks in (plain, greedy)
    ]
    assert curves[1] > curves[0] + 0.002


def test_a_shortlist_of_eight_is_as_good_as_exact_greedy_selection(case):
    x, target = case.x[:2], case.target[:2]

    def auc(shortlist):
        ranks = GreedyPIG(case.model).attribute(x, target=target, rounds=1, shortlist=shortlist)
        return float(metrics.softmax_auc(case.model, x, ranks, target=target).auc.mean())

    assert abs(auc(8) - auc(64)) < 0.003


def test_geometric_rounds_lose_little_against_the_full_loop():
    """On average; on one net in eight the loss is above .008, and the gain the largest."""
    full, geometric = gains("full"), gains("geometric")
    assert (full - geometric).mean().abs() < 0.008, full - geometric
    assert (geometric > 0.85 * full).all(), geometric / full


def test_geometric_rounds_cost_a_twentieth_of_the_full_loop(case):
    counted = 0

    class Counting(nn.Module):
        def forward(self, x):
            nonlocal counted
            counted += len(x) * torch.is_grad_enabled()
            return case.model(x)

    GreedyPIG(Counting()).attribute(case.x[:8], target=case.target[:8], internal_batch_size=8)
    assert counted <= 30 * 8 + 6  # and six rows to measure the model; 64 rounds of 8 nodes: 512


def test_divergence_is_best_on_the_curve_of_the_divergence(case):
    values = {name: case.mean(metrics.kl_auc, name, N_FEW) for name in case.ranks}
    assert min(values, key=values.get) == "kl"


def test_other_curves_are_worse(case):
    """Greedy selection leaves redundant evidence behind, which deletion then finds."""
    assert case.mean(metrics.deletion, "geometric") > case.mean(metrics.deletion, "ig")
    of_kl, of_full = (case.mean(metrics.softmax_auc, name, N_FEW) for name in ("kl", "full"))
    assert of_kl < of_full


def test_path_integrals_are_complete_with_many_nodes():
    """The worst of the rounds of three images: 2e-3 on average over the nets.

    A gradient that jumps by d costs the midpoint rule up to d / (2 n_steps), here .002 d, and the
    jumps differ from net to net.
    """
    deltas = torch.stack(
        [
            GreedyPIG(case.model)
            .attribute(
                case.x[:3], target=case.target[:3], n_steps=256, return_convergence_delta=True
            )[1]
            .abs()
            for case in map(case_of, SEEDS)
        ]
    )
    worst = deltas.flatten(1).amax(1)
    assert worst.mean() < 2e-3, worst
    assert worst.max() < 1 / 256, worst


def test_errors_of_the_quadratures(case):
    """One round with all pixels; relative L1 errors, averaged over images."""
    x = case.x
    call = {"target": case.target, "rounds": 64, "scores": "raw"}
    exact = GreedyPIG(case.model).attribute(x, n_steps=128, **call).flatten(1)

    def error(n_steps, **options):
        found = GreedyPIG(case.model).attribute(x, n_steps=n_steps, **options, **call)
        return float(((found.flatten(1) - exact).abs().sum(1) / exact.abs().sum(1)).mean())

    for n_steps, share in ((1, 0.75), (2, 0.75), (4, 0.95)):
        assert error(n_steps, softmax_aware=True) < share * error(n_steps)
    assert error(4) < error(4, method="gausslegendre")
