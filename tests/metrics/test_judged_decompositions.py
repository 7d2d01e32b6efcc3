"""Scores of contextual decomposition and of trim are judged like those of any other method."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn

import pyxai
from pyxai import metrics, taylor
from pyxai.decomposition import ContextualDecomposition
from pyxai.transforms import FourierTransform, TransformedModel, trim

F64 = torch.float64
X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=F64)


def make_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double().eval()


NET = make_net()
FOURIER = FourierTransform(6)
BANDS = FOURIER.bands(2)
TRIMMED = {
    method: trim(NET, X, transform=FOURIER, method=method, target=1, groups=BANDS)
    for method in ("contextual_decomposition", "integrated_gradients")
}
WORDS = torch.arange(6) // 2


def judged():
    """Yield model, inputs, attributions, further arguments, feature mask and what explains."""
    cd = ContextualDecomposition(NET)
    plain = pyxai.explain(NET, X, method=cd, target=1).attributions
    yield "features", (NET, X, plain, (), None, cd.attribute)
    whole = pyxai.explain(NET, X, method=cd, target=1, feature_mask=WORDS).attributions
    yield "groups", (NET, X, whole, (), WORDS, cd.attribute)
    for method, found in TRIMMED.items():
        mask = BANDS.view(-1, *BANDS.shape[-2:]) if found.whole_groups else None
        again = {
            "contextual_decomposition": ContextualDecomposition,
            "integrated_gradients": pyxai.attribution.IntegratedGradients,
        }[method](found.model)
        yield (
            f"trim-{method}",
            (found.model, found.coefficients, found.attributions, found.arguments, mask,
             again.attribute),
        )  # fmt: skip


CASES = dict(judged())


def asked(case, **further):
    model, inputs, attributions, arguments, mask, _ = CASES[case]
    given = {"target": 1, "additional_forward_args": arguments or None, **further}
    given |= {} if mask is None else {"feature_mask": mask}
    return (model, inputs, attributions), given


@pytest.mark.parametrize("case", CASES)
def test_curves_and_erasure(case):
    positional, given = asked(case)
    for metric in (metrics.insertion, metrics.deletion, metrics.softmax_auc):
        assert metric(*positional, **given).auc.shape == (4,)
    untargeted = {name: value for name, value in given.items() if name != "target"}
    assert metrics.kl_auc(*positional, **untargeted).auc.shape == (4,)
    for metric in (metrics.comprehensiveness, metrics.sufficiency):
        assert bool(metric(*positional, **given).isfinite().all())


@pytest.mark.parametrize("case", CASES)
def test_completeness_is_the_sum_of_scores_against_the_change_of_the_output(case):
    positional, given = asked(case)
    model, inputs, attributions, arguments, mask, _ = CASES[case]
    if mask is None:
        total = attributions.flatten(1).sum(1)
    else:
        owners = mask.flatten().expand(4, -1)
        scores = torch.zeros(4, int(owners.max()) + 1, dtype=F64)
        total = scores.scatter(1, owners, attributions.flatten(1)).sum(1)
    rows = (inputs, torch.zeros_like(inputs))
    after, before = (model(row, *arguments)[:, 1].detach() for row in rows)
    assert_close(metrics.completeness(*positional, **given), total - (after - before))
    if case == "trim-integrated_gradients":
        assert float(metrics.completeness(*positional, **given).abs().max()) < 1e-2


@pytest.mark.parametrize("case", CASES)
def test_infidelity_and_sensitivity(case):
    (model, inputs, attributions), given = asked(case)
    found = metrics.infidelity(model, lambda x: (0.1 * x, 0.9 * x), inputs, attributions, **given)
    assert bool(found.isfinite().all())
    explaining = CASES[case][-1]
    found = metrics.sensitivity_max(explaining, inputs, n_perturb_samples=2, **given)
    assert found.shape == (4,)
    assert float(found.max()) < 5


@pytest.mark.parametrize("case", CASES)
def test_what_reads_scores_alone(case):
    scores = CASES[case][2]
    assert bool(metrics.sparseness(scores).isfinite().all())
    assert_close(metrics.stability(scores, 2 * scores), torch.ones(4, dtype=F64))
    everywhere = torch.ones_like(scores, dtype=torch.bool)
    assert_close(metrics.point_game(scores, everywhere), torch.ones(4, dtype=F64))
    assert metrics.selection_rates(scores, scores > 0, k=2).tpr.shape == (4,)


def test_reality_checks_of_coefficients():
    found = TRIMMED["contextual_decomposition"]
    truth = torch.zeros(1, *found.coefficients.shape[1:], dtype=torch.bool)
    truth[:, 0] = True
    checked = metrics.reality_checks(
        found.model,
        found.coefficients,
        method="contextual_decomposition",
        target=1,
        truth=truth,
        additional_forward_args=found.arguments,
        n_seeds=2,
    )
    assert {"ground_truth", "invariants", "human_study", "robustness"} <= set(checked.passed)
    # The coefficients together explain the output but for what the residual adds, here rounding.
    assert checked.passed["invariants"]


@pytest.mark.parametrize("method", ["contextual_decomposition", ContextualDecomposition(NET)])
def test_the_three_principles_of_groups(method):
    # Players get the sum over the scores of their features.
    cd = ContextualDecomposition(NET)
    masks = torch.stack([word == WORDS for word in range(3)])[None]
    found = taylor.principles(method, NET, X, target=1, feature_mask=WORDS)
    assert found.shares.shape == (4, 3, 8)
    # What a player gets on the input masked to all: the scores of its features.
    single = cd.scores(X, torch.eye(6)[None], 1)
    assert_close(found.shares.sum(2), (single.unsqueeze(1) * masks).sum(2).double())
    assert float(found.c.max()) > 0


def test_the_three_principles_of_coefficients():
    model = TransformedModel(NET, FOURIER, residual=False)
    coefficients, _ = model.split(X)
    linear = TransformedModel(nn.Linear(6, 1, bias=False).double(), FOURIER, residual=False)
    call = {"feature_mask": BANDS.view(1, *BANDS.shape[-2:]), "target": 0}
    found = taylor.principles("contextual_decomposition", linear, coefficients, **call)
    for broken in (found.e1, found.u, found.c):  # without a bias it is fair
        assert float(broken.abs().max()) < 1e-9
    found = taylor.principles("contextual_decomposition", model, coefficients, **call)
    assert float(found.c.max()) > 0.01
