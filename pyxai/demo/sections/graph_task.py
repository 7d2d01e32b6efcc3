"""A graph made of blocks, and a small graph convolutional network trained on some of its nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pyxai.graphs import weighted_adjacency

__all__ = ["BlockGraph", "GraphNet", "block_graph", "train"]


@dataclass(frozen=True, eq=False)
class BlockGraph:
    """A random graph whose nodes know little of the block that they are in.

    Attributes
    ----------
    x : Tensor, shape [n_nodes, n_features]
        The mean of the node's block, and noise.
    edge_index : Tensor, shape [2, n_entries]
        int64, both directions of every edge.
    labels : Tensor, shape [n_nodes]
        int64 block of each node.
    train : Tensor, shape [n_train]
        int64 nodes whose label is known.
    """

    x: Tensor
    edge_index: Tensor
    labels: Tensor
    train: Tensor


class GraphNet(nn.Module):
    """Two graph convolutions, ``A relu(A x W1 + b1) W2 + b2``.

    Parameters
    ----------
    n_features, n_hidden, n_classes : int
        Widths.
    """

    def __init__(self, n_features: int, n_hidden: int, n_classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_features, n_hidden)
        self.second = nn.Linear(n_hidden, n_classes)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Return logits [n_nodes, n_classes] of a normalised adjacency [n_nodes, n_nodes]."""
        hidden = torch.relu(self.first(adjacency @ x))
        logits: Tensor = self.second(adjacency @ hidden)
        return logits


def block_graph(
    seed: int,
    *,
    n_nodes: int = 240,
    n_blocks: int = 4,
    within: float = 0.08,
    between: float = 0.0302,
    n_features: int = 4,
    noise: float = 3.0,
    train_share: float = 0.6,
) -> BlockGraph:
    """Draw a graph; edges are likelier within a block than between two.

    Parameters
    ----------
    seed : int
        Decides everything; the global generator is left alone.
    n_nodes, n_blocks, n_features : int
        Sizes. Blocks are equal, up to one node.
    within, between : float
        Probability of an edge in a block, and between two.
    noise : float
        Standard deviation of the features in a block; the means of the blocks have 1.
    train_share : float
        Share of the nodes that are trained on.

    Returns
    -------
    BlockGraph
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n_nodes) % n_blocks
    chance = torch.where(labels[:, None] == labels, within, between)
    upper = (torch.rand(n_nodes, n_nodes, generator=generator) < chance).triu(1)
    means = torch.randn(n_blocks, n_features, generator=generator)
    x = means[labels] + noise * torch.randn(n_nodes, n_features, generator=generator)
    train = torch.randperm(n_nodes, generator=generator)[: int(train_share * n_nodes)]
    return BlockGraph(x, (upper | upper.T).nonzero().T.contiguous(), labels, train)


def train(
    graph: BlockGraph,
    seed: int,
    *,
    n_hidden: int = 32,
    epochs: int = 60,
    progress: Callable[[range], range] | None = None,
) -> GraphNet:
    """Train a `GraphNet` on the nodes whose label is known.

    Parameters
    ----------
    graph : BlockGraph
        From `block_graph`.
    seed : int
        Of the first weights.
    n_hidden, epochs : int
        Width, and steps of Adam over the whole graph.
    progress : callable, optional
        Wraps the steps to show a bar.

    Returns
    -------
    GraphNet
        In evaluation mode, without gradients.
    """
    adjacency = weighted_adjacency(
        graph.edge_index, torch.ones(graph.edge_index.shape[1]), len(graph.x)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GraphNet(graph.x.shape[1], n_hidden, int(graph.labels.max()) + 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    steps = range(epochs)
    for _ in steps if progress is None else progress(steps):
        optimiser.zero_grad()
        logits = model(graph.x, adjacency)[graph.train]
        torch.autograd.backward(cross_entropy(logits, graph.labels[graph.train]))
        optimiser.step()
    return model.eval().requires_grad_(False)
