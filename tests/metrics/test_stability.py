"""Stability against scipy, of constant maps, extreme numbers and wrong shapes."""

import pytest
import torch
from four_features import sample

from pyxai import metrics


def maps(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 20, generator=generator, dtype=torch.float64)


class TestStability:
    @pytest.mark.parametrize("measure", ["pearson", "spearman"])
    @pytest.mark.parametrize("value", [0.1, 0.3, 0.7, 1e-3, 123.456, 0.0, -5e-324, 1e308])
    def test_nothing_correlates_with_a_constant(self, value, measure):
        for n in (1, 2, 3, 5, 7, 10, 49, 784):
            constant = torch.full((1, n), value, dtype=torch.float64)
            ramp = torch.arange(n).double()[None]
            for other in (constant, ramp):
                assert metrics.stability(constant, other, measure=measure).isnan().all()
                assert metrics.stability(other, constant, measure=measure).isnan().all()

    @pytest.mark.parametrize("measure", ["pearson", "spearman", "top"])
    @pytest.mark.parametrize("scale", [1e-300, 1e-120, 1e-90, 1e90, 1e160, 1e307])
    def test_scale_does_not_matter(self, scale, measure):
        a, b = maps(0), maps(1)
        expected = metrics.stability(a, b, measure=measure)
        found = metrics.stability(a * scale, b, measure=measure)
        torch.testing.assert_close(found, expected)
        assert (metrics.stability(a * scale, a, measure=measure) > 1 - 1e-12).all()

    def test_a_small_change_beside_a_large_constant(self):
        step = torch.tensor([[0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
        found = metrics.stability(1e9 + step, step, measure="pearson")
        torch.testing.assert_close(found, torch.ones(1).double())

    def test_correlations_stay_in_range(self):
        a = torch.randn(2000, 7, generator=torch.Generator().manual_seed(0))
        for other in (3 * a, -a / 7):
            assert metrics.stability(a, other, measure="pearson").abs().max() <= 1

    @pytest.mark.parametrize(("top", "count"), [(0.18, 4), (0.17, 3), (0.01, 1), (0.92, 18)])
    def test_shares_are_rounded_to_the_nearest_number(self, top, count):
        """The last of ``count`` leading features is another one in one of two maps."""
        a = torch.arange(20.0, 0.0, -1.0).double()[None]
        b = a.clone()
        b[0, count - 1] = 0.0
        found = metrics.stability(a, b, measure="top", top=top)
        assert found.item() == pytest.approx((count - 1) / count)

    def test_shapes_are_compared(self):
        a = maps(0)
        with pytest.raises(ValueError, match=r"attributions, \[4, 20\], got \[4, 3\]"):
            metrics.stability(a, a[:, :3])
        message = r"attributions, \[\[4, 20\], \[4, 2\]\], got \[\[4, 20\], \[4, 20\]\]"
        with pytest.raises(ValueError, match=message):
            metrics.stability((a, a[:, :2]), (a, a))
        with pytest.raises(
            ValueError, match=r"as many examples each, got \[\[4, 20\], \[1, 20\]\]"
        ):
            metrics.stability((a, a[:1]), (a, a[:1]))
        both = metrics.stability((a[:, :3], a[:, 3:]), (maps(1)[:, :3], maps(1)[:, 3:]))
        torch.testing.assert_close(both, metrics.stability(a, maps(1)))


def test_stability():
    from scipy.stats import pearsonr, spearmanr

    a, b = sample(3), sample(3, seed=1)
    b[:, 1] = b[:, 0]  # a tie
    for measure, peer in (("spearman", spearmanr), ("pearson", pearsonr)):
        expected = [peer(a[i], b[i]).statistic for i in range(3)]
        found = metrics.stability(a, b, measure=measure)
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    top = metrics.stability(
        torch.tensor([[4.0, 3, 2, 1]]), torch.tensor([[4.0, 1, 2, 3]]), measure="top", top=0.5
    )
    assert top.item() == 0.5
