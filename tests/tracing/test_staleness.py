"""A graph from the cache is the model as it is now, or an error."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pyxai.attribution import LRP, Deconvolution, DeepLift, DeepLiftShap, DeepTaylor, GuidedBackprop
from pyxai.tracing import trace

FACTOR = 1.0
TABLE = {"factor": 1.0}


class Plain(nn.Module):
    """Holds things of many kinds, all of which the output depends on."""

    def __init__(self):
        super().__init__()
        self.first, self.activation = nn.Linear(3, 2), torch.sigmoid
        self.tensor = torch.ones(2)
        self.items, self.options, self.pair = [1.0], {"k": 1.0}, (1.0, (1.0,))
        self.tensors, self.settings = [torch.ones(2)], SimpleNamespace(k=1.0)
        self.array, self.part = torch.ones(2).numpy(), slice(0, 1)

    def forward(self, x):
        y = self.activation(self.first(x)) * self.tensor * self.items[0] * self.options["k"]
        y = y * self.pair[1][0] * self.tensors[0] * self.settings.k * float(self.array[0])
        return y * FACTOR * self.helper() * x[:, self.part]

    def helper(self):
        return TABLE["factor"]


def patched(model):
    model.first.forward = lambda x: x[:, :2] * 100


CHANGES = {
    "function": lambda m: setattr(m, "activation", torch.exp),
    "tensor": lambda m: setattr(m, "tensor", torch.full((2,), 7.0)),
    "tensor_inplace": lambda m: m.tensor.mul_(2),
    "list": lambda m: m.items.__setitem__(0, 9.0),
    "dict": lambda m: m.options.__setitem__("k", 9.0),
    "tuple": lambda m: setattr(m, "pair", (1.0, (4.0,))),
    "tensor_in_list": lambda m: m.tensors.__setitem__(0, torch.full((2,), 7.0)),
    "tensor_in_list_inplace": lambda m: m.tensors[0].mul_(3),
    "object": lambda m: setattr(m.settings, "k", 4.0),
    "array": lambda m: m.array.__setitem__(0, 5.0),
    "slice": lambda m: setattr(m, "part", slice(1, 2)),
    "forward": patched,
    "mode_of_a_number": lambda m: setattr(m, "items", [2]),
}


def assert_follows(model, change, methods=(DeepLift,)):
    """After a change the methods give what they give for a model never seen before."""
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    baselines = {"baselines": x[:2] * 0.5}
    known = [method(model) for method in methods]
    for method in known:
        method.attribute(x, target=1, **(baselines if type(method) is DeepLiftShap else {}))
    before = model(x)
    change(model)
    assert not torch.allclose(model(x), before)
    for method in known:
        further = baselines if type(method) is DeepLiftShap else {}
        fresh = type(method)(copy.deepcopy(model)).attribute(x, target=1, **further)
        torch.testing.assert_close(method.attribute(x, target=1, **further), fresh)


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_attribute_is_seen(name):
    assert_follows(Plain().eval(), CHANGES[name])


def test_every_method_of_the_graph_follows():
    class Positive(Plain):
        def forward(self, x):
            return super().forward(x).square()

    methods = (DeepLift, DeepLiftShap, LRP, DeepTaylor, Deconvolution, GuidedBackprop)
    with pytest.warns(UserWarning, match="plain gradient"):
        assert_follows(Positive().eval(), CHANGES["function"], methods)


def test_another_hook_of_the_same_kind_is_seen():
    model = nn.Sequential(nn.Linear(3, 2)).eval()
    handle = model[0].register_forward_hook(lambda module, inputs, output: output * 2)

    def swap(model):
        handle.remove()
        model[0].register_forward_hook(lambda module, inputs, output: output.exp())

    assert_follows(model, swap)


def test_what_the_code_names_is_seen(monkeypatch):
    here = __name__
    assert_follows(Plain().eval(), lambda m: monkeypatch.setattr(f"{here}.FACTOR", 3.0))
    assert_follows(Plain().eval(), lambda m: monkeypatch.setitem(TABLE, "factor", 3.0))
    factor = 1.0

    def scaled(y):
        return y * factor

    def rescale(model):
        nonlocal factor
        factor = 5.0

    model = Plain().eval()
    model.activation = scaled
    assert_follows(model, rescale)


TYPED = """
import torch
from torch import nn

SCALE = 2.0

class Typed(nn.Module):
    def forward(self, x):
        y = self.helper(x)
        return y * SCALE

    def helper(self, x):
        return torch.relu(x)
"""


@pytest.mark.parametrize(
    "place", ["<stdin>", "<string>", "<ipython-input-3-0af>", "<python-input-0>", "/tmp/typed.py"]
)
def test_code_without_a_file_is_code_of_the_user(place):
    names = {"__name__": "typed"}
    exec(compile(TYPED, place, "exec"), names)
    model = names["Typed"]().eval()
    calls = {node.op: node.source for node in trace(model, torch.ones(2, 3)).nodes}
    assert calls["relu"] == f"{place}:13 in helper"
    assert calls["mul"] == f"{place}:10 in forward"
    assert_follows(model, lambda m: names.update(SCALE=5.0))


def test_nothing_changed_means_the_same_graph():
    model = Plain().eval()
    x = torch.randn(4, 3)
    graph = trace(model, x)
    with torch.no_grad():
        model.first.weight.mul_(2)
    model(x)
    assert trace(model, x).program is graph.program


class Opaque:
    """Holds a number where it cannot be read without knowing the class."""

    __slots__ = ("k",)

    def __init__(self):
        self.k = 1.0


class Holder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.held, self.calls = nn.Linear(3, 2), Opaque(), 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x) * self.held.k


def test_what_cannot_be_read_is_compared():
    model = Holder().eval()
    x = torch.randn(4, 3)
    graph = trace(model, x)
    assert trace(model, x).program is graph.program
    assert model.calls == 0
    model.held.k = 3.0
    again = trace(model, x)
    assert again.program is not graph.program
    torch.testing.assert_close(again.run((x,))[again.output], model(x))


def test_a_graph_that_is_never_the_model_is_an_error():
    class Branching(Holder):
        def forward(self, x):
            return self.layer(x) * (2.0 if torch.compiler.is_compiling() else self.held.k)

    model = Branching().eval()
    x = torch.randn(4, 3)
    trace(model, x)
    with pytest.raises(RuntimeError, match="must give the model's own output"):
        trace(model, x)
