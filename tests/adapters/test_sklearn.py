"""Estimators of scikit-learn: their own outputs, Shapley values of another package, refusals."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from contract_cases import example_of, make_background, make_inputs, make_options
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

import pyxai
from pyxai import registry
from pyxai.adapters import from_sklearn
from pyxai.imputers import Marginal
from pyxai.metrics import infidelity
from pyxai.runner import BlackBox

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 6))
Y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int) + (X[:, 3] > 1)
FRAME = pd.DataFrame(
    {
        "age": RANDOM.integers(20, 60, 40),
        "city": RANDOM.choice(["Rome", "Bonn", "Kyiv"], 40),
        "grade": pd.Categorical(RANDOM.choice(["low", "mid"], 40), ["low", "mid", "high"]),
        "weight": RANDOM.normal(size=40),
    }
)
LABELS = np.where((FRAME.age > 40) & (FRAME.city != "Rome"), "ill", "well")


@pytest.fixture(scope="module")
def forest():
    return RandomForestClassifier(8, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def pipeline():
    encoder = ColumnTransformer(
        [
            ("words", OneHotEncoder(handle_unknown="ignore"), ["city", "grade"]),
            ("numbers", StandardScaler(), ["age", "weight"]),
        ]
    )
    return make_pipeline(encoder, LogisticRegression()).fit(FRAME, LABELS)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_shapley_values_are_those_of_shap(forest):
    """Its kernel explainer lists all coalitions of so few features: another implementation."""
    import shap  # here, as it takes seconds

    background = X[:5]
    kernel = shap.KernelExplainer(forest.predict_proba, background)
    theirs = np.asarray(kernel.shap_values(X[10:13], silent=True, l1_reg=False))
    ours = pyxai.explain(
        from_sklearn(forest),
        X[10:13],
        method="shapley_values",
        imputer=Marginal(torch.tensor(background)),
    )
    assert ours.attributions.dtype == torch.float64  # [batch, outputs, features]
    np.testing.assert_allclose(ours.to_numpy(), theirs.transpose(0, 2, 1), atol=1e-9)


@pytest.mark.parametrize(
    ("estimator", "labels", "output", "classes"),
    [
        (RandomForestClassifier(3, random_state=0), Y, "predict_proba", ["0", "1", "2"]),
        (LinearSVC(), Y > 0, "decision_function", ["True"]),
        (RidgeClassifier(), Y, "decision_function", ["0", "1", "2"]),
        (LinearRegression(), X[:, 0] ** 2, "predict", None),
        (RandomForestRegressor(3, random_state=0), X[:, :2], "predict", None),
        (IsolationForest(n_estimators=5, random_state=0), None, "decision_function", None),
    ],
)
def test_what_is_explained(estimator, labels, output, classes):
    estimator.fit(X, labels)
    model = from_sklearn(estimator)
    assert (model.output, model.class_names) == (output, classes)
    expected = getattr(estimator, output)(X)
    rows = torch.tensor(X)
    assert model(rows).tolist() == expected.tolist()
    target = 0 if expected.ndim == 2 else None
    found = pyxai.explain(model, rows[:2], method="feature_ablation", target=target)
    column = expected if target is None else expected[:, 0]
    assert found.outputs.tolist() == column[:2].tolist()


def test_outputs_of_several_classifiers_stand_side_by_side():
    model = from_sklearn(
        MultiOutputClassifier(LogisticRegression()).fit(X, np.stack([Y > 0, Y], 1))
    )
    assert model(torch.tensor(X[:4])).shape == (4, 5)
    assert model.class_names[:3] == ["output 0: 0", "output 0: 1", "output 1: 0"]


def test_another_output(forest):
    model = from_sklearn(LogisticRegression().fit(X, Y), output="predict_log_proba")
    assert model(torch.tensor(X[:3])).exp().sum(1).tolist() == pytest.approx([1, 1, 1])
    assert model.class_names == ["0", "1", "2"]
    with pytest.raises(TypeError, match=r"estimator must have decision_function, got a Random"):
        from_sklearn(forest, output="decision_function")


def test_images_are_flattened(forest):
    rows = torch.tensor(X[:2]).view(2, 2, 3)
    found = pyxai.explain(from_sklearn(forest), rows, method="shapley_values", target=0)
    flat = pyxai.explain(from_sklearn(forest), rows.view(2, 6), method="shapley_values", target=0)
    assert torch.equal(found.attributions.view(2, 6), flat.attributions)


def test_dtypes_reach_the_estimator():
    seen = []

    def watch(rows):
        seen.append(rows.dtype)
        return rows

    chain = make_pipeline(FunctionTransformer(watch), LinearRegression()).fit(X, Y)
    model = from_sklearn(chain)
    seen.clear()
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.int64):
        model(torch.ones(2, 6, dtype=dtype))
    assert seen == [np.float64, np.float32, np.float32, np.int64]


def test_categories_are_codes_and_back(pipeline):
    model = from_sklearn(pipeline, table=FRAME)
    codes = model.encode(FRAME)
    assert codes.dtype == torch.float64
    assert codes[:, 1].tolist() == [["Bonn", "Kyiv", "Rome"].index(city) for city in FRAME.city]
    assert codes[:, 2].tolist() == FRAME.grade.cat.codes.tolist()
    pd.testing.assert_frame_equal(model.decode(codes), FRAME.astype({"age": float}))
    np.testing.assert_array_equal(model(codes).numpy(), pipeline.predict_proba(FRAME))


def test_missing_entries_have_a_code_of_their_own(pipeline):
    table = FRAME.copy()
    table.loc[[1, 2], "city"] = None
    model = from_sklearn(pipeline, table=table)
    codes = model.encode(table)
    assert codes[:3, 1].tolist()[1:] == [3, 3]
    np.testing.assert_array_equal(model(codes).numpy(), pipeline.predict_proba(table))


def test_a_table_to_attributions_by_name(pipeline):
    """Shapley values over columns of words: brute force over the 16 sets of columns."""
    model = from_sklearn(pipeline, table=FRAME)
    rows, base = FRAME[:2], FRAME[7:8]
    found = pyxai.explain(model, rows, method="shapley_values", target=1, baselines=base)
    assert found.feature_names == list(FRAME.columns)
    assert [shown[1] for shown in found.display_values] == rows.city.tolist()  # not its code

    def value(row, columns):
        mixed = base.copy().reset_index(drop=True)
        for column in columns:
            mixed[column] = rows[[column]].iloc[[row]].reset_index(drop=True)[column]
        return pipeline.predict_proba(mixed)[0, 1]

    names = list(FRAME.columns)
    for row in range(2):
        values = [
            value(row, [name for at, name in enumerate(names) if mask >> at & 1])
            for mask in range(16)
        ]
        expected = [
            sum(
                (values[mask | 1 << at] - values[mask]) / (4 * [1, 3, 3, 1][mask.bit_count()])
                for mask in range(16)
                if not mask >> at & 1
            )
            for at in range(4)
        ]
        assert found.attributions[row].tolist() == pytest.approx(expected, abs=1e-12)


def test_names_of_an_estimator_that_was_fitted_on_a_table():
    table = FRAME[["age", "weight"]]
    model = from_sklearn(LinearRegression().fit(table, FRAME.age))
    found = pyxai.explain(model, model.encode(table)[:2], method="feature_ablation")
    assert found.feature_names == ["age", "weight"]


def test_what_tensors_cannot_carry(pipeline):
    dates = FRAME.assign(city=pd.Timestamp("2026-01-01"))
    with pytest.raises(TypeError, match="numbers, words or categories, got column 'city' of date"):
        from_sklearn(pipeline, table=dates)
    with pytest.raises(TypeError, match=r"numbers in column 'city', got .*; give from_sklearn"):
        from_sklearn(pipeline).encode(FRAME)
    model = from_sklearn(pipeline, table=FRAME)
    unknown = FRAME.assign(city="Oslo")
    with pytest.raises(ValueError, match=r"column 'city' one of \['Bonn', .*, got 'Oslo'"):
        model.encode(unknown)
    with pytest.raises(ValueError, match="the columns that the estimator was fitted on"):
        pyxai.explain(model, FRAME[["city", "age", "grade", "weight"]], method="lime")
    with pytest.raises(ValueError, match=r"column 'city' a code 0 .. 3, .*, got 0.5"):
        pyxai.explain(model, FRAME[:2], method="feature_ablation", target=0, baselines=0.5)
    with pytest.raises(TypeError, match="table must be a table of pandas"):
        model.encode(X)
    with pytest.raises(ValueError, match="names of columns to make tables, got none"):
        from_sklearn(LinearRegression().fit(X, Y)).decode(torch.tensor(X))


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (LinearRegression(), ValueError, "estimator must be fitted, got a LinearRegression"),
        (LinearRegression, TypeError, "estimator must be an object, got the class"),
        (StandardScaler(), TypeError, "must have predict_proba or .*, which has transform"),
        (3, TypeError, "estimator must have predict_proba or decision_function or predict, got 3"),
    ],
)
def test_refused_estimators(estimator, error, message):
    with pytest.raises(error, match=message):
        from_sklearn(estimator)


def test_refused_calls(forest, pipeline):
    model = from_sklearn(forest)
    with pytest.raises(ValueError, match="6 features, as RandomForestClassifier was fitted on, go"):
        pyxai.explain(model, X[:, :5], method="lime", target=0)
    with pytest.raises(TypeError, match="must be given one tensor, got 2"):
        pyxai.explain(model, (X[:, :3], X[:, 3:]), method="lime", target=0)
    words = from_sklearn(pipeline, output="predict", table=FRAME)
    with pytest.raises(TypeError, match=r"numbers, got an array of .*; give output='predict_proba"):
        pyxai.explain(words, FRAME[:2], method="lime")


class Sums(BlackBox):
    """A black box of any shape of rows."""

    def outputs(self, rows):
        flat = rows[0].flatten(1)
        return torch.stack([flat.sum(1), flat.square().sum(1)], 1)

    def facts(self):
        yield "sums"


@pytest.mark.parametrize("name", registry.names())
def test_every_method_works_or_says_what_does(name):
    """Those that need gradients or look inside name methods that ask for outputs alone."""
    entry, example, model = registry.get(name), example_of(name), Sums()
    inputs = make_inputs(example, 2)
    options = make_options(example, model)
    if entry.baselines in ("required", "distribution"):
        options["baselines"] = make_background(example)
    elif entry.baselines == "optional":
        options["baselines"] = torch.zeros_like(inputs)
    asks_for_outputs = issubclass(entry.cls, pyxai.methods.PerturbationAttribution)
    state = torch.get_rng_state()
    if asks_for_outputs:
        found = pyxai.explain(model, inputs, method=name, target=1, **options)
        assert found.attributions.isfinite().all()
    else:
        with pytest.raises((ValueError, TypeError), match="such as 'shapley_values', 'kernel_sh"):
            pyxai.explain(model, inputs, method=name, target=1, **options)
    assert torch.equal(torch.get_rng_state(), state)


def test_games_and_metrics(forest):
    model, rows = from_sklearn(forest), torch.tensor(X[:2])
    game = pyxai.Game(model, rows, baselines=0.0, target=0)
    assert game.values(torch.ones(1, 6, dtype=torch.bool))[:, 0].tolist() == pytest.approx(
        forest.predict_proba(X[:2])[:, 0].tolist()
    )
    found = pyxai.explain(model, rows, method="shapley_values", target=0)
    score = infidelity(
        model, lambda x: (0.1 * torch.ones_like(x), x - 0.1), rows, found.attributions, target=0
    )
    assert score.isfinite().all()


def test_other_processes_have_the_same_model(forest):
    model = from_sklearn(forest)
    sent = pickle.loads(pickle.dumps(model))
    rows = torch.tensor(X[:5])
    assert torch.equal(sent(rows), model(rows))
    assert list(sent.facts()) == list(model.facts())
    other = RandomForestClassifier(8, random_state=1).fit(X, Y)
    assert list(from_sklearn(other).facts()) != list(model.facts())
    assert list(from_sklearn(forest, output="predict").facts()) != list(model.facts())


def test_audits_tell_estimators_apart(forest, tmp_path):
    data = X[:12], Y[:12]
    audited = pyxai.audit.audit(
        from_sklearn(forest), data, ["feature_ablation"], [], tmp_path / "out"
    )
    assert len(audited) == 12
    other = from_sklearn(RandomForestClassifier(8, random_state=1).fit(X, Y))
    with pytest.raises(ValueError, match="model"):
        pyxai.audit.audit(other, data, ["feature_ablation"], [], tmp_path / "out")
