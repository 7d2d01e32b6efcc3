"""Arguments of the metrics that show features, and models that are hard to ask for classes."""

import matplotlib
import pytest
import torch
from four_features import ROWS, WEIGHT, classes, linear, net, sample
from torch import nn

from pyxai import metrics
from pyxai._errors import PyxaiWarning


@pytest.fixture(scope="module")
def case():
    generator = torch.Generator().manual_seed(0)
    x, scores = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()
    return net, x, scores


class TestDivergence:
    @pytest.mark.parametrize("reverse", [False, True])
    def test_an_impossible_class_adds_nothing(self, case, reverse):
        net, x, scores = case

        def with_impossible(rows):
            never = torch.full((len(rows), 1), -torch.inf, dtype=rows.dtype)
            return torch.cat([never, net(rows)], 1)

        found = metrics.kl_auc(with_impossible, x, scores, reverse=reverse)
        expected = metrics.kl_auc(net, x, scores, reverse=reverse)
        torch.testing.assert_close(found.y, expected.y)

    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_class_that_is_impossible_at_times_is_an_error(self, case, reverse):
        net, x, scores = case

        def at_times(rows):
            outputs, whole = net(rows), (rows != 0).all(1)
            outputs[whole if reverse else ~whole, 0] = -torch.inf
            return outputs

        with pytest.raises(ValueError, match="model must give the same classes a probability of 0"):
            metrics.kl_auc(at_times, x, scores, reverse=reverse)

    @pytest.mark.parametrize("broken", [float("nan"), float("inf")])
    def test_broken_logits_are_refused(self, case, broken):
        net, x, scores = case
        with pytest.raises(ValueError, match="model output must be finite"):
            metrics.kl_auc(lambda rows: net(rows) + broken, x, scores)

    @pytest.mark.parametrize(
        ("model", "shape"),
        [
            (lambda rows: rows[:, :2].unsqueeze(2).expand(-1, 2, 3), r"\[\d, 2, 3\]"),
            (lambda rows: rows[:, :1], r"\[\d, 1\]"),
            (lambda rows: rows[:, 0], r"\[\d\]"),
            (lambda rows: rows.sum(), r"\[\]"),
        ],
    )
    def test_other_outputs_are_shown_as_they_come(self, case, model, shape):
        with pytest.raises(ValueError, match="at least 2 classes, got " + shape):
            metrics.kl_auc(model, *case[1:])

    def test_no_call_has_more_rows_than_allowed(self, case):
        net, x, scores = case
        seen = []
        metrics.kl_auc(lambda rows: seen.append(len(rows)) or net(rows), x, scores, max_rows=1)
        assert set(seen) == {1}

    def test_training_mode_is_named_once(self, case):
        _, x, scores = case
        model = nn.Sequential(nn.Linear(5, 3), nn.Dropout(0.5)).double()
        with pytest.warns(PyxaiWarning, match="Dropout") as seen:
            metrics.kl_auc(model, x, scores)
        assert len(seen) == 1


@pytest.mark.parametrize(
    ("metric", "options", "name"),
    [
        (metrics.kl_auc, {"target": 0}, "target"),
        (metrics.kl_auc, {"output": "logit"}, "output"),
        (metrics.softmax_auc, {"target": 0, "output": "logit"}, "output"),
    ],
)
def test_what_a_metric_sets_is_not_given(case, metric, options, name):
    with pytest.raises(TypeError, match=f"{name} must not be given, as this metric sets it, got"):
        metric(*case, **options)


def test_an_axis_says_what_it_shows(case):
    matplotlib.use("Agg")

    curve = metrics.softmax_auc(*case, target=0)
    assert curve.plot().get_ylabel() == "softmax probability"
    assert metrics.softmax_auc(*case, target=0, running_max=True).name == "softmax probability"


def test_softmax_auc_is_insertion_of_the_probability():
    curve = metrics.softmax_auc(classes, ROWS, ROWS * WEIGHT, target=0)
    p = [torch.softmax(torch.tensor([v, -v, 0.0]), 0)[0].item() for v in (0, 3, 5, 5.5, 4.5)]
    torch.testing.assert_close(curve.y[0], torch.tensor(p, dtype=torch.float64), rtol=1e-6, atol=0)
    rising = metrics.softmax_auc(classes, ROWS, ROWS * WEIGHT, target=0, running_max=True)
    assert (rising.y.diff(dim=1) >= 0).all()
    assert rising.y[0, -1] == curve.y[0].max()


@pytest.mark.parametrize("reverse", [False, True])
def test_kl_auc(reverse):
    model, x = net(), sample()
    scores = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    curve = metrics.kl_auc(model, x, scores, reverse=reverse)
    full = model(x).log_softmax(1)
    for row in range(3):
        shown = torch.zeros_like(x[row])
        for step, feature in enumerate([None, *scores[row].argsort(descending=True).tolist()]):
            if feature is not None:
                shown[feature] = x[row, feature]
            q = model(shown[None]).log_softmax(1)[0]
            a, b = (q, full[row]) if reverse else (full[row], q)
            expected = (a.exp() * (a - b)).sum()
            torch.testing.assert_close(curve.y[row, step], expected.detach())
    assert curve.y[:, -1].abs().max() < 1e-12


def test_kl_needs_classes():
    with pytest.raises(ValueError, match="model must return logits"):
        metrics.kl_auc(linear, sample(), sample())
