"""Every method with a fast path gives what it gives without, and says which way it took."""

import inspect

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net
from contract_runs import having, method_of

import pyxai
from pyxai import registry
from pyxai.game import linear_path, linear_prefix

NAMED = having(
    lambda method: any(
        "fast_path" in inspect.signature(way).parameters
        for way in (registry.get(method.name).cls, registry.get(method.name).cls.attribute)
    )
)


def test_there_are_some():
    coalitions = {"kernel_shap", "shapley_values", "shapley_value_sampling"}
    assert {"contextual_decomposition", "feature_ablation", "greedy_pig"} | coalitions <= {*NAMED}


@pytest.mark.parametrize("name", NAMED)
def test_same_with_and_without(name, monkeypatch):
    monkeypatch.setattr(linear_prefix, "_LEAST_SAVED", -float("inf"))
    monkeypatch.setattr(linear_prefix, "_LEAST_READ", 0)
    monkeypatch.setattr(linear_path, "_pays", lambda *sizes: True)
    monkeypatch.setattr(linear_path, "_LEAST_READ", 0)
    example = example_of(name)
    model = make_net(example)
    _, options = method_of(name, model)
    inputs = make_inputs(example, 3)
    fast, direct = (
        pyxai.explain(model, inputs, method=name, target=0, fast_path=wanted, **options)
        for wanted in (True, False)
    )
    assert direct.path == "direct"
    torch.testing.assert_close(fast.attributions, direct.attributions, rtol=1e-5, atol=1e-6)
