"""Metrics of a row are those of the row alone, also with a feature mask for each example."""

import matplotlib
import pytest
import torch
from torch import nn

from pyxai import metrics
from pyxai.metrics.information.information_curve import InformationCurve

MASK = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 1, 0, 2, 3], [5, 5, 1, 2, 3, 4]])
TARGET = torch.tensor([0, 1, 2])


@pytest.fixture(scope="module")
def case():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()
        x, base, scores = torch.randn(3, 3, 6, dtype=torch.float64).unbind(0)
    return net, x, base, scores


def ask(metric, case, rows):
    net, x, base, scores = (part[rows] if torch.is_tensor(part) else part for part in case)
    options = {} if metric is metrics.kl_auc else {"target": TARGET[rows]}
    return metric(net, x, scores, baselines=base, feature_mask=MASK[rows], **options)


def by_hand(case, row, hide):
    """Probabilities as the groups of one row are shown or hidden, one call of the model each."""
    net, x, base, scores = (part[row] if torch.is_tensor(part) else part for part in case)
    mask = MASK[row]
    groups = sorted(mask.unique().tolist(), key=lambda g: -scores[mask == g].mean().item())
    found = []
    for count in range(len(groups) + 1):
        shown = torch.isin(mask, torch.tensor(groups[:count], dtype=torch.int64)) ^ hide
        found.append(net(torch.where(shown, x, base)[None]).softmax(1)[0, TARGET[row]])
    return torch.stack(found).detach()


class TestMasksOfTheirOwn:
    @pytest.mark.parametrize(
        "metric", [metrics.insertion, metrics.deletion, metrics.softmax_auc, metrics.kl_auc]
    )
    def test_curves_are_those_of_the_row_alone(self, case, metric):
        together = ask(metric, case, slice(0, 3))
        for row in range(3):
            alone = ask(metric, case, slice(row, row + 1))
            n = len(alone.x)
            torch.testing.assert_close(together.auc[row], alone.auc[0])
            torch.testing.assert_close(together.y[row, :n], alone.y[0])
            torch.testing.assert_close(together.x[row, :n], alone.x)
            assert (together.x[row, n:] == 1).all()

    @pytest.mark.parametrize("hide", [False, True])
    def test_curves_are_those_made_by_hand(self, case, hide):
        curve = ask(metrics.deletion if hide else metrics.insertion, case, slice(0, 3))
        for row in range(3):
            want = by_hand(case, row, hide)
            torch.testing.assert_close(curve.y[row, : len(want)], want)
            area = torch.trapezoid(want, dx=1 / (len(want) - 1))
            torch.testing.assert_close(curve.auc[row], area)

    @pytest.mark.parametrize("metric", [metrics.comprehensiveness, metrics.sufficiency])
    def test_drops_are_those_of_the_row_alone(self, case, metric):
        alone = torch.cat([ask(metric, case, slice(row, row + 1)) for row in range(3)])
        torch.testing.assert_close(ask(metric, case, slice(0, 3)), alone)

    def test_the_mean_lies_on_the_points_of_all(self, case):
        curve = ask(metrics.insertion, case, slice(0, 3))
        mean = curve.mean()
        assert mean.x.tolist() == sorted(set(curve.x.flatten().tolist()))
        torch.testing.assert_close(mean.auc[0], curve.auc.mean())
        torch.testing.assert_close(curve[1].auc[0], curve.auc[1])

    def test_drawn(self, case):
        matplotlib.use("Agg")
        assert ask(metrics.insertion, case, slice(0, 3)).plot().lines


class TestCurve:
    def test_area_is_a_mean_height(self):
        curve = metrics.Curve(torch.tensor([0.2, 0.5, 1.0]).double(), torch.ones(1, 3).double())
        assert curve.auc.item() == pytest.approx(1.0)
        point = metrics.Curve(torch.tensor([0.5]).double(), torch.tensor([[0.75]]).double())
        assert point.auc.item() == 0.75

    def test_skipped_images_follow_their_rows(self):
        y = torch.tensor([[0.0, 1.0], [torch.nan, torch.nan], [0.5, 1.0]], dtype=torch.float64)
        curve = InformationCurve(torch.tensor([0.0, 1.0]).double(), y, skipped={1: "too dark"})
        assert curve[1:].skipped == {0: "too dark"}
        assert curve[-2].skipped == {0: "too dark"}
        assert curve[torch.tensor([True, False, True])].skipped == {}
        assert curve[::2].aggregate("mean").y.tolist() == [[0.25, 1.0]]
        assert curve.mean().y.tolist() == [[0.25, 1.0]]
        assert "nan" not in repr(curve)
        assert "1 skipped" in repr(curve)
        assert curve.running_max().skipped == curve.skipped
