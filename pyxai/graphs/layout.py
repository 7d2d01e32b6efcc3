"""Where the nodes of a graph are drawn: springs along edges, repulsion between nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_int, check_tensor
from pyxai.graphs.players import check_edge_index

__all__ = ["graph_layout"]

STEPS = 150


def graph_layout(edge_index: Tensor, n_nodes: int, *, seed: int = 0) -> Tensor:
    """Return places for the nodes of a graph, so that it can be drawn more than once.

    Nodes repel each other, edges pull their ends together, and a weak pull towards the middle
    keeps parts that nothing connects in the picture.

    Parameters
    ----------
    edge_index : Tensor, shape [2, n_entries]
        int64 sources and targets.
    n_nodes : int
        Nodes of the graph; up to a few thousand, the cost is quadratic.
    seed : int
        Of the first places.

    Returns
    -------
    Tensor, shape [n_nodes, 2]
        float64 on the CPU, within [-1, 1].

    References
    ----------
    .. [1] T. Fruchterman, E. Reingold, "Graph drawing by force-directed placement", Software:
       Practice and Experience 21(11), 1991.
    """
    check_int("seed", seed, minimum=0)
    check_int("n_nodes", n_nodes, minimum=1)
    edges = check_tensor("edge_index", edge_index)
    if edges.numel():  # nodes alone have places too
        edges = check_edge_index(edges, n_nodes)
    source, target = edges.cpu()
    adjacency = torch.zeros(n_nodes, n_nodes, dtype=torch.float64)
    adjacency[source, target] = 1.0
    adjacency[target, source] = 1.0
    adjacency.fill_diagonal_(0)
    places = _spectral(adjacency, seed)
    ideal = n_nodes**-0.5
    for step in range(STEPS):
        apart = places[:, None] - places[None]  # [n, n, 2]
        distance = apart.norm(dim=2).clamp(min=1e-3)
        push = ideal**2 / distance**2 - adjacency * distance / ideal
        move = (push[:, :, None] * apart).sum(1) - 2 * ideal * places
        reach = 0.1 * (1 - step / STEPS)
        places = places + move * (reach / move.norm(dim=1, keepdim=True).clamp(min=reach))
    places = places - places.mean(0)
    extent = places.abs().amax()
    return places / extent if extent > 0 else places


def _spectral(adjacency: Tensor, seed: int) -> Tensor:
    """Start where neighbours are close already, each node a little aside so that none coincide."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(len(adjacency), 2, generator=generator, dtype=torch.float64) - 0.5
    scale = adjacency.sum(1).clamp(min=1).rsqrt()
    _, vectors = torch.linalg.eigh(scale[:, None] * adjacency * scale[None])
    chosen = vectors[:, -3:-1] if len(adjacency) > 2 else torch.zeros_like(noise)
    return chosen / chosen.abs().amax(0).clamp(min=1e-9) * 0.5 + 0.2 * noise
