"""Arguments of the metrics that show features, and models that are hard to ask for classes."""

import pytest
import torch
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


class TestFractions:
    @pytest.mark.parametrize("metric", [metrics.comprehensiveness, metrics.sufficiency])
    def test_one_number_is_one_fraction(self, case, metric):
        found = metric(*case, target=0, fractions=0.4)
        assert torch.equal(found, metric(*case, target=0, fractions=[0.4]))
        generated = metric(*case, target=0, fractions=(share / 10 for share in (4,)))
        assert torch.equal(found, generated)

    @pytest.mark.parametrize(
        ("fractions", "error", "message"),
        [
            ([0.5, float("nan")], ValueError, r"in \(0, 1\], got \[0.5, nan\]"),
            ([0.0], ValueError, r"in \(0, 1\], got \[0.0\]"),
            ([], ValueError, r"in \(0, 1\], got \[\]"),
            (1.5, ValueError, r"in \(0, 1\], got \[1.5\]"),
            ("a", TypeError, r"numbers in \(0, 1\], got 'a'"),
            (["a"], TypeError, r"numbers in \(0, 1\], got a list of 1"),
            (None, TypeError, r"numbers in \(0, 1\], got None"),
        ],
    )
    def test_others_are_refused(self, case, fractions, error, message):
        with pytest.raises(error, match="fractions must be " + message):
            metrics.comprehensiveness(*case, target=0, fractions=fractions)

    @pytest.mark.parametrize(
        ("fraction", "count"),
        [(0.28, 7), (7 / 25, 7), (0.2804, 8), (0.2796, 7), (0.0004, 1), (1.0, 25)],
    )
    def test_shares_are_rounded_up_but_for_rounding_errors(self, fraction, count):
        """0.28 * 25 is a little above 7 as a float; 0.2804 * 25 is 7.01, more than 7."""
        assert 0.28 * 25 > 7

        def shown(rows):  # how many features are there
            return torch.stack([rows.sum(1), torch.zeros(len(rows))], 1)

        x = torch.ones(1, 25)
        drop = metrics.sufficiency(shown, x, x, target=0, output="logit", fractions=fraction)
        assert drop.item() == 25 - count


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
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot as plt

    curve = metrics.softmax_auc(*case, target=0)
    assert curve.plot().get_ylabel() == "softmax probability"
    assert metrics.softmax_auc(*case, target=0, running_max=True).name == "softmax probability"
    plt.close("all")


def test_a_plot_of_skipped_images_says_so():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot as plt

    x, y = torch.tensor([0.0, 1.0]).double(), torch.full((2, 2), torch.nan).double()
    skipped = metrics.InformationCurve(x, y, "softmax", skipped={0: "flat", 1: "flat"})
    (entry,) = skipped.plot().get_legend().get_texts()
    assert entry.get_text() == "softmax (no curve: 2 of 2 skipped)"
    plt.close("all")
