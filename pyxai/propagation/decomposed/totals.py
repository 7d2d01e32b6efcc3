"""Totals of a model for the rows of a pass: one per example, shared by the groups."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.tracing import GatheredRun, Graph, Node, Run, Values

__all__ = ["Totals"]

Growth = dict[Node, tuple[int, ...]]


class Totals:
    """The ordinary values of a model, by row of a pass (example-major: groups side by side).

    Parameters
    ----------
    graph : Graph
        The traced model.
    values : Values
        A run of it on the examples of the pass.
    growth : dict, optional
        From `batch_growth`; None where the rows of ``values`` are those of the pass already.
    n_examples, n_groups : int
        Of the pass.
    """

    def __init__(
        self, graph: Graph, values: Values, growth: Growth | None, n_examples: int, n_groups: int
    ) -> None:
        self.growth = growth
        self.one = n_examples == 1
        self.n_rows = n_examples * n_groups
        self._values = values
        self._rows: Run = values
        self._lean: Run = values
        if growth is None:
            return
        if self.one:
            self._rows = GatheredRun(graph, values, growth, slice(0, 1), n_groups)
        elif n_groups > 1:
            device = values[graph.inputs[0]].device
            index = torch.arange(n_examples, device=device).repeat_interleave(n_groups)
            self._lean = self._rows = GatheredRun(graph, values, growth, index)

    def full(self, node: Node) -> Tensor:
        """Return a value with all rows of the pass."""
        value: Tensor = self._rows[node]
        return value

    def has(self, node: Node) -> bool:
        """Tell whether a value was computed, and is kept."""
        return self._values[node] is not None

    def lean(self, node: Node) -> Tensor:
        """Return a value that broadcasts over the rows: one row where there is one example."""
        if self.growth is not None and sum(self.growth.get(node, (2,))) <= 1:
            value: Tensor = self._lean[node]
            return value
        return self.full(node)

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of a value with all rows of the pass."""
        return self._rows.shape(node)

    def per_row(self, numbers: Tensor, node: Node, like: Tensor) -> Tensor:
        """Return one number of each row, [rows], shaped to broadcast over a value of a node."""
        rates = None if self.growth is None else self.growth.get(node)
        moving = [] if rates is None else [axis for axis, rate in enumerate(rates) if rate]
        if rates is None:
            # Without a free batch rows are on the first axis, or this value is of all of them.
            if like.dim() == 0 or like.shape[0] != len(numbers):
                return numbers.mean()
            moving, rates = [0], (1,)
        if not moving:
            return numbers.mean()
        axis = moving[0]
        numbers = numbers.repeat_interleave(rates[axis])
        return numbers.view(-1, *[1] * (like.dim() - axis - 1))
