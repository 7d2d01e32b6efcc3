"""Modules that remember their last batch give one answer, and are left with what they had."""

import copy

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, assert_close, run
from public_calls import CALLS, NET
from torch import nn

from pyxai import UnsupportedOperationError, registry


class Shifted(nn.Module):
    """A net times what it remembers, which it never changes: the reference."""

    def __init__(self, net, memory):
        super().__init__()
        self.net, self.memory = net, memory

    def forward(self, x):
        return self.net(x) * (1 + self.factor())

    def factor(self):
        return self.memory[0].mean()


class Rebinding(Shifted):
    """Keeps the state of its last batch, as recurrent nets do."""

    def forward(self, x):
        outputs = super().forward(x)
        self.memory = torch.tanh(outputs + self.memory[0].mean()).unsqueeze(0)
        return outputs


class Writing(Shifted):
    """Writes into its state, once by a counted operation and once through the data."""

    def forward(self, x):
        outputs = super().forward(x)
        self.memory.mul_(0.5)
        self.memory.data.add_(outputs.detach().mean())
        return outputs


class Uncounted(Shifted):
    """Gives its state other memory of another size, which no version tells."""

    def forward(self, x):
        outputs = super().forward(x)
        self.memory.data = outputs.detach().mean().expand(1, len(x), 4)
        return outputs


class Starting(Shifted):
    """Has no state at first."""

    def factor(self):
        return 0.0 if self.memory is None else self.memory.mean()

    def forward(self, x):
        outputs = super().forward(x)
        self.memory = outputs
        return outputs


class Listing(Shifted):
    """Appends to a list, counts its entries, and adds attributes and entries of a dict."""

    def __init__(self, net, memory):
        super().__init__(net, [memory])
        self.named, self.length = {}, 1

    def factor(self):
        return torch.stack([each.mean() for each in self.memory[: self.length]]).sum()

    def forward(self, x):
        outputs = super().forward(x)
        self.memory.append(outputs + 1)
        self.named["last"] = self.last = outputs
        self.length += 1
        return outputs


class OnItsLayer(Shifted):
    """Keeps its state on a layer of torch's, which never writes into itself in eval mode."""

    def __init__(self, net, memory):
        super().__init__(net, memory)
        next(each for each in net.modules() if isinstance(each, nn.Linear)).state = memory

    def factor(self):
        return self.layer().state.mean()

    def layer(self):
        return next(each for each in self.net.modules() if isinstance(each, nn.Linear))

    def forward(self, x):
        outputs = super().forward(x)
        self.layer().state = outputs
        return outputs


class Buffered(Shifted):
    """Keeps its state in a buffer, written to and replaced in turn."""

    def __init__(self, net, memory):
        super().__init__(net, None)
        del self.memory
        self.register_buffer("memory", memory)

    def forward(self, x):
        outputs = super().forward(x)
        self.memory += outputs.detach().mean()
        self.memory = outputs.detach().clone()
        return outputs


KINDS = (Rebinding, Writing, Uncounted, Starting, Listing, OnItsLayer, Buffered)


def make(kind, example):
    """Return a model that remembers, its memory, and a model that always has that memory."""
    memory = None if kind is Starting else torch.full((1, 1, 4), 0.3, dtype=torch.float64)
    model = kind(make_net(example), memory).eval()
    fixed = Shifted(make_net(example), torch.zeros(1, 1) if memory is None else memory.clone())
    return model, memory, fixed.eval()


def held(model):
    """Return all attributes of all modules, what they are and what tensors among them hold."""
    seen = []
    for module in model.modules():
        for name, value in {**vars(module), **module._buffers}.items():
            value = [*value] if isinstance(value, list) else value
            copy = value.detach().clone() if isinstance(value, torch.Tensor) else value
            copy = dict(copy) if isinstance(copy, dict) else copy
            seen.append((name, value, copy))
    return seen


def assert_same(left, right):
    assert [name for name, *_ in left] == [name for name, *_ in right]
    for (name, one, first), (_, other, second) in zip(left, right, strict=True):
        if isinstance(one, torch.Tensor):
            assert one is other, name
            assert torch.equal(first, second), name
            assert not one.requires_grad
        elif isinstance(one, list):
            assert len(one) == len(other)
            assert all(a is b for a, b in zip(one, other, strict=True)), name
        elif isinstance(one, (int, dict)):
            assert first == second, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_call_starts_from_the_state_found(name, kind):
    example = example_of(name)
    model, _, fixed = make(kind, example)
    x, before = make_inputs(example, 5), held(model)
    try:
        first = run(name, model, x, 1)
    except (UnsupportedOperationError, ValueError, RuntimeError):
        # A trace of a model that assigns to itself may be refused, but the model is as it was.
        assert registry.get(name).needs == "module"
        assert_same(held(model), before)
        return
    assert_same(held(model), before)
    assert torch.equal(run(name, model, x, 1).attributions, first.attributions)
    assert_close(first.attributions, run(name, fixed, x, 1).attributions)
    assert_close(first.outputs, fixed(x)[:, 1].detach())
    if not registry.get(name).whole_batch:
        alone = run(name, model, x[2:3], 1)
        assert_close(alone.attributions, first.attributions[2:3])
    assert_same(held(model), before)


ASKED = {
    name: key
    for name, call in CALLS.items()
    for key in ("model", "forward_func")
    if call.arguments.get(key) is NET
}


def numbers_of(value):
    """Return all tensors in a result, whatever its form."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for each in value for tensor in numbers_of(each)]
    if isinstance(value, dict):
        return numbers_of(list(value.values()))
    return numbers_of(list(vars(value).values())) if hasattr(value, "__dict__") else []


# torch differentiates forwards only what does not write into what is kept, and does not trace it.
IN_PLACE = (RuntimeError, "in-place operation")
REFUSED = {
    "integrated_hessians": IN_PLACE,
    "taylor_jet": IN_PLACE,
    "cdep_loss": (UnsupportedOperationError, "cannot be traced to a graph of ops"),
}


@pytest.mark.parametrize("kind", [Rebinding, Writing])
@pytest.mark.parametrize("name", ASKED)
def test_metrics_and_other_functions_start_from_the_state_found(name, kind):
    call, key = CALLS[name], ASKED[name]
    model = kind(copy.deepcopy(NET), torch.full((1, 1, 4), 0.3, dtype=torch.float64)).eval()
    fixed = Shifted(NET, model.memory.clone()).eval()
    before = held(model)
    if kind is Writing and name in REFUSED:
        error, message = REFUSED[name]
        with pytest.raises(error, match=message):
            call.function(**{**call.arguments, key: model})
        assert_same(held(model), before)
        return
    found = [
        numbers_of(call.function(**{**call.arguments, key: asked}))
        for asked in (model, model, fixed)
    ]
    assert_same(held(model), before)
    for first, second, expected in zip(*found, strict=True):
        assert torch.equal(first, second)
        torch.testing.assert_close(first, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
