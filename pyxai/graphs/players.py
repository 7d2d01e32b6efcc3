"""Who plays on a graph: edges (both directions of an undirected one together) or nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_int, check_tensor
from pyxai._inputs import sums_at

__all__ = ["GraphPlayers", "check_edge_index", "graph_players"]

KINDS = ("edges", "nodes")


@dataclass(frozen=True, eq=False)
class GraphPlayers:
    """The players of a graph and how their weights become weights of its entries.

    Attributes
    ----------
    kind : str
        ``"edges"`` or ``"nodes"``.
    edge_index : Tensor, shape [2, n_entries]
        int64 sources and targets of the directed entries.
    n_nodes : int
        Nodes of the graph.
    n_players : int
        How many players there are.
    owners : Tensor, shape [n_entries] or [n_nodes]
        int64 player of each entry, or of each node; ``n_players`` where it is always kept.
    undirected : bool
        Whether two directed entries between the same nodes are one player.
    """

    kind: str
    edge_index: Tensor
    n_nodes: int
    n_players: int
    owners: Tensor
    undirected: bool

    def entry_weights(self, weights: Tensor) -> Tensor:
        """Return the weight of each directed entry, [..., n_entries], of weights [..., n_players].

        An edge between two nodes that play weighs the product of theirs. Self loops weigh 1.
        """
        kept = weights.new_ones((*weights.shape[:-1], 1))
        owned = torch.cat([weights, kept], -1)[..., self.owners]
        if self.kind == "edges":
            return owned
        source, target = self.edge_index
        product = owned[..., source] * owned[..., target]
        return torch.where(source == target, torch.ones_like(product), product)

    def to_entries(self, scores: Tensor) -> Tensor:
        """Give each entry, or each node, the score of its player; 0 where it is always kept.

        Parameters
        ----------
        scores : Tensor, shape [batch, n_players]

        Returns
        -------
        Tensor, shape [batch, n_entries] or [batch, n_nodes]
        """
        return torch.cat([scores, scores.new_zeros((len(scores), 1))], 1)[:, self.owners]

    def to_players(self, scores: Tensor) -> Tensor:
        """Return the mean score of each player's entries or nodes, [batch, n_players], float64."""
        values = scores.double()
        index = self.owners.expand(len(values), -1)
        sums = sums_at(index, values, self.n_players + 1)
        count = torch.bincount(self.owners, minlength=self.n_players + 1)
        return sums[:, :-1] / count[:-1]

    @property
    def ends(self) -> Tensor:
        """Source and target of one entry of each edge player, [2, n_players]."""
        first = self.owners.new_full((self.n_players + 1,), len(self.owners))
        places = torch.arange(len(self.owners), device=self.owners.device)
        first.scatter_reduce_(0, self.owners, places, "amin")
        return self.edge_index[:, first[:-1]]


def check_edge_index(edge_index: Any, n_nodes: int) -> Tensor:
    """Return ``edge_index`` if it is int64 [2, n_entries] with nodes below ``n_nodes``.

    Raises
    ------
    TypeError
        If it is not a tensor of int64.
    ValueError
        If it has another shape, no entry, or names a node that there is not.
    """
    check_tensor("edge_index", edge_index)
    if edge_index.dtype != torch.int64:
        raise TypeError(f"edge_index must have dtype torch.int64, got {edge_index.dtype}")
    if edge_index.dim() != 2 or edge_index.shape[0] != 2:
        raise ValueError(
            "edge_index must have shape [2, n_entries], sources above targets, "
            f"got {list(edge_index.shape)}"
        )
    if edge_index.shape[1] == 0:
        raise ValueError("edge_index must have at least one edge, got none")
    low, high = (int(end) for end in edge_index.aminmax())
    if low < 0 or high >= n_nodes:
        wrong = low if low < 0 else high
        raise ValueError(f"edge_index must hold nodes 0 .. {n_nodes - 1}, got {wrong}")
    checked: Tensor = edge_index
    return checked


def graph_players(
    edge_index: Tensor,
    n_nodes: int,
    *,
    kind: str = "edges",
    undirected: bool | None = None,
    always: Tensor | None = None,
) -> GraphPlayers:
    """Give each player of a graph a number.

    Parameters
    ----------
    edge_index : Tensor, shape [2, n_entries]
        int64 sources and targets.
    n_nodes : int
        Nodes of the graph.
    kind : str
        ``"edges"``: an edge plays, self loops are always kept. ``"nodes"``: a node plays, without
        it all its edges are absent.
    undirected : bool, optional
        Whether entries between the same two nodes are one player. Default: whether every entry has
        its reverse.
    always : Tensor, optional
        Nodes that are always kept and do not play, where nodes do.

    Returns
    -------
    GraphPlayers

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If nobody is left to play, or ``undirected`` is asked of a graph with one-way entries.
    """
    check_choice("kind", kind, KINDS)
    check_int("n_nodes", n_nodes, minimum=1)
    edge_index = check_edge_index(edge_index, n_nodes)
    source, target = edge_index
    if kind == "nodes":
        owners, count = _number_nodes(n_nodes, always, edge_index.device)
        return GraphPlayers(kind, edge_index, n_nodes, count, owners, False)
    loops = source == target
    if bool(loops.all()):
        raise ValueError("edge_index must have an edge between two nodes, got self loops only")
    both_ways = _both_ways(edge_index[:, ~loops], n_nodes)
    if undirected is not None:
        check_bool("undirected", undirected)
    if undirected and not both_ways:
        raise ValueError("edge_index must hold both directions of every edge, got one-way entries")
    undirected = both_ways if undirected is None else undirected
    keys = torch.arange(len(source), device=source.device)
    if undirected:
        keys = torch.minimum(source, target) * n_nodes + torch.maximum(source, target)
    owners, count = _number_edges(keys, loops)
    return GraphPlayers(kind, edge_index, n_nodes, count, owners, undirected)


def _number_nodes(n_nodes: int, always: Tensor | None, device: torch.device) -> tuple[Tensor, int]:
    plays = torch.ones(n_nodes, dtype=torch.bool, device=device)
    if always is not None:
        plays[always] = False
    count = int(plays.sum())
    if not count:
        raise ValueError("players must be at least one, got a graph whose nodes are all kept")
    owners = torch.where(plays, plays.cumsum(0) - 1, count)
    return owners, count


def _number_edges(keys: Tensor, loops: Tensor) -> tuple[Tensor, int]:
    """Give keys numbers in the order of appearance; loops get the number after the last."""
    unique, inverse = torch.unique(keys[~loops], return_inverse=True)
    places = torch.arange(len(inverse), device=keys.device)
    first = inverse.new_full((len(unique),), len(inverse)).scatter_reduce_(
        0, inverse, places, "amin"
    )
    rank = torch.empty_like(first)
    rank[first.argsort()] = torch.arange(len(first), device=keys.device)
    owners = keys.new_full(keys.shape, len(unique))
    owners[~loops] = rank[inverse]
    return owners, len(unique)


def _both_ways(edge_index: Tensor, n_nodes: int) -> bool:
    source, target = edge_index
    there, back = (torch.unique(a * n_nodes + b) for a, b in ((source, target), (target, source)))
    return bool(torch.equal(there, back))
