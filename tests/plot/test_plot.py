import dataclasses

import matplotlib as mpl
import numpy as np
import pytest
import torch

from pyxai import plot
from pyxai.explanation import Explanation
from pyxai.selection import FeatureSelection, SelectionCurve

mpl.use("Agg")
from matplotlib import pyplot as plt


def image_explanation(batch=2):
    x = torch.linspace(-1, 1, batch * 48).reshape(batch, 3, 4, 4)
    values = torch.linspace(-2, 1, batch * 48).reshape(batch, 3, 4, 4)
    return Explanation(values, x, method="integrated_gradients")


def table_explanation(rows, **fields):
    values = torch.tensor(rows)
    return Explanation(values, values * 10, **{"method": "feature_ablation", **fields})


def drawn_scale(ax):
    """Return the norm of the colour bar, the last Axes of the figure."""
    return ax.figure.axes[-1]


def test_heatmap_is_centred_at_zero_and_not_rescaled():
    result = image_explanation()
    ax = plot.heatmap(result, example=1, overlay=False)
    largest = float(result.attributions[1].sum(0).abs().max())
    low, high = drawn_scale(ax).get_ylim()
    assert (low, high) == pytest.approx((-largest, largest))
    pixels = ax.images[0].get_array()
    colours = mpl.colormaps["RdBu_r"]
    values = result.attributions[1].sum(0).numpy()
    expected = colours((values / largest + 1) / 2)
    np.testing.assert_allclose(pixels, expected, atol=1 / 128)
    assert ax.get_title() == "integrated gradients"


def test_heatmap_shows_both_signs_and_white_for_zero():
    values = torch.tensor([[-1.0, 0.0], [0.0, 1.0]])
    pixels = plot.heatmap(values).images[0].get_array()
    red, blue = pixels[..., 0], pixels[..., 2]
    assert blue[0, 0] > red[0, 0] + 0.2
    assert red[1, 1] > blue[1, 1] + 0.2
    assert pixels[0, 1].min() > 0.95


def test_heatmap_shades_by_the_image():
    values = torch.zeros(2, 2)
    image = torch.tensor([[0.0, 1.0], [0.5, 1.0]])
    pixels = plot.heatmap(values, image).images[0].get_array()
    assert pixels[0, 0, 0] < pixels[1, 0, 0] < pixels[0, 1, 0]
    own = plot.heatmap(image_explanation()).images[0].get_array()
    plain = plot.heatmap(image_explanation(), overlay=False).images[0].get_array()
    assert not np.allclose(own, plain)


def test_heatmap_limit_and_channel():
    result = image_explanation()
    ax = plot.heatmap(result, limit=5.0, channel=1, overlay=False)
    assert drawn_scale(ax).get_ylim() == (-5.0, 5.0)
    expected = mpl.colormaps["RdBu_r"]((result.attributions[0, 1].numpy() / 5 + 1) / 2)
    np.testing.assert_allclose(ax.images[0].get_array(), expected, atol=1 / 128)


PATCHES = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
RGB = torch.tensor([0, 1, 0])[:, None, None] * 4 + PATCHES  # red and blue are one player


def test_heatmap_takes_the_example_of_a_batch_of_images():
    e = image_explanation()
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for example in (0, 1):
        pixels = plot.heatmap(e, x, example=example).images[0].get_array()
        one = plot.heatmap(e, x[example], example=example).images[0].get_array()
        np.testing.assert_array_equal(pixels, one)
        tensors = plot.heatmap(e.attributions, x, example=example).images[0].get_array()
        np.testing.assert_array_equal(pixels, tensors)
    with pytest.raises(ValueError, match="image must be one, or one for each of 2, got 3"):
        plot.heatmap(e, torch.rand(3, 3, 4, 4))
    with pytest.raises(ValueError, match="example must be below 2, got 2"):
        plot.heatmap(e.attributions, example=2)


def test_maps_of_layers_are_brought_to_the_size_of_the_image():
    values = torch.tensor([[[[-1.0, 0.0], [0.5, 1.0]]]])
    x = torch.zeros(1, 3, 4, 8)
    ax = plot.heatmap(Explanation(values, x, method="grad_cam"))
    pixels = ax.images[0].get_array()
    assert pixels.shape[:2] == (4, 8)
    assert drawn_scale(ax).get_ylim() == (-1.0, 1.0)
    wide = torch.nn.functional.interpolate(values, (4, 8), mode="bilinear")[0, 0]
    expected = mpl.colormaps["RdBu_r"]((wide.numpy() + 1) / 2)[..., :3] * 0.7
    np.testing.assert_allclose(pixels[..., :3], expected, atol=1 / 128)
    plain = plot.heatmap(Explanation(values, x), overlay=False).images[0].get_array()
    assert plain.shape[:2] == (2, 2)


@pytest.mark.parametrize(
    ("of_inputs", "of_units", "shared"),
    [
        ((3, 11, 13), (4, 5, 6), True),
        ((11, 13), (4, 11, 13), True),
        ((3, 11, 13), (4, 20, 20), False),  # larger than the picture
        ((3, 20, 20), (17, 12), False),  # tokens
        ((5, 3), (5, 3), False),  # units of each step, whatever the input there
        ((2, 9), (4, 7), False),
    ],
)
def test_maps_of_layers_lie_over_the_input_where_they_have_its_places_alone(
    of_inputs, of_units, shared
):
    values = torch.linspace(-1, 1, torch.Size(of_units).numel()).view(1, *of_units)
    x = torch.linspace(0, 1, torch.Size(of_inputs).numel()).view(1, *of_inputs)
    made = Explanation(values, x, options={"layer": "body"}, of_layer=True)
    pixels = plot.heatmap(made).images[0].get_array()
    plain = plot.heatmap(made, overlay=False).images[0].get_array()
    if shared:
        assert pixels.shape[:2] == of_inputs[-2:]
    else:
        np.testing.assert_array_equal(pixels, plain)


def test_units_of_a_layer_have_no_values_of_inputs_beside_them():
    x, values = torch.tensor([[5.0, 7.0]]), torch.tensor([[1.0, 2.0]])
    for of_layer, said in ((False, "feature 1 = 7"), (True, "unit 1")):
        made = Explanation(values, x, options={"layer": "body"}, of_layer=of_layer)
        labels = [each.get_text() for each in plot.bar(made).get_yticklabels()]
        assert said in labels
    two = Explanation(values.repeat(3, 1), torch.rand(3, 2), of_layer=True)
    assert len(plot.beeswarm(two).figure.axes) == 1  # no scale of values
    assert len(plot.beeswarm(dataclasses.replace(two, of_layer=False)).figure.axes) == 2


def test_a_percentile_bounds_the_scale_and_the_bar_says_so():
    values = torch.cat([torch.linspace(-1, 1, 99), torch.tensor([50.0])]).view(10, 10)
    ax = plot.heatmap(values, percentile=95, overlay=False)
    end = float(np.percentile(values.abs().numpy(), 95))
    assert end < 1
    low, high = ax.images[0].axes.figure.axes[-1].get_ylim()
    assert (low, high) == pytest.approx((-end, end))
    shown = {bar.extend for bar in [ax.figure.axes[-1]._colorbar]}
    assert shown == {"both"}
    assert plot.heatmap(values, overlay=False).figure.axes[-1]._colorbar.extend == "neither"
    for wrong, message in (
        ({"percentile": 0}, "percentile must be above 0 and at most 100, got 0"),
        ({"percentile": 99, "limit": 1.0}, "percentile must be None where limit is given, got 99"),
    ):
        with pytest.raises(ValueError, match=message):
            plot.heatmap(values, **wrong)
    rare = torch.zeros(10, 10)
    rare[0, 0] = 2.0
    assert drawn_scale(plot.heatmap(rare, percentile=90)).get_ylim() == (-2.0, 2.0)


def overlaps(figure):
    """Return how many pairs of what Axes show, names and labels and all, lie over each other."""
    figure.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    pairs = [(a, b) for at, a in enumerate(boxes) for b in boxes[:at]]
    return sum(a.shrunk(0.98, 0.98).overlaps(b.shrunk(0.98, 0.98)) for a, b in pairs)


def test_colour_bars_and_long_names_do_not_collide():
    figure, axes = plt.subplots(1, 3, figsize=(10, 3))
    for ax in axes:
        plot.heatmap(image_explanation(), ax=ax)
    assert not overlaps(figure)
    names = [f"a very long name of a feature that goes on and on, number {i}" for i in range(3)]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    for ax in axes:
        plot.bar(table_explanation([[1.0, -4.0, 0.5]], feature_names=names), ax=ax)
    assert not overlaps(figure)
    label = axes[0].get_yticklabels()[0].get_text()
    assert label.startswith("a very long name")
    assert label.endswith("number 1 = -40")
    assert len(label) < 50
    kept, axes = plt.subplots(1, 2, layout="tight")
    plot.bar(torch.ones(2), ax=axes[0])
    assert "Tight" in type(kept.get_layout_engine()).__name__


@pytest.mark.parametrize("draw", ["bar", "interactions"])
def test_dollars_in_names_are_dollars(draw):
    names = ["$x_{$", "cost in $", "\\frac{$a$}{"]
    if draw == "bar":
        ax = plot.bar(torch.tensor([3.0, 2.0, 1.0]), feature_names=names)
    else:
        ax = plot.interactions(torch.eye(3), names=names, diagonal=True)
    ax.figure.canvas.draw()
    shown = [label.get_text().replace(r"\$", "$") for label in ax.get_yticklabels()]
    assert shown == names


def test_names_of_thousands_of_characters_are_shortened():
    names = ["x" * 5000, "y" * 5000]
    ax = plot.bar(torch.tensor([2.0, 1.0]), feature_names=names)
    assert [len(label.get_text()) for label in ax.get_yticklabels()] == [36, 36]
    result = table_explanation([[2.0, 1.0]], feature_names=names)
    assert max(map(len, str(result).splitlines())) <= 96
    assert result.top(1)[0][0] == names[0]


def test_zeros_have_no_sign_and_no_digits_of_rounding():
    result = table_explanation([[1.0, -1.39e-17, -0.0]])
    assert [text.get_text() for text in plot.bar(result).texts] == ["+1", "0", "0"]
    table = torch.tensor([[1.0, -1.39e-17], [-1.39e-17, 0.5]], dtype=torch.float64)
    texts = [text.get_text() for text in plot.interactions(table, diagonal=True).texts]
    assert texts == ["1", "0", "0", "0.5"]
    sizes = table_explanation([[1.0, 2.0]], method="saliency")
    assert [text.get_text() for text in plot.bar(sizes).texts] == ["2", "1"]


@pytest.mark.parametrize(
    ("fields", "times"),
    [
        ({"method": "xrai"}, 1),
        ({"method": "noise_tunnel", "options": {"segments": PATCHES}}, 1),
        ({"method": "greedy_pig", "options": {"feature_mask": PATCHES[None, None]}}, 1),
        ({"method": "shapley_values", "options": {"feature_mask": PATCHES.expand(2, 3, 4, 4)}}, 1),
        ({"method": "shapley_values", "options": {"feature_mask": RGB[None]}}, 2),
        ({"method": "occlusion", "options": {"sliding_window_shapes": (3, 2, 2)}}, 1),
        ({"method": "occlusion", "options": {"sliding_window_shapes": (1, 2, 2)}}, 3),
        ({"method": "integrated_gradients"}, 3),
    ],
)
def test_heatmap_counts_a_player_of_several_channels_once(fields, times):
    values = torch.tensor([1.0, -2.0, 3.0, -4.0])[PATCHES].expand(2, 3, 4, 4)
    result = Explanation(values, torch.ones(2, 3, 4, 4), **fields)
    ax = plot.heatmap(result, example=1, overlay=False)
    assert drawn_scale(ax).get_ylim() == (-4.0 * times, 4.0 * times)
    expected = mpl.colormaps["RdBu_r"]((values[0, 0].numpy() / 4 + 1) / 2)
    np.testing.assert_allclose(ax.images[0].get_array(), expected, atol=1 / 128)
    label = "rank" if fields["method"] == "greedy_pig" else "attribution"
    assert drawn_scale(ax).get_ylabel() == label


def test_heatmap_of_zeros_draws():
    assert drawn_scale(plot.heatmap(torch.zeros(3, 3))).get_ylim() == (-1.0, 1.0)


def test_draws_where_asked():
    _, axes = plt.subplots(1, 2)
    assert plot.heatmap(torch.ones(2, 2), ax=axes[0], colorbar=False) is axes[0]
    assert plot.bar(torch.ones(2), ax=axes[1]) is axes[1]
    assert len(axes[0].figure.axes) == 2


def test_bar_ranks_and_sums_up_the_rest():
    result = table_explanation([[1.0, -4.0, 0.5, 2.0, -0.25]], feature_names=list("abcde"))
    ax = plot.bar(result, top=2)
    assert [bar.get_width() for bar in ax.patches] == [-4.0, 2.0, 1.25]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "b = -40",
        "d = 20",
        "rest (3 features)",
    ]
    assert [text.get_text() for text in ax.texts] == ["-4", "+2", "+1.25"]
    heights = [bar.get_y() for bar in ax.patches]
    assert heights == sorted(heights, reverse=True)
    assert ax.patches[0].get_facecolor() != ax.patches[1].get_facecolor()
    assert len(plot.bar(result, top=2, rest=False).patches) == 2
    assert len(plot.bar(result, top=9).patches) == 5


def test_bar_of_a_batch_is_the_mean_size():
    result = table_explanation([[1.0, -4.0], [-3.0, 0.0]])
    ax = plot.bar(result)
    assert [bar.get_width() for bar in ax.patches] == [2.0, 2.0]
    assert ax.get_xlabel() == "mean |attribution| over 2 examples"
    one = plot.bar(result, example=1)
    assert [bar.get_width() for bar in one.patches] == [-3.0, 0.0]


def test_bar_shows_standard_errors():
    result = table_explanation([[1.0, -4.0]], error=torch.tensor([[0.25, 0.5]]))
    ax = plot.bar(result)
    (segments,) = (line.get_segments() for line in ax.collections)
    assert np.ptp(segments[0][:, 0]) == 1.0  # the bar of -4, plus and minus 0.5


def test_bar_of_regions_has_no_rest():
    result = table_explanation([[1.0, 4.0, 2.0, 4.0]], method="xrai")
    assert [bar.get_width() for bar in plot.bar(result, top=2).patches] == [4.0, 2.0]


def test_bar_of_ranks_has_no_rest():
    result = table_explanation([[1.0, 4.0, 2.0, 3.0]], method="greedy_pig")
    ax = plot.bar(result, top=2)
    assert [bar.get_width() for bar in ax.patches] == [4.0, 3.0]
    assert ax.get_xlabel() == "rank"
    scores = table_explanation(
        [[1.0, 4.0, 2.0, 3.0]], method="greedy_pig", options={"scores": "telescoped"}
    )
    assert [bar.get_width() for bar in plot.bar(scores, top=2).patches] == [4.0, 3.0, 3.0]


def test_bar_draws_groups():
    mask = torch.tensor([[0, 5, 0, 7, 5]])
    result = table_explanation(
        [[1.0, -4.0, 1.0, 2.0, -4.0]], feature_names=list("abcde"), options={"feature_mask": mask}
    )
    ax = plot.bar(result, top=2)
    assert [bar.get_width() for bar in ax.patches] == [-4.0, 2.0, 1.0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["b and 1 more", "d = 20", "rest (1 group)"]


def test_bar_takes_tensors_and_arrays():
    names = ["a", "b"]
    ax = plot.bar(np.array([1.0, -2.0]), feature_names=names)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    assert plot.bar(torch.zeros(1, 3), title="mine").get_title() == "mine"


def test_explanation_chooses_the_plot():
    assert image_explanation().plot().images
    assert table_explanation([[1.0, 2.0]]).plot(top=1).patches
    assert image_explanation().plot("bar", top=3).patches


def test_bad_input_is_named():
    result = image_explanation()
    with pytest.raises(ValueError, match="example must be below 2, got 2"):
        plot.heatmap(result, example=2)
    with pytest.raises(ValueError, match=r"channel must be .* an int below 3, got 3"):
        plot.heatmap(result, channel=3)
    with pytest.raises(ValueError, match="limit must be positive, got 0"):
        plot.heatmap(result, limit=0)
    with pytest.raises(TypeError, match="limit must be a number, got 'a'"):
        plot.heatmap(result, limit="a")
    with pytest.raises(ValueError, match="limit must be finite, got nan"):
        plot.heatmap(result, limit=float("nan"))
    with pytest.raises(TypeError, match="overlay must be True or False, got 'no'"):
        plot.heatmap(result, overlay="no")
    with pytest.raises(
        ValueError, match=r"image must have the height .* \[4, 4\], .*, got \[2, 2\]"
    ):
        plot.heatmap(result, torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"explanation must have shape \[height, width\]"):
        plot.heatmap(torch.zeros(4))
    with pytest.raises(TypeError, match="explanation must be an explanation, a tensor or an array"):
        plot.heatmap("x")
    with pytest.raises(ValueError, match="explanation must have a single tensor"):
        plot.heatmap(Explanation((torch.zeros(1, 2),), (torch.zeros(1, 2),)))
    with pytest.raises(ValueError, match="top must be at least 1, got 0"):
        plot.bar(torch.zeros(2), top=0)
    with pytest.raises(ValueError, match="feature_names must have one name for each of 2 features"):
        plot.bar(torch.zeros(2), feature_names=["a"])
    with pytest.raises(ValueError, match="explanation must have at least one example, got 0"):
        plot.bar(torch.zeros(0, 2))


def test_selection_curves_over_the_number_of_features():
    sizes = torch.arange(3)
    good = SelectionCurve(sizes, torch.tensor([1.0, 0.4, 0.2]).double())
    result = FeatureSelection(
        torch.tensor([1, 0]), torch.zeros(2), torch.tensor([0, 1]), good, ("a", "b")
    )
    ax = plot.selection({"greedy": result, "random": good}, title="loss")
    assert [line.get_label() for line in ax.lines] == [
        "greedy (mean 0.300)",
        "random (mean 0.300)",
    ]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1.0, 0.4, 0.2])
    assert ax.get_ylabel() == "mean loss"
    longer = SelectionCurve(torch.arange(5), torch.tensor([1.0, 0.6, 0.5, 0.1, 0.0]).double())
    ax = plot.selection({"greedy": longer, "random": good})
    assert [line.get_label() for line in ax.lines] == [
        "greedy (mean 0.550 over 1 to 2)",
        "random (mean 0.300 over 1 to 2)",
    ]
    assert good.plot().lines[0].get_label() == "mean 0.300"
    assert good.plot().lines
    with pytest.raises(TypeError, match="curves must be a FeatureSelection, a SelectionCurve"):
        plot.selection(torch.zeros(3))
    with pytest.raises(ValueError, match="of one metric, got"):
        plot.selection({"a": good, "b": SelectionCurve(sizes, good.values, "roc_auc")})
    with pytest.raises(ValueError, match="a selection with curve=False"):
        plot.selection(FeatureSelection(result.order, result.scores, sizes, None, ("a", "b")))
