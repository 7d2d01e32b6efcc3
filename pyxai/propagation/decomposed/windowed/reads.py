"""What a rule sees of an op that runs on windows: operands, totals, the op without padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyxai.propagation.decomposed.totals import Totals
from pyxai.propagation.windows.reading import Pass
from pyxai.propagation.windows.rules import Step
from pyxai.propagation.windows.spans import Frame, Region, Stretch
from pyxai.tracing import Node, Run

__all__ = ["WindowReads", "WindowTotals", "at_frame", "local"]


def at_frame(node: Node, frame: Frame) -> Region:
    """Return the region of a map that is its windows."""
    return Region(node, Stretch.of(frame.rows), Stretch.of(frame.columns))


def local(node: Node) -> Node:
    """Return an op as it runs on what its windows see, padded already."""
    given: dict[str, Any] = {}
    if node.op == "convolution":
        given = {"padding": [0, 0]}
    elif node.op == "max_pool2d_with_indices":
        given = {"padding": [0, 0], "ceil_mode": False}
    return replace(node, args={**node.args, **given}, memory=dict(node.memory)) if given else node


class WindowReads:
    """Stands in for the run of an op on windows.

    Parameters
    ----------
    at : Pass
        What was computed.
    step : Step
        The op.
    constants : Run
        Values that do not depend on the input.
    """

    def __init__(self, at: Pass, step: Step, constants: Run) -> None:
        self._at, self._constants = at, constants
        # What lies around a map has no part of anything, whatever a total is padded with.
        self._regions = {each.node: each._replace(fill=0.0) for each in step.regions}
        self._read: dict[Node, Tensor] = {}

    def __getitem__(self, node: Node) -> Any:
        region = self._regions.get(node)
        if region is None:
            return self._constants[node]
        if node not in self._read:
            self._read[node] = self._at.read(region)
        return self._read[node]

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of a value."""
        if node not in self._regions:
            return self._constants.shape(node)
        found: torch.Size = self[node].shape
        return found


class WindowTotals(Totals):
    """The ordinary values that an op reads and makes, in the windows of a pass.

    Parameters
    ----------
    at : Pass
        Of totals, without windows.
    step : Step
        The op.
    """

    def __init__(self, at: Pass, step: Step) -> None:
        self._at, self._frame = at, step.frame
        self._regions = {each.node: each for each in step.regions}
        self._known: dict[Node, Tensor] = {}

    def full(self, node: Node) -> Tensor:
        """Return a value for all groups of the pass."""
        if node not in self._known:
            region = self._regions.get(node) or at_frame(node, self._frame)
            self._known[node] = self._at.around(region)
        return self._known[node]

    def lean(self, node: Node) -> Tensor:
        """Return what `full` does: each group has its own window."""
        return self.full(node)

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of a value for all groups of the pass."""
        return self.full(node).shape

    def per_row(self, numbers: Tensor, node: Node, like: Tensor) -> Tensor:
        """Return one number of each row, [rows], shaped to broadcast over windows."""
        return numbers.view(-1, 1, 1, 1)
