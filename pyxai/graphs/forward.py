"""The model as a function of the players' weights: rows of weights in, one number per row out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai.graphs.edge_weights.normalisation import Normalisation
from pyxai.graphs.edge_weights.wiring import Wiring
from pyxai.graphs.players import GraphPlayers
from pyxai.runner.notes import note_call
from pyxai.runner.state import find_modules

__all__ = ["GraphForward", "Head"]

Head = Callable[[Tensor, int], Tensor]
"""``head(outputs, example)``: outputs [n_rows, ...] of the graph, to a scalar or [n_values]."""


class GraphForward(nn.Module):
    """Run a model once for each row of weights and reduce what it says.

    A module, so that the runner sees the model's modules and leaves them as they are.

    Parameters
    ----------
    model : callable
        See `Wiring`.
    x : Tensor
        Node features, or whatever the model takes first.
    players : GraphPlayers
        Whose weights the rows are.
    wiring : Wiring
        How weights reach the model.
    base : Tensor, shape [n_entries], optional
        The graph's own edge weights.
    more : mapping
        Further keyword arguments of the model.
    head : Head
        What is asked of the outputs.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        x: Any,
        players: GraphPlayers,
        wiring: Wiring,
        base: Tensor | None,
        more: Mapping[str, Any],
        head: Head,
    ) -> None:
        super().__init__()
        self.run = model  # a module registers itself as a child
        self.seen = nn.ModuleList(() if isinstance(model, nn.Module) else find_modules(model))
        self.x, self.players, self.wiring, self.base, self.more = x, players, wiring, base, more
        self.least = 0.0 if base is None else float(base.min())
        self.head = head
        self.plan: Normalisation | None = None  # once the dtype of the weights is known

    def with_head(self, head: Head) -> GraphForward:
        """Return the same graph, asked something else."""
        return GraphForward(self.run, self.x, self.players, self.wiring, self.base, self.more, head)

    def forward(self, weights: Tensor, examples: Tensor) -> Tensor:
        """Return the answers to rows of weights.

        Parameters
        ----------
        weights : Tensor, shape [rows, n_players]
            In [0, 1].
        examples : Tensor, shape [rows]
            int64, which question each row belongs to.

        Returns
        -------
        Tensor, shape [rows] or [rows, n_values]
        """
        return torch.stack(
            [
                self.head(self.outputs(row), example)
                for row, example in zip(weights, examples.tolist(), strict=True)
            ]
        )

    def outputs(self, weights: Tensor) -> Tensor:
        """Return what the model says of the graph under weights [n_players], [n_rows, ...]."""
        players = self.players
        entries = players.entry_weights(weights)
        if self.plan is None:
            with torch.inference_mode(False):  # later calls may take gradients
                self.plan = self.wiring.plan(
                    players.edge_index, torch.ones_like(entries), self.base, players.n_nodes
                )
        try:
            found = self.wiring.call(
                self.run,
                self.x,
                players.edge_index,
                entries,
                self.base,
                self.plan,
                self.more,
            )
        except Exception as error:
            given = {"x": self.x, "edge_index": players.edge_index, "edge_weight": entries}
            note_call(error, {**given, **self.more}, self.modules(), "")
            raise
        if not isinstance(found, Tensor):
            raise TypeError(
                f"model must return a tensor, got {describe(found)}; "
                "pass a function that picks the tensor out of what the model returns"
            )
        if self.least < 0 and not bool(found.isfinite().all()):
            raise ValueError(
                "edge_weight must be at least 0 for a model whose outputs are not finite "
                f"otherwise, got {self.least:g}"
            )
        if found.dim() == 0:
            raise ValueError("model must return one row for each node or graph, got a scalar")
        return found
