"""Graphs in the plainest code there is: loops over entries, dense float64 matrices."""

from __future__ import annotations

import itertools

import torch


def dense_adjacency(edge_index, weights, n_nodes, degrees, normalise="symmetric", loops=True):
    """Adjacency by the definition; differentiable in ``weights``."""
    sums, full = {}, {}
    for (source, target), weight in zip(edge_index.T.tolist(), weights, strict=True):
        weight = torch.ones_like(weight) if source == target else weight
        place = target, source
        sums[place] = sums.get(place, 0) + weight
        full[place] = full.get(place, 0) + 1
    for node in range(n_nodes if loops else 0):
        if (node, node) not in sums:
            sums[node, node] = full[node, node] = torch.ones((), dtype=weights.dtype)
    counted = sums if degrees == "renormalise" else full
    degree = [
        sum(w for (target, _), w in counted.items() if target == node) for node in range(n_nodes)
    ]
    rows = []
    for target, source in itertools.product(range(n_nodes), repeat=2):
        value = sums.get((target, source), torch.zeros((), dtype=weights.dtype))
        if normalise == "symmetric" and (target, source) in sums:
            product = degree[target] * degree[source]
            value = value / torch.as_tensor(product) ** 0.5 if product > 0 else 0 * value
        if normalise == "row" and (target, source) in sums:
            value = value / degree[target] if degree[target] > 0 else 0 * value
        rows.append(torch.as_tensor(value, dtype=weights.dtype))
    return torch.stack(rows).view(n_nodes, n_nodes)


def edge_sum(x, edge_index, edge_weight):
    """Sum over neighbours as torch_geometric has it, source to target."""
    messages = x[edge_index[0]] * edge_weight[:, None]
    return torch.zeros(len(x), x.shape[1], dtype=messages.dtype).index_add(
        0, edge_index[1], messages
    )


def ring(n_nodes):
    """Both directions of every edge of a ring."""
    there = torch.arange(n_nodes)
    back = (there + 1) % n_nodes
    return torch.cat([torch.stack([there, back]), torch.stack([back, there])], 1)


def random_graph(seed, n_nodes=7, share=0.45):
    """A random undirected graph with at least one edge, both directions of each."""
    generator = torch.Generator().manual_seed(seed)
    upper = (torch.rand(n_nodes, n_nodes, generator=generator) < share).triu(1)
    upper[0, 1] = True
    return (upper | upper.T).nonzero().T.contiguous()


def subsets(n):
    """All masks of n players, bool [2**n, n]."""
    return torch.tensor(list(itertools.product([False, True], repeat=n)))


class TwoLayers(torch.nn.Module):
    """Two graph convolutions that take an adjacency, or edge weights where ``edges`` is set."""

    def __init__(self, n_features=3, n_hidden=6, n_classes=3, edges=False, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        sizes = ((n_features, n_hidden), (n_hidden, n_classes))
        self.weights = torch.nn.ParameterList(
            torch.nn.Parameter(
                torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)
            )
            for size in sizes
        )
        self.edges = edges

    def forward(self, x, where, edge_weight=None):
        def gather(h):
            return edge_sum(h, where, edge_weight) if self.edges else where @ h

        first, second = self.weights
        return gather(torch.tanh(gather(x @ first))) @ second


def node_features(n_nodes, n_features=3):
    generator = torch.Generator().manual_seed(8)
    return torch.randn(n_nodes, n_features, generator=generator, dtype=torch.float64)
