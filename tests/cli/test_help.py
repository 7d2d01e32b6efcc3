"""Help that teaches: every example in it runs, and says what formats there are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_models import NETS
from PIL import Image
from safetensors.torch import save_file
from text_models import classifier

import pyxai.__main__
from pyxai._errors import warn
from pyxai.cli import main, notes
from pyxai.cli.command import VERBS

NAMES = [verb.__name__.rpartition(".")[2] for verb in VERBS]


def help_of(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.fixture
def folder(tmp_path, monkeypatch, exported, rows):
    """A folder with all that the examples name."""
    (tmp_path / "nets.py").write_text(NETS + "\n\nLook = Bright\n")
    (tmp_path / "patients.csv").write_text(
        "name,age,height,weight,pulse,city\nAnn,3,1.5,-2,0.5,Ulm\nBob,1,0.5,2,1.5,Bonn\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *(each for each in sys.path if each)])
    sys.modules.pop("nets", None)
    import nets

    save_file(nets.make().state_dict(), "trained.safetensors")
    pixels = np.random.default_rng(0).integers(0, 255, (12, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    np.save("background.npy", np.zeros((2, 4)))
    for each in classifier(id2label={0: "negative", 1: "neutral", 2: "positive"}):
        each.save_pretrained("sentiment")
    (tmp_path / "sentence.txt").write_text("not a bad film")
    yield tmp_path
    sys.modules.pop("nets", None)


@pytest.mark.parametrize("verb", NAMES)
def test_examples_in_help_run(verb, folder, capsys):
    text = help_of(capsys, verb)
    examples = re.findall(r"^  pyxai (.*)$", text, re.MULTILINE)
    if verb in ("explain", "methods", "bench"):
        assert len(examples) >= 3
    for example in examples:
        words = shlex.split(example)
        assert main(words) == 0, f"{example}: {capsys.readouterr().err}"


def test_help_says_what_is_read_written_and_run(capsys):
    text = " ".join(help_of(capsys, "explain").split())
    for format_ in (".npy", ".csv", ".tsv", ".parquet", ".png", ".jpeg", ".safetensors", ".svg"):
        assert format_ in text
    assert "--trust unpickle files, which runs code that is in them" in text
    assert "pickled modules any code that is in the file: refused without --trust" in text
    top = " ".join(help_of(capsys).split())
    assert "Exit codes: 0 all went well, 1 it did not" in top
    assert "2 the arguments make no sense, 130 after Ctrl-C" in top
    assert all(f" {name} " in top for name in NAMES)


def test_flags_of_all_verbs_stand_before_or_after_the_name(folder, capsys, monkeypatch):
    for words in (["--quiet", "explain", "model.pt2"], ["explain", "model.pt2", "--quiet"]):
        capsys.readouterr()
        assert main([*words, "inputs.npy", "--save", "e.npy"]) == 0
        assert capsys.readouterr().err == ""
    with pytest.raises(FileNotFoundError):
        main(["explain", "no.pt2", "no.npy", "--debug"])


def test_notes_are_one_line_and_progress_is_for_terminals(folder, capsys, monkeypatch):
    explain = pyxai.explain

    def noted(*given, **named):
        warn("this is worth a word")
        if "show_progress" in named:
            named["show_progress"](1, 2)
        return explain(*given, **named)

    monkeypatch.setattr(pyxai, "explain", noted)
    monkeypatch.setattr(notes, "_FIRST", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("default", pyxai.PyxaiWarning)
        command = ["explain", "model.pt2", "inputs.npy", "--method", "feature_ablation"]
        assert main(command) == 0
        assert capsys.readouterr().err == "pyxai explain: note: this is worth a word\n"
        assert main([*command, "--quiet"]) == 0
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        assert main(command) == 0
        said = capsys.readouterr().err
        assert "pyxai explain:  50%" in said
        assert said.endswith("\r\033[K")


def test_a_reader_that_has_enough_is_no_error():
    words = [sys.executable, "-m", "pyxai", "methods"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(60) == 1
    child.stderr.close()


def test_the_command_is_the_module():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '\n[project.scripts]\npyxai = "pyxai.cli:main"\n' in text
    assert pyxai.__main__.main is main


@pytest.mark.parametrize("method", ["integrated_gradients", "feature_ablation", "saliency"])
def test_every_method_that_asks_the_model_shows_how_far_it_is(method, folder, capsys, monkeypatch):
    monkeypatch.setattr(notes, "_FIRST", 0.0)
    monkeypatch.setattr(notes, "_AGAIN", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    words = ["explain", "model.pt2", "inputs.npy", "--method", method]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "pyxai explain: 100%" in said
    assert said.endswith("\r\033[K")
    assert main([*words, "--quiet"]) == 0
    assert not capsys.readouterr().err


def test_arguments_that_make_no_sense_end_with_2(capsys):
    for words in ([], ["explain"], ["nothing"], ["methods", "--no-such"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2


def test_the_seed_of_torch_is_left_as_it_was(folder):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert (
        main(
            [
                "explain",
                "model.pt2",
                "inputs.npy",
                "--method",
                "gradient_shap",
                "--baselines",
                "background.npy",
            ]
        )
        == 0
    )
    assert torch.equal(torch.get_rng_state(), before)
