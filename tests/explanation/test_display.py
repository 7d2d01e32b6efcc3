import numpy as np
import pandas as pd
import pytest
import torch

from pyxai import Explanation

X = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
RAW = [["red", 3], ["blue", 4], [None, 2.5]]


def shown(values, inputs=X):
    return Explanation(inputs, inputs, display_values=values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (RAW, RAW),
        (pd.DataFrame([["red", 3]] * 3), [["red", 3]] * 3),
        (X * 2, (X * 2).tolist()),
        (np.array([[1, 2]] * 3, dtype=np.int8), [[1, 2]] * 3),
        (np.array([["2020-01-01"] * 2] * 3, dtype="datetime64[D]"), [["2020-01-01"] * 2] * 3),
        ([[complex(1, 2), True]] * 3, [["(1+2j)", True]] * 3),
    ],
)
def test_tables_of_every_kind_become_lists(values, expected, tmp_path):
    made = shown(values)
    assert made.display_values == expected
    assert Explanation.load(made.save(tmp_path / "file")).display_values == expected
    assert made.to("cpu").display_values == expected


def test_they_follow_the_examples():
    assert shown(RAW)[[2, 0]].display_values == [RAW[2], RAW[0]]
    assert shown(RAW)[1].display_values == [RAW[1]]
    assert shown(RAW)[:0].display_values == []


def test_of_several_inputs_and_of_images():
    pair = Explanation((X, X[:, 0]), (X, X[:, 0]), display_values=(RAW, ["x", "y", "z"]))
    assert pair.display_values == [["red", 3, "x"], ["blue", 4, "y"], [None, 2.5, "z"]]
    grid = torch.arange(12).reshape(3, 2, 2)
    assert shown(grid, grid.float()).display_values == grid.flatten(1).tolist()


def test_files_from_before_there_were_any_are_read(tmp_path):
    path = Explanation(X, X).save(tmp_path / "file")
    assert b"display_values" not in path.read_bytes()
    assert Explanation.load(path).display_values is None


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap's use of matplotlib
def test_shap_gets_them():
    assert shown(RAW).to_shap().display_data.tolist() == RAW


def test_what_does_not_fit_is_named():
    for values, error, message in (
        ("red", TypeError, "display_values must be a table of values, got 'red'"),
        (3, TypeError, "display_values must be a table of values, got 3"),
        (RAW[:2], ValueError, r"a row for each of 3 example\(s\), got shape \[2, 2\]"),
        ([[1]] * 3, ValueError, r"one value for each of 2 features, got shape \[3, 1\]"),
        ([[1, 2], [3], [4, 5]], ValueError, r"display_values must have"),
    ):
        with pytest.raises(error, match=message):
            shown(values)
