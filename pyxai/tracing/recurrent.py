"""Unroll LSTM, GRU and RNN ops into the steps they stand for, so that every method has rules.

torch's own decomposition gives the same steps but runs each through the tracer, which takes
seconds for long sequences; here a step is some twenty nodes and no tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from pyxai.tracing.nodes import Node, named_arguments, op_name

__all__ = ["RECURRENT", "Role", "unroll"]

_aten = torch.ops.aten
Emit = Callable[[Node], Node]
State = tuple[Node, ...]


class Role(NamedTuple):
    """What a node is in the step of a recurrent layer: ``node.memory["recurrent"]``."""

    kind: str
    """``"state"``: what a step adds up to, and the next one reads; ``"output_gate"``: what a state
    is multiplied with; ``"inner"``: anything else."""
    sequence: Node | None = None
    """What the layer reads, as a list by time; None outside the steps."""
    time: int = 0
    length: int = 0


class _Steps:
    """Emits calls that carry the source line of the op they replace."""

    def __init__(self, origin: Node, emit: Emit) -> None:
        self.origin = origin
        self.emit = emit
        self.role: Role | None = None  # of what is emitted

    def mark(self, node: Node, kind: str) -> Node:
        """Say what a node of the step is."""
        assert self.role is not None
        node.memory["recurrent"] = self.role._replace(kind=kind)
        return node

    def __call__(self, target: Any, *args: Any) -> Node:
        named, keyword_only = named_arguments(target, args, {})
        node = Node(0, "call", op_name(target), target, named, keyword_only)
        node.module, node.trace = self.origin.module, self.origin.trace
        if self.role is not None:
            node.memory["recurrent"] = self.role
        return self.emit(node)

    def linear(self, value: Node, weight: Node, bias: Node | None) -> Node:
        return self(_aten.linear.default, value, weight, bias)

    def gates(self, value: Node, count: int) -> list[Node]:
        """Split the last axis into equal parts."""
        parts = self(_aten.chunk.default, value, count, -1)
        return [self(_getitem, parts, place) for place in range(count)]


def _getitem(values: Any, place: int) -> Any:
    return values[place]


_getitem.__name__ = "getitem"


def _lstm_step(steps: _Steps, pre: Node, state: State, recurrent: Sequence[Node | None]) -> State:
    """i, f, o gates: ``c' = f c + i g``, ``h' = o tanh(c')``, projected if there are weights."""
    hidden, cell = state
    weight, bias, projection = recurrent
    assert weight is not None
    total = steps(_aten.add.Tensor, pre, steps.linear(hidden, weight, bias))
    i, f, g, o = steps.gates(total, 4)
    i, f, o = (steps(_aten.sigmoid.default, gate) for gate in (i, f, o))
    steps.mark(o, "output_gate")
    g = steps(_aten.tanh.default, g)
    kept = steps(_aten.mul.Tensor, f, cell)
    cell = steps(_aten.add.Tensor, kept, steps(_aten.mul.Tensor, i, g))
    steps.mark(cell, "state")
    hidden = steps(_aten.mul.Tensor, o, steps(_aten.tanh.default, cell))
    if projection is not None:
        hidden = steps.linear(hidden, projection, None)
    return hidden, cell


def _gru_step(steps: _Steps, pre: Node, state: State, recurrent: Sequence[Node | None]) -> State:
    """r, z gates: ``n = tanh(x_n + r h_n)``, ``h' = n + z (h - n)``."""
    (hidden,) = state
    weight, bias, _ = recurrent
    assert weight is not None
    x_r, x_z, x_n = steps.gates(pre, 3)
    h_r, h_z, h_n = steps.gates(steps.linear(hidden, weight, bias), 3)
    r = steps(_aten.sigmoid.default, steps(_aten.add.Tensor, x_r, h_r))
    z = steps(_aten.sigmoid.default, steps(_aten.add.Tensor, x_z, h_z))
    gated = steps(_aten.mul.Tensor, r, h_n)
    n = steps(_aten.tanh.default, steps(_aten.add.Tensor, x_n, gated))
    rest = steps(_aten.mul.Tensor, z, steps(_aten.sub.Tensor, hidden, n))
    return (steps.mark(steps(_aten.add.Tensor, n, rest), "state"),)


def _rnn_step(activation: Any) -> Callable[..., State]:
    def step(steps: _Steps, pre: Node, state: State, recurrent: Sequence[Node | None]) -> State:
        weight, bias, _ = recurrent
        assert weight is not None
        total = steps(_aten.add.Tensor, pre, steps.linear(state[0], weight, bias))
        return (steps.mark(steps(activation, total), "state"),)

    return step


_STEPS: dict[str, Callable[..., State]] = {
    "lstm": _lstm_step,
    "gru": _gru_step,
    "rnn_tanh": _rnn_step(_aten.tanh.default),
    "rnn_relu": _rnn_step(_aten.relu.default),
}
RECURRENT = frozenset(_STEPS)


def unroll(node: Node, length: Any, emit: Emit) -> Any:
    """Replace a recurrent op by its steps.

    Parameters
    ----------
    node : Node
        Call of ``lstm``, ``gru``, ``rnn_tanh`` or ``rnn_relu`` on a padded batch.
    length : int or SymInt
        Number of steps.
    emit : callable
        Appends a node to the graph.

    Returns
    -------
    list of Node, or Node
        The op's values in order: outputs, last hidden state, and for an LSTM last cell state.
        The op itself where it cannot be unrolled (random dropout between layers, a free number
        of steps), which then has no rule.
    """
    args = node.args
    layers, directions = args["num_layers"], 2 if args["bidirectional"] else 1
    if not isinstance(length, int) or (args["train"] and args["dropout"] > 0 and layers > 1):
        return emit(node)
    steps = _Steps(node, emit)
    given = args["hx"]
    starts = list(given) if isinstance(given, (list, tuple)) else [given]
    weights = _grouped(list(args["params"]), layers * directions, bool(args["has_biases"]))
    axis = 1 if args["batch_first"] else 0
    value = args["input"]
    last: list[list[Node]] = [[] for _ in starts]
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            state = tuple(steps(_aten.select.int, start, 0, place) for start in starts)
            sequence, state = _run(
                steps, node.op, value, state, weights[place], length, axis, direction == 1
            )
            outputs.append(sequence)
            for part, final in zip(last, state, strict=True):
                part.append(final)
        value = outputs[0] if directions == 1 else steps(_aten.cat.default, outputs, -1)
    return [value, *(steps(_aten.stack.default, part, 0) for part in last)]


def _grouped(params: list[Any], count: int, biases: bool) -> list[list[Any]]:
    """Return per layer and direction: w_ih, w_hh, b_ih, b_hh, projection."""
    each = len(params) // count
    groups = []
    for start in range(0, len(params), each):
        group = params[start : start + each]
        matrices, rest = group[:2], group[2:]
        bias = [rest.pop(0), rest.pop(0)] if biases else [None, None]
        groups.append([*matrices, *bias, rest[0] if rest else None])
    return groups


def _run(
    steps: _Steps,
    op: str,
    value: Node,
    state: State,
    weights: list[Any],
    length: int,
    axis: int,
    backward: bool,
) -> tuple[Node, State]:
    """Run one layer in one direction over the sequence."""
    w_ih, w_hh, b_ih, b_hh, projection = weights
    steps.role = Role("inner")  # its bias belongs to the steps
    pre = steps.linear(value, w_ih, b_ih)
    steps.role = None
    inputs = steps(_aten.unbind.int, pre, axis)
    outputs: list[Node] = []
    order = reversed(range(length)) if backward else range(length)
    for time in order:
        now = steps(_getitem, inputs, time)
        steps.role = Role("inner", inputs, time, length)
        state = _STEPS[op](steps, now, state, (w_hh, b_hh, projection))
        steps.role = None
        outputs.append(state[0])
    if backward:
        outputs.reverse()
    return steps(_aten.stack.default, outputs, axis), state
