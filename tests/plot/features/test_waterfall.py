import numpy as np
import pytest
import torch

import pyxai
from pyxai import plot
from pyxai.explanation import Explanation


def row(delta=0.0, **fields):
    values = torch.tensor([[0.0] * 5, [1.0, -4.0, 0.5, 2.0, -0.25]], dtype=torch.float64)
    given = {
        "method": "shapley_values",
        "outputs": torch.tensor([0.0, 3.0], dtype=torch.float64),
        "convergence_delta": torch.tensor([0.0, delta], dtype=torch.float64),
        "feature_names": list("abcde"),
        **fields,
    }
    return Explanation(values, 10 * values, **given)


def labels(ax):
    """Return names from top to bottom."""
    return [label.get_text() for label in ax.get_yticklabels()]


def spans(ax):
    """Return begin and end of each bar, from top to bottom."""
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in ax.patches]


def test_bars_lead_from_the_base_value_to_the_output():
    ax = plot.waterfall(row(), example=1, top=2)
    assert labels(ax) == [
        "base value = 3.75",
        "b = -40",
        "d = 20",
        "rest (3 features)",
        "output = 3",
    ]
    np.testing.assert_allclose(spans(ax), [(3.75, -0.25), (-0.25, 1.75), (1.75, 3.0)])
    assert [text.get_text() for text in ax.texts] == ["-4", "+2", "+1.25"]
    heights = [bar.get_y() for bar in ax.patches]
    assert heights == sorted(heights, reverse=True)
    assert ax.patches[0].get_facecolor() != ax.patches[1].get_facecolor()
    assert (ax.get_xlabel(), ax.get_title()) == ("output", "shapley values")
    ends = next(line for line in ax.lines if line.get_marker() == "D")
    assert list(ends.get_xdata()) == [3.75, 3.0]
    low, high = ax.get_xlim()
    assert low < -0.25
    assert high > 3.75


def test_a_rest_of_one_is_that_feature():
    assert labels(plot.waterfall(row(), example=1, top=4))[1:-1] == [
        "b = -40",
        "d = 20",
        "a = 10",
        "c = 5",
        "e = -2.5",
    ]
    assert "rest (2 features)" in labels(plot.waterfall(row(), example=1, top=3))


def test_what_is_missing_is_a_bar_of_its_own():
    ax = plot.waterfall(row(delta=-0.5), example=1)
    assert labels(ax)[0] == "base value = 3.25"
    assert labels(ax)[-2:] == ["missing: does not add up", "output = 3"]
    assert spans(ax)[-1] == pytest.approx((2.5, 3.0))
    assert ax.patches[-1].get_hatch()
    assert not any(bar.get_hatch() for bar in ax.patches[:-1])
    seen = plot.waterfall(row(delta=0.02), example=1)  # half a percent of the longest bar
    assert spans(seen)[-1] == pytest.approx((3.02, 3.0))
    small = plot.waterfall(row(delta=1e-5), example=1)
    assert "missing" not in " ".join(labels(small))


def test_the_base_value_may_be_given():
    plain = row(convergence_delta=None)
    with pytest.raises(ValueError, match=r"base_value must be given where .*, got None"):
        plot.waterfall(plain, example=1)
    ax = plot.waterfall(plain, example=1, base_value=3.0)
    assert labels(ax)[0] == "base value = 3"
    assert spans(ax)[-1] == pytest.approx((2.25, 3.0))  # the missing
    ax = plot.waterfall(torch.tensor([1.0, -2.0]), base_value=0.5, feature_names=["x", "y"])
    assert labels(ax) == ["base value = 0.5", "y", "x", "base value and attributions = -0.5"]
    with pytest.raises(TypeError, match="base_value must be a number, got 'a'"):
        plot.waterfall(plain, base_value="a")


def test_values_as_they_were_stand_beside_names():
    raw = [["x"] * 5, [52, "female", 3.14159, np.int64(7), None]]
    shown = ["b = female", "d = 7", "a = 52", "c = 3.142", "e = None"]
    assert labels(plot.waterfall(row(), example=1, display_values=raw))[1:-1] == shown
    assert labels(plot.waterfall(row(display_values=raw), example=1))[1:-1] == shown
    assert [
        text.split(" = ")[1] for text in labels(plot.bar(row(display_values=raw), example=1))
    ] == [
        "female",
        "7",
        "52",
        "3.142",
        "None",
    ]
    ax = plot.waterfall(torch.ones(2), base_value=0.0, display_values=[[123456.0, "$5"]])
    assert labels(ax)[1:3] == ["feature 0 = 123456", r"feature 1 = \$5"]


@pytest.mark.parametrize("method", ["integrated_gradients", "shapley_values", "deep_lift"])
def test_methods_that_are_complete_end_at_the_output(method):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Softplus(), torch.nn.Linear(5, 2))
    x, baseline = torch.randn(3, 4), torch.randn(1, 4)
    result = pyxai.explain(net, x, method=method, target=1, baselines=baseline)
    ax = plot.waterfall(result, example=2)
    base, output = net(baseline)[0, 1].item(), net(x)[2, 1].item()
    reached = spans(ax)
    assert reached[0][0] == pytest.approx(base, abs=1e-4)
    assert reached[-1][1] == pytest.approx(output, abs=1e-2)
    assert not any("missing" in label for label in labels(ax))


def test_players_of_several_features_count_once():
    net = torch.nn.Linear(4, 1)
    x, mask = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[0, 0, 0, 1]])
    result = pyxai.explain(net, x, method="shapley_values", target=0, feature_mask=mask)
    ax = plot.waterfall(result)
    assert len(ax.patches) == 2
    assert spans(ax)[0][0] == pytest.approx(net.bias.item(), abs=1e-5)
    assert spans(ax)[-1][1] == pytest.approx(net(x).item(), abs=1e-5)


def test_errors_are_drawn():
    ax = plot.waterfall(row(error=torch.full((2, 5), 0.25)), example=1, top=2)
    (bars,) = (line.get_segments() for line in ax.collections)
    assert np.ptp(bars[0][:, 0]) == pytest.approx(0.5)
    assert len(bars[2]) == 0  # the rest's is not known


def test_what_does_not_add_up_is_refused():
    for fields, message in (
        ({"method": "greedy_pig"}, "whose sum means something, got those of 'greedy_pig'"),
        ({"method": "xrai"}, "whose sum means something, got those of 'xrai'"),
        ({"outputs": torch.zeros(2, 3)}, "must be of one output to be drawn so, got one of 3"),
    ):
        with pytest.raises(ValueError, match=message):
            plot.waterfall(row(**fields))
    with pytest.raises(ValueError, match="top must be at least 1, got 0"):
        plot.waterfall(row(), top=0)
    with pytest.raises(ValueError, match="example must be below 2, got 2"):
        plot.waterfall(row(), example=2)
    with pytest.raises(ValueError, match="display_values must have one value for each of 5"):
        plot.waterfall(row(), display_values=[[1, 2], [3, 4]])


@pytest.mark.parametrize("draw", [plot.bar, lambda values: plot.waterfall(values, base_value=0.0)])
def test_nothing_and_what_is_not_finite_are_named(draw):
    for values, message in (
        (torch.zeros(0, 3), "explanation must have at least one example, got 0"),
        (torch.zeros(1, 0), "explanation must have at least one feature, got 0"),
        (torch.tensor([1.0, float("nan")]), "explanation must be finite, got 1 NaN or infinite"),
        (torch.tensor([1.0, float("inf")]), "explanation must be finite, got 1 NaN or infinite"),
    ):
        with pytest.raises(ValueError, match=message):
            draw(values)
