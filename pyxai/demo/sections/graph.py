"""The demonstration's graph: which edges a network needs, drawn before and after compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai import plot
from pyxai.demo.figures import subplots
from pyxai.demo.sections.graph_task import BlockGraph, block_graph, train
from pyxai.demo.words import percent
from pyxai.graphs import GraphExplanation, GraphGame, graph_layout, select_players
from pyxai.metrics import Curve, graph_fidelity
from pyxai.report import Section, format_number

__all__ = ["MeasuredGraph", "conclusions", "measure_graph", "section"]

ENOUGH = 0.9  # of the predictions should survive
RANDOM_ORDERS = 8


@dataclass(frozen=True, eq=False)
class MeasuredGraph:
    """What was found out about a graph network.

    Attributes
    ----------
    graph : BlockGraph
        The graph.
    accuracy : float
        Share of the nodes without a known label whose block the network finds.
    greedy, once : GraphExplanation
        Edges in the order of Greedy PIG, and of the same integrals taken once.
    curves : dict of str to Curve
        Predictions kept by fraction of edges kept, by order; the random one has several rows.
    count : int
        Edges with which the greedy order keeps enough predictions.
    """

    graph: BlockGraph
    accuracy: float
    greedy: GraphExplanation
    once: GraphExplanation
    curves: dict[str, Curve]
    count: int

    @property
    def n_edges(self) -> int:
        """Edges of the whole graph."""
        return self.greedy.game.n_players

    def kept(self, name: str) -> float:
        """Share of the predictions that an order keeps with ``count`` edges."""
        curve = self.curves[name]
        point = int((curve.x * self.n_edges).round().sub(self.count).abs().argmin())
        return float(curve.y[:, point].mean())

    def changed(self, explanation: GraphExplanation) -> Tensor:
        """Return the nodes whose prediction ``count`` edges change, bool [n_nodes]."""
        game = explanation.game

        def says(outputs: Tensor, example: int) -> Tensor:
            return outputs.argmax(1).double()

        now = game.ask(says, explanation.players(self.count)[:, None])[0, 0]
        return now != game.full.argmax(1)

    def share_within(self, count: int) -> float:
        """Share of the first ``count`` edges that join nodes of one block."""
        source, target = self.greedy.game.players.ends[:, self.greedy.order[0, :count]]
        return float((self.graph.labels[source] == self.graph.labels[target]).double().mean())


def measure_graph(seed: int) -> MeasuredGraph:
    """Train a network on a random graph and order its edges in three ways.

    Parameters
    ----------
    seed : int
        What all random choices are made from.

    Returns
    -------
    MeasuredGraph
    """
    graph = block_graph(seed, n_nodes=120, within=0.2, between=0.02, n_features=8)
    model = train(graph, seed)
    game = GraphGame(model, graph.x, graph.edge_index, weights_as="dense")
    unknown = torch.ones_like(graph.labels, dtype=torch.bool)
    unknown[graph.train] = False
    right = game.full.argmax(1) == graph.labels
    n = game.n_players
    greedy = select_players(game, rounds=-(-n // 20))
    once = select_players(game, rounds=[n], n_steps=16)
    draw = torch.Generator().manual_seed(seed)
    by_chance = [graph_fidelity(game, torch.rand(n, generator=draw)) for _ in range(RANDOM_ORDERS)]
    curves = {
        "Greedy PIG": greedy.curve(),
        "integrated gradients, once": once.curve(),
        "random": Curve(by_chance[0].x, torch.cat([curve.y for curve in by_chance])),
    }
    best = curves["Greedy PIG"]
    enough = int((best.y[0] >= ENOUGH).nonzero()[0])
    count = int((best.x[enough] * n).round())
    return MeasuredGraph(graph, float(right[unknown].double().mean()), greedy, once, curves, count)


def section(above: Section, measured: MeasuredGraph) -> None:
    """Append a fold about the graph.

    Parameters
    ----------
    above : Section
        To append to.
    measured : MeasuredGraph
        What it is about.
    """
    share = percent(measured.count / measured.n_edges)
    kept = percent(measured.kept("Greedy PIG"))
    part = above.fold(f"Which edges of a graph it needs: {share} for {kept} of the predictions")
    part.text(
        f"A graph convolutional network, trained on the blocks of {len(measured.graph.train)} of "
        f"{len(measured.graph.x)} nodes, finds the block of {percent(measured.accuracy)} of the "
        "others: their own features say little, their neighbours' say more. Edges are given a "
        "weight from 0 to 1, and those whose weight moves the predictions most are selected, a "
        "few at a time."
    )
    part.figure(
        lambda: _drawings(measured, 3),
        narrow=lambda: _drawings(measured, 1),
        alt="The graph with all edges, and with the edges that two methods select",
        caption="Colours are predictions. A red ring marks a node whose prediction changes when "
        "only the drawn edges are left.",
    )
    part.figure(
        lambda: _curves(measured),
        alt="Share of the predictions that stay, by fraction of the edges kept, for three orders",
        caption="The band is the middle half of the random orders.",
    )
    part.conclusions(*conclusions(measured))


def conclusions(measured: MeasuredGraph) -> tuple[list[str], list[str]]:
    """Say what the drawings allow.

    Parameters
    ----------
    measured : MeasuredGraph
        Of the graph.

    Returns
    -------
    tuple of two lists of str
        What one can and what one cannot conclude.
    """
    share = measured.count / measured.n_edges
    greedy, once, chance = (measured.kept(name) for name in measured.curves)
    among, overall = measured.share_within(measured.count), measured.share_within(measured.n_edges)
    can = [
        f"How many edges the network rests on: {percent(share)} of them keep {percent(greedy)} of "
        f"its predictions when they are selected a few at a time, {percent(once)} when the same "
        f"integrals are taken only once, and {percent(chance)} when they are chosen at random.",
        f"What kind of edge it uses: {percent(among)} of the selected ones join nodes of one "
        f"block, of all edges {percent(overall)}.",
    ]
    cannot = [
        "That the other edges carry nothing. The selected ones suffice; another set may suffice "
        "as well, and what is redundant is left out on purpose.",
        *_surer_with_fewer(measured),
    ]
    return can, cannot


def _surer_with_fewer(measured: MeasuredGraph) -> list[str]:
    """Say so if the network is surer of its predictions with some edges than with all."""
    values = measured.greedy.values[0]
    best = int(values.argmax())
    if best == len(values) - 1:
        return []
    share = float((measured.greedy.round_index[0] < best).double().mean())
    return [
        f"That more edges are better. With {percent(share)} of them the mean log-probability of "
        f"the predictions is {format_number(float(values[best]))}, with all of them "
        f"{format_number(float(values[-1]))}: each edge takes weight from the others at its ends."
    ]


def _drawings(measured: MeasuredGraph, columns: int) -> Any:
    """Draw the whole graph and what two orders leave of it, at the same places."""
    size = (9.6, 3.6) if columns > 1 else (3.7, 10.5)
    figure, axes = subplots(3 // columns, columns, figsize=size)
    places = graph_layout(measured.greedy.edge_index, len(measured.graph.x))
    plot.graph(
        measured.greedy,
        positions=places,
        title=f"the whole graph:\n{measured.n_edges} edges",
        ax=axes[0],
    )
    for ax, name, found in zip(
        axes[1:],
        ("Greedy PIG", "integrated gradients"),
        (measured.greedy, measured.once),
        strict=True,
    ):
        changed = measured.changed(found)
        plot.graph(
            found,
            count=measured.count,
            marked=changed,
            positions=places,
            title=f"{name}: {measured.count} edges,\n{int(changed.sum())} predictions change",
            ax=ax,
        )
    return figure


def _curves(measured: MeasuredGraph) -> Any:
    figure, ax = subplots(figsize=(3.7, 3.0))
    plot.curve(measured.curves, ax=ax)
    ax.axvline(measured.count / measured.n_edges, color="0.5", linewidth=0.8, linestyle=":")
    return figure
