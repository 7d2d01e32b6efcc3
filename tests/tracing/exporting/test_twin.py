"""Twins: the same classes and tensors, nothing else shared that a forward may write to."""

import functools
import warnings

import pytest
import torch
from torch import nn

from pyxai.attribution import DeepLift
from pyxai.tracing.exporting.twin import twin


class Parts(nn.Module):
    """Reaches its layers by lists, dicts, methods and partials that are no modules."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.last = nn.Linear(3, 2)
        self.layers = [self.first, {"last": (self.last,)}]
        self.steps = [self.forward_first, functools.partial(self.apply_to, layer=self.last)]
        self.register_buffer("shift", torch.ones(3))
        self.seen = []

    def forward_first(self, x):
        return self.first(x + self.shift)

    def apply_to(self, x, layer):
        return layer(x)

    def forward(self, x):
        self.seen.append(1)
        self.count = len(self.seen)
        for step in self.steps:
            x = step(x).relu()
        return self.again(x @ self.layers[1]["last"][0].weight)


def test_a_twin_has_the_tensors_and_its_own_modules():
    model = Parts().eval()
    model.layers.append(model.layers)
    other = twin(model)
    assert type(other) is Parts
    assert not {id(m) for m in model.modules()} & {id(m) for m in other.modules()}
    mine, its = model.state_dict(keep_vars=True), other.state_dict(keep_vars=True)
    assert list(mine) == list(its)
    assert all(mine[name] is its[name] for name in mine)
    assert other.again is other.first is other.layers[0]
    assert other.layers[1]["last"][0] is other.last
    assert other.layers[2] is other.layers
    assert other.steps[0].__self__ is other
    assert other.steps[1].func.__self__ is other
    assert other.steps[1].keywords["layer"] is other.last
    x = torch.randn(4, 3)
    assert torch.equal(other(x), model(x))
    other(x)
    other.last.weight = nn.Parameter(torch.zeros(2, 3))
    assert (len(model.seen), len(other.seen), model.count) == (1, 2, 1)
    assert mine["last.weight"] is model.last.weight


def closing_over(model, *, by):
    if by == "a hook":
        model.last.register_forward_hook(lambda module, args, out: out * model.first.weight.sum())
    elif by == "a function":
        model.steps.pop()
        model.steps.append(lambda x: model.last(model.first(x[:, :1].expand(-1, 3))))
    elif by == "an object":
        holder = type("Holder", (), {"__call__": lambda self, x: self.layer(x)})()
        holder.layer = nn.Linear(2, 2)
        model.extra, model.holder = holder.layer, holder
    return model


@pytest.mark.parametrize("by", ["a hook", "a function", "an object"])
def test_modules_that_are_reached_past_a_twin_are_traced_in_place(by):
    model = closing_over(Parts().double().eval(), by=by)
    assert twin(model) is model
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, dtype=torch.float64, generator=generator)
    for scale in (1, 2):  # weights that were taken for constants would stay as they were
        with torch.no_grad():
            model.first.weight.mul_(scale)
        given, delta = DeepLift(model).attribute(x, target=0, return_convergence_delta=True)
        assert delta.abs().max() < 1e-12
        values = model(x)[:, 0] - model(0 * x)[:, 0]
        torch.testing.assert_close(given.sum(1), values)


def test_scripted_parts_have_no_twin():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(nn.Linear(2, 2))
    model = nn.Sequential(nn.Linear(2, 2), scripted)
    assert twin(model) is model


def test_modules_that_are_also_dicts_have_no_twin():
    class Odd(nn.Module, dict):
        __hash__ = nn.Module.__hash__

    model = Odd()
    assert twin(model) is model
