"""What is read is what was found: maps in every stored form, statistics of all rows."""

import numpy as np
import pytest
import torch
from audit_cases import Rows, make_labels, make_net, make_rows

import pyxai
from pyxai.audit import audit, load, prepare, run_shard
from pyxai.audit.maps import REDUCTIONS


@pytest.fixture(scope="module")
def picture_net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 2, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(24, 2)
    )


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(7, 3, 5, 6, generator=torch.Generator().manual_seed(3))


def whole(net, pictures):
    target = net(pictures).argmax(1)
    return pyxai.explain(net, pictures, method="saliency", target=target).attributions


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_reductions(picture_net, pictures, tmp_path, reduce):
    net = torch.nn.Sequential(picture_net, torch.nn.Linear(2, 2))
    target = net(pictures).argmax(1)
    asked = {"method": "input_x_gradient", "target": target}
    values = pyxai.explain(net, pictures, **asked).attributions.detach().numpy()
    expected = {
        "sum": values.sum(1),
        "mean": values.mean(1),
        "abs_sum": np.abs(values).sum(1),
        "abs_max": np.abs(values).max(1),
        "norm": np.linalg.norm(values, axis=1),
    }[reduce]
    found = audit(net, pictures, "input_x_gradient", out=tmp_path, reduce=reduce, shard_size=3)
    np.testing.assert_allclose(found.maps("input_x_gradient"), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_dtypes(picture_net, pictures, tmp_path, dtype):
    found = audit(picture_net, pictures, "saliency", out=tmp_path, dtype=dtype).maps("saliency")
    assert found.dtype == getattr(torch, dtype)
    expected = whole(picture_net, pictures).to(found.dtype)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("top_k", [4, 0.1])
def test_the_largest_values_alone(picture_net, pictures, tmp_path, top_k):
    count = 4 if top_k == 4 else 9  # of 90
    full = whole(picture_net, pictures)
    found = audit(
        picture_net, pictures, ["saliency"], out=tmp_path, top_k=top_k, shard_size=2
    ).maps("saliency")
    assert found.shape == full.shape
    kept = found != 0
    assert kept.flatten(1).sum(1).tolist() == [count] * 7
    torch.testing.assert_close(found[kept], full[kept])
    for row, map_ in zip(kept, full, strict=True):
        assert map_[row].abs().min() >= map_[~row].abs().max()


def test_a_value_out_of_range_is_an_error_of_its_row(tmp_path):
    rows = make_rows(5)
    rows[3] = 1e6
    model = torch.nn.Linear(6, 1)
    found = audit(model, rows, "input_x_gradient", out=tmp_path, dtype="float16")
    assert found.rows().error.notna().tolist() == [False, False, False, True, False]
    assert "must lie within 65504 for dtype float16" in found.rows().error[3]
    assert found.maps("input_x_gradient").isfinite().all(1).tolist() == [True] * 3 + [False, True]


def test_maps_by_number(tmp_path):
    found = audit(make_net(), make_rows(), "saliency", out=tmp_path, shard_size=4)
    full = found.maps("saliency")
    assert found.maps("saliency", [22, 0, 5, 5]).equal(full[[22, 0, 5, 5]])
    assert found.maps("saliency", 8).equal(full[8])
    assert found.maps("saliency", range(3, 6)).equal(full[3:6])
    for ids, error in ((23, ValueError), (-1, ValueError), ([0.5], TypeError)):
        with pytest.raises(error, match="ids must be"):
            found.maps("saliency", ids)
    with pytest.raises(ValueError, match="method must be one of 'saliency', got 'lime'"):
        found.maps("lime")


def test_without_maps(tmp_path):
    found = audit(make_net(), make_rows(), "saliency", "sparseness", tmp_path, maps=False)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert found.rows().sparseness.notna().all()
    with pytest.raises(ValueError, match="maps=False"):
        found.maps("saliency")


def test_an_audit_on_its_way_can_be_read(tmp_path):
    job = prepare(make_net(), make_rows(), "saliency", out=tmp_path, shard_size=10)
    found = load(tmp_path)
    with pytest.raises(ValueError, match="got none"):
        found.rows()
    run_shard(job, 1)
    assert not found.complete
    assert "1 of 3 shard(s) done" in repr(found)
    assert found.rows(["id"]).id.tolist() == list(range(10, 20))
    assert found.maps("saliency", 15).shape == (6,)
    with pytest.raises(ValueError, match="got it missing"):
        found.maps("saliency", 3)
    with pytest.raises(ValueError, match="out must be merged"):
        found.statistics()
    with pytest.raises(FileNotFoundError, match="folder of an audit"):
        load(tmp_path / "nothing")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    data = Rows(make_rows(40), make_labels(40), unreadable=(6, 7))
    methods = ["saliency", ("integrated_gradients", {"n_steps": 4})]
    out = tmp_path_factory.mktemp("statistics")
    return audit(make_net(), data, methods, "sparseness", out, shard_size=7)


def test_statistics_are_those_of_the_rows(table):
    rows, statistics = table.rows(), table.statistics()
    assert set(statistics.column) == {"output", "gap", "relative_gap", "sparseness"}
    for _, line in statistics.iterrows():
        mine = rows[rows.method == line.method]
        if line["class"] == line["class"]:
            mine = mine[mine.target == line["class"]]
        values = mine[line.column].dropna()
        assert (line["count"], line.errors) == (len(values), mine.error.notna().sum())
        if len(values) < 2:
            continue
        assert line["mean"] == pytest.approx(values.mean())
        assert line["std"] == pytest.approx(values.std())
        assert line.standard_error == pytest.approx(values.sem())
        assert line.high_95 - line.low_95 == pytest.approx(2 * 1.96 * values.sem(), rel=1e-3)
        for level in (5, 25, 50, 75, 95):
            assert line[f"q{level:02}"] == pytest.approx(values.quantile(level / 100))
        assert (line["min"], line["max"]) == (values.min(), values.max())


def test_extremes_are_those_of_the_rows(table):
    rows = table.rows()
    mine = rows[rows.method == "integrated_gradients"].dropna(subset="gap").set_index("id").gap
    expected = list(mine.sort_values(ascending=False).head(5).items())
    assert table.extremes("gap", "integrated_gradients", 5) == expected
    smallest = table.extremes("gap", "integrated_gradients", 3, largest=False)
    assert smallest == list(mine.sort_values().head(3).items())
    with pytest.raises(ValueError, match="column must be one of"):
        table.extremes("seconds", "saliency")


def test_metrics_without_a_number_are_no_extremes(tmp_path):
    def odd(model, inputs, attributions, *, target):
        values = attributions.sum(1)
        return values.where(torch.arange(len(values)) % 3 != 1, torch.nan)

    found = audit(make_net(), make_rows(9), "saliency", {"odd": odd}, tmp_path)
    assert {number % 3 for number, _ in found.extremes("odd", "saliency", 9)} == {0, 2}
    assert len(found.extremes("odd", "saliency", 9)) == 6


def test_class_maps_are_means_of_the_maps(table):
    rows = table.rows()
    mine = rows[rows.method == "saliency"]
    maps = table.maps("saliency").double()
    classes = table.class_maps("saliency")
    assert sum(each.count for each in classes.values()) == 38
    for target, found in classes.items():
        values = maps[torch.tensor((mine.target == target).to_numpy())]
        assert found.count == len(values)
        torch.testing.assert_close(found.mean, values.mean(0))
        torch.testing.assert_close(found.std, values.std(0))


def test_a_shard_of_bad_rows_has_maps_of_nothing(tmp_path):
    data = Rows(make_rows(12), unreadable=range(4, 8))
    found = audit(make_net(), data, "saliency", out=tmp_path, shard_size=4, dtype="float16")
    maps = found.maps("saliency")
    assert maps.isnan().all(1).tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert sum(each.count for each in found.class_maps("saliency").values()) == 8
