"""What `pyxai explain` reads and writes: models, tables, pictures, and files that are refused."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import zipfile

import numpy as np
import pandas
import pytest
import torch
from matplotlib import pyplot
from PIL import Image
from safetensors.torch import save_file

import pyxai
from pyxai.cli.files.inputs import load_inputs
from pyxai.cli.files.models import load_model
from pyxai.cli.files.outputs import as_json

TABLE = "name,age,height,weight,pulse\nAnn,3,1.5,-2,0.5\nBob,1,0.5,2,1.5\n"


def made():
    import nets

    return nets.make().eval()


def test_a_module_is_explained_in_eval_mode_and_with_the_weights_of_a_file(folder, said):
    (folder / "rows.csv").write_text(TABLE)
    sys.path.insert(0, "")
    model = made()
    for parameter in model.parameters():
        parameter.data += 0.25
    x = torch.tensor([[3, 1.5, -2, 0.5], [1, 0.5, 2, 1.5]])
    want = pyxai.explain(model, x, method="saliency", target=1).attributions
    save_file(model.state_dict(), "w.safetensors")
    torch.save(model.state_dict(), "w.pt")
    torch.save({"epoch": 3, "state_dict": model.state_dict()}, "w.ckpt")
    for name in ("w.safetensors", "w.pt", "w.ckpt"):
        words = ("--drop", "name", "--method", "saliency", "--target", "1", "--save", "e.npy")
        said("nets:make", "rows.csv", "--weights", name, *words)
        np.testing.assert_array_equal(np.load("e.npy"), want.numpy())


def test_weights_that_fit_nothing(folder, said):
    np.save("x.npy", np.ones((2, 4)))
    save_file({"0.weight": torch.ones(8, 4)}, "part.safetensors")
    (folder / "junk.pt").write_bytes(b"junk")
    for name, text in (
        ("part.safetensors", "--weights must hold the parameters of the model, got 'part.safet"),
        ("part.safetensors", "Missing key(s)"),
        ("junk.pt", "--weights must hold the parameters of the model, got 'junk.pt'"),
        ("no.pt", "--weights must be a file, got 'no.pt': no such file"),
    ):
        assert text in said("nets:make", "x.npy", "--weights", name, status=1)
    more = ("x.npy", "--weights", "part.safetensors")
    assert "--weights must come with module:function" in said("junk.pt", *more, status=1)
    text = said("nets:function", *more, status=1)
    assert "--weights must come with an nn.Module, which 'nets:function' does not make" in text
    alone = said("part.safetensors", "x.npy", status=1)
    assert "holds weights and no program: give the code" in alone
    assert "--weights part.safetensors" in alone


class Mine:
    """An object whose reading runs code: it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def with_pickle(source, target, member):
    """Copy an archive with something else in place of a member."""
    content = io.BytesIO()
    torch.save(((Mine(),), {}), content)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, content.getvalue() if member in name else old.read(name))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_nothing_that_is_pickled_is_run_without_trust(folder, exported, said):
    np.save("x.npy", np.ones((2, 4)))
    np.save("o.npy", np.array([Mine()], dtype=object), allow_pickle=True)
    torch.save(Mine(), "o.pt")
    torch.save({"weight": Mine()}, "w.pt")
    with_pickle(exported, "evil.pt2", "sample_inputs")
    for words in (
        ("o.pt", "x.npy"),
        ("evil.pt2", "x.npy"),
        (exported, "o.pt"),
        (exported, "o.npy"),
        (exported, "x.npy", "--baselines", "o.pt"),
        (exported, "x.npy", "--option", "feature_mask=o.pt"),
        ("nets:make", "x.npy", "--weights", "w.pt"),
    ):
        text = said(*words, status=1)
        assert "--trust" in text or "allow_pickle" in text, text
        assert not (folder / "ran").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    said("o.pt", "x.npy", "--trust", status=1)
    assert (folder / "ran").is_dir()


def test_machine_code_is_not_loaded_without_trust(folder, exported, said):
    np.save("x.npy", np.ones((2, 4)))
    with zipfile.ZipFile(exported, "a") as archive:
        archive.writestr("model/data/aotinductor/model/a.so", b"code")
    assert "model must hold no machine code without --trust" in said(exported, "x.npy", status=1)


def test_a_pickled_module_is_read_with_trust(folder, model, said):
    np.save("x.npy", np.ones((2, 4)))
    torch.save(model.train(), "model.pth")
    assert "holds a pickled module or other Python objects" in said("model.pth", "x.npy", status=1)
    assert "Explanation by integrated_gradients" in said("model.pth", "x.npy", "--trust")
    assert not load_model("model.pth", None, True).training


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*TorchScript:DeprecationWarning")
def test_what_looks_inside_a_model_points_from_torchscript_to_exported_programs(
    folder, model, inputs, said
):
    torch.jit.trace(model, inputs).save("script.pt")
    np.save("x.npy", inputs.numpy())
    for method in ("deep_lift", "lrp"):
        text = said("script.pt", "x.npy", "--method", method, status=1)
        assert f"must be one that can be traced, for {method}, got a TorchScript file" in text
        assert "save it by torch.export.save as .pt2" in text
    np.save("x.npy", np.ones((2, 3)))
    text = said("script.pt", "x.npy", status=1)
    assert "inputs must have 4 feature(s), as the first layer of the model takes (Linear)" in text
    assert "got 3; its error: RuntimeError: mat1 and mat2" in text


def test_a_wrong_number_of_columns_is_said_with_their_names(folder, exported, said):
    (folder / "rows.csv").write_text(TABLE)
    words = ("rows.csv", "--columns", "age,pulse,height")
    text = said(exported, *words, status=1)
    assert "inputs must have 4 columns, as the model takes, got 3: age, pulse, height" in text
    text = said("nets:make", *words, status=1)
    assert (
        "inputs must have 4 column(s), as the first layer of the model takes (Linear), got 3"
        in text
    )
    assert "age, pulse, height" in text
    np.save("x.npy", np.ones((2, 3)))
    text = said(exported, "x.npy", status=1)
    assert "inputs must have shape [any, 4], as the model takes, got [2, 3]" in text


def test_columns_are_chosen_and_ordered(folder, said):
    (folder / "rows.csv").write_text(TABLE)
    words = ("--method", "saliency", "--target", "0")
    for chosen in (("--drop", "name"), ("--columns", "age,height,weight,pulse")):
        first = json.loads(said("nets:make", "rows.csv", *chosen, *words, "--json"))
        assert first["feature_names"] == ["age", "height", "weight", "pulse"]
    turned = ("--columns", "pulse,weight,height,age")
    other = json.loads(said("nets:make", "rows.csv", *turned, *words, "--json"))
    assert other["feature_names"] == ["pulse", "weight", "height", "age"]
    assert other["outputs"] != first["outputs"]


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        ("a.csv", TABLE, (), "got words in 1 column(s) of 'a.csv': name (such as 'Ann'); leave"),
        ("a.csv", TABLE, (), "--drop name, or write them as numbers"),
        ("a.csv", TABLE, ("--drop", "nane"), "--drop must name columns of the table, got nane; it"),
        ("a.csv", "a,b,c,d\n1,,3,4\n", (), "1 value(s), the first in row 0 (from 0), column 'b'"),
        (
            "a.csv",
            "5.1,3.5,1.4,0.2\n4,3,1,0\n",
            (),
            "first line of 'a.csv', got 5.1, 3.5, 1.4, 0.2",
        ),
        ("a.csv", "5.1,5.1,1.4,0.2\n4,3,1,0\n", (), "give --no-header if these are a row"),
        ("a.csv", "", (), "inputs must be a table, got 'a.csv'"),
        ("a.csv", "a,b,c,d\n", (), "inputs must hold numbers, got shape [0, 4]"),
        (
            "a.xlsx",
            "",
            (),
            "inputs must be a file of one of .npy, .npz, .pt, .pth, .safe",
        ),
        ("b.csv", "", (), "inputs must be a file, got 'a.csv': no such file"),
    ],
)
def test_tables_that_are_none_yet(name, content, more, message, folder, said):
    (folder / name).write_text(content)
    asked = "a.csv" if name == "b.csv" else name
    assert message in said("nets:make", asked, *more, status=1)


@pytest.mark.parametrize(
    ("name", "content", "more"),
    [
        ("a.csv", "0,1,2,3\n3,1.5,-2,0.5\n", ()),  # as pandas numbers columns
        ("a.csv", "2019,2020,2021,2022\n3,1.5,-2,0.5\n", ("--header",)),
        ("a.csv", "3,1.5,-2,0.5\n", ("--no-header",)),
        ("a.csv", "a;b;c;d\n3;1.5;-2;0.5\n", ()),
        ("a.csv", "3;1.5;-2;0.5\n", ("--no-header",)),
        ("a.tsv", "a\tb\tc\td\n3\t1.5\t-2\t0.5\n", ()),
        ("a.CSV", "\ufeffa,b,c,d\n3,1.5,-2,0.5\n", ()),
    ],
)
def test_forms_of_tables(name, content, more, folder, said):
    (folder / name).write_text(content, encoding="utf-8")
    found = json.loads(said("nets:make", name, *more, "--method", "input_x_gradient", "--json"))
    sys.path.insert(0, "")
    x = torch.tensor([[3, 1.5, -2, 0.5]])
    target = made()(x).argmax(1)
    want = pyxai.explain(made(), x, method="input_x_gradient", target=target)
    np.testing.assert_allclose(found["attributions"], want.attributions.numpy(), rtol=1e-6)
    header = content.lstrip("\ufeff").splitlines()[0]
    names = None if more == ("--no-header",) else header.replace(";", ",").replace("\t", ",")
    assert found["feature_names"] == (names and names.split(","))


def test_baselines_of_a_table(folder, said):
    (folder / "rows.csv").write_text(TABLE)
    (folder / "mean.csv").write_text("name,age,height,weight,pulse\nmean,2,1,0,1\n")
    words = ("nets:make", "rows.csv", "--drop", "name", "--target", "1", "--json")
    found = json.loads(said(*words, "--baselines", "mean.csv"))
    x = torch.tensor([[3, 1.5, -2, 0.5], [1, 0.5, 2, 1.5]])
    start = torch.tensor([[2.0, 1, 0, 1]])
    want = pyxai.explain(made(), x, method="integrated_gradients", target=1, baselines=start)
    np.testing.assert_allclose(found["attributions"], want.attributions.numpy(), rtol=1e-5)
    (folder / "mean.csv").write_text("height,age,weight,pulse\n1,2,0,1\n")
    assert json.loads(said(*words, "--baselines", "mean.csv")) == found
    (folder / "mean.csv").write_text("height,age,weight\n1,2,0\n")
    text = said(*words, "--baselines", "mean.csv", status=1)
    assert (
        "baselines must have the columns of the inputs, got no pulse; there are height, age" in text
    )


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def test_pictures_get_the_channels_that_the_model_takes(folder, said):
    grey = pixels(8, 6)
    Image.fromarray(grey).save("grey.png")
    Image.fromarray(pixels(8, 6, 3)).save("colour.png")
    words = ("--method", "saliency", "--target", "0", "--json")
    assert json.loads(said("nets:grey", "grey.png", *words))["shape"] == [1, 1, 8, 6]
    assert json.loads(said("nets:Bright", "grey.png", *words))["shape"] == [1, 3, 8, 6]
    text = said("nets:grey", "colour.png", *words, status=1)
    assert (
        "inputs must have 1 channel(s), as the first layer of the model takes (Conv2d), got 3"
        in text
    )


def test_transparent_pixels_are_white_and_cameras_are_held_upright(folder):
    clear = pixels(2, 3, 4)
    clear[..., 3] = 0
    clear[0, 0, 3] = 255
    Image.fromarray(clear, "RGBA").save("clear.png")
    found = load_inputs(folder / "clear.png")[0]
    assert torch.equal(found[:, 0, 0], torch.tensor(clear[0, 0, :3]) / 255)
    assert (found.flatten(1)[:, 1:] == 1).all()
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6
    Image.fromarray(pixels(2, 3, 3)).save("turned.png", exif=on_its_side)
    assert load_inputs(folder / "turned.png").shape == (1, 3, 3, 2)
    Image.fromarray(pixels(2, 3).astype(np.uint16) * 200).save("deep.png")
    with pytest.raises(ValueError, match="inputs must be a picture of 8 bits for each channel"):
        load_inputs(folder / "deep.png")


def test_every_format_that_is_written_holds_the_attributions(folder, said):
    (folder / "rows.csv").write_text(TABLE)
    words = ("nets:make", "rows.csv", "--drop", "name", "--target", "1")
    for suffix in (".safetensors", ".npz", ".npy", ".csv", ".parquet"):
        said(*words, "--save", f"e{suffix}")
    want = pyxai.Explanation.load("e.safetensors")
    values = want.attributions.numpy()
    np.testing.assert_array_equal(np.load("e.npy"), values)
    arrays = np.load("e.npz")
    np.testing.assert_array_equal(arrays["attributions"], values)
    np.testing.assert_array_equal(arrays["convergence_delta"], want.convergence_delta.numpy())
    assert arrays["feature_names"].tolist() == ["age", "height", "weight", "pulse"]
    for read, path in ((pandas.read_csv, "e.csv"), (pandas.read_parquet, "e.parquet")):
        table = read(path)
        assert list(table.columns[:4]) == ["row", "target", "outputs", "convergence_delta"]
        np.testing.assert_allclose(table[["age", "height", "weight", "pulse"]], values, rtol=1e-6)
        np.testing.assert_allclose(table["outputs"], want.outputs, rtol=1e-6)
    with open("e.csv", newline="") as file:
        assert len(list(csv.reader(file))) == 3


@pytest.mark.parametrize("name", ["e", "e.txt", "e.pickle", "e.png"])
def test_names_that_say_no_format_are_refused_before_the_work(name, folder, said, monkeypatch):
    monkeypatch.setattr(pyxai, "explain", None)
    np.save("x.npy", np.ones((2, 4)))
    text = said("nets:make", "x.npy", "--save", name, status=1)
    assert "--save must end in one of .safetensors, .npz, .npy, .csv, .parquet, got" in text
    text = said("nets:make", "x.npy", "--plot", f"{name}.gif", status=1)
    assert "--plot must end in one of .png, .svg, .pdf, got" in text


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_pictures_are_written(suffix, start, folder, said):
    np.save("x.npy", np.ones((2, 4)))
    said("nets:make", "x.npy", "--plot", f"new/why{suffix}")
    assert (folder / f"new/why{suffix}").read_bytes().startswith(start)
    Image.fromarray(pixels(8, 6, 3)).save("photo.png")
    said("nets:Bright", "photo.png", "--plot", f"map{suffix}")
    assert (folder / f"map{suffix}").read_bytes().startswith(start)


def test_the_plot_fits_what_is_drawn(folder, said, monkeypatch):
    np.save("x.npy", np.random.default_rng(0).normal(size=(5, 4)))
    Image.fromarray(pixels(8, 6, 3)).save("photo.png")
    drawn = []
    plot = pyxai.Explanation.plot
    monkeypatch.setattr(
        pyxai.Explanation, "plot", lambda self, kind: drawn.append(kind) or plot(self, kind)
    )
    for words in (
        ("nets:make", "x.npy"),
        ("nets:make", "x.npy", "--rows", "1"),
        ("nets:make", "x.npy", "--rows", "1", "--method", "saliency"),
        ("nets:Bright", "photo.png"),
    ):
        said(*words, "--plot", "why.png")
    assert drawn == ["beeswarm", "waterfall", "bar", None]
    assert not pyplot.get_fignums()


def test_json_says_all_and_nothing_else_is_printed(folder, said, capsys):
    (folder / "rows.csv").write_text(TABLE)
    words = ("nets:make", "rows.csv", "--drop", "name", "--json", "--save", "e.safetensors")
    found = json.loads(said(*words))
    want = pyxai.Explanation.load("e.safetensors")
    assert found["method"] == "integrated_gradients"
    assert found["rows"] == 2
    assert found["target"] == want.target.tolist()
    assert found["shape"] == [2, 4]
    for name in ("attributions", "outputs", "convergence_delta"):
        np.testing.assert_allclose(found[name], getattr(want, name), rtol=1e-6)
    unknown = torch.tensor([[float("inf"), 1.0]])
    by_hand = pyxai.Explanation(unknown * 0 + 2, unknown, method="by_hand", error=unknown)
    assert json.loads(as_json(by_hand))["error"] == [[None, 1.0]]
    np.save("big.npy", np.ones((1001, 100), dtype=np.float32))
    text = said("nets:make", "big.npy", "--json", status=1)
    assert "--json must be of at most 100000 values, got 100100: take fewer --rows" in text


def test_places_that_make_no_model(folder, said):
    np.save("x.npy", np.ones((2, 4)))
    for place, text in (
        ("netz:make", "got 'netz:make': No module named 'netz'"),
        ("nets:more", "module 'nets' has no attribute 'more'"),
        ("nets:number", "'int' object is not callable"),
    ):
        assert text in said(place, "x.npy", status=1)
