"""`pyxai explain` of estimators and ONNX files."""

import json
import os

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from onnx_files import write_mlp
from sklearn.linear_model import LogisticRegression
from torch import nn

import pyxai
from pyxai.adapters import from_sklearn
from pyxai.cli import main

TABLE = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=["age", "pulse", "id"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    TABLE[["id", "pulse", "age"]].to_csv("rows.csv", index=False)
    return tmp_path


def said(capsys, *words, status=0):
    assert main(["explain", *map(str, words)]) == status
    return capsys.readouterr()[1 if status else 0]


class Mine:
    """An object whose reading runs code: it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_an_estimator_gets_the_columns_that_it_was_fitted_on(folder, capsys):
    features = TABLE[["age", "pulse"]]
    estimator = LogisticRegression().fit(features, TABLE.age > 0)
    joblib.dump(estimator, "net.joblib")
    words = ("net.joblib", "rows.csv", "--method", "shapley_values", "--target", "1", "--json")
    found = json.loads(said(capsys, *words, "--trust"))
    expected = pyxai.explain(
        from_sklearn(estimator), features, method="shapley_values", target=1
    ).attributions
    assert found["feature_names"] == ["age", "pulse"]
    np.testing.assert_allclose(found["attributions"], expected.numpy(), rtol=1e-12)


def test_an_estimator_is_not_read_without_trust(folder, capsys):
    joblib.dump(Mine(), "mine.pkl")
    text = said(capsys, "mine.pkl", "rows.csv", status=1)
    assert "'mine.pkl' is a pickle, and reading one runs whatever code is in the file" in text
    assert not (folder / "ran").exists()


def test_an_onnx_file(folder, capsys):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval()
    write_mlp("net.onnx", net)
    words = ("net.onnx", "rows.csv", "--json", "--rows", "4")
    found = json.loads(said(capsys, *words, "--method", "shapley_values"))
    rows = torch.tensor(TABLE[["id", "pulse", "age"]].to_numpy()[:4].copy(), dtype=torch.float32)
    target = net(rows).argmax(1)
    expected = pyxai.explain(net, rows, method="shapley_values", target=target).attributions
    np.testing.assert_allclose(found["attributions"], expected.numpy(), atol=1e-6)
    text = said(capsys, *words, status=1)  # by integrated gradients, if nothing is said
    assert "a black box that gives outputs alone; use a method" in text
