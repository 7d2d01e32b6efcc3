import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pyxai import plot
from pyxai.explanation import Explanation
from pyxai.plot.colours import contrast

NAN = float("nan")
MATRIX = torch.tensor([[1.0, -2.0, NAN], [0.5, 0.0, 4.0]])


def names(ax):
    return [
        [label.get_text() for label in axis]
        for axis in (ax.get_yticklabels(), ax.get_xticklabels())
    ]


def test_rows_are_written_and_columns_are_read():
    ax = plot.token_matrix(MATRIX, input_tokens=["a", "b", "c"], output_tokens=["x", "\n"])
    np.testing.assert_allclose(np.ma.filled(ax.images[0].get_array(), np.nan), MATRIX)
    assert ax.images[0].get_clim() == (-4.0, 4.0)
    assert names(ax) == [["x", "\\n"], ["a", "b", "c"]]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("written", "read")
    assert ax.patch.get_hatch()
    assert [text.get_text() for text in ax.texts] == ["+1", "-2", "+0.5", "0", "+4"]
    assert [text.get_position() for text in ax.texts] == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)]
    for text, value in zip(ax.texts, (1.0, -2.0, 0.5, 0.0, 4.0), strict=True):
        colour = ax.images[0].to_rgba(value)
        assert contrast(colour, to_rgb(text.get_color())) >= 4.5
    assert plot.token_matrix(MATRIX, limit=8.0).images[0].get_clim() == (-8.0, 8.0)


def test_rows_of_an_explanation_are_examples_or_outputs():
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    given = Explanation(values, values, method="feature_ablation", feature_names=["a", "b"])
    ax = plot.token_matrix(given)
    np.testing.assert_allclose(ax.images[0].get_array(), values)
    assert names(ax) == [["0", "1"], ["a", "b"]]
    assert ax.get_title() == "feature ablation"
    every = torch.arange(12.0).reshape(2, 3, 2)
    given = Explanation(every, torch.ones(2, 2), outputs=torch.zeros(2, 3))
    ax = plot.token_matrix(given, example=1, input_tokens=["a", "b"], output_tokens=list("xyz"))
    np.testing.assert_allclose(ax.images[0].get_array(), every[1])


def test_units_of_several_tokens_are_one_column():
    mask = torch.tensor([[0, 0, 1]])
    values = torch.tensor([[1.0, 1.0, 2.0], [3.0, 3.0, 4.0]])
    options = {"feature_mask": mask}
    given = Explanation(values, values, feature_names=["un do", "it"], options=options)
    ax = plot.token_matrix(given)
    np.testing.assert_allclose(ax.images[0].get_array(), [[1.0, 2.0], [3.0, 4.0]])
    assert names(ax)[1] == ["un do", "it"]


@pytest.mark.parametrize(("width", "written"), [(2.5, False), (9.0, True)])
def test_numbers_and_names_fit_their_cells(width, written):
    figure = Figure(figsize=(width, 3))
    tokens = [f"token{at}" for at in range(12)]
    ax = plot.token_matrix(torch.randn(3, 12), input_tokens=tokens, ax=figure.subplots())
    assert bool(ax.texts) == written
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for at, a in enumerate(boxes) for b in boxes[:at])
    assert ax.get_xticklabels()[0].get_rotation() == (45 if written else 90)
    assert not plot.token_matrix(torch.randn(30, 30)).texts


def test_what_does_not_fit_is_named():
    for options, error, message in (
        ({"input_tokens": ["a"]}, ValueError, "input_tokens must be 3 names, got 1"),
        ({"output_tokens": list("abc")}, ValueError, "output_tokens must be 2 names, got 3"),
        ({"output_tokens": "ab"}, TypeError, "output_tokens must be a sequence of names"),
        ({"limit": 0}, ValueError, "limit must be positive, got 0"),
        ({"colorbar": 1}, TypeError, "colorbar must be True or False, got 1"),
    ):
        with pytest.raises(error, match=message):
            plot.token_matrix(MATRIX, **options)
    with pytest.raises(ValueError, match=r"shape \[output_tokens, input_tokens\], got a torch"):
        plot.token_matrix(MATRIX[0])
    with pytest.raises(ValueError, match=r"at least one row and column, got shape \[0, 2\]"):
        plot.token_matrix(torch.zeros(0, 2))
