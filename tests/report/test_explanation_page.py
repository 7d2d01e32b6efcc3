"""Pages of explanations: tables of what was asked and of what leads, row by row."""

from __future__ import annotations

import re

import pytest
import torch
from html_reader import Reader

from pyxai.cli.page import page
from pyxai.explanation import Explanation


def explanation(rows=2, features=12, **more):
    values = torch.arange(1.0, rows * features + 1).reshape(rows, features)
    signs = torch.tensor([-1.0, 1.0]).repeat(features)[:features]
    more = {"method": "by_hand", **more}
    return Explanation(values * signs, 10 * values, **more)


def tables(made):
    """The cells of each table, row by row, heads first."""
    found = []
    for text in re.findall(r"<table>(.*?)</table>", made.to_html(), re.S):
        rows = re.findall(r"<tr>(.*?)</tr>", text, re.S)
        cells = [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in rows]
        found.append(cells)
    return found


def test_what_was_asked_is_a_table():
    made = explanation(convergence_delta=torch.tensor([0.25, -0.5]), options={"n_steps": 20})
    asked = dict(tables(page(made))[0][1:])
    assert asked["inputs"] == "float32 [2, 12] on cpu"
    assert asked["n steps"] == "20"
    assert asked["delta"] == "0.5 at most, in output units"


def test_rows_have_their_leading_features_with_values_and_the_sum_of_the_others():
    names = [f"f{n}" for n in range(12)]
    _, leading, first, second = tables(page(explanation(feature_names=names)))
    # Means of absolute attributions over both rows: (n + 1 + n + 13) / 2.
    assert leading[1:] == [[f"f{n}", f"{n + 7:.1f}"] for n in range(11, 8, -1)] + [
        [f"f{n}", f"{n + 7:.{1 if n >= 3 else 2}f}"] for n in range(8, 1, -1)
    ]
    assert first[0] == ["Feature", "value", "attribution"]
    assert first[1] == ["f11", "120", "12.0"]
    assert first[2] == ["f10", "110", "-11.0"]
    assert len(first) == 12
    assert first[-1] == ["2 more together", "", "1.00"]  # -1 + 2
    assert second[-1] == ["2 more together", "", "1.00"]  # -13 + 14


@pytest.mark.parametrize(("method", "kind"), [("by_hand", "signed"), ("saliency", "bar")])
def test_sizes_have_bars_from_the_left_and_signed_values_from_the_middle(method, kind):
    values = torch.tensor([[1.0, 2.0]])
    text = page(Explanation(values, values, method=method)).to_html()
    assert f'<span class="{kind}">' in text
    assert f'<span class="{"bar" if kind == "signed" else "signed"}">' not in text


@pytest.mark.parametrize("values", [[-4.0, 2.0], [-2.0, -4.0], [4.0, -2.0]])
def test_bars_are_shares_of_the_largest_size(values):
    values = torch.tensor([values])
    text = page(Explanation(values, values, method="by_hand")).to_html()
    bars = re.findall(r'<span class="(plus|minus)" style="width:([\d.]+)%">', text)
    order = values[0].abs().argsort(descending=True)
    wanted = [
        ("plus" if one > 0 else "minus", f"{12.5 * abs(one):.1f}") for one in values[0][order]
    ]
    assert bars == 2 * wanted  # what leads, and the row: of half a cell


def test_maps_are_pictures_and_many_rows_are_counted():
    values = torch.rand(3, 1, 4, 4)
    reader = Reader(page(Explanation(values, values, method="by_hand"), shown=2).to_html())
    assert [tags["alt"] for tag, tags in reader.tags if tag == "img"] == [
        "Attributions of row 0",
        "Attributions of row 1",
    ]
    assert "The first 2 rows; 1 more are in the explanation." in reader.words


def test_an_explanation_of_nothing_has_a_page():
    made = explanation(rows=0)
    assert "0 examples" in Reader(page(made).to_html()).words


def test_a_player_of_several_features_has_no_value_of_an_input():
    values = torch.tensor([[2.0, 2.0, -1.0]])
    mask = torch.tensor([[0, 0, 1]])
    made = Explanation(values, values, method="by_hand", options={"feature_mask": mask})
    _, *rows = tables(page(made))[-1]
    assert rows == [["feature 0 and 1 more", "", "2.00"], ["feature 2", "-1.00", "-1.00"]]
