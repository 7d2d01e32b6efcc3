"""Where the nodes of a drawn graph lie."""

from __future__ import annotations

import pytest
import torch
from graph_references import ring

from pyxai.graphs import graph_layout
from pyxai.graphs.layout import _spectral


def test_a_layout_puts_neighbours_close_and_nodes_apart():
    blocks = torch.arange(20) // 10
    generator = torch.Generator().manual_seed(0)
    chance = torch.where(blocks[:, None] == blocks, 0.8, 0.02)
    upper = (torch.rand(20, 20, generator=generator) < chance).triu(1)
    edge_index = (upper | upper.T).nonzero().T
    places = graph_layout(edge_index, 20)
    assert float(places.abs().max()) == pytest.approx(1)
    apart = torch.cdist(places, places)
    assert float(apart.fill_diagonal_(9).min()) > 0.02
    inside = blocks[:, None] == blocks
    assert float(apart[inside & (apart < 9)].mean()) < 0.6 * float(apart[~inside].mean())
    assert torch.equal(places, graph_layout(edge_index, 20))
    assert torch.isfinite(graph_layout(ring(2)[:, :0], 4)).all()


@pytest.mark.parametrize("n_nodes", range(2, 9))
def test_the_farthest_node_is_at_distance_one_on_either_side(n_nodes):
    """Stars with a tail: nodes lie on one side of their mean farther than on the other."""
    edges = [(0, node) for node in range(1, n_nodes)] + [(n_nodes - 1, n_nodes), (n_nodes, 0)]
    for seed in range(3):
        places = graph_layout(torch.tensor(edges).T, n_nodes + 1, seed=seed)
        assert float(places.abs().max()) == pytest.approx(1)


@pytest.mark.parametrize("n_nodes", range(4, 10))
def test_a_layout_starts_within_six_tenths(n_nodes):
    """Half for the eigenvector, whatever its sign, a tenth for what sets nodes apart."""
    adjacency = torch.zeros(n_nodes, n_nodes, dtype=torch.float64)
    adjacency[0, 1:], adjacency[1, 2] = 1.0, 1.0
    start = _spectral(torch.maximum(adjacency, adjacency.T), 0)
    assert (start.abs().amax(0) <= 0.6).all()
    assert (start.abs().amax(0) >= 0.4).all()
