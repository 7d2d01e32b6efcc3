"""Rows of one execution, taken again in another order: many pairs from few forward passes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from pyxai.runner.arguments import own_values
from pyxai.tracing.interpreter import Values, invoke
from pyxai.tracing.nodes import Node, substitute

if TYPE_CHECKING:
    from pyxai.tracing.graph import Graph

__all__ = ["GatheredRun", "batch_growth"]

Growth = tuple[int, ...]
"""Per axis, by how much its size grows with each further row of the batch."""


_KNOWN: weakref.WeakKeyDictionary[Any, dict[Node, Growth]] = weakref.WeakKeyDictionary()


def batch_growth(graph: Graph, values: Values, arguments: tuple[Any, ...]) -> dict[Node, Growth]:
    """Find the batch axis of every tensor in a graph by running shapes of two batch sizes.

    Parameters
    ----------
    graph : Graph
        A graph whose batch is free.
    values : Values
        A run of it, for dtypes and devices of inputs and weights.
    arguments : tuple
        Additional forward arguments of that run; none may be of the batch.

    Returns
    -------
    dict of Node to Growth
        For every tensor, by how much each of its axes grows with one more row.
    """
    if graph.program not in _KNOWN:
        small, large = (_shapes(graph, values, arguments, rows) for rows in (5, 7))
        growth = {}
        for node in graph.nodes:
            few, many = small[node.index], large[node.index]
            if few is not None and many is not None:
                growth[node] = tuple((b - a) // 2 for a, b in zip(few, many, strict=True))
        _KNOWN[graph.program] = growth
    return _KNOWN[graph.program]


def _shapes(
    graph: Graph, values: Values, arguments: tuple[Any, ...], rows: int
) -> list[torch.Size | None]:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        inputs = []
        for node, features in zip(graph.inputs, graph.program.features, strict=True):
            given = values[node]
            inputs.append(torch.empty((rows, *features), dtype=given.dtype, device=given.device))
        fake_arguments = pytree.tree_map(
            lambda leaf: mode.from_tensor(leaf) if isinstance(leaf, Tensor) else leaf,
            own_values(arguments),
        )
        states = {node: mode.from_tensor(values[node]) for node, _, _ in graph.program.states}
        run = graph.run(inputs, fake_arguments, start=states)
    return run.shapes


class GatheredRun:
    """Stands in for the run of a graph on rows picked from a run that was made.

    Reading a value picks its rows. Where the batch is not an axis of its own (heads and rows in
    one axis), the op is run again on the picked rows of its operands, as is an op whose value was
    freed. Nothing is kept: a value read twice is picked twice.

    Parameters
    ----------
    graph : Graph
        The graph.
    values : Values
        The run that was made.
    growth : dict
        From :func:`batch_growth`.
    rows : slice or Tensor, shape [n_picked]
        Which rows of ``values``: int64 indices, or a run of rows, which costs no copy.
    count : int, optional
        How often to repeat a slice of one row, at no cost either.
    """

    def __init__(
        self,
        graph: Graph,
        values: Values,
        growth: dict[Node, Growth],
        rows: Tensor | slice,
        count: int | None = None,
    ) -> None:
        self.graph = graph
        self.values = values
        self.growth = growth
        self.rows = rows
        self.n_rows = values.shape(graph.inputs[0])[0]
        if isinstance(rows, slice):
            self.n_picked = rows.stop - rows.start if count is None else count
        else:
            self.n_picked = len(rows)
        self._memory: dict[Node, Any] = {}

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of a value with the picked rows."""
        extra = self.n_picked - self.n_rows
        sizes = self.values.shape(node)
        growth = self.growth.get(node)
        if growth is None:
            return sizes
        if len(sizes) != len(growth):  # of a single row, squeezed
            return self[node].shape  # type: ignore[no-any-return]
        return torch.Size(size + rate * extra for size, rate in zip(sizes, growth, strict=True))

    def __getitem__(self, node: Node) -> Any:
        if node.kind in ("state", "argument"):
            return self.values[node]
        growth = self.growth.get(node)
        stored = self.values[node]
        if growth is not None and stored is not None:
            moving = [axis for axis, rate in enumerate(growth) if rate]
            if not moving:
                return stored
            whole = stored.dim() == len(growth)  # not of a single row, squeezed
            if whole and len(moving) == 1 and stored.shape[moving[0]] == self.n_rows:
                return self._pick(stored, moving[0])
        return self._again(node)

    def _pick(self, value: Tensor, axis: int) -> Tensor:
        if not isinstance(self.rows, slice):
            return value.index_select(axis, self.rows)
        part = value.narrow(axis, self.rows.start, self.rows.stop - self.rows.start)
        sizes = list(part.shape)
        sizes[axis] = self.n_picked
        return part.expand(sizes)

    def _again(self, node: Node) -> Any:
        if node.op == "sym_size":
            return self.shape(node.args["self"])[node.args["dim"]]
        if node.op == "getitem" and node.args["0"] in self._memory:
            return self._memory[node.args["0"]][node.args["1"]]
        found = {name: substitute(value, self.__getitem__) for name, value in node.args.items()}
        if node.op in ("view", "_unsafe_view"):
            value = found["self"].reshape(found["size"])  # picked rows have other strides
        else:
            value = invoke(node, found)
        if isinstance(value, (tuple, list)):
            self._memory[node] = value
        return value
