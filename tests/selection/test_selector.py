"""The selector of scikit-learn against its own checks and in its pipelines."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

from pyxai.selection import GreedyFeatureSelector, greedy_feature_selection
from pyxai.selection.selector import _labels


def any_table(rows):
    """Return three logits from a table of any width; what the checks of scikit-learn need."""
    score = rows.mean(1)
    return torch.stack([-score, 0 * score, score], 1)


def squared_error(outputs, labels):
    wanted = labels.reshape(len(outputs), -1)[:, 0].to(outputs.dtype)
    return (outputs[:, 2] - wanted).square()


def checks():
    """Return scikit-learn's checks by name, but for the one of arrays of other libraries."""
    selector = GreedyFeatureSelector(any_table, loss=squared_error)
    found = {
        check.func.__name__: (each, check) for each, check in estimator_checks_generator(selector)
    }
    return {name: pair for name, pair in found.items() if name != "check_array_api_input"}


@pytest.mark.parametrize("name", list(checks()))
def test_checks_of_scikit_learn(name):
    estimator, check = checks()[name]
    check(estimator)


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 5))
    return x, (x[:, 3] - 2 * x[:, 1] > 0).astype(int)


def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(5, 2)).double().eval()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[0.0, 2, 0, -1, 0], [0, -2, 0, 1, 0]]))
    return net


def test_selects_what_the_function_selects(table):
    x, y = table
    selector = GreedyFeatureSelector(model(), n_features_to_select=2).fit(x, y)
    found = greedy_feature_selection(
        model(), (torch.from_numpy(x), torch.from_numpy(y)), n_select=2
    )
    assert selector.selection_.order.tolist() == found.order.tolist() == [1, 3]
    assert selector.get_support(indices=True).tolist() == [1, 3]
    assert selector.ranking_.tolist() == [3, 1, 3, 2, 3]
    np.testing.assert_array_equal(selector.transform(x), x[:, [1, 3]])
    assert selector.get_feature_names_out().tolist() == ["x1", "x3"]
    back = selector.inverse_transform(selector.transform(x))
    np.testing.assert_array_equal(back[:, [0, 2, 4]], 0)


@pytest.mark.parametrize(("wanted", "count"), [(None, 2), (3, 3), (0.5, 2), (1.0, 5)])
def test_how_many(table, wanted, count):
    selector = GreedyFeatureSelector(model(), n_features_to_select=wanted).fit(*table)
    assert selector.get_support().sum() == count


def test_in_a_pipeline_and_cloned(table):
    x, y = table
    pipeline = make_pipeline(
        GreedyFeatureSelector(model(), n_features_to_select=2), LogisticRegression()
    )
    assert clone(pipeline).fit(x, y).score(x, y) > 0.9


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_features_to_select": 6}, ValueError, "must be in 1 .. 5, the features of X, got 6"),
        ({"n_features_to_select": 1.5}, ValueError, r"must be a number or in \(0, 1\], got 1.5"),
        ({"n_features_to_select": True}, TypeError, "to_select must be an integer, got True"),
        ({"n_features_to_select": "5"}, TypeError, "to_select must be an integer, got '5'"),
        ({"random_state": None}, TypeError, "random_state must be an integer, got None"),
        (
            {"random_state": np.random.RandomState(0), "sample_size": 9},
            TypeError,
            "random_state must be an integer, got a RandomState",
        ),
        ({"loss": "hinge"}, ValueError, "loss must be one of"),
    ],
)
def test_errors(table, options, error, message):
    with pytest.raises(error, match=message):
        GreedyFeatureSelector(model(), **options).fit(*table)


def test_baselines_and_masks_that_may_not_be_written(table):
    baselines, mask = np.full(5, 0.5), np.array([0, 1, 2, 1, 0])
    call = {"n_features_to_select": 2}
    expected = GreedyFeatureSelector(model(), baselines=0.5, feature_mask=mask, **call).fit(*table)
    baselines, mask = baselines.copy(), mask.copy()
    baselines.flags.writeable = mask.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = GreedyFeatureSelector(model(), baselines=baselines, feature_mask=mask, **call)
        found.fit(*table)
    assert torch.equal(found.selection_.scores, expected.selection_.scores)


def test_words_for_classes_are_refused(table):
    x, y = table
    with pytest.raises(ValueError, match="y must hold class numbers of the model"):
        GreedyFeatureSelector(model()).fit(x, np.array(["no", "yes"])[y])


def test_selection_loads_without_scikit_learn():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from pyxai.selection import *\n"
        "greedy_feature_selection\n"
        "import pyxai.selection\n"
        "try: pyxai.selection.GreedyFeatureSelector\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "GreedyFeatureSelector needs scikit-learn" in done.stdout
    assert 'pip install "scikit-learn>=1.6", or in a checkout' in done.stdout
    assert 'pip install --no-build-isolation ".[selection]"' in done.stdout


def test_columns_of_one_feature_are_kept_together(table):
    x, y = table
    by_mask = GreedyFeatureSelector(
        model(), n_features_to_select=1, feature_mask=np.array([0, 1, 2, 1, 0])
    ).fit(x, y)
    assert by_mask.support_.tolist() == [False, True, False, True, False]
    assert by_mask.ranking_.tolist() == [2, 1, 2, 1, 2]
    by_fields = GreedyFeatureSelector(
        model(), n_features_to_select=2, fields={"a": 1, "b": 2, "c": 2}
    ).fit(x, y)
    assert by_fields.support_.tolist() == [False, True, True, True, True]
    assert by_fields.selection_.selected == ("b", "c")


def test_stops_early_and_lists_candidates(table):
    x, y = table
    options = {"epsilon": 0.5, "shortlist": 2}
    selector = GreedyFeatureSelector(model(), n_features_to_select=4, **options).fit(x, y)
    data = torch.from_numpy(x), torch.from_numpy(y)
    expected = greedy_feature_selection(model(), data, n_select=4, **options)
    assert torch.equal(selector.selection_.order, expected.order)
    assert (expected.round_index == -1).any()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.int64, np.float32])
def test_labels_of_any_kind_of_number(dtype):
    found = _labels(np.array([0, 1, 1], dtype=dtype))
    assert found.tolist() == [0, 1, 1]
    signed = np.dtype(dtype).kind in "if"
    assert found.dtype == (torch.from_numpy(np.zeros(1, dtype)).dtype if signed else torch.int64)
    with pytest.raises(ValueError, match=r"^Unknown label type: .*, got dtype <U1"):
        _labels(["a", "b"])
