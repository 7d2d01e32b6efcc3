"""`pyxai bench`: rows are counted, results of captum looked at, ratios taken in turns."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
import torch
from torch import nn

from pyxai._timing import Taken, bare, best_size, extra_peak_bytes, interleave, median_ratio
from pyxai.cli import main
from pyxai.cli.bench.measure import Case, _bare, measure
from pyxai.cli.bench.peer import captum_calls

QUICK = ["--seconds", "0.01"]


@pytest.fixture
def folder(folder, rows, exported):
    return folder  # with inputs and a program beside the models


def test_methods_of_a_layer_and_of_neurons_are_timed_or_what_they_lack_is_named(folder, capsys):
    words = ["bench", "nets:make", "inputs.npy", *QUICK, "--json", "--against", "captum"]
    for name in ('layer_conductance {"layer": "0"}', 'layer_activation {"layer": "0"}'):
        words += ["--method", name]
    neuron = 'neuron_gradient {"layer": "0", "neuron_selector": 1}'
    assert main([*words, "--method", neuron]) == 0
    conductance, activation, gradient = json.loads(capsys.readouterr().out)["methods"]
    assert conductance["gradients"] == 5 * 51
    assert activation["gradients"] == 0
    assert activation["outputs"] >= 5
    assert gradient["gradients"] is None  # they go up to the layer, where nobody counts
    assert activation["of_peer"]
    assert gradient["of_peer"]
    assert main([*words, "--method", "layer_lrp"]) == 1
    assert "options of layer_lrp must have layer, got none" in capsys.readouterr().err
    for lacking, what in (
        ('neuron_gradient {"layer": "0"}', "options of neuron_gradient must have neuron_selector"),
        ('layer_deep_lift_shap {"layer": "0"}', "layer_deep_lift_shap must have baselines"),
    ):
        assert main([*words[:3], *QUICK, "--method", lacking]) == 1
        assert what in capsys.readouterr().err


def test_rows_are_those_that_the_method_asks_for(folder, capsys):
    words = ["bench", "nets:make", "inputs.npy", *QUICK, "--json", "--baselines", "0"]
    for each in ('integrated_gradients {"n_steps": 7}', "feature_ablation", "saliency", "lrp"):
        words += ["--method", each]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["shape"]) == (5, [4])
    steps, ablation, saliency, traced = found["methods"]
    assert (steps["outputs"], steps["gradients"]) == (0, 5 * 7)
    assert (ablation["outputs"], ablation["gradients"]) == (5 * (4 + 1), 0)
    assert (saliency["outputs"], saliency["gradients"]) == (0, 5)
    assert (traced["outputs"], traced["gradients"]) == (None, None)
    for each in found["methods"]:
        assert each["seconds"] > 0
        assert each["of_the_bare_model"] > 0
        assert each["of_peer"] == {}


def test_the_table_names_all_methods_and_the_peer(folder, capsys):
    words = ["bench", "model.pt2", "inputs.npy", *QUICK, "--against", "captum"]
    words += ["--method", "feature_ablation", "--method", "guided_ig"]
    assert main(words) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("5 rows of [4], torch ")
    assert lines[1].split()[:5] == ["method", "ms", "outputs", "gradients", "peak"]
    assert "captum, defaults" in lines[1]
    assert "captum, best batch" in lines[1]
    ablation, guided = lines[2].split(), lines[3].split()
    assert (ablation[0], ablation[2:4]) == ("feature_ablation", ["25", "0"])
    assert len(ablation) == len(guided) + 2
    assert lines[4] == "guided_ig: captum has no such method"
    assert "measuring feature_ablation" in said.err


def test_without_a_model_the_machine_is_measured(capsys):
    assert main(["bench", *QUICK, "--method", "saliency", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("32 rows of [128], torch ")
    assert not said.err


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["nets:make"], 1, "inputs must be given for a model, got none"),
        (["--method", "salience"], 1, "did you mean 'saliency'"),
        (["--method", "saliency {1}"], 1, "--method must be NAME or NAME {JSON}"),
        (["--seconds", "0"], 2, "must be positive, got 0"),
        (["--against", "shap"], 2, "invalid choice: 'shap'"),
    ],
)
def test_what_makes_no_sense(words, status, text, folder, capsys):
    try:
        found = main(["bench", *words])
    except SystemExit as stop:
        found = stop.code
    assert found == status
    assert text in capsys.readouterr().err


def case_of(name, model=None, **options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    return Case.of(model or net, torch.randn(6, 4), name, 1, options)


def test_results_that_differ_from_those_of_captum_are_not_compared(monkeypatch):
    captum = importlib.import_module("captum.attr")
    calls, note = captum_calls(case_of("saliency"))
    assert (list(calls), note) == (["captum, defaults"], "")
    calls, note = captum_calls(case_of("gradient_shap", baselines=torch.zeros(2, 4)))
    assert (list(calls), note) == (["captum, defaults"], "")  # equal but for the draws
    right = captum.Saliency.attribute
    monkeypatch.setattr(captum.Saliency, "attribute", lambda *a, **more: right(*a, **more) + 0.5)
    calls, note = captum_calls(case_of("saliency"))
    assert (calls, note) == ({}, "captum gives something else, by up to 0.5")
    assert captum_calls(case_of("shapley_values")) == ({}, "not compared with captum")
    calls, note = captum_calls(case_of("integrated_gradients", tolerance=0.1))
    assert calls == {}
    assert "unexpected keyword argument 'tolerance'" in note


def test_the_bare_model_is_as_fast_as_it_can_be_and_left_as_found():
    case = case_of("integrated_gradients", n_steps=4)
    weight = case.model[0].weight
    weight.grad = torch.ones_like(weight)
    found = measure(case, 0.01)
    assert weight.requires_grad
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert found.rounds >= 1


def test_the_bare_model_runs_as_many_rows_as_the_method():
    case = case_of("saliency")
    seen = []

    def make(model, rows, size):
        seen.append((len(rows), size))
        assert torch.equal(rows[:6], case.inputs[: len(rows)])
        return lambda: None

    assert _bare(make, case, 3, None)[1] == 1.0
    assert set(seen) == {(3, 1), (3, 3)}
    seen.clear()
    assert _bare(make, case, 4096, None)[1] == 4.0  # times what 1024 rows take
    assert {rows for rows, _ in seen} == {1024}
    assert {size for _, size in seen} == {16, 64, 256, 1024}
    seen.clear()
    assert _bare(make, case, 60, 6)[1] == 10.0
    assert seen == [(6, 6)]


def test_turns_and_sizes(monkeypatch):
    order = []
    taken = interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert order == ["a", "b"] * 4  # two rounds to warm up
    assert [len(row) for row in taken.values()] == [2, 2]
    assert median_ratio([2.0, 3.0, 40.0], [1.0, 1.0, 10.0]) == 3.0

    def took(calls, *, rounds):
        assert rounds == 3
        return {name: [Taken(call(), call())] * 3 for name, call in calls.items()}

    monkeypatch.setattr(bare, "interleave", took)
    assert best_size(lambda size: lambda: abs(size - 5), (9, 4, 1), rounds=3) == 4


def test_the_peak_of_memory_is_seen():
    def run():
        kept = np.ones(2**24)
        return kept, kept * 2  # two arrays of 2^27 bytes at once

    held = extra_peak_bytes(run)
    assert held is None or held >= 2**27  # half, as what was freed before may serve again
