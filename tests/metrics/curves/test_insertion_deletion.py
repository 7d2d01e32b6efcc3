"""Insertion and deletion against closed forms, and what all curves of a ranking share."""

import math

import pytest
import torch
from four_features import ROWS, WEIGHT, linear, net, sample

from pyxai import metrics


class TestReveal:
    x = ROWS

    def test_insertion_of_a_linear_model(self):
        scores = self.x * WEIGHT  # ranks: 0 2 3 1 and 0 3 1 2 (ties by number: -2, -2)
        curve = metrics.insertion(linear, self.x, scores, output="logit")
        expected = [[0.0, 3.0, 5.0, 5.5, 4.5], [0.0, 3.0, 3.0, 1.0, -1.0]]
        torch.testing.assert_close(curve.y, torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(curve.x, torch.linspace(0, 1, 5, dtype=torch.float64))
        area = (0 / 2 + 3 + 5 + 5.5 + 4.5 / 2) / 4
        assert curve.auc[0].item() == pytest.approx(area)

    def test_deletion_starts_from_the_input(self):
        curve = metrics.deletion(linear, self.x, self.x * WEIGHT, output="logit")
        expected = torch.tensor([4.5, 1.5, -0.5, -1.0, 0.0], dtype=torch.float64)
        torch.testing.assert_close(curve.y[0], expected)

    def test_groups_are_shown_together(self):
        mask = torch.tensor([[0, 1, 1, 0]])
        curve = metrics.insertion(
            linear, self.x[:1], self.x[:1] * WEIGHT, feature_mask=mask, output="logit"
        )
        # mean scores: (3 + .5) / 2 and (-1 + 2) / 2
        torch.testing.assert_close(curve.y[0], torch.tensor([0.0, 3.5, 4.5], dtype=torch.float64))

    def test_fills(self):
        base = torch.full((1, 4), 2.0, dtype=torch.float64)
        curve = metrics.insertion(
            linear, self.x[:1], self.x[:1] * WEIGHT, baselines=base, output="logit"
        )
        torch.testing.assert_close(curve.y[0, 0], linear(base)[0])
        torch.testing.assert_close(curve.y[0, -1], linear(self.x[:1])[0])

    def test_many_features_get_a_hundred_steps(self):
        x = torch.rand(2, 1000)
        curve = metrics.insertion(lambda rows: rows.sum(1), x, x, output="logit")
        assert curve.y.shape == (2, 101)
        assert (curve.y.diff(dim=1) >= 0).all()

    def test_rows_do_not_depend_on_the_batch(self):
        x, scores = sample(4), sample(4, seed=1)
        whole = metrics.insertion(net(), x, scores, target=[0, 1, 2, 0])
        for i, target in enumerate([0, 1, 2, 0]):
            alone = metrics.insertion(net(), x[i : i + 1], scores[i : i + 1], target=target)
            torch.testing.assert_close(alone.y[0], whole.y[i])


class TestErrors:
    def test_attributions_of_another_shape(self):
        x = sample()
        for metric in (
            metrics.insertion,
            metrics.deletion,
            metrics.comprehensiveness,
            metrics.completeness,
        ):
            with pytest.raises(
                ValueError,
                match=r"attributions must have the shape of inputs, \[3, 4\], got \[3, 3\]",
            ):
                metric(linear, x, x[:, :3])

    def test_nan(self):
        x = sample()
        with pytest.raises(ValueError, match="attributions must be finite"):
            metrics.insertion(linear, x, x * math.nan)

    def test_target_out_of_range(self):
        with pytest.raises(ValueError, match="target"):
            metrics.insertion(net(), sample(), sample(), target=7)


def test_curve_is_readable_and_drawn():
    import matplotlib

    matplotlib.use("Agg")
    curve = metrics.insertion(linear, TestReveal.x, TestReveal.x, output="logit")
    assert "insertion (logit), 2 example(s), 5 points" in repr(curve)
    assert len(curve[0]) == 1
    ax = curve.plot()
    assert ax.get_xlabel() == "fraction of features shown"
    torch.testing.assert_close(curve.mean().auc, curve.auc.mean(0, keepdim=True))
