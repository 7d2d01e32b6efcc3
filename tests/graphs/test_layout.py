"""Where the nodes of a drawn graph lie."""

from __future__ import annotations

import pytest
import torch
from graph_references import ring

from pyxai.graphs import graph_layout


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
