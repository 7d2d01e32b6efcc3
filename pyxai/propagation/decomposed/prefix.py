"""The frozen beginning of a model: what is known of it while the rest is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai.tracing import Graph, Node

__all__ = ["Known", "frozen_end", "rows_first", "rows_in_place"]

Rates = tuple[int, ...]


class Known(NamedTuple):
    """What is known of one value, with examples first: [examples, rate, ...].

    ``rate`` is how many rows of the value belong to an example: 1, or the words of a sentence
    that are rows of a linear layer.
    """

    total: Tensor
    part: Tensor | None
    """The relevant part of each group, [examples, groups, rate, ...]; None if it is not split."""
    share: Tensor | None
    """Which share of what it reads is in the group, like ``part``; None where ties need none."""

    def taken(self, examples: slice | Tensor, which: slice) -> Known:
        """Return the same of some examples and some of their groups."""
        total = self.total[examples]
        part, share = (
            None if each is None else each[examples][:, which] for each in (self.part, self.share)
        )
        return Known(total, part, share)


def frozen_end(graph: Graph, end: Node) -> tuple[Node, ...]:
    """Return the last values that no tensor which needs a gradient has a part in.

    Parameters
    ----------
    graph : Graph
        The traced model.
    end : Node
        What is split in the end.

    Returns
    -------
    tuple of Node
        All that trained ops read of the frozen ones, but for the inputs themselves.
    """
    trained = {node for node, tensor in graph.states().items() if tensor.requires_grad}
    for node in graph.nodes:
        if any(operand in trained for operand in node.operands()):
            trained.add(node)
    return tuple(
        node
        for node in graph.nodes
        if node.kind == "call"
        and node.depends
        and node not in trained
        and (node is end or any(user in trained for user in node.users))
    )


def _axis(node: Node, growth: Mapping[Node, Rates]) -> tuple[int, int]:
    """Return the axis of the rows of a value, and how many belong to an example."""
    moving = [(axis, rate) for axis, rate in enumerate(growth.get(node, ())) if rate]
    if len(moving) != 1:
        raise UnsupportedOperationError(
            f"the frozen layers must end where each example has rows of its own, got the value of "
            f"{node.op} at {node.where}"
        )
    return moving[0]


def rows_first(value: Tensor, node: Node, growth: Mapping[Node, Rates]) -> Tensor:
    """Return the value of a node as [rows, rate, ...]."""
    axis, rate = _axis(node, growth)
    rows = value.movedim(axis, 0)
    return rows.reshape(-1, rate, *rows.shape[1:])


def rows_in_place(value: Tensor, node: Node, growth: Mapping[Node, Rates]) -> Tensor:
    """Return [rows, rate, ...] in the form in which the graph has it: undo `rows_first`."""
    return value.flatten(0, 1).movedim(0, _axis(node, growth)[0])
