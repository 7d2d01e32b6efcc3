"""The command line: every verb does what its help says, and errors are one line."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from html_reader import Reader
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import pyxai
from pyxai import cli
from pyxai.cli.files.inputs import load_inputs
from pyxai.cli.question import option_of

ROOT = Path(__file__).parents[2]


def test_explain_gives_what_the_package_gives(exported, rows, model, inputs, tmp_path, capsys):
    saved = tmp_path / "out.safetensors"
    assert cli.main(["explain", str(exported), str(rows), "--save", str(saved)]) == 0
    target = model(inputs).argmax(1)
    expected = pyxai.explain(model, inputs, method="integrated_gradients", target=target)
    explanation = pyxai.Explanation.load(saved)
    torch.testing.assert_close(explanation.attributions, expected.attributions)
    assert torch.equal(explanation.target, target)
    printed = capsys.readouterr()
    assert "integrated_gradients" in printed.out
    assert printed.err == f"wrote {saved}\n"


def test_target_rows_and_method_are_followed(exported, rows, model, inputs, tmp_path):
    saved = tmp_path / "out.safetensors"
    arguments = ["--method", "saliency", "--target", "2", "--rows", "3", "--save", str(saved)]
    assert cli.main(["explain", str(exported), str(rows), *arguments]) == 0
    expected = pyxai.explain(model, inputs[:3], method="saliency", target=2)
    torch.testing.assert_close(pyxai.Explanation.load(saved).attributions, expected.attributions)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch plans to drop it
@pytest.mark.filterwarnings("ignore:.*TorchScript:DeprecationWarning")
def test_torchscript_models_are_read(model, rows, tmp_path, inputs):
    path, saved = tmp_path / "model.pt", tmp_path / "out.safetensors"
    torch.jit.trace(model, inputs).save(str(path))
    arguments = ["--method", "input_x_gradient", "--target", "0", "--save", str(saved)]
    assert cli.main(["explain", str(path), str(rows), *arguments]) == 0
    expected = pyxai.explain(model, inputs, method="input_x_gradient", target=0)
    torch.testing.assert_close(pyxai.Explanation.load(saved).attributions, expected.attributions)


def test_all_forms_of_inputs_are_read(inputs, tmp_path):
    np.savez(tmp_path / "a.npz", rows=inputs.numpy())
    torch.save(inputs, tmp_path / "a.pt")
    save_file({"rows": inputs}, tmp_path / "a.safetensors")
    np.save(tmp_path / "a.npy", inputs.numpy())
    np.save(tmp_path / "int.npy", np.arange(6).reshape(2, 3))
    for name in ("a.npz", "a.pt", "a.safetensors", "a.npy"):
        assert torch.equal(load_inputs(tmp_path / name), inputs)
    assert load_inputs(tmp_path / "int.npy").dtype == torch.float32
    np.savez(tmp_path / "two.npz", a=inputs.numpy(), b=inputs.numpy())
    with pytest.raises(ValueError, match="inputs must hold one tensor, got 2: a, b"):
        load_inputs(tmp_path / "two.npz")


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_inputs(tmp_path / "a.npy")


def test_reports_are_written(exported, rows, tmp_path):
    saved, page, again = (tmp_path / name for name in ("e.safetensors", "a.html", "b.html"))
    command = ["explain", str(exported), str(rows), "--save", str(saved), "--report", str(page)]
    assert cli.main(command) == 0
    assert cli.main(["report", str(saved), "--out", str(again)]) == 0
    for path in (page, again):
        reader = Reader(path.read_text(encoding="utf-8"))
        assert all(f"Row {row}" in reader.words for row in range(5))
        assert "integrated gradients" in reader.words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["explain", "no.pt2", "no.npy"],
            "model must be a file that is there, or module:function, got 'no.pt2'",
        ),
        (["explain", "no.pt2", "no.npy", "--method", "salience"], "did you mean 'saliency'"),
        (["report", "no.safetensors"], "what must be the folder of an audit or the file of an"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys):
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith(f"pyxai {arguments[0]}: ")
    assert error.count("\n") == 1


def test_debug_shows_where_an_error_comes_from():
    with pytest.raises(FileNotFoundError):
        cli.main(["--debug", "report", "no.safetensors"])


def test_the_module_runs():
    done = subprocess.run(
        [sys.executable, "-m", "pyxai", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"pyxai {pyxai.__version__}"


def test_options_and_baselines_reach_the_method(exported, model, inputs, tmp_path):
    saved, rows, start = (tmp_path / name for name in ("out.safetensors", "x.npy", "b.npy"))
    np.save(rows, inputs.double().numpy())  # NumPy's own dtype, for a float32 model
    np.save(start, np.full(4, 0.25))
    arguments = ["--method", "integrated_gradients", "--target", "1", "--save", str(saved)]
    arguments += ["--option", "n_steps=7", "--option", "rule=riemann_left"]
    for given, baselines in ((str(start), torch.full((4,), 0.25)), ("0.5", 0.5)):
        command = ["explain", str(exported), str(rows), *arguments, "--baselines", given]
        assert cli.main(command) == 0
        expected = pyxai.explain(
            model,
            inputs,
            method="integrated_gradients",
            target=1,
            baselines=baselines,
            n_steps=7,
            rule="riemann_left",
        )
        found = pyxai.Explanation.load(saved).attributions
        torch.testing.assert_close(found, expected.attributions)


@pytest.mark.parametrize("text", ["[2]", "2,", "[2,]", "3"])
def test_options_are_json_or_numbers_with_commas(text):
    found = option_of(f"sliding_window_shapes={text}")[1]
    assert found == {"[2]": (2,), "2,": (2,), "[2,]": "[2,]", "3": 3}[text]
    assert option_of("n=1,2.5")[1] == (1, 2.5)
    assert option_of("rule=gamma")[1] == "gamma"


def test_lists_are_given_as_tuples(exported, rows, capsys):
    arguments = ["--method", "occlusion", "--option", "sliding_window_shapes=[2]"]
    assert cli.main(["explain", str(exported), str(rows), *arguments]) == 0
    assert "occlusion" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--rows", "0"], 2, "argument --rows: must be at least 1, got 0"),
        (["--option", "n_steps"], 1, "--option must be NAME=VALUE, got 'n_steps'"),
        (["--baselines", "nowhere.npy"], 1, "baselines must be a file, got 'nowhere.npy'"),
        (["--option", "target=1"], 1, "--option must name an argument of the method, got target"),
        (["--option", "method=lime"], 1, "got method, which is given by --method"),
        (["--option", "feature_mask=no.npy"], 1, "feature_mask must be a file, got 'no.npy'"),
    ],
)
def test_bad_arguments_of_explain_are_named(exported, rows, capsys, arguments, status, message):
    try:
        found = cli.main(["explain", str(exported), str(rows), *arguments])
    except SystemExit as stop:
        found = stop.code
    assert found == status
    assert message in capsys.readouterr().err


def test_inputs_that_are_not_finite_and_batches_that_a_program_refuses(
    model, inputs, tmp_path, exported, capsys
):
    rows, fixed = tmp_path / "x.npy", tmp_path / "fixed.pt2"
    np.save(rows, np.array([[0.0, 1.0, np.nan, 2.0]]))
    assert cli.main(["explain", str(exported), str(rows)]) == 1
    assert "inputs must be finite" in capsys.readouterr().err
    torch.export.save(torch.export.export(model, (inputs,)), fixed)
    np.save(rows, inputs[:3].numpy())
    assert cli.main(["explain", str(fixed), str(rows)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("pyxai explain: ")
    assert "exported for batches of one size: export it with dynamic_shapes, or" in error


@pytest.mark.parametrize("method", ["feature_ablation", "integrated_gradients"])
def test_tensors_reach_the_method_as_files(method, exported, rows, model, inputs, tmp_path):
    mask, saved = tmp_path / "mask.npy", tmp_path / "new" / "folder" / "out.safetensors"
    np.save(mask, np.array([0, 1, 1, 0]))
    arguments = ["--method", method, "--target", "1", "--save", str(saved)]
    command = ["explain", str(exported), str(rows), *arguments, "--option", f"feature_mask={mask}"]
    assert cli.main(command) == 0
    expected = pyxai.explain(
        model, inputs, method=method, target=1, feature_mask=torch.tensor([0, 1, 1, 0])
    )
    found = pyxai.Explanation.load(saved)
    torch.testing.assert_close(found.attributions, expected.attributions)
    assert torch.equal(found.options["feature_mask"], torch.tensor([0, 1, 1, 0]))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("content", ["model", "weights"])
def test_what_torch_save_writes_is_no_model(model, rows, tmp_path, capsys, content):
    path = tmp_path / "model.pt"
    torch.save(model if content == "model" else model.state_dict(), path)
    assert cli.main(["explain", str(path), str(rows)]) == 1
    error = capsys.readouterr().err
    assert ("give --trust if" if content == "model" else f"--weights {path}") in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 4)), r"inputs must hold numbers, got shape [0, 4]"),
        (np.ones((2, 4), dtype=complex), "inputs must be real, got torch.complex128"),
    ],
)
def test_arrays_that_are_no_inputs(exported, tmp_path, capsys, array, message):
    np.save(tmp_path / "x.npy", array)
    assert cli.main(["explain", str(exported), str(tmp_path / "x.npy")]) == 1
    assert message in capsys.readouterr().err


def test_files_of_something_else_are_no_inputs(exported, tmp_path, capsys):
    (tmp_path / "x.bin").write_bytes(b"`something else")
    assert cli.main(["explain", str(exported), str(tmp_path / "x.bin")]) == 1
    said = capsys.readouterr().err
    assert "inputs must be a file of one of .npy, .npz, .pt, .pth, .safetensors, .csv" in said
    for name in ("x.parquet", "x.png"):
        (tmp_path / name).write_bytes(b"something else")
        assert cli.main(["explain", str(exported), str(tmp_path / name)]) == 1
        assert "inputs must be a " in capsys.readouterr().err
        assert cli.main(["explain", str(exported), str(tmp_path / f"no-{name}")]) == 1
        assert "inputs must be a file, got " in capsys.readouterr().err


MODELS = """
import torch

class Mean(torch.nn.Module):
    def forward(self, x):
        return x.mean((2, 3))

def table():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()).double()
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A module of models in the folder that one is in."""
    name = f"models_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_for_a_model_of_python_code(beside, inputs, capsys, suffix):
    table = pandas.DataFrame(inputs.numpy(), columns=["age", "height", "weight", "pulse"])
    if suffix == "csv":
        table.to_csv("rows.csv", index=False)
    else:
        table.to_parquet("rows.parquet")
    command = ["explain", f"{beside}:table", f"rows.{suffix}", "--target", "1"]
    assert cli.main([*command, "--save", "e.safetensors"]) == 0
    found = pyxai.Explanation.load("e.safetensors")
    assert found.feature_names == ["age", "height", "weight", "pulse"]
    module = sys.modules[beside]
    want = pyxai.explain(module.table(), table, method="integrated_gradients", target=1)
    torch.testing.assert_close(found.attributions, want.attributions)
    assert cli.main([*command, "--feature-names", "a,b,c,d"]) == 0
    assert "feature" not in capsys.readouterr().out.splitlines()[-1]
    assert cli.main(["explain", f"{beside}:none", f"rows.{suffix}"]) == 1
    assert "has no attribute 'none'" in capsys.readouterr().err


def test_a_picture(beside, capsys):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
    Image.fromarray(pixels).save("photo.png")
    command = ["explain", f"{beside}:Mean", "photo.png", "--method", "input_x_gradient"]
    assert cli.main([*command, "--target", "2", "--save", "e.safetensors"]) == 0
    found = pyxai.Explanation.load("e.safetensors").attributions
    assert found.shape == (1, 3, 2, 3)
    torch.testing.assert_close(found[0, 2], torch.tensor(pixels)[..., 2].float() / 255 / 6)
    assert not found[0, :2].any()


def test_a_model_of_several_results(rows, inputs, tmp_path, capsys):
    class Two(nn.Module):
        def forward(self, x):
            return x.sum(1), x

    path, batch = tmp_path / "two.pt2", torch.export.Dim("batch")
    program = torch.export.export(Two(), (inputs,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    assert cli.main(["explain", str(path), str(rows)]) == 1
    assert "model must return a tensor, got a tuple of 2 item(s)" in capsys.readouterr().err


def command_of(exported, rows, *more):
    return ["explain", str(exported), str(rows), "--method", "saliency", *map(str, more)]


def one_line(capsys, arguments, status=1):
    """Run a command that fails and return what it says, which must be one line."""
    capsys.readouterr()
    assert cli.main(arguments) == status
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.err.startswith(f"pyxai {arguments[0]}: ")
    assert "Traceback" not in printed.err
    return printed.err


CORRUPT = {
    "no archive.npz": b"not a zip",
    "empty.npz": b"",
    "cut.npz": b"PK\x03\x04 and nothing else",
    "no array.npy": b"\x93NUMPY\x01\x00",
    "empty.npy": b"",
    "large.npy": b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, "
    b"'shape': (3, 4), }     \n\x00",
    "no pickle.pt": b"\x80\x05nothing",
    "empty.pt": b"",
    "cut.pt": b"PK\x03\x04 and nothing else",
    "no header.safetensors": b"\xff" * 20,
    "empty.safetensors": b"",
}


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_inputs_are_one_line(name, exported, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(CORRUPT[name])
    said = one_line(capsys, command_of(exported, path))
    assert f"inputs must be a file of one tensor, got {str(path)!r}" in said


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.pt", "a.safetensors"])
def test_single_numbers_are_no_inputs(name, exported, tmp_path, capsys):
    path, number = tmp_path / name, torch.tensor(3.0)
    if name == "a.npy":
        np.save(path, number.numpy())
    elif name == "a.npz":
        np.savez(path, number.numpy())
    elif name == "a.pt":
        torch.save(number, path)
    else:
        save_file({"x": number}, path)
    said = one_line(capsys, command_of(exported, path))
    assert "inputs must hold numbers, got shape []" in said


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["a.pt2", "b.pt2", "c.pt"])
def test_models_that_are_no_archives_are_one_line(name, rows, tmp_path, capfd):
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04" if name[0] == "b" else b"not a zip")
    assert cli.main(command_of(path, rows)) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "model must be an exported program (.pt2, from torch.export.save), a Torch" in said
    assert str(path) in said


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MemoryError(), 1, "memory ran out"),
        (MemoryError("Unable to allocate 3 GiB"), 1, "Unable to allocate 3 GiB"),
        (OverflowError("too large"), 1, "OverflowError: too large"),
        (KeyError("x"), 1, "KeyError: 'x'"),
        (RecursionError("two\nlines"), 1, "two lines"),
        (ZeroDivisionError(), 1, "ZeroDivisionError"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("x" * 5000), 1, "... (--debug shows all)"),
    ],
)
def test_every_failure_is_one_line_and_a_code(
    error, status, said, exported, rows, tmp_path, capsys, monkeypatch
):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(pyxai, "explain", fail)
    found = one_line(capsys, command_of(exported, rows, "--save", tmp_path / "e.npz"), status)
    assert said in found
    assert len(found) < 800
    assert not (tmp_path / "e.npz").exists()


def test_targets_that_do_not_fit_are_said_before_the_work(
    exported, rows, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(pyxai, "explain", None)
    (tmp_path / "folder").mkdir()
    for more, said in (
        (["--save", tmp_path / "e", "--report", tmp_path / "e"], "--report must be another file"),
        (["--save", tmp_path / "e", "--report", tmp_path / "folder" / ".." / "e"], "than --save"),
        (["--report", tmp_path / "folder"], "--report must be a regular file or a new one, got a"),
        (["--save", tmp_path / "folder"], "--save must be a regular file or a new one, got a fol"),
        (["--save", "/dev/null"], "--save must be a regular file or a new one, got a pipe"),
        (["--save", rows], "--save must be another file than the inputs"),
        (["--report", exported], "--report must be another file than the model"),
    ):
        assert said in one_line(capsys, command_of(exported, rows, *more))
    (tmp_path / "none").touch()  # out is looked at before it is read
    found = one_line(capsys, ["report", str(tmp_path / "none"), "--out", str(tmp_path / "folder")])
    assert "--out must be a regular file or a new one, got a folder" in found
    (tmp_path / "file").touch()
    said = one_line(capsys, ["demo", "--out", str(tmp_path / "file")])
    assert "File exists" in said


LONG = """
import signal, sys, torch, pyxai, pyxai.cli
# Of a suite that runs in the background the shell may have Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
def slow(*args, **options):
    from pyxai._files import whole_file
    from pathlib import Path
    with whole_file(Path(sys.argv[-1])) as file:
        file.write(b"half")
        print("ready", flush=True)
        import time
        while True:
            time.sleep(0.01)
pyxai.explain = slow
sys.exit(pyxai.cli.main(sys.argv[1:]))
"""


def test_ctrl_c_ends_with_130_and_no_partial_file(exported, rows, tmp_path):
    folder = tmp_path / "out"
    saved = folder / "e.safetensors"
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LONG,
            *command_of(exported, rows, "--save", saved),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said == b"pyxai explain: interrupted\n"
    assert list(folder.iterdir()) == []


def test_dollars_in_names_get_into_a_report(tmp_path):
    values = torch.tensor([[1.0, -2.0]])
    names = ["$x_{$", "y" * 5000]
    made = pyxai.Explanation(values, values, method="by_hand", feature_names=names)
    saved, out = made.save(tmp_path / "e"), tmp_path / "r.html"
    assert cli.main(["report", str(saved), "--out", str(out)]) == 0
    assert "$x_{$" in Reader(out.read_text(encoding="utf-8")).words
