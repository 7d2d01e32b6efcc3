import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from pyxai import plot
from pyxai.explanation import Explanation

DATA = torch.tensor([[0.0, 1.0, 4.0, 9.0], [3.0, 2.0, 1.0, 0.0]])
VALUES = torch.tensor([[1.0, -2.0, 0.0, 0.5], [0.0, 0.25, -1.0, 4.0]])


def bands(ax):
    """Return the values of the colours behind the lines, and their edges."""
    mesh = ax.collections[0]
    return np.asarray(mesh.get_array()).ravel(), mesh.get_coordinates()[0, :, 0]


def test_each_channel_has_its_line_over_its_values():
    given = Explanation(VALUES[None], DATA[None], method="occlusion")
    axes = plot.timeseries(given, percentile=100, channel_names=["a", "b"])
    assert axes.shape == (2,)
    for row, ax in enumerate(axes):
        values, edges = bands(ax)
        np.testing.assert_allclose(values, VALUES[row])
        np.testing.assert_allclose(edges, [-0.5, 0.5, 1.5, 2.5, 3.5])
        np.testing.assert_allclose(ax.lines[0].get_ydata(), DATA[row])
        assert ax.collections[0].get_clim() == (-4.0, 4.0)
        assert ax.get_ylabel() == "ab"[row]
    assert axes[0].get_title() == "occlusion"
    bar = axes[0].figure.axes[-1]
    assert bar.get_ylabel() == "attribution"


def test_positions_and_channels_that_come_last():
    x = torch.tensor([0.0, 2.0, 3.0, 5.0])
    axes = plot.timeseries(VALUES.T, DATA.T, channels_last=True, x_values=x, sign="negative")
    values, edges = bands(axes[1])
    np.testing.assert_allclose(values, VALUES[1].clamp(max=0))
    np.testing.assert_allclose(edges, [-1.0, 1.0, 2.5, 4.0, 6.0])
    assert axes[0].get_xlim() == (0.0, 5.0)
    assert axes[0].collections[0].get_clim()[1] == 0


def test_channels_together_show_their_sum():
    (ax,) = plot.timeseries(VALUES, DATA, method="combined", limit=2.0)
    np.testing.assert_allclose(bands(ax)[0], VALUES.sum(0))
    assert [line.get_label() for line in ax.lines] == ["channel 0", "channel 1"]
    assert ax.collections[0].get_clim() == (-2.0, 2.0)


@pytest.mark.parametrize("last", [False, True])
def test_a_player_of_several_channels_counts_once_in_their_sum(last):
    values, data = (each.T if last else each for each in (VALUES, DATA))
    halves = torch.tensor([0, 0, 1, 1])
    mask = halves[:, None] if last else halves[None]
    found = Explanation(values[None], data[None], method="by_hand").grouped(mask)
    (ax,) = plot.timeseries(found, method="combined", channels_last=last)
    sums = VALUES.sum(0).view(2, 2).sum(1)
    np.testing.assert_allclose(bands(ax)[0], sums.repeat_interleave(2))


def test_lines_have_the_mean_colour_of_their_ends():
    axes = plot.timeseries(VALUES, DATA, method="line", colorbar=False)
    (pieces,) = (each for each in axes[0].collections if isinstance(each, LineCollection))
    np.testing.assert_allclose(pieces.get_array(), [-0.5, -1.0, 0.25])
    np.testing.assert_allclose(pieces.get_segments()[1], [(1.0, 1.0), (2.0, 4.0)])
    low, high = axes[0].get_ylim()
    assert low <= 0 < 9 <= high
    assert len(axes[0].figure.axes) == 2


def test_one_time_and_own_axes():
    axes = Figure().subplots(2)
    assert list(plot.timeseries(VALUES[:, :1], DATA[:, :1], axes=axes)) == list(axes)
    np.testing.assert_allclose(bands(axes[0])[1], [-0.5, 0.5])


def test_what_does_not_fit_is_named():
    for options, error, message in (
        ({"method": "x"}, ValueError, "method must be one of 'overlay', .*, got 'x'"),
        ({"sign": "x"}, ValueError, "sign must be one of 'all', .*, got 'x'"),
        ({"alpha": -1}, ValueError, "alpha must be from 0 to 1, got -1"),
        ({"data": None}, ValueError, "data must be given beside a tensor or an array, got None"),
        ({"data": DATA[:1]}, ValueError, r"data must have the shape .* \[2, 4\], got \[1, 4\]"),
        ({"x_values": torch.zeros(3)}, ValueError, r"x_values must have shape \[4\], got \[3\]"),
        ({"x_values": torch.zeros(4)}, ValueError, "x_values must be ascending, got 0 after 0"),
        ({"channel_names": ["a"]}, ValueError, "channel_names must be 2 names, got 1"),
        ({"axes": Figure().subplots(3)}, ValueError, "axes must be 2 Axes, got 3"),
        ({"colorbar": "no"}, TypeError, "colorbar must be True or False, got 'no'"),
    ):
        with pytest.raises(error, match=message):
            plot.timeseries(VALUES, **{"data": DATA, **options})
    with pytest.raises(ValueError, match=r"shape \[channels, time\] for one example, got \[4\]"):
        plot.timeseries(VALUES[0], DATA[0])
