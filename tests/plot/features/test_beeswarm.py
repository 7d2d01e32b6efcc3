import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from pyxai import plot
from pyxai.explanation import Explanation

G = torch.Generator().manual_seed(0)


def sample(rows=50, **fields):
    x = torch.randn(rows, 4, generator=G)
    values = x * torch.tensor([1.0, -3.0, 0.1, 2.0])
    given = {"method": "shapley_values", "feature_names": list("abcd"), **fields}
    return Explanation(values, x, **given)


def rows_of(ax):
    """Return the points of each row by its name: x, height within the row, and colour or NaN."""
    grey, coloured = ax.collections
    labels = [label.get_text() for label in ax.get_yticklabels()]
    points = np.concatenate([grey.get_offsets(), coloured.get_offsets()])
    shades = np.append(np.full(len(grey.get_offsets()), np.nan), coloured.get_array())
    row = np.rint(points[:, 1]).astype(int)
    return {
        label: np.column_stack(
            [points[row == place, 0], points[row == place, 1] - place, shades[row == place]]
        )
        for label, place in zip(labels, ax.get_yticks(), strict=True)
    }


def test_rows_are_sorted_and_hold_all_points():
    given = sample()
    found = rows_of(plot.beeswarm(given, top=2))
    assert list(found) == ["b", "d", "rest (2 features)"]
    for name, column in (("b", 1), ("d", 3)):
        np.testing.assert_allclose(
            np.sort(found[name][:, 0]), np.sort(given.attributions[:, column])
        )
    rest = given.attributions[:, [0, 2]].sum(1)
    np.testing.assert_allclose(np.sort(found["rest (2 features)"][:, 0]), np.sort(rest), atol=1e-6)
    assert np.isnan(found["rest (2 features)"][:, 2]).all()
    assert list(rows_of(plot.beeswarm(given, top=2, rest=False))) == ["b", "d"]
    assert list(rows_of(plot.beeswarm(given))) == ["b", "d", "a", "c"]


def test_colours_are_places_between_low_and_high_values():
    given = sample()
    found = rows_of(plot.beeswarm(given))["a"]
    values = given.inputs[:, 0].numpy()
    low, high = np.percentile(values, (5, 95))
    expected = np.clip((values - low) / (high - low), 0, 1)
    order, drawn = np.argsort(given.attributions[:, 0].numpy()), np.argsort(found[:, 0])
    np.testing.assert_allclose(found[drawn, 2], expected[order], atol=1e-6)


def test_unknown_and_constant_values_are_grey():
    x = torch.randn(20, 3, generator=G)
    x[:, 0], x[::2, 1] = 5.0, float("nan")
    found = rows_of(plot.beeswarm(Explanation(torch.ones(20, 3), x)))
    assert np.isnan(found["feature 0"][:, 2]).all()
    assert np.isnan(found["feature 1"][:, 2]).sum() == 10
    assert not np.isnan(found["feature 2"][:, 2]).any()
    rare = torch.zeros(50, 1)
    rare[7] = 3.0  # the 5th and 95th percentiles are the same
    shades = rows_of(plot.beeswarm(Explanation(torch.rand(50, 1), rare)))["feature 0"][:, 2]
    assert sorted(shades) == [0.0] * 49 + [1.0]
    ax = plot.beeswarm(torch.rand(5, 2))  # whose inputs are not known
    assert len(ax.collections[1].get_offsets()) == 0
    assert len(ax.figure.axes) == 1


def test_points_in_one_place_are_piled_up_both_ways():
    found = rows_of(plot.beeswarm(torch.ones(5, 1)))["feature 0"]
    np.testing.assert_allclose(np.sort(found[:, 1]), 0.42 / 6 * np.arange(-2, 3), atol=1e-12)
    many = rows_of(plot.beeswarm(torch.ones(400, 1)))["feature 0"]
    assert np.abs(many[:, 1]).max() == pytest.approx(0.42)
    assert len(np.unique(many[:, 1].round(9))) == 400
    apart = rows_of(plot.beeswarm(torch.arange(9.0)[:, None]))["feature 0"]
    assert (apart[:, 1] == 0).all()


def test_the_layout_is_the_same_each_time_and_follows_the_examples():
    given = sample(3000)
    first, second = (plot.beeswarm(given).collections for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.get_offsets(), other.get_offsets())
    assert first[1].get_rasterized()


def test_players_of_several_features_are_one_row():
    mask = torch.tensor([[0, 0, 1, 2]])
    values = torch.tensor([[1.0, 1.0, 2.0, 0.5], [2.0, 2.0, -1.0, 0.5]])
    given = Explanation(values, torch.rand(2, 4, generator=G), options={"feature_mask": mask})
    found = rows_of(plot.beeswarm(given))
    assert list(found) == ["feature 0 and 1 more", "feature 2", "feature 3"]
    assert np.isnan(found["feature 0 and 1 more"][:, 2]).all()
    assert not np.isnan(found["feature 2"][:, 2]).any()


def test_values_of_a_layer_have_no_colours():
    given = Explanation(torch.rand(4, 6, generator=G), torch.rand(4, 3), options={"layer": "fc"})
    assert len(plot.beeswarm(given).collections[1].get_offsets()) == 0


def test_what_does_not_fit_is_named():
    for call, error, message in (
        (lambda: plot.beeswarm(sample(), top=0), ValueError, "top must be at least 1, got 0"),
        (lambda: plot.beeswarm(sample(), rest="no"), TypeError, "rest must be True or False"),
        (lambda: plot.beeswarm(torch.zeros(0, 2)), ValueError, "at least one example, got 0"),
        (lambda: plot.beeswarm("x"), TypeError, "explanation must be an explanation, a tensor"),
        (
            lambda: plot.beeswarm(sample(outputs=torch.zeros(50, 2))),
            ValueError,
            "explanation must be of one output to be drawn so, got one of 2",
        ),
    ):
        with pytest.raises(error, match=message):
            call()


def test_draws_where_asked():
    ax = Figure().subplots()
    assert plot.beeswarm(sample(), ax=ax, title="mine") is ax
    assert ax.get_title() == "mine"
