"""What is exported is what was found, read back by the tools that it is for."""

import json
import sys

import h5py
import numpy as np
import pytest
import torch
import xarray
import zarr
from audit_cases import Rows, make_labels, make_net, make_rows

from pyxai.audit import audit, load, prepare, run_shard
from pyxai.audit.done_shards import DoneShards
from pyxai.audit.export import zarr_store

METHODS = ["saliency", ("integrated_gradients", {"n_steps": 3})]


class Two(torch.nn.Module):
    def forward(self, first, second):
        return first.sum(1, keepdim=True) * second.flatten(1).sum(1, keepdim=True)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return an audit of 23 rows in shards of 5, one of which holds no answer at all."""
    data = Rows(make_rows(), make_labels(), unreadable=(2, *range(5, 10)))
    out = tmp_path_factory.mktemp("export")
    return audit(make_net(), data, METHODS, out=out, shard_size=5, dtype="float16")


@pytest.fixture(params=["to_xarray", "to_zarr"])
def read(request, tmp_path):
    """Return a function from an audit to a dataset, directly or over a store."""
    if request.param == "to_xarray":
        yield lambda found, *methods: found.to_xarray(*methods)
        return
    opened = []

    def through_store(found, *methods):
        path = found.to_zarr(tmp_path / "store.zarr", *methods)
        opened.append(xarray.open_zarr(path))
        return opened[-1]

    yield through_store
    for each in opened:
        each.close()


def test_maps_and_coordinates_are_those_of_the_audit(found, read):
    data, rows = read(found), found.rows()
    assert set(data.data_vars) == set(found.methods)
    rows = rows[rows.method == "saliency"]
    for name in ("id", "target", "label", "prediction"):
        np.testing.assert_array_equal(data[name], rows[name].to_numpy(float, na_value=np.nan))
    assert data.sizes == {"id": 23, "feature": 6}
    for method in found.methods:
        assert data[method].dtype == np.float16
        np.testing.assert_array_equal(data[method], found.maps(method))
    assert np.isnan(data.saliency).all("feature").sum() == 6
    assert json.loads(data.attrs["audit"]) == found.plan


def test_selections_are_those_of_arrays(found, read):
    data, whole = read(found), found.maps("saliency").numpy()
    for key in (
        *((3,), (slice(4, 17, 3),), (slice(None, None, -4),), ([20, 1, 1, 7],)),
        *((12, 2), (slice(3, 9), slice(1, 5, 2)), ([3, 22], [5, 0]), (-1, slice(None))),
    ):
        named = dict(zip(("id", "feature"), key, strict=False))
        expected = whole[key[0]]
        if len(key) == 2:
            expected = expected[..., key[1]]
        np.testing.assert_array_equal(data.saliency.isel(**named), expected)
    mean = data.integrated_gradients.mean("id")
    np.testing.assert_allclose(
        mean, np.nanmean(found.maps("integrated_gradients").float(), 0), rtol=1e-2
    )
    by_class = data.saliency.astype("float64").groupby("target").mean()
    for target, maps in found.class_maps("saliency").items():
        np.testing.assert_allclose(by_class.sel(target=target), maps.mean, rtol=1e-6)


def test_only_what_is_asked_for_is_read(found, monkeypatch):
    read, real = [], DoneShards.stored_maps
    monkeypatch.setattr(
        DoneShards, "stored_maps", lambda self, shard: read.append(shard) or real(self, shard)
    )
    fresh = load(found.folder.path)
    data = fresh.to_xarray("saliency")
    assert list(data.data_vars) == ["saliency"]
    assert read == [0]  # for the shape
    np.asarray(data.saliency.sel(id=[11, 12, 21]))
    assert read == [0, 2, 4]


def test_a_store_is_written_shard_by_shard(found, monkeypatch, tmp_path):
    read, real = [], DoneShards.stored_maps
    monkeypatch.setattr(
        DoneShards, "stored_maps", lambda self, shard: read.append(shard) or real(self, shard)
    )
    load(found.folder.path).to_zarr(tmp_path / "a")
    assert read == [0, 0, 0, 1, 2, 3, 4]  # two of them for the shapes of two methods


def test_sparse_maps_and_bfloat16(read, tmp_path):
    rows = make_rows(7)
    rows[4] = torch.nan
    options = {"top_k": 2, "dtype": "bfloat16", "shard_size": 3}
    found = audit(make_net(), rows, "saliency", out=tmp_path / "audit", **options)
    data = read(found)
    assert data.saliency.dtype == np.float32
    np.testing.assert_array_equal(data.saliency, found.maps("saliency").float())
    assert (np.asarray(data.saliency) != 0).sum(1).tolist() == [2] * 4 + [6] + [2] * 2


def test_several_inputs_and_other_sizes(read, tmp_path):
    data = (make_rows(5, 3), make_rows(5, 4).reshape(5, 2, 2))
    found = audit(Two(), data, ["saliency", "input_x_gradient"], out=tmp_path / "audit")
    shown = read(found)
    for method in found.methods:
        for number, part in enumerate(found.maps(method)):
            np.testing.assert_array_equal(shown[f"{method}.{number}"], part)
    for key in ((3, 1, 0), (slice(1, 4), 0, [1, 0]), ([4, 0], slice(None), 1)):
        named = dict(zip(("id", "dim_1_1", "dim_2_1"), key, strict=True))
        expected = found.maps("saliency")[1].numpy()[key[0]][..., key[1], :][..., key[2]]
        np.testing.assert_array_equal(shown["saliency.1"].isel(**named), expected)
    assert shown["saliency.0"].dims == ("id", "feature_0")
    assert shown["saliency.1"].dims == ("id", "dim_1_1", "dim_2_1")
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.Flatten(), torch.nn.Linear(18, 2))
    methods = ["saliency", ("layer_grad_cam", {"layer": net[0]})]
    both = audit(net, make_rows(3, 16).reshape(3, 1, 4, 4), methods, out=tmp_path / "b")
    shown = both.to_xarray()
    assert shown.saliency.dims == ("id", "dim_1", "dim_2", "dim_3")
    assert shown.layer_grad_cam.sizes == {
        **{"id": 3, "dim_1": 1, "layer_grad_cam_dim_2": 3, "layer_grad_cam_dim_3": 3}
    }


def test_chunks_are_shards_or_less(found, tmp_path, monkeypatch):
    group = zarr.open_group(str(found.to_zarr(tmp_path / "a")), mode="r")
    assert group["saliency"].chunks == (5, 6)
    monkeypatch.setattr(zarr_store, "_NUMBERS", 12)
    group = zarr.open_group(str(found.to_zarr(tmp_path / "b")), mode="r")
    assert group["saliency"].chunks == (2, 6)
    np.testing.assert_array_equal(group["saliency"][:], found.maps("saliency"))


EXPORTS = [
    lambda found, path: found.to_zarr(path),
    lambda found, path: found.to_virelay(path, *PICTURES),
]


@pytest.mark.parametrize("export", EXPORTS)
def test_a_store_is_whole_or_not_there(pictured, tmp_path, monkeypatch, export):
    (tmp_path / "taken").mkdir()
    with pytest.raises(ValueError, match="must be a new folder, got one that exists"):
        export(pictured, tmp_path / "taken")
    with pytest.raises(FileNotFoundError, match="must be in a folder that exists"):
        export(pictured, tmp_path / "no" / "where")
    real = DoneShards.stored_maps

    def torn(self, shard):
        if shard == 1:
            raise OSError("no space left")
        return real(self, shard)

    monkeypatch.setattr(DoneShards, "stored_maps", torn)
    with pytest.raises(OSError, match="no space left"):
        export(load(pictured.folder.path), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_what_cannot_be_exported_says_why(tmp_path, found):
    job = prepare(make_net(), make_rows(), "saliency", out=tmp_path / "a", shard_size=10)
    run_shard(job, 1)
    for export in (lambda each: each.to_xarray(), lambda each: each.to_zarr(tmp_path / "z")):
        with pytest.raises(ValueError, match=r"out must be complete .* 1 of 3 shard"):
            export(load(tmp_path / "a"))
        bare = audit(make_net(), make_rows(), "saliency", out=tmp_path / "b", maps=False)
        with pytest.raises(ValueError, match="maps must have been kept"):
            export(bare)
    with pytest.raises(ValueError, match="methods must be one of"):
        found.to_xarray("lime")
    with pytest.raises(ValueError, match="methods must name at least one method"):
        found.to_xarray([])


@pytest.mark.parametrize(
    ("module", "call", "message"),
    [
        ("xarray", lambda found: found.to_xarray(), r"to_xarray needs xarray"),
        ("zarr", lambda found: found.to_zarr("x"), r'to_zarr needs zarr.*"\.\[zarr\]"'),
        ("h5py", lambda found: found.to_virelay("x", 0), r'to_virelay needs h5py.*"\.\[virelay\]"'),
    ],
)
def test_without_a_package_the_error_says_how_to_get_it(found, monkeypatch, module, call, message):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=message):
        call(found)


def make_pictures(count=11):
    return make_rows(count, 48).reshape(count, 3, 4, 4), make_labels(count)


PICTURES = (Rows(*make_pictures(), unreadable=(4,)),)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 2), torch.nn.Flatten(), torch.nn.Linear(18, 3))

    class Odd(torch.nn.Module):
        def forward(self, x):
            if x.requires_grad and bool((x[:, 0, 0, 0] == make_pictures()[0][7, 0, 0, 0]).any()):
                raise RuntimeError("no gradient of example 7")
            return net(x)

    methods = ["saliency", "feature_ablation"]
    out = tmp_path_factory.mktemp("pictured")
    return audit(Odd(), *PICTURES, methods, out=out, shard_size=4)


def test_virelay_files_hold_what_its_specification_says(pictured, tmp_path):
    names = ("cat", "dog", "bird", "fish")
    folder = pictured.to_virelay(tmp_path / "out", *PICTURES, class_names=names)
    rows = pictured.rows().set_index(["method", "id"])
    good = [number for number in range(11) if number != 4]
    pictures, labels = make_pictures()
    with h5py.File(folder / "audit.input.h5") as file:
        assert file["data"].dtype == np.float32
        np.testing.assert_array_equal(file["data"], pictures[good])
        assert file["label"].dtype.kind == "u"
        np.testing.assert_array_equal(file["label"], labels[good])
        np.testing.assert_array_equal(file["id"], good)
    for method, answered in (("saliency", [n for n in good if n != 7]), ("feature_ablation", good)):
        assert rows.loc[method].error.isna().sum() == len(answered)
        with h5py.File(folder / f"{method}.attribution.h5") as file:
            assert file["index"].dtype.kind == "u"
            assert [good[at] for at in file["index"]] == answered
            np.testing.assert_array_equal(file["attribution"], pictured.maps(method, answered))
            mine = rows.loc[method].loc[answered]
            np.testing.assert_array_equal(file["label"], mine.target)
            assert file["prediction"].shape == (len(answered), 4)
            np.testing.assert_array_equal(np.argmax(file["prediction"], 1), mine.prediction)
        project = json.loads((folder / f"{method}.project.yaml").read_text())["project"]
        assert project["attributions"]["attribution_strategy"] == "predicted_label"
        paths = [project["label_map"], project["dataset"]["path"]]
        assert all((folder / p).is_file() for p in [*paths, *project["attributions"]["sources"]])
    listed = json.loads((folder / "label-map.json").read_text())
    assert [(each["index"], each["name"]) for each in listed] == list(enumerate(names))


def test_what_is_no_case_for_virelay_says_why(pictured, found, tmp_path):
    pictures, labels = make_pictures()
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
    for name, given, data, options, message in (
        ("a", pictured, (pictures, labels), {}, "dataset must be that of the audit, got another"),
        ("b", pictured, PICTURES[0], {"class_names": ["a"]}, "class_names must have at least 3"),
        ("c", None, pictures, {}, "every example a label, a whole number from 0"),
        ("d", None, (pictures, labels + 0.5), {}, "every example a label, a whole number from 0"),
        ("e", None, (pictures, labels), {"reduce": "sum"}, r"shape of the inputs, .* \[4, 4\] of"),
    ):
        reduce = options.pop("reduce", None)
        if given is None:
            given = audit(net, data, "saliency", out=tmp_path / name, reduce=reduce)
        with pytest.raises(ValueError, match=message):
            given.to_virelay(tmp_path / "out", data, **options)
    rows = Rows(make_rows(), make_labels(), unreadable=(2, *range(5, 10)))
    with pytest.raises(ValueError, match=r"for ViRelAy, got \[6\] of saliency"):
        found.to_virelay(tmp_path / "out", rows)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("target", "strategy"),
    [("label", "true_label"), (2, "2"), ([0, 1, 2] * 3 + [0, 1], "given")],
)
def test_virelay_is_told_what_was_explained(tmp_path, target, strategy):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
    pictures = make_pictures()
    found = audit(net, pictures, "saliency", out=tmp_path / "audit", target=target)
    folder = found.to_virelay(tmp_path / "out", pictures)
    project = json.loads((folder / "saliency.project.yaml").read_text())["project"]
    assert project["attributions"]["attribution_strategy"] == strategy
    with h5py.File(folder / "saliency.attribution.h5") as file:
        np.testing.assert_array_equal(file["label"], found.rows().target)
