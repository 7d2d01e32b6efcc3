"""Contracts about how a model is run, for every method of the registry."""

import contextlib

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net, make_options
from contract_runs import NAMES, assert_close, having, run
from torch import nn

import pyxai
from pyxai.runner import plan

CALLABLE = having(lambda method: method.needs == "callable")


@pytest.mark.parametrize("name", NAMES)
def test_memory_layout_of_the_inputs_does_not_matter(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    expected = run(name, model, x).attributions
    strided = x.transpose(0, -1).contiguous().transpose(0, -1)
    assert not strided.is_contiguous()
    assert_close(run(name, model, strided).attributions, expected)
    part = torch.cat([x, x], -1)[..., : x.shape[-1]]
    assert_close(run(name, model, part).attributions, expected)


@pytest.mark.parametrize("name", NAMES)
def test_any_gradient_mode_around_the_call(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    expected = run(name, model, x).attributions
    with torch.no_grad():
        assert_close(run(name, model, x).attributions, expected)
    with torch.inference_mode():
        within = run(name, model, x).attributions
        made_there = make_inputs(example)
    assert_close(within.clone(), expected)
    assert made_there.is_inference()
    assert_close(run(name, model, made_there).attributions, expected)


@pytest.mark.parametrize("name", NAMES)
def test_default_dtype_does_not_matter(name):
    example = example_of(name)
    model, x = make_net(example).float(), make_inputs(example).float()
    expected = run(name, model, x).attributions
    torch.set_default_dtype(torch.float64)
    try:
        result = run(name, model, x).attributions
    finally:
        torch.set_default_dtype(torch.float32)
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


class Forgetful(nn.Module):
    """Drop out one number in 10**9, so that results stay what they are."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.dropout = nn.Dropout(1e-9)

    def forward(self, x):
        return self.dropout(self.net(x))


@pytest.mark.parametrize("name", NAMES)
def test_training_mode_is_told(name):
    example = example_of(name)
    model = Forgetful(make_net(example)).train()
    refused = contextlib.suppress(pyxai.UnsupportedOperationError)  # by rules for traced models
    with pytest.warns(pyxai.PyxaiWarning, match=r"(?i)training mode.*dropout"), refused:
        run(name, model, make_inputs(example))
    assert model.dropout.training


class Small(nn.Module):
    """A model for which memory runs out above some rows."""

    def __init__(self, net, limit):
        super().__init__()
        self.net, self.limit, self.failures = net, limit, 0

    def forward(self, x):
        if len(x) > self.limit:
            self.failures += 1
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return self.net(x)


@pytest.mark.parametrize("name", CALLABLE)
def test_running_out_of_memory_makes_smaller_passes(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example, 5)
    model = Small(net, 3)
    assert_close(run(name, model, x).attributions, run(name, net, x).attributions)
    assert model.failures > 0
    with pytest.raises(RuntimeError, match="out of memory"):
        run(name, Small(net, 0), x)


class Doubling(nn.Module):
    """What `Overwriting` computes."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x * 2.0)


class Overwriting(nn.Module):
    """A model that works in place on what it is given."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        x *= 2.0
        return self.net(x)


@pytest.mark.parametrize("name", CALLABLE)
def test_models_that_write_into_their_input(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example)
    before = x.clone()

    expected = run(name, Doubling(net), x).attributions
    assert_close(run(name, Overwriting(net), x).attributions, expected)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", CALLABLE)
def test_plain_functions_are_models(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example)
    expected = run(name, net, x).attributions
    layer = make_options(example, net)
    assert_close(run(name, lambda rows: net(rows), x, **layer).attributions, expected)


@pytest.mark.parametrize("name", CALLABLE)
def test_models_with_one_output_need_no_target(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example)
    expected = run(name, net, x, 1).attributions
    layer = make_options(example, net)
    for one in (lambda rows: net(rows)[:, 1], lambda rows: net(rows)[:, 1:2]):
        assert_close(run(name, one, x, None, **layer).attributions, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_measured_once(name, monkeypatch):
    """A second call of the same form runs no rows to see what memory they take."""
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 9)
    probe, measured = plan._probe, []
    monkeypatch.setattr(plan, "_probe", lambda *args: measured.append(args) or probe(*args))
    run(name, model, x)
    assert measured
    measured.clear()
    run(name, model, x + 1)
    assert not measured
