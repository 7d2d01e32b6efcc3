"""What of a normalised adjacency does not change with the weights of its edges, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._inputs import add_at
from pyxai.graphs.edge_weights.sparse import Pattern

__all__ = ["Normalisation", "normalisation"]


@dataclass(frozen=True, eq=False)
class Normalisation:
    """A map from weights of entries to the entries of a normalised adjacency.

    Attributes
    ----------
    edge_index : Tensor, shape [2, n_all]
        int64 sources and targets, added self loops last.
    n_nodes : int
        Nodes of the graph.
    loops : Tensor, shape [n_entries]
        bool, which of the given entries are self loops.
    full : Tensor, shape [n_all]
        Weights in the whole graph.
    degrees, normalise : str
        See `normalised_weights`.
    scale : Tensor or None, shape [n_all]
        What entries are multiplied by under frozen degrees.
    pattern : Pattern
        Where the matrix is not 0: targets are its rows, sources its columns.
    places : Tensor, shape [n_all]
        int64, which of these places each entry is added to.
    """

    edge_index: Tensor
    n_nodes: int
    loops: Tensor
    full: Tensor
    degrees: str
    normalise: str
    scale: Tensor | None
    pattern: Pattern
    places: Tensor

    def values(self, weights: Tensor) -> Tensor:
        """Return the entries for weights [n_entries], [n_all]; differentiable."""
        full = self.full.to(weights.dtype)
        given = len(self.loops)
        weighted = torch.where(self.loops, full[:given], weights * full[:given])
        if given < len(full):
            weighted = torch.cat([weighted, full[given:]])
        if self.normalise == "none":
            return weighted
        if self.scale is not None:
            return weighted * self.scale.to(weights.dtype)
        return weighted * degree_scale(self.edge_index, weighted, self.n_nodes, self.normalise)

    def dense(self, values: Tensor) -> Tensor:
        """Return the matrix [n_nodes, n_nodes]; several entries of one place add up."""
        flat = values.new_zeros(self.n_nodes * self.n_nodes)
        source, target = self.edge_index
        flat = add_at(flat, target * self.n_nodes + source, values)
        return flat.view(self.n_nodes, self.n_nodes)

    def summed(self, values: Tensor) -> Tensor:
        """Return the number at each place of the pattern, [n_places]."""
        return add_at(values.new_zeros(len(self.pattern.order)), self.places, values)

    def sparse(self, values: Tensor) -> Tensor:
        """Return the matrix as a coalesced COO tensor, without sorting it anew."""
        return self.pattern.matrix(self.summed(values))


def normalisation(
    edge_index: Tensor,
    n_nodes: int,
    base: Tensor,
    *,
    degrees: str,
    normalise: str,
    self_loops: bool,
) -> Normalisation:
    """Work out what does not depend on the weights; arguments as of `normalised_weights`."""
    loops = edge_index[0] == edge_index[1]
    full = base
    if self_loops:
        lacks = torch.ones(n_nodes, dtype=torch.bool, device=edge_index.device)
        lacks[edge_index[0, loops]] = False
        added = lacks.nonzero()[:, 0]
        edge_index = torch.cat([edge_index, added.expand(2, -1)], 1)
        full = torch.cat([full, full.new_ones(len(added))])
    scale = None
    if degrees == "frozen" and normalise != "none":
        scale = degree_scale(edge_index, full, n_nodes, normalise)
    keys, places = torch.unique(edge_index[1] * n_nodes + edge_index[0], return_inverse=True)
    pattern = Pattern.of(torch.stack([keys // n_nodes, keys % n_nodes]), n_nodes)
    return Normalisation(
        edge_index, n_nodes, loops, full, degrees, normalise, scale, pattern, places
    )


def degree_scale(edge_index: Tensor, weights: Tensor, n_nodes: int, normalise: str) -> Tensor:
    """Return what each entry is multiplied by, given the weights that degrees are summed from."""
    source, target = edge_index
    sums = add_at(weights.new_zeros(n_nodes), target, weights)
    alone = sums == 0  # nothing arrives: the scale is 0, and so is its gradient
    power = sums.masked_fill(alone, 1.0).pow(-0.5 if normalise == "symmetric" else -1.0)
    power = power.masked_fill(alone, 0.0)
    return power[target] * power[source] if normalise == "symmetric" else power[target]
