import numpy as np
import pandas as pd
import pytest
import torch

import pyxai
from pyxai import Explanation

X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_one_row_for_each_example_and_columns_by_names():
    given = Explanation(
        2 * X, X, method="lime", target=1, feature_names=list("abc"), error=X / 8, outputs=X[:, 0],
        display_values=[["x", 1, None], ["y", 2, 3.5]],
    )  # fmt: skip
    table = given.to_pandas()
    assert list(table.columns) == ["a", "b", "c"]
    assert table.index.name == "example"
    np.testing.assert_array_equal(table, 2 * X)
    assert table.attrs == {"method": "lime", "target": "1"}
    np.testing.assert_array_equal(given.to_pandas("inputs"), X)
    np.testing.assert_array_equal(given.to_pandas("error"), X / 8)
    shown = given.to_pandas("display_values")
    assert list(shown["a"]) == ["x", "y"]
    assert list(shown["b"]) == [1, 2]
    for what in ("inputs", "error", "display_values"):
        assert list(given.to_pandas(what).columns) == ["a", "b", "c"]


def test_several_inputs_stand_side_by_side():
    image, number = torch.arange(8.0).reshape(2, 2, 2), torch.tensor([10.0, 20.0])
    table = Explanation((image, number), (image, number)).to_pandas()
    assert list(table.columns) == [
        "input 0 feature [0, 0]",
        "input 0 feature [0, 1]",
        "input 0 feature [1, 0]",
        "input 0 feature [1, 1]",
        "input 1 feature 0",
    ]
    np.testing.assert_array_equal(table, [[0, 1, 2, 3, 10], [4, 5, 6, 7, 20]])
    named = Explanation((image, number), (image, number), feature_names=list("abcde"))
    assert list(named.to_pandas("inputs").columns) == list("abcde")


def test_players_have_one_column_and_rows_add_up():
    net, mask = torch.nn.Linear(3, 2), torch.tensor([[0, 1, 1]])
    result = pyxai.explain(
        net, X, method="shapley_values", target=0, feature_mask=mask, feature_names=["a", "b"]
    )
    table = result.to_pandas()
    assert list(table.columns) == ["a", "b"]
    change = (net(X) - net(torch.zeros(1, 3)))[:, 0].detach()
    np.testing.assert_allclose(table.sum(axis=1), change, atol=1e-5)
    assert result.to_pandas("inputs").shape == (2, 3)


def test_all_outputs_are_rows_of_two_levels():
    net = torch.nn.Linear(3, 2)
    table = pd.DataFrame(X.numpy(), columns=["a", "b", "c"])
    result = pyxai.explain(net, table, method="shapley_values")
    found = result.to_pandas()
    assert found.index.names == ["example", "output"]
    assert list(found.index) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert list(found.columns) == ["a", "b", "c"]
    expected = (X[:, None] * net.weight.detach()).reshape(4, 3)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert list(result.to_pandas("inputs").columns) == ["a", "b", "c"]
    assert len(result.to_pandas("inputs")) == 2


def test_names_of_each_example_are_positions():
    given = Explanation(X, X, feature_names=[list("abc"), list("xyz")])
    assert list(given.to_pandas().columns) == ["feature 0", "feature 1", "feature 2"]
    assert list(given[1].to_pandas().columns) == list("xyz")


def test_values_of_a_layer_and_short_floats():
    given = Explanation(X.bfloat16(), torch.ones(2, 5).half(), options={"layer": "fc"})
    np.testing.assert_array_equal(given.to_pandas(), X)
    assert list(given.to_pandas("inputs").columns) == [f"feature {at}" for at in range(5)]
    assert len(Explanation(X[:0], X[:0]).to_pandas()) == 0


def test_what_there_is_not_is_named(monkeypatch):
    given = Explanation(X, X)
    with pytest.raises(ValueError, match=r"what must be one of 'attributions', .*, got 'all'"):
        given.to_pandas("all")
    with pytest.raises(ValueError, match=r"what must be something that .* has, got 'error'"):
        given.to_pandas("error")
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r'to_pandas needs pandas; .* pip install "pandas"$'):
        given.to_pandas()


def test_inputs_are_not_beside_the_units_of_a_layer(tmp_path):
    units, outputs = torch.ones(2, 3, 4), torch.zeros(2, 3)  # as many channels as outputs
    given = Explanation(units, X, options={"layer": "fc"}, outputs=outputs, of_layer=True)
    assert list(given.to_pandas("inputs").columns) == [f"feature {at}" for at in range(3)]
    assert given.to_pandas().shape == (2, 12)  # none of the outputs has attributions of its own
    again = Explanation.load(given.save(tmp_path / "layer"))
    assert again.of_layer
    assert not Explanation.load(Explanation(X, X).save(tmp_path / "inputs")).of_layer
    assert b"of_layer" not in (tmp_path / "inputs").read_bytes()  # as the first files were


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # shap's use of matplotlib
def test_shap_and_series_take_no_inputs_for_units():
    series = torch.ones(2, 3, 4)
    given = Explanation(series, series, options={"layer": "conv"}, of_layer=True)
    assert given.to_shap().data is None
    assert Explanation(series, series).to_shap().data is not None
    with pytest.raises(ValueError, match="data must be given beside the values of a layer"):
        given[0].plot("timeseries")
