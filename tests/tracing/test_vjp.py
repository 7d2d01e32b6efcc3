"""Closed forms of vector-Jacobian products against autograd, for every operand of an op."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyxai.tracing import Call, trace, vjp

D = torch.float64


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (3, 1), (3, 4), (1, 1), (1, 1, 4)])
@pytest.mark.parametrize("ahead", [(), (2,), (2, 5)])
def test_reducing_is_the_gradient_of_broadcasting(shape, ahead):
    full = torch.broadcast_shapes(shape, (3, 4))
    for whole in (shape, full, (*ahead, *full)):
        small = torch.randn(shape, dtype=D, requires_grad=True)
        wide = torch.randn(whole, dtype=D)
        (expected,) = torch.autograd.grad(small.expand(whole), small, wide)
        found = vjp.reduce_to(wide, torch.Size(shape))
        assert found.shape == small.shape
        torch.testing.assert_close(found, expected)


# They pass on what they get.
SHAPES_ALONE = {"_to_copy", "_unsafe_view", "alias", "contiguous", "detach", "flatten"}
SHAPES_ALONE |= {"lift_fresh_copy", "reshape", "to", "view_copy"}


class Ops(nn.Module):
    """Ops with closed forms; what they join to a row is broadcast and of either sign."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)

        def numbers(*shape):
            return nn.Parameter(torch.randn(shape, generator=generator, dtype=D))

        self.row, self.column, self.cell = numbers(4), numbers(3, 1), numbers(1, 1)
        self.weight, self.bias, self.square = numbers(5, 4), numbers(5), numbers(4, 2)
        self.kernel = numbers(2, 3, 2, 2)
        self.nothing = nn.Parameter(torch.empty(0, dtype=D))
        self.register_buffer("chosen", torch.tensor([True, False, True, False]))

    def forward(self, x):  # [rows, 3, 4]
        flat, image = x[:, 0], x[:, :, None].expand(-1, 3, 3, 4)
        parts = [
            torch.add(x, self.row, alpha=-1.5), torch.add(self.column, x), x + self.cell,
            torch.sub(x, self.column, alpha=2.5), torch.sub(self.row, x, alpha=-0.5), -x,
            x * self.column, self.row * x, x / self.row, self.cell / (x * x + 1),
            F.linear(x, self.weight, self.bias), x @ self.square, x @ x.transpose(1, 2),
            torch.bmm(x, x.transpose(-1, 1)), torch.mm(flat, self.square), self.column.t() @ x,
            torch.addmm(self.bias[:2], flat, self.square, beta=-0.5, alpha=3.0), flat.t().t(),
            torch.baddbmm(x @ self.square, x, self.square.expand(len(x), 4, 2), beta=2.0),
            x.sum(1), x.mean(-2, keepdim=True), x.sum((0, 2)), x.mean(), x.permute(2, 0, 1),
            x.select(-1, -2), x[:, 1:, ::2], x[..., -3:-1], x.unsqueeze(1).squeeze(1),
            torch.cat([x, x[:, :1], self.column.expand(len(x), 3, 4)], -2), x.flip(1),
            torch.cat([self.nothing, x, x[:, 1:]], 1),
            torch.where(self.chosen, x, self.row), torch.where(x > 0, self.cell, x),
            x.masked_fill(self.chosen, 2.0), F.conv2d(image, self.kernel, stride=(1, 2)),
            F.avg_pool2d(image, 2, 1, 1, count_include_pad=False), torch.stack([x, -x], 1),
        ]  # fmt: skip
        pieces = x.split([1, 2], 1), x.unbind(2), x.chunk(2, 2)
        parts += [each for group in pieces for each in group]
        written = x.clone()
        written[:, 1:] = x[:, :1]
        return sum((each * each).sum() for each in [*parts, written]) + x.flatten(1).sum(1)


def operand_names(call):
    """Names of the operands that have a gradient."""
    found = []
    for name in call.node.args:
        value = call[name]
        first = value[0] if isinstance(value, (list, tuple)) and value else value
        if isinstance(first, Tensor) and first.is_floating_point():
            found.append(name)
    return found


def test_closed_forms_are_those_of_autograd(monkeypatch):
    x = torch.randn(2, 3, 4, dtype=D, generator=torch.Generator().manual_seed(1))
    graph = trace(Ops(), (x,))
    values = graph.run((x,))
    closed, met = dict(vjp._CLOSED_FORMS), set()
    for node in graph.nodes:
        value = values[node] if node.kind == "call" else None
        if not isinstance(value, Tensor) or not value.is_floating_point():
            continue
        call, cotangent = Call(node, (values,)), torch.randn_like(value)
        if node.op == "copy":  # torch knows no derivative of it
            given = cotangent.sum_to_size(call.shape("src"))
            expected = {"self": torch.zeros_like(cotangent), "src": given}
            torch.testing.assert_close(call.vjp(cotangent, wrt=["self", "src"]), expected)
            met.add(("copy", "src"))
            continue
        names = operand_names(call)
        for wanted in [names, *([name] for name in names)] if node.op != "getitem" else []:
            found = call.vjp(cotangent, wrt=wanted)
            monkeypatch.setattr(vjp, "_CLOSED_FORMS", {})
            torch.testing.assert_close(found, call.vjp(cotangent, wrt=wanted))
            monkeypatch.setattr(vjp, "_CLOSED_FORMS", closed)
            met.update((node.op, name) for name in wanted)
    ops = {op for op, _ in met}
    assert set(closed) - ops <= SHAPES_ALONE
    both = {"add", "sub", "mul", "div", "where"}
    assert met >= set(itertools.product(both, ["self", "other"]))
