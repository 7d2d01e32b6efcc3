"""An audit says of every example what a call for it alone says; what it was asked is checked."""

import json
import sys

import numpy as np
import pytest
import torch
from audit_cases import Augmented, Fails, Rows, files_of, make_labels, make_net, make_rows

import pyxai
from pyxai import metrics
from pyxai.attribution import IntegratedGradients
from pyxai.audit import METRICS, audit, load, merge, prepare, run_shard
from pyxai.audit.measures import metrics_asked

IG = ("integrated_gradients", {"n_steps": 8})


@pytest.fixture
def net():
    return make_net()


def test_rows_and_maps_are_those_of_single_calls(net, tmp_path):
    rows, labels = make_rows(), make_labels()
    found = audit(net, (rows, labels), ["saliency", IG], ["insertion"], tmp_path, shard_size=5)
    table = found.rows()
    assert list(table.id) == [number for number in range(23) for _ in range(2)]
    assert found.complete
    for number in range(23):
        target = int(net(rows[number : number + 1]).argmax())
        single = pyxai.explain(
            net, rows[number : number + 1], method=IG[0], target=target, n_steps=8
        )
        row = table[(table.id == number) & (table.method == IG[0])].iloc[0]
        assert (row.label, row.target, row.prediction) == (labels[number], target, target)
        assert row.output == pytest.approx(float(single.outputs), rel=1e-5)
        assert row.gap == pytest.approx(float(single.convergence_delta), abs=1e-5)
        score = metrics.insertion(
            net, rows[number : number + 1], single.attributions, target=target
        )
        assert row.insertion == pytest.approx(float(score.auc), rel=1e-5)
        torch.testing.assert_close(found.maps(IG[0], number), single.attributions[0])


def test_saliency_has_no_gap(net, tmp_path):
    table = audit(net, make_rows(), "saliency", out=tmp_path).rows()
    assert table.gap.isna().all()
    assert table.error.isna().all()
    assert (table.seconds > 0).all()


@pytest.mark.parametrize("metric", [name for name in METRICS if "information" not in name])
def test_every_metric_is_measured(net, tmp_path, metric):
    found = audit(net, make_rows(4), ["saliency", IG], metric, tmp_path)
    assert found.rows().error.isna().all()
    columns = metrics_asked(metric)[0].columns
    assert found.columns == ("output", "gap", "relative_gap", *sorted(columns))
    assert np.isfinite(found.rows()[[*columns]]).all(axis=None)
    assert {*columns} <= {*found.statistics().column}


def test_infidelity_of_a_linear_model_is_zero_in_both_units(tmp_path):
    net = torch.nn.Linear(6, 1)
    methods = ["input_x_gradient", "feature_ablation", "integrated_gradients"]
    table = audit(net, make_rows(4).double().float(), methods, "infidelity", tmp_path).rows()
    assert (table.infidelity < 1e-10).all()


def test_a_function_is_a_metric(net, tmp_path):
    def largest(model, inputs, attributions, *, target):
        assert len(target) == len(inputs)
        return attributions.amax(1)

    found = audit(net, make_rows(), IG, {"peak": largest}, tmp_path)
    expected = found.maps(IG[0]).amax(1)
    assert torch.tensor(found.rows().peak.to_numpy()).float().equal(expected)


def test_methods_have_names_of_their_own(net, tmp_path):
    methods = {"few": ("integrated_gradients", {"n_steps": 2}), "many": IntegratedGradients(net)}
    found = audit(net, make_rows(), methods, out=tmp_path)
    assert found.methods == ("few", "many")
    assert not found.maps("few").equal(found.maps("many"))


@pytest.mark.parametrize(
    ("target", "expected"),
    [("label", [0, 1, 2, 0]), (2, [2] * 4), ([2, 1, 0, 1], [2, 1, 0, 1])],
)
def test_targets(net, tmp_path, target, expected):
    data = (make_rows(4), make_labels(4))
    found = audit(net, data, "saliency", out=tmp_path, target=target, shard_size=3)
    assert found.rows().target.tolist() == expected
    rows, targets = data[0], torch.tensor(expected)
    direct = pyxai.explain(net, rows, method="saliency", target=targets).attributions
    torch.testing.assert_close(found.maps("saliency"), direct)


def test_a_model_of_one_output_has_no_prediction(tmp_path):
    found = audit(make_net(classes=1), make_rows(4), "saliency", out=tmp_path)
    table = found.rows()
    assert table.prediction.isna().all()
    assert table.target.isna().all()
    assert found.class_maps("saliency")[None].count == 4


def test_several_inputs(tmp_path):
    class Sum(torch.nn.Module):
        def forward(self, first, second):
            return first.sum(1, keepdim=True) * second.flatten(1).sum(1, keepdim=True)

    data = (make_rows(5, 3), make_rows(5, 4).reshape(5, 2, 2), torch.arange(5))
    found = audit(Sum(), data, "input_x_gradient", out=tmp_path, shard_size=2)
    first, second = found.maps("input_x_gradient", [3, 1])
    assert (list(first.shape), list(second.shape)) == ([2, 3], [2, 2, 2])
    torch.testing.assert_close(
        first[0], data[0][3] * data[1][3].sum(), msg="example 3 must be first"
    )
    assert found.rows().label.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("batch_size", [1, 4, 23])
def test_random_methods_depend_on_seed_and_number_alone(net, tmp_path, batch_size):
    rows = make_rows()
    rows[7] = rows[3]
    methods = ["gradient_shap", ("kernel_shap", {"n_samples": 20})]  # fewer than all coalitions
    arguments = {"baselines": torch.zeros(1, 6), "target": 0}
    found = audit(net, rows, methods, out=tmp_path / "a", batch_size=batch_size, **arguments)
    whole = audit(net, rows, methods, out=tmp_path / "b", **arguments)
    other = audit(net, rows, methods, out=tmp_path / "c", seed=1, **arguments)
    for method in whole.methods:
        torch.testing.assert_close(found.maps(method), whole.maps(method))
        assert not found.maps(method).allclose(other.maps(method))
    assert not whole.maps("gradient_shap", 3).equal(whole.maps("gradient_shap", 7))


def test_augmentation_depends_on_seed_and_number_alone(net, tmp_path):
    state = torch.get_rng_state()
    data = Augmented(make_rows())
    found = [
        audit(net, data, "saliency", out=tmp_path / str(size), shard_size=size).maps("saliency")
        for size in (1, 23)
    ]
    torch.testing.assert_close(*found)
    assert torch.get_rng_state().equal(state)
    assert (
        not audit(net, data.rows, "saliency", out=tmp_path / "x")
        .maps("saliency")
        .allclose(found[0])
    )


def test_bad_examples_are_rows_with_a_reason(tmp_path):
    rows = make_rows()
    rows[:, 0].clamp_(max=1.0)
    rows[4, 2] = float("nan")
    rows[11, 0] = 9.0
    model = Fails(2.0)
    found = audit(model, Rows(rows, unreadable=(8,)), [IG, "saliency"], out=tmp_path, shard_size=7)
    table = found.rows()
    reasons = table.set_index("id").error.dropna()
    assert sorted(set(reasons.index)) == [4, 8, 11]
    assert reasons[4].tolist() == ["ValueError: inputs must be finite, got NaN or infinity"] * 2
    assert reasons[8].tolist() == ["OSError: cannot read file 8"] * 2
    assert all("the first feature is too large" in reason for reason in reasons[11])
    assert table.output.isna().sum() == 6
    maps = found.maps(IG[0])
    assert maps.isnan().all(1).nonzero()[:, 0].tolist() == [4, 8, 11]
    statistics = found.statistics()
    whole = statistics[statistics["class"].isna() & (statistics.column == "gap")]
    assert whole.errors.tolist() == [3, 3]
    assert whole["count"].tolist() == [20, 0]


def test_a_method_that_fails_is_an_error_of_its_row_alone(net, tmp_path):
    rows = make_rows(9)

    def picky(model, inputs, attributions, *, target):
        if bool((inputs[:, 0] == rows[5, 0]).any()):
            raise ZeroDivisionError("no such example")
        return attributions.sum(1)

    table = audit(net, rows, {"a": IG, "b": "saliency"}, {"picky": picky}, tmp_path).rows()
    failed = table[~table.error.isna()]
    assert failed.id.tolist() == [5, 5]
    assert failed.error.tolist() == ["ZeroDivisionError: no such example"] * 2
    assert failed.picky.isna().all()
    assert failed.output.notna().all()


def test_a_bad_example_stops_if_asked(tmp_path):
    rows = make_rows()
    rows[4, 2] = float("nan")
    with pytest.raises(ValueError, match="good examples, got 4: ValueError: inputs must be finite"):
        audit(make_net(), rows, "saliency", out=tmp_path, on_error="raise", shard_size=3)
    assert not load(tmp_path).complete
    assert load(tmp_path).rows().id.tolist() == [0, 1, 2]
    assert audit(make_net(), rows, "saliency", out=tmp_path, shard_size=3).complete


def test_the_model_s_error_is_raised_if_asked(tmp_path):
    rows = make_rows().clamp(max=1.0)
    rows[10, 0] = 5.0
    with pytest.raises(RuntimeError, match="too large"):
        audit(Fails(2.0), rows, "saliency", out=tmp_path, on_error="raise")


def test_memory_that_runs_out_is_no_bad_example(tmp_path):
    class Greedy(torch.nn.Module):
        def forward(self, x):
            if len(x) == 1 and float(x[0, 0]) == float(rows[7, 0]):
                raise MemoryError
            return x.sum(1, keepdim=True)

    rows = make_rows()
    with pytest.raises(MemoryError):
        audit(Greedy(), rows, "feature_ablation", out=tmp_path, batch_size=1)


def test_a_wrong_call_is_no_bad_data(net, tmp_path):
    with pytest.raises(
        ValueError, match=r"integrated_gradients must explain examples, got: .*steps"
    ):
        audit(net, make_rows(), ("integrated_gradients", {"steps": 3}), out=tmp_path)
    with pytest.raises(ValueError, match="model must explain examples, got: RuntimeError"):
        audit(net, make_rows(features=5), "saliency", out=tmp_path / "b")


def test_the_plan_says_what_was_asked(net, tmp_path):
    audit(net, make_rows(), {"mine": IG}, ["insertion"], tmp_path, baselines=0.5, shard_size=10)
    plan = json.loads((tmp_path / "audit.json").read_text())
    assert plan["methods"] == [{"name": "mine", "is": IG[0], "options": {"n_steps": 8}}]
    own = {"name": "insertion", "is": "insertion", "options": {}}
    assert plan["metrics"] == [{**own, "columns": {"insertion": "higher"}}]
    assert plan["versions"] == {"pyxai": pyxai.__version__, "torch": torch.__version__}
    assert (plan["n_examples"], plan["seed"], plan["baselines"]) == (23, 0, 0.5)
    assert [shard["rows"] for shard in plan["shards"]] == [[0, 10], [10, 20], [20, 23]]


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("seed", {"seed": 1}),
        ("methods", {"methods": "input_x_gradient"}),
        ("metrics", {"metrics": "sparseness"}),
        ("dataset", {"dataset": make_rows(seed=5)}),
        ("model", {"model": make_net(seed=4)}),
        ("baselines", {"baselines": torch.ones(1, 6)}),
        ("maps", {"dtype": "float16"}),
        ("target", {"target": 1}),
    ],
)
def test_a_folder_holds_one_audit(net, tmp_path, what, change):
    same = {"model": net, "dataset": make_rows(), "methods": "saliency", "out": tmp_path}
    audit(**same)
    before = files_of(tmp_path)
    with pytest.raises(ValueError, match=f"got one with another .*{what}"):
        audit(**{**same, **change})
    assert files_of(tmp_path) == before
    audit(**same)
    assert files_of(tmp_path) == before


def test_shards_can_be_made_by_hand_in_any_order(net, tmp_path):
    arguments = (net, make_rows(), ["saliency", "gradient_shap"])
    options = {"baselines": torch.zeros(1, 6), "shard_size": 6}
    audit(*arguments, out=tmp_path / "a", **options)
    job = prepare(*arguments, out=tmp_path / "b", **options)
    assert (job.n_shards, job.pending()) == (4, [0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"without 0 \(absent\), 1 \(absent\)"):
        merge(tmp_path / "b")
    for shard in (2, 0, 3, 1, 2):
        run_shard(job, shard)
    merge(tmp_path / "b")
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    with pytest.raises(ValueError, match="shard must be less than 4, got 4"):
        run_shard(job, 4)


def test_the_model_is_left_as_found(tmp_path):
    net = make_net()
    net[0].weight.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in net.parameters()]
    audit(net, make_rows(), IG, "insertion", tmp_path)
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"methods": []}, ValueError, "methods must name at least one method"),
        ({"methods": "no_such"}, ValueError, "method must be one of"),
        ({"methods": ["saliency", "saliency"]}, ValueError, "'saliency' twice"),
        ({"methods": "feature_permutation"}, ValueError, "explain each example by itself"),
        ({"methods": ("saliency", {"target": 1})}, ValueError, "must not have target"),
        ({"methods": [("saliency", 3)]}, TypeError, "methods must be names, or pairs"),
        ({"methods": {"a.b": "saliency"}}, ValueError, "letters, numbers"),
        ({"metrics": "no_such"}, ValueError, "metrics must be one of"),
        ({"metrics": {"gap": "insertion"}}, ValueError, "rows do not have yet"),
        ({"metrics": {"a": "principles", "a_P1": "insertion"}}, ValueError, "'a_P1' twice"),
        ({"metrics": 3}, TypeError, "metrics must be names or functions"),
        ({"target": "best"}, ValueError, "target must be one of 'prediction', 'label'"),
        ({"target": [1, 2]}, ValueError, "one index for each of 23 examples"),
        ({"target": 1.5}, TypeError, "target must be an integer"),
        ({"label": "y"}, ValueError, "label must be None but for tables"),
        ({"baselines": torch.zeros(23, 6)}, ValueError, r"must serve all examples, .*\[1, 6\]"),
        ({"reduce": "median"}, ValueError, "reduce must be one of"),
        ({"dtype": "int8"}, ValueError, "dtype must be one of"),
        ({"top_k": 0}, ValueError, "top_k must be at least 1"),
        ({"top_k": 1.5}, ValueError, "top_k must be a count, or a fraction"),
        ({"out": None}, TypeError, "out must be a folder, got None"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"shard_size": 0}, ValueError, "shard_size must be at least 1"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"on_error": "skip"}, ValueError, "on_error must be one of"),
        ({"workers": -1}, ValueError, "workers must be at least 0"),
        ({"threads": 0}, ValueError, "threads must be at least 1"),
        ({"maps": "yes"}, TypeError, "maps must be True or False, got 'yes'"),
        ({"progress": 3}, TypeError, "progress must be callable or None, got 3"),
        ({"shard": "4/4"}, ValueError, "shard must be 'i/n'"),
        ({"shard": 1}, TypeError, "shard must be a text"),
        ({"model": "nowhere"}, ValueError, "model must be a callable or 'module:function'"),
        ({"model": 3}, TypeError, "model must be callable"),
        ({"reduce": "sum"}, ValueError, "reduce must be None for attributions without channels"),
    ],
)
def test_arguments_are_checked(net, tmp_path, change, error, message):
    given = {"model": net, "dataset": make_rows(), "methods": IG, "out": tmp_path / "new"}
    with pytest.raises(error, match=message):
        audit(**{**given, **change})
    assert not (tmp_path / "new" / "shards" / "000000.json").exists()


def test_without_pyarrow_the_error_says_how_to_get_it(net, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'audits need pyarrow>=15; .*"\.\[audit\]"'):
        audit(net, make_rows(), "saliency", out=tmp_path)


@pytest.mark.parametrize("on_error", ["record", "raise"])
def test_a_call_that_is_put_right_finds_a_free_folder(net, tmp_path, on_error):
    given = {"out": tmp_path, "on_error": on_error}
    for methods, more in ((["saliency"], {"target": 9}), ([("saliency", {"abz": 1})], {})):
        with pytest.raises((ValueError, TypeError), match=r"less than 3, got 9|'abz'"):
            audit(net, make_rows(), methods, **given, **more)
        assert files_of(tmp_path) == {}
    assert audit(net, make_rows(), ["saliency"], **given).complete


def test_a_refused_call_leaves_what_another_has_planned(net, tmp_path):
    prepare(net, make_rows(), [("saliency", {"abz": 1})], out=tmp_path)
    with pytest.raises(ValueError, match="'abz'"):
        audit(net, make_rows(), [("saliency", {"abz": 1})], out=tmp_path)
    assert (tmp_path / "audit.json").is_file()


def test_outputs_of_several_dimensions_are_those_of_their_target(tmp_path):
    net, rows = make_net(), make_rows(5)

    def two(x):  # [batch, 3, 2]
        return torch.stack([net(x), 2 * net(x)], 2)

    methods = [IG, "saliency"]
    found = audit(two, rows, methods, out=tmp_path, target=(2, 1), on_error="raise").rows()
    expected = np.repeat(2 * net(rows)[:, 2].detach().double().numpy(), 2)
    np.testing.assert_allclose(found.output, expected, rtol=1e-6)
    assert found.prediction.isna().all()  # which of the six there is no name for
    start = 2 * net(torch.zeros(1, 6))[0, 2].item()
    gaps = found[found.method == IG[0]]
    np.testing.assert_allclose(
        gaps.relative_gap, (gaps.gap / (gaps.output - start)).abs(), rtol=1e-5
    )


def test_one_index_may_stand_in_a_tuple(net, tmp_path):
    rows = make_rows(4)
    found = [
        audit(net, rows, "saliency", out=tmp_path / name, target=target).rows()
        for name, target in (("tuple", (2,)), ("number", 2))
    ]
    assert found[0].output.equals(found[1].output)
    assert found[0].prediction.equals(found[1].prediction)
