"""Sparseness, stability and point games of extreme numbers, constant maps and wrong arguments."""

import pytest
import torch

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


@pytest.mark.parametrize("scale", [1e-300, 1e300, 4e307])
def test_scores_of_any_size(scale):
    values = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0]], dtype=torch.float64) * scale
    assert metrics.sparseness(values).item() == pytest.approx(0.4)
    truth = torch.tensor([True, False, False, True, False])
    assert metrics.point_game(values, truth, mode="mass").item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("cells", "cell", "error", "message"),
    [
        (2, torch.tensor([0.0]), TypeError, "cell must hold integers, got torch.float32"),
        (2, torch.tensor([True]), TypeError, "cell must hold integers, got torch.bool"),
        (2, [0], TypeError, "cell must be a tensor, got a list"),
        (2.0, torch.tensor([0]), TypeError, "cells must be an integer, got 2.0"),
        (0, torch.tensor([0]), ValueError, "cells must be at least 1, got 0"),
        (2, torch.tensor([0, 1]), ValueError, "cell must hold 1 numbers from 0 to 3"),
    ],
)
def test_cells_are_whole_numbers(cells, cell, error, message):
    with pytest.raises(error, match=message):
        metrics.grid_point_game(torch.ones(1, 4, 4), cells, cell)


def test_a_point_lies_in_one_tensor():
    values = torch.ones(1, 4)
    with pytest.raises(TypeError, match="attributions must be a tensor, got a tuple of 1"):
        metrics.point_game((values,), values > 0)
