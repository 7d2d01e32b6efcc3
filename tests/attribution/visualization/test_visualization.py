import html
import inspect
import re
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("Agg")
from captum.attr import visualization as theirs
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from pyxai.attribution import visualization as ours
from pyxai.attribution.visualization.scale import normalized

SIGNS = ("all", "positive", "negative", "absolute_value")
ATTR = np.random.default_rng(0).normal(size=(6, 5, 3))
IMAGE = np.random.default_rng(1).random((6, 5, 3))
SERIES = np.random.default_rng(2).normal(size=(12, 2))
DATA = np.random.default_rng(3).normal(size=(12, 2))


def public(module):
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


@pytest.mark.parametrize("name", sorted(public(theirs)))
def test_names_and_arguments_are_those_of_captum(name):
    mine, other = getattr(ours, name), getattr(theirs, name)
    assert name in ours.__all__
    if name.endswith(("Method", "Sign")):
        assert {each.name: each.value for each in mine} == {e.name: e.value for e in other}
        return
    ones = list(inspect.signature(mine).parameters.values())
    others = list(inspect.signature(other).parameters.values())
    assert [(p.name, p.kind, p.default) for p in ones] == [
        (p.name, p.kind, p.default) for p in others
    ]


def test_there_are_no_others():
    assert set(ours.__all__) == set(public(theirs))


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("percent", [2, 30.5, 99])
def test_scales_are_those_of_captum(sign, percent):
    values = ATTR.sum(2)
    expected = theirs._normalize_attr(values, sign, percent)
    np.testing.assert_allclose(normalized(values, sign, percent), expected, atol=1e-15)


def test_scales_of_nothing_cut_and_of_all():
    # Of these captum meets an IndexError and an assertion.
    values = np.array([[0.1, 0.2, 0.3], [-0.7, 0.0, 0.1]])
    np.testing.assert_allclose(normalized(values, "all", 0), values / 0.7)
    np.testing.assert_array_equal(normalized(values, "positive", 100), values > 0)


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("method", [each.name for each in ours.ImageVisualizationMethod])
@pytest.mark.parametrize("image", [IMAGE, (IMAGE * 255).astype(np.uint8)], ids=["floats", "bytes"])
def test_images_are_those_of_captum(method, sign, image):
    if sign == "all" and method in ("masked_image", "alpha_scaling"):
        with pytest.raises(ValueError, match="sign must be 'positive', 'negative' or 'absolute'"):
            ours.visualize_image_attr(ATTR, image, method, sign, use_pyplot=False)
        return
    options = {"method": method, "sign": sign, "use_pyplot": False}
    (_, mine), (_, other) = (
        module.visualize_image_attr(ATTR, image, **options) for module in (ours, theirs)
    )
    assert len(mine.images) == len(other.images)
    for one, two in zip(mine.images, other.images, strict=True):
        pixels, expected = (np.asarray(each.get_array(), dtype=float) for each in (one, two))
        if expected.ndim == 3:  # captum's are bytes, cut to whole numbers
            assert np.abs(255 * pixels - expected).max() <= 1 + 1e-9
            continue
        np.testing.assert_allclose(pixels, expected, atol=1e-12)
        for value in np.linspace(*two.get_clim(), 5):
            assert one.to_rgba(value) == pytest.approx(two.to_rgba(value), abs=1e-6)
        assert one.get_alpha() == two.get_alpha()


def test_pictures_side_by_side_leave_equal_room():
    figure, axes = ours.visualize_image_attr_multiple(
        torch.from_numpy(ATTR),
        torch.from_numpy(IMAGE),
        ["original_image", "heat_map"],
        ["all", "positive"],
        ["a", "b"],
        show_colorbar=True,
        use_pyplot=False,
    )
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    figure.draw_without_rendering()
    heights = [ax.get_window_extent().height for ax in axes]
    assert heights[0] == pytest.approx(heights[1], rel=0.02)
    assert len(figure.axes) == 4
    assert not plt.get_fignums()
    _, single = ours.visualize_image_attr_multiple(
        ATTR, None, ["heat_map"], ["all"], use_pyplot=False
    )
    assert single.images


def test_figures_of_ones_own_and_of_pyplot(monkeypatch):
    figure = Figure()
    ax = figure.subplots()
    given = ours.visualize_image_attr(ATTR, plt_fig_axis=(figure, ax), use_pyplot=False)
    assert given == (figure, ax)
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    made, _ = ours.visualize_image_attr(ATTR, fig_size=(3, 2))
    assert shown == [[made.number]]
    assert tuple(made.get_size_inches()) == (3, 2)


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("method", ["overlay_individual", "overlay_combined", "colored_graph"])
def test_series_are_those_of_captum(method, sign, monkeypatch):
    # A function of older releases of matplotlib, which captum calls.
    monkeypatch.setattr(mpl.cm, "get_cmap", mpl.colormaps.get_cmap, raising=False)
    options = {"method": method, "sign": sign, "use_pyplot": False, "channel_labels": ["a", "b"]}
    (_, mine), (_, other) = (
        module.visualize_timeseries_attr(SERIES, DATA, linewidth=1.5, **options)
        for module in (ours, theirs)
    )
    assert np.shape(mine) == np.shape(other)
    for one, two in zip(np.ravel(mine), np.ravel(other), strict=True):
        assert one.get_xlim() == (0, 11)  # captum's meet the current figure of pyplot
        if method == "colored_graph":
            (lines,), (expected,) = (
                [each for each in ax.collections if isinstance(each, LineCollection)]
                for ax in (one, two)
            )
            np.testing.assert_allclose(lines.get_segments(), expected.get_segments())
            shares = np.asarray(expected.get_array())
            np.testing.assert_allclose(lines.get_array(), (shares[1:] + shares[:-1]) / 2)
            assert lines.get_clim() == (expected.norm.vmin, expected.norm.vmax)
            assert lines.get_linewidth() == expected.get_linewidth()
            continue
        mesh = one.collections[0]
        colours = mesh.to_rgba(np.asarray(mesh.get_array()).ravel(), alpha=0.7)
        np.testing.assert_allclose(colours, [span.get_facecolor() for span in two.patches])
        for line, expected in zip(one.lines, two.lines, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), expected.get_xydata())
            assert line.get_linewidth() == expected.get_linewidth()


def test_channels_first_and_scales():
    first, last = (
        ours.visualize_timeseries_attr(
            values,
            data,
            channels_last=values is SERIES,
            x_values=np.arange(12) * 2.0,
            show_colorbar=True,
            title="t",
            use_pyplot=False,
        )
        for values, data in ((SERIES.T, DATA.T), (SERIES, DATA))
    )
    for one, two in zip(first[1], last[1], strict=True):
        np.testing.assert_array_equal(
            one.collections[0].get_array(), two.collections[0].get_array()
        )
        assert one.get_xlim() == (0, 22)
        assert not one.get_ylabel()
    assert first[1][0].get_title() == "t"
    assert len(first[0].axes) == 3
    with pytest.warns(UserWarning, match="12 channels for 2 times"):
        ours.visualize_timeseries_attr(SERIES.T, DATA.T, use_pyplot=False)
    assert not plt.get_fignums()


@pytest.mark.parametrize("width", [1, 2, 3])
def test_borders_are_those_of_captum(width):
    mask = np.random.default_rng(4).random((9, 8)) < 0.7
    mask[2:8, 1:7] = True
    for module in (ours, theirs):
        _, ax = plt.subplots()
        module.draw_mask_border(ax, mask, width, "red")
        module.draw_mask_legend(ax, mask, "name", fontsize=7)
        image, text = ax.images[0].get_array(), ax.texts[0]
        found = np.asarray(image), text.get_position(), text.get_text(), text.get_fontsize()
        if module is ours:
            mine = found
    np.testing.assert_allclose(mine[0], found[0])
    assert mine[1] == pytest.approx(found[1])
    assert mine[2:] == found[2:]
    _, ax = plt.subplots()
    ours.draw_mask_border(ax, mask & False)
    ours.draw_mask_legend(ax, mask & False, "name")
    assert not ax.images
    assert not ax.texts
    with pytest.raises(ValueError, match=r"mask must have shape \[height, width\], got \[9\]"):
        ours.draw_mask_border(ax, mask[:, 0])


def record(words, values):
    return ours.VisualizationDataRecord(values, 0.875, "pos", 0, "pos", 1.5, words, 0.1)


def test_texts_are_a_table():
    records = [
        record(["<pad>", "a", "<b>c"], torch.tensor([0.0, 1.5, -1.0])),
        record(["x"], [0.5, 9.0]),
    ]
    page = ours.visualize_text(records)
    assert page.data == page == page._repr_html_()
    cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall("<td>(.*?)</td>", page)]
    assert cells[:5] == ["0", "pos (0.88)", "pos", "1.50", "#pad a &lt;b&gt;c"]
    assert page.count("<tr>") == 3
    assert "Neutral" in page
    assert "Neutral" not in ours.visualize_text(records, legend=False)
    assert page.count("+1.5") == 1  # what is clipped is said as it was
    assert ours.format_word_importances([], []) == "<td></td>"
    with pytest.raises(ValueError, match=r"importances must be one number for each of 2 words"):
        ours.format_word_importances(["a", "b"], torch.ones(1))


def test_texts_are_displayed_where_ipython_is(monkeypatch):
    import importlib.util as finder

    shown = []
    module = type(sys)("IPython.display")
    module.display = shown.append
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(finder, "find_spec", lambda name: name == "IPython" or None)
    page = ours.visualize_text([record(["a"], torch.ones(1))])
    assert shown == [page]


def test_pieces_are_escaped():
    for call in (ours.format_classname, lambda text: ours.format_tooltip(text, text)):
        assert "<script" not in call("<script>")
    assert html.escape("<b>") in ours.format_classname("<b>")
    for token in ("<pad>", "word", "<a", "[CLS]"):
        assert ours.format_special_tokens(token) == theirs.format_special_tokens(token)


def test_text_needs_no_matplotlib(monkeypatch):
    for name in ("matplotlib", "matplotlib.pyplot", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert ours.visualize_text([record(["a"], torch.ones(1))])
    with pytest.raises(ImportError, match="plots need matplotlib; install it with"):
        ours.visualize_image_attr(ATTR)


def test_what_does_not_fit_is_named():
    for call, error, message in (
        (
            lambda: ours.visualize_image_attr(ATTR, method="heat"),
            ValueError,
            "method must be one of 'heat_map', .*, got 'heat'",
        ),
        (
            lambda: ours.visualize_image_attr(ATTR, sign="both"),
            ValueError,
            "sign must be one of .*, got 'both'",
        ),
        (
            lambda: ours.visualize_image_attr(ATTR * 0),
            ValueError,
            "attr must have values of sign 'absolute_value' to be scaled, got none but 0",
        ),
        (
            lambda: ours.visualize_image_attr(ATTR, outlier_perc=101),
            ValueError,
            "outlier_perc must be from 0 to 100, got 101",
        ),
        (
            lambda: ours.visualize_image_attr(ATTR, method="blended_heat_map", use_pyplot=False),
            ValueError,
            "image must be given for method 'overlay', got None",
        ),
        (lambda: ours.visualize_image_attr("x"), TypeError, "attr must be an array, got 'x'"),
        (
            lambda: ours.visualize_image_attr_multiple(ATTR, None, ["heat_map"], []),
            ValueError,
            "signs must be one for each of 1, got 0",
        ),
        (
            lambda: ours.visualize_timeseries_attr(ATTR, DATA),
            ValueError,
            r"attr must have two dimensions, got shape \[6, 5, 3\]",
        ),
        (
            lambda: ours.visualize_image_attr(ATTR, show_colorbar=1),
            TypeError,
            "show_colorbar must be True or False, got 1",
        ),
    ):
        with pytest.raises(error, match=message):
            call()
