"""First calls that people make: arrays, tables, estimators and ids work, or are told the way."""

import copy

import numpy as np
import pandas
import pytest
import torch
from contract_cases import example_of, make_background, make_inputs, make_net
from contract_runs import NAMES, having, method_of, parts, run
from public_calls import CALLS
from sklearn.linear_model import LinearRegression, LogisticRegression

import pyxai
from pyxai import registry
from pyxai.runner.arrays import as_tensors, tensor_of

TABULAR = [name for name in NAMES if not example_of(name).image]
COLUMNS = [f"column {at}" for at in range(6)]


def single(name):
    """Return a float32 model and float32 inputs of a method's example."""
    example = example_of(name)
    return make_net(example).float(), make_inputs(example).float()


def explained(name, model, inputs, **changes):
    result = run(name, model, inputs, **changes)
    return result, [part for part in parts(result.attributions) if part is not None]


@pytest.mark.parametrize("name", NAMES)
def test_arrays_follow_the_dtype_of_the_model(name):
    model, x = single(name)
    expected, values = explained(name, model, x)
    made = pyxai.explain  # through `explain`, and through the class below
    options = dict(expected.options)
    baselines = expected.baselines
    given = {} if baselines is None else {"baselines": np.asarray(baselines, dtype=np.float64)}
    found = made(
        model, x.numpy().astype(np.float64), method=name, target=np.int64(0), **given, **options
    )
    for one, other in zip(parts(found.attributions), values, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)
    assert isinstance(found.inputs, torch.Tensor)
    explainer, rest = method_of(name, model)
    rest = {
        key: value.float()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
        else value
        for key, value in rest.items()
    }
    tensors = explainer.attribute(x, target=0, **rest)
    arrays = {
        key: value.double().numpy()
        if key == "baselines" and isinstance(value, torch.Tensor)
        else value
        for key, value in rest.items()
    }
    again = explainer.attribute(x.double().numpy(), target=np.array([0] * len(x)), **arrays)
    for one, other in zip(parts(again), parts(tensors), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", TABULAR)
def test_the_columns_of_a_table_are_the_names_of_the_features(name):
    model, x = single(name)
    _, values = explained(name, model, x)
    table = pandas.DataFrame(x.double().numpy(), columns=COLUMNS)
    found, others = explained(name, model, table)
    for one, other in zip(others, values, strict=True):
        assert torch.equal(one, other)
    if others[0].shape == x.shape:
        assert found.feature_names == COLUMNS
        assert found[0].top(1)[0][0] in COLUMNS
    given = run(name, model, table, feature_names=list("abcdef"))
    assert given.feature_names == list("abcdef")


@pytest.mark.parametrize("name", TABULAR)
def test_ids_are_explained_or_the_way_to_the_embedding_is_named(name):
    ids = torch.arange(12).view(2, 6)
    model = torch.nn.Sequential(Cast(), make_net(example_of(name)).float()).eval()
    try:
        result = run(name, model, ids)
    except TypeError as error:
        assert_says(error, "what the embedding makes of them as inputs")
    else:
        assert all(bool(part.isfinite().all()) for part in parts(result.attributions))


@pytest.mark.parametrize("name", ["integrated_gradients", "saliency", "lrp", "deep_lift"])
def test_ids_of_words_are_told_the_way_to_the_embedding(name):
    words = torch.nn.Embedding(9, 6)
    rest = make_net(example_of(name)).float()

    class Text(torch.nn.Module):
        def forward(self, ids):
            return rest(words(ids).mean(1))

    ids = torch.arange(8).view(2, 4)
    with pytest.raises(
        TypeError, match="ids, of words say, have no gradients: give what the embed"
    ):
        pyxai.explain(Text(), ids, method=name, target=0)
    follows = torch.nn.Sequential(Mean(), rest).eval()
    result = pyxai.explain(follows, words(ids), method=name, target=0)
    assert result.attributions.shape == (2, 4, 6)


class Mean(torch.nn.Module):
    def forward(self, x):
        return x.mean(1)


class Cast(torch.nn.Module):
    def forward(self, x):
        return x.float()


def assert_says(error, text):
    assert text in str(error)


def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 6))
    return x, (x[:, 0] + x[:, 1] > 0).astype(int) + (x[:, 2] > 1)


X, Y = data()
ESTIMATOR = LogisticRegression().fit(X, Y)


@pytest.mark.parametrize("name", TABULAR)
def test_estimators_are_explained_or_have_no_gradients(name):
    before = copy.deepcopy(ESTIMATOR.__dict__)
    try:
        result = run(name, ESTIMATOR.predict_proba, X[:4])
    except (TypeError, ValueError) as error:
        text = str(error)
        assert "this model has no gradients: use" in text or "for a function, use" in text
        assert "use a method that asks for outputs alone, such as 'shapley_values', 'ker" in text
    else:
        assert registry.get(name).needs == "callable"
        expected = torch.from_numpy(ESTIMATOR.predict_proba(X[:4])[:, 0])
        torch.testing.assert_close(result.outputs, expected, check_dtype=False)
    assert before.keys() == ESTIMATOR.__dict__.keys()


def test_shapley_values_of_an_estimator_add_up():
    background = X[:20]
    result = pyxai.explain(
        ESTIMATOR.predict_proba,
        pandas.DataFrame(X[:3], columns=COLUMNS),
        method="shapley_values",
        target=1,
        imputer=pyxai.imputers.Marginal(background),
    )
    total = result.outputs - torch.from_numpy(ESTIMATOR.predict_proba(background)[:, 1]).mean()
    torch.testing.assert_close(result.attributions.sum(1), total, check_dtype=False)
    assert result.feature_names == COLUMNS
    line = LinearRegression().fit(X, X @ np.arange(6.0))
    values = pyxai.explain(line.predict, X[:2], method="feature_ablation").attributions
    torch.testing.assert_close(values, torch.from_numpy(X[:2] * np.arange(6.0)))


@pytest.mark.parametrize("name", NAMES)
def test_an_estimator_is_no_model_but_has_one(name):
    with pytest.raises(
        TypeError,
        match=r"must be callable, got a LogisticRegression; give its "
        r"predict_proba or its predict$",
    ):
        pyxai.explain(ESTIMATOR, X[:2], method=name)


def test_other_calls_name_the_functions_of_an_estimator_too():
    for call in (pyxai.Game, pyxai.taylor.harsanyi_dividends, pyxai.metrics.insertion):
        more = {"attributions": X[:2]} if call is pyxai.metrics.insertion else {}
        with pytest.raises(TypeError, match="LogisticRegression; give its predict_proba or its"):
            call(ESTIMATOR, X[:2], **more)


@pytest.mark.parametrize(
    "targets",
    [np.array([0, 1, 2]), [np.int64(0), np.int64(1), 2], pandas.Series([0, 1, 2], index=[5, 6, 7])],
    ids=["array", "list", "series"],
)
def test_targets_of_numpy_and_pandas(targets):
    model, x = single("integrated_gradients")
    expected = pyxai.explain(model, x[:3], method="integrated_gradients", target=[0, 1, 2])
    found = pyxai.explain(model, x[:3], method="integrated_gradients", target=targets)
    assert torch.equal(found.attributions, expected.attributions)
    assert torch.equal(found[1].attributions, expected[1].attributions)


@pytest.mark.parametrize("name", having(lambda m: m.baselines == "optional"))
def test_a_background_for_baselines_is_told_where_it_goes(name):
    example = example_of(name)
    background = make_background(example, 7)
    with pytest.raises(ValueError, match=r"baselines must .*imputer=pyxai\.imputers\.Marginal\("):
        run(name, make_net(example), make_inputs(example), baselines=background)


def test_whole_numbers_of_tables_are_quantities_and_those_of_arrays_may_be_ids():
    model, _ = single("saliency")
    whole = np.arange(12).reshape(2, 6) % 5
    expected = pyxai.explain(model, torch.from_numpy(whole).float(), method="saliency", target=0)
    table = pandas.DataFrame(whole, columns=COLUMNS)
    found = pyxai.explain(model, table, method="saliency", target=0, baselines=None)
    assert torch.equal(found.attributions, expected.attributions)
    words = torch.nn.Sequential(torch.nn.Embedding(5, 6), Mean(), model).eval()
    ids = pyxai.explain(words, whole, method="feature_ablation", target=0, baselines=1)
    same = pyxai.explain(
        words, torch.from_numpy(whole), method="feature_ablation", target=0, baselines=1
    )
    assert torch.equal(ids.attributions, same.attributions)
    assert ids.inputs.dtype == torch.int64


def test_hierarchies_take_arrays():
    model, x = single("saliency")
    acd = pyxai.decomposition.ACD(model)
    (found,) = acd.agglomerate(x[:1].double().numpy(), target=0)
    (expected,) = acd.agglomerate(x[:1], target=0)
    assert str(found) == str(expected)


def test_tables_of_numbers_and_flags_and_what_is_no_number():
    mixed = pandas.DataFrame({"a": [0.5, 1.0], "b": [True, False], "c": [1, 2]})
    assert tensor_of("inputs", mixed).tolist() == [[0.5, 1.0, 1.0], [1.0, 0.0, 2.0]]
    assert tensor_of("inputs", mixed[["c"]]).dtype == torch.int64
    words = pandas.DataFrame({"a": [0.5], "city": ["Bonn"]})
    with pytest.raises(TypeError, match="inputs must hold real numbers, got column 'city' of"):
        tensor_of("inputs", words)
    for column in (pandas.to_datetime(["2020-01-01"]), ["1"], [[1.0]]):
        wrong = pandas.DataFrame({"a": [0.5], "b": [True], "wrong": pandas.Series(column)})
        with pytest.raises(TypeError, match="inputs must hold real numbers, got column 'wrong' of"):
            tensor_of("inputs", wrong)
    missing = pandas.DataFrame({"a": [1, None], "b": [True, False]}).convert_dtypes()
    assert tensor_of("inputs", missing)[1, 0].isnan()
    with pytest.raises(TypeError, match=r"inputs must be a table with one row .*iloc\[\[0\]\]"):
        as_tensors(None, {"inputs": mixed.iloc[0].astype(float)})
    with pytest.raises(TypeError, match="inputs must be an array without a mask"):
        tensor_of("inputs", np.ma.masked_array([1.0], mask=[True]))
    with pytest.raises(ValueError, match="baselines must have the columns of inputs in their ord"):
        as_tensors(None, {"inputs": mixed, "baselines": mixed[["b", "a", "c"]]})
    table = pandas.DataFrame({"a": [None, 1.0]})
    with pytest.raises(ValueError, match="inputs must be finite, got 1 NaN"):
        pyxai.explain(torch.nn.Linear(1, 1), table, method="saliency")


ARRAYS = ("inputs", "baselines", "feature_mask", "attributions", "others", "truth")
WITH_ARRAYS = [
    name
    for name, call in CALLS.items()
    if isinstance(call.arguments.get("model", call.arguments.get("forward_func")), torch.nn.Module)
    and isinstance(call.arguments.get("inputs"), torch.Tensor)
    and name not in ("cdep_loss", "rrr_loss", "expected_gradients_loss", "Questionnaire")
]


@pytest.mark.parametrize("name", [*WITH_ARRAYS, "stability", "point_game", "sparseness"])
def test_functions_take_arrays(name):
    call = CALLS[name]
    arrays = {
        key: value.numpy()
        for key, value in call.arguments.items()
        if key in ARRAYS and isinstance(value, torch.Tensor)
    }
    assert arrays
    assert text_of(call(**arrays)) == text_of(call())


def text_of(result):
    return repr(result) if not isinstance(result, torch.Tensor) else repr(result.tolist())


def test_noise_takes_arrays_for_the_options_of_its_method():
    model, x = single("kernel_shap")
    explainer = pyxai.attribution.NoiseTunnel(pyxai.attribution.KernelShap(model))
    mask = torch.tensor([[0, 0, 1, 1, 2, 2]])
    options = {"nt_samples": 2, "target": 0}
    expected = explainer.attribute(x, baselines=x / 2, feature_mask=mask, **options)
    found = explainer.attribute(
        x.double().numpy(), baselines=x.double().numpy() / 2, feature_mask=mask.numpy(), **options
    )
    assert torch.equal(found, expected)


def test_a_game_takes_arrays_and_follows_the_model():
    model, x = single("shapley_values")
    masks = torch.tensor([[1, 0, 1, 0, 1, 1]], dtype=torch.bool)
    found = pyxai.Game(model, x.double().numpy(), target=np.int64(1)).values(masks)
    assert torch.equal(found, pyxai.Game(model, x, target=1).values(masks))
