import numpy as np
import pytest
import torch

from pyxai import plot
from pyxai.explanation import Explanation

X = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
VALUES = torch.linspace(-2, 1, 144).reshape(2, 3, 4, 6)
FLAT = VALUES.sum(1)


def explanation(values=VALUES, x=X):
    return Explanation(values, x, method="integrated_gradients")


def data(ax, at=-1):
    return np.asarray(ax.images[at].get_array())


def bar_of(ax):
    return ax.figure.axes[-1]._colorbar


def test_an_overlay_is_the_image_and_the_map_over_it():
    ax = plot.image(explanation(), example=1, percentile=100)
    np.testing.assert_allclose(data(ax, 0), X[1].mean(0), rtol=1e-6)
    assert ax.images[0].get_cmap().name == "gray"
    np.testing.assert_allclose(data(ax), FLAT[1], rtol=1e-6)
    end = float(FLAT[1].abs().max())
    assert ax.images[1].get_clim() == pytest.approx((-end, end))
    alpha = ax.images[1].get_alpha()
    order = FLAT[1].abs().numpy().ravel().argsort()
    assert (np.diff(alpha.ravel()[order]) >= 0).all()
    assert ax.get_title() == "integrated gradients"
    assert bar_of(ax).ax.get_ylabel() == "attribution"
    even = plot.image(explanation(), alpha=0.5)
    assert even.images[1].get_alpha() == 0.5


@pytest.mark.parametrize(
    ("sign", "expected", "clim"),
    [
        ("all", FLAT[1], (-2, 2)),
        ("positive", FLAT[1].clamp(min=0), (0, 2)),
        ("negative", FLAT[1].clamp(max=0), (-2, 0)),
        ("absolute", FLAT[1].abs(), (0, 2)),
    ],
)
def test_signs_choose_values_and_half_of_the_scale(sign, expected, clim):
    ax = plot.image(explanation(), example=1, method="heatmap", sign=sign, limit=2.0)
    np.testing.assert_allclose(data(ax), expected, rtol=1e-6)
    assert ax.images[0].get_clim() == clim
    assert bar_of(ax).ax.get_ylabel() == ("|attribution|" if sign == "absolute" else "attribution")


def test_a_percentile_clips_and_arrows_say_where():
    values = torch.cat([torch.linspace(-1, 1, 99), torch.tensor([50.0])]).view(10, 10)
    ax = plot.image(values, torch.zeros(10, 10), percentile=95)
    end = float(np.percentile(values.abs().numpy(), 95))
    assert ax.images[1].get_clim() == pytest.approx((-end, end))
    assert bar_of(ax).extend == "both"
    one_end = plot.image(values, torch.zeros(10, 10), sign="positive", percentile=95)
    assert bar_of(one_end).extend == "max"
    lower = plot.image(-values, torch.zeros(10, 10), sign="negative", percentile=95)
    assert bar_of(lower).extend == "min"
    assert bar_of(plot.image(values, torch.zeros(10, 10), percentile=100)).extend == "neither"


def test_masks_and_transparency_are_shares_of_the_scale():
    colours = X[0].permute(1, 2, 0).numpy()
    share = (FLAT[0].clamp(max=0).abs() / 4).clamp(max=1).numpy()
    ax = plot.image(explanation(), method="masked", sign="negative", limit=4.0)
    np.testing.assert_allclose(data(ax), colours * share[..., None], atol=1e-6)
    ax = plot.image(explanation(), method="alpha", sign="negative", limit=4.0)
    np.testing.assert_allclose(data(ax)[..., :3], colours, atol=1e-6)
    np.testing.assert_allclose(data(ax)[..., 3], share, atol=1e-6)
    assert len(ax.figure.axes) == 1  # no scale of colours
    ax = plot.image(explanation(), method="original")
    np.testing.assert_allclose(data(ax), colours, atol=1e-6)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (torch.tensor([[[0, 51], [255, 102]]], dtype=torch.uint8), [[0, 0.2], [1, 0.4]]),
        (torch.tensor([[[0.0, 0.5], [1.0, 0.25]]]), [[0, 0.5], [1, 0.25]]),
        (torch.tensor([[[-2.0, 0.0], [2.0, 1.0]]]), [[0, 0.5], [1, 0.75]]),
        (np.array([[0, 51], [255, 102]]), [[0, 0.2], [1, 0.4]]),
        (torch.tensor([[[0.0, 0.5]] * 2, [[1.0, 0.5]] * 2]), [[0.5, 0.5]] * 2),  # two channels
    ],
)
def test_images_become_colours(x, expected):
    pixels = data(plot.image(torch.ones(2, 2), x, method="original"))
    np.testing.assert_allclose(pixels, np.repeat(np.array(expected)[..., None], 3, 2), atol=1e-6)


@pytest.mark.parametrize("method", ["overlay", "heatmap"])
def test_maps_of_layers_are_interpolated(method):
    values = torch.tensor([[[[-1.0, 0.0], [0.5, 1.0]]]])
    given = Explanation(values, X[:1], method="grad_cam")
    image = X[0] if method == "heatmap" else None
    ax = plot.image(given, image, method=method, sign="positive", percentile=100)
    wide = torch.nn.functional.interpolate(values, (4, 6), mode="bilinear")[0, 0]
    np.testing.assert_allclose(data(ax), wide.clamp(min=0), atol=1e-6)
    assert ax.images[-1].get_clim() == (0.0, 1.0)
    if method == "heatmap":
        assert data(plot.image(given, method="heatmap")).shape == (2, 2)


def test_nothing_attributed_and_nan_are_drawn():
    ax = plot.image(torch.zeros(2, 2), torch.ones(2, 2))
    assert ax.images[1].get_clim() == (-1.0, 1.0)
    values = torch.tensor([[float("nan"), 1.0], [-1.0, 0.0]])
    ax = plot.image(values, torch.ones(2, 2), percentile=100)
    assert ax.images[1].get_alpha()[0, 0] == 0
    ax.figure.canvas.draw()
    for limits in ({}, {"percentile": 100}):
        ax = plot.image(values * float("nan"), torch.ones(2, 2), **limits)
        assert ax.images[1].get_clim() == (-1.0, 1.0)


def test_short_floats_and_masks_are_images():
    x = X[:1].bfloat16()
    pixels = data(plot.image(Explanation(x, x), method="original"))
    np.testing.assert_allclose(pixels, x[0].permute(1, 2, 0).double())
    mask = torch.tensor([[True, False]] * 2)
    assert data(plot.image(torch.ones(2, 2), mask, method="original"))[0, :, 0].tolist() == [1, 0]


def test_what_does_not_fit_is_named():
    for options, error, message in (
        ({"method": "blend"}, ValueError, "method must be one of 'overlay', .*, got 'blend'"),
        ({"sign": "both"}, ValueError, "sign must be one of 'all', .*, got 'both'"),
        ({"method": "masked"}, ValueError, "sign must be 'positive', .* 'masked', got 'all'"),
        ({"alpha": 2}, ValueError, "alpha must be from 0 to 1, got 2"),
        ({"percentile": 0}, ValueError, "percentile must be above 0 and at most 100, got 0"),
        ({"limit": -1.0}, ValueError, "limit must be positive, got -1.0"),
        ({"colorbar": "no"}, TypeError, "colorbar must be True or False, got 'no'"),
        ({"example": 2}, ValueError, "example must be below 2, got 2"),
        ({"image": torch.zeros(3, 3)}, ValueError, "image must have the height and width"),
    ):
        with pytest.raises(error, match=message):
            plot.image(explanation(), **options)
    with pytest.raises(ValueError, match="image must be given for method 'overlay', got None"):
        plot.image(torch.ones(2, 2))


@pytest.mark.parametrize("draw", [plot.image, plot.heatmap])
def test_maps_of_a_convolution_without_padding_lie_over_their_own_picture(draw):
    own = Explanation(torch.rand(1, 1, 10, 8), torch.rand(1, 3, 12, 10), method="grad_cam")
    shown = [picture.get_array().shape[:2] for picture in draw(own).get_images()]
    assert set(shown) == {(12, 10)}
    with pytest.raises(ValueError, match="image must have the height and width"):
        draw(own, image=torch.rand(12, 10))  # of which nobody knows whose it is
