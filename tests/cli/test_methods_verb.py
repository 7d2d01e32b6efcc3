"""`pyxai methods` tells of every method what the registry says, and its examples run."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import sys

import numpy as np
import pytest
import torch
from contract_cases import example_of
from torch import nn

from pyxai import registry
from pyxai.cli import main
from pyxai.cli.docstrings import parameters_of, sources_of

NAMES = [name for of in registry.ABOUT for name in registry.names(of)]
OPTIONS = {  # beside what the printed example has, for methods whose defaults need large images
    "xrai": ["segments=segments.npy", "min_pixels=1"],
    "deep_taylor": ["on_negative=clamp"],
    "functional_information": ["n_samples=4"],
}


@pytest.fixture
def printed(capsys):
    def run(*words, status=0):
        capsys.readouterr()
        assert main(["methods", *words]) == status
        said = capsys.readouterr()
        return said.err if status else said.out

    return run


def squeezed(text):
    return " ".join(text.split())


def test_all_are_listed_with_what_they_are_for(printed, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    text = printed()
    assert max(map(len, text.splitlines())) <= 80
    for name in NAMES:
        method = registry.get(name)
        assert f"{name} {method.cost} {method.summary}" in squeezed(text)
        assert f"use: {method.use}" in squeezed(text)


@pytest.mark.parametrize("family", ["ablation", "layers", "neurons"])
def test_a_family_is_listed_alone(family, printed):
    text = printed("--family", family)
    assert text.startswith(f"{family}:\n")
    found = re.findall(r"^  (\w+)  ", text, re.MULTILINE)
    assert found == sorted(name for name in NAMES if registry.get(name).family == family)


def test_an_unknown_family_is_answered_with_those_there_are(printed):
    assert "--family must be one of ablation, coalitions" in printed("--family", "x", status=1)


def test_json_holds_the_same(printed):
    entries = json.loads(printed("--json"))
    assert sorted(entry["name"] for entry in entries) == sorted(NAMES)
    one = json.loads(printed("kernel_shap", "--json"))
    assert one in entries
    method = registry.get("kernel_shap")
    assert (one["cost"], one["use"], one["summary"]) == (method.cost, method.use, method.summary)
    assert one["axioms"] == list(method.axioms)
    options = {option["name"]: option for option in one["options"]}
    assert options["n_samples"]["default"] == 25
    assert not options["n_samples"]["required"]
    assert options["n_samples"]["meaning"].startswith("Evaluations per example")
    assert "inputs" not in options
    layer = json.loads(printed("layer_grad_cam", "--json"))["options"][0]
    assert (layer["name"], layer["required"], layer["default"]) == ("layer", True, None)
    of = {entry["name"]: entry["of"] for entry in entries}
    assert {of["saliency"], of["layer_lrp"], of["neuron_gradient"]} == {*registry.ABOUT}


@pytest.mark.parametrize("name", NAMES)
def test_one_is_told_with_all_its_options(name, printed):
    text, method = printed(name), registry.get(name)
    assert text.startswith(f"{name} (pyxai.")
    assert all(axiom.replace("_", " ") in squeezed(text) for axiom in method.axioms)
    facts = json.loads(printed(name, "--json"))
    assert facts["sources"] or name in ("deconvolution", "layer_activation")
    for option in facts["options"]:
        assert option["meaning"], f"{name}: nothing is said of {option['name']}"
        assert re.search(rf"^    {option['name']}\b", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("deep-lift", "deep_lift, deep_lift_shap"),
        ("integrated", "integrated_gradients"),
        ("SHAP", "deep_lift_shap, gradient_shap, kernel_shap"),
        ("salliency", "saliency"),
        ("conductance", "layer_conductance, neuron_conductance"),
    ],
)
def test_an_unknown_name_gets_those_near_it(word, nearest, printed):
    assert f"got {word!r}; nearest: {nearest}" in printed(word, status=1)


def image():
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)]
    return nn.Sequential(*layers).eval()


def table():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the printed examples read: a model, its inputs and a background."""
    made = tmp_path_factory.mktemp("examples")
    draw = np.random.default_rng(0).normal
    for make, shape in ((table, (6,)), (image, (1, 6, 6))):
        name, model = make.__name__, make()
        (made / name).mkdir()
        rows = draw(size=(3, *shape)).astype(np.float32)
        batch = {0: torch.export.Dim("batch")}
        program = torch.export.export(model, (torch.tensor(rows),), dynamic_shapes=(batch,))
        torch.export.save(program, made / name / "model.pt2")
        np.save(made / name / "inputs.npy", rows)
        np.save(made / name / "background.npy", draw(size=(2, *shape)))
        np.save(made / name / "segments.npy", np.arange(36).reshape(6, 6) // 4)
        code = inspect.getsource(make)
        (made / name / "nets.py").write_text(
            f"import torch\nfrom torch import nn\n{code}make = {name}\n"
        )
    return made


@pytest.mark.filterwarnings("ignore:.*the model has none")  # ReLUs, before the layer
@pytest.mark.parametrize("name", NAMES)
def test_the_printed_example_runs(name, printed, folder, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    monkeypatch.chdir(folder / ("image" if example_of(name).image else "table"))
    [command] = re.findall(r"^    pyxai (explain .*)", printed(name), re.MULTILINE)
    words = shlex.split(command)
    for option in OPTIONS.get(name, []):
        words += ["--option", option]
    assert main(words) == 0, capsys.readouterr().err
    assert f"Explanation by {name}" in capsys.readouterr().out


def test_what_a_docstring_says():
    def documented():
        """Do something.

        Parameters
        ----------
        first, second : int
            Of both. A second sentence that is left out because it is so very long that nobody would
            want to read all of it in a list of options, where one line or two must do; it goes on
            and on without an end in sight, and so is cut.
        *rest
            Said of e.g. all that ``is.left``

        References
        ----------
        .. [1] A. Author,
           2020.
        .. [2] B. Author, 2021.
        """

    found = parameters_of(documented)
    rest = "Said of e.g. all that ``is.left``"
    assert found == {"first": "Of both.", "second": "Of both.", "rest": rest}
    assert sources_of(documented) == ["A. Author, 2020.", "B. Author, 2021."]
    assert parameters_of(test_an_unknown_name_gets_those_near_it) == {}
