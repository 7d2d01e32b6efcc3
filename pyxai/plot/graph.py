"""Graphs before and after their compression."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_int, check_tensor, describe
from pyxai.graphs import GraphExplanation, graph_layout
from pyxai.plot.axes import new_axes
from pyxai.plot.colours import POSITIVE

__all__ = ["graph"]

# Readable with colour blindness, in this order the most distant first; the order of Okabe and Ito.
CLASSES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#6c6c6c")

_ALIKE = (0.45, 0.9, 1.0)  # opacity and width of edges, scale of nodes


def graph(
    explanation: GraphExplanation,
    *,
    example: int = 0,
    count: int | None = None,
    classes: Tensor | None = None,
    marked: Tensor | None = None,
    positions: Tensor | None = None,
    hidden: bool = False,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw a graph, or what is left of it with the first players of a selection.

    The whole graph shows the order: edges are the darker, nodes the larger, the earlier they were
    selected.

    Parameters
    ----------
    explanation : GraphExplanation
        The graph, and the order of its edges or nodes.
    example : int
        Which question of the batch.
    count : int, optional
        How many players to keep; default: the whole graph.
    classes : Tensor, shape [n_nodes], optional
        int64 class of each node, for its colour; default: what the model says of the whole graph,
        where it has a row for each node.
    marked : Tensor, shape [n_nodes], optional
        bool; these nodes get a red ring. Default: the explained node.
    positions : Tensor, shape [n_nodes, 2], optional
        Places; default: `pyxai.graphs.graph_layout`.
    hidden : bool
        Whether the edges that are not kept are drawn faintly.
    title : str, optional
        Heading; default: how many players are drawn.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If ``explanation`` is something else.
    ValueError
        If ``example``, ``count`` or a shape does not fit.
    ImportError
        If matplotlib is not installed.
    """
    if not isinstance(explanation, GraphExplanation):
        raise TypeError(f"explanation must be a GraphExplanation, got {describe(explanation)}")
    check_int("example", example, minimum=0)
    if example >= len(explanation):
        raise ValueError(f"example must be below {len(explanation)}, got {example}")
    ax = new_axes(ax, (6.0, 6.0))
    players = explanation.game.players
    edges, kept = _edges(explanation, example, count)
    if positions is None:
        positions = graph_layout(players.edge_index, players.n_nodes)
    places = _of_nodes("positions", positions, players.n_nodes).double().numpy()
    alpha, width, size = _order_shown(explanation, example) if count is None else _ALIKE
    if hidden:
        _draw_edges(ax, places[edges[:, ~kept]], alpha=0.1, width=0.5)
    _draw_edges(ax, places[edges[:, kept]], alpha=alpha, width=width)
    colours = _classes(explanation, classes)
    _draw_nodes(ax, places, size, colours, _marked(explanation, example, marked))
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title(_title(explanation, count, kept) if title is None else title)
    return ax


def _order_shown(explanation: GraphExplanation, example: int) -> tuple[Any, Any, Any]:
    """Return opacity and width of each edge, and the size of each node over a common one.

    The first player gets the most, those that were not selected the least.
    """
    players, order = explanation.game.players, explanation.order[example].cpu()
    strength = torch.zeros(players.n_players + 1, dtype=torch.float64)
    strength[order] = torch.linspace(1, 0, len(order) + 1, dtype=torch.float64)[:-1]
    strength[-1] = 1  # what is always kept
    owned = strength[players.owners.cpu()]
    if players.kind == "nodes":
        return *_ALIKE[:2], (0.3 + 1.2 * owned).numpy()
    pairs, index, apart = _pairs(explanation)
    edge = torch.zeros(pairs.shape[1], dtype=torch.float64)
    edge.scatter_reduce_(0, index, owned[apart], "amax")
    return (0.12 + 0.78 * edge).numpy(), (0.6 + 1.8 * edge).numpy(), 1.0


def _title(explanation: GraphExplanation, count: int | None, kept: np.ndarray[Any, Any]) -> str:
    players = explanation.game.players
    if count is None:
        n, how = (len(kept), "darker") if players.kind == "edges" else (players.n_nodes, "larger")
        return f"{n} {players.kind}, the earlier selected the {how}"
    if players.kind == "nodes":
        return f"{count} of {players.n_players} nodes"
    return f"{int(kept.sum())} of {len(kept)} edges"


def _pairs(explanation: GraphExplanation) -> tuple[Tensor, Tensor, Tensor]:
    """Return each edge once, [2, n_edges], the edge of each entry that is no loop, and these."""
    source, target = explanation.game.players.edge_index.cpu()
    ends = torch.stack([torch.minimum(source, target), torch.maximum(source, target)])
    apart = source != target
    pairs, index = torch.unique(ends[:, apart], dim=1, return_inverse=True)
    return pairs, index, apart


def _edges(
    explanation: GraphExplanation, example: int, count: int | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return each edge once, [2, n_edges], and whether it is kept, [n_edges]."""
    pairs, index, apart = _pairs(explanation)
    kept = torch.ones_like(apart) if count is None else explanation.kept(count)[example].cpu()
    shown = torch.zeros(pairs.shape[1], dtype=torch.bool)
    shown[index[kept[apart]]] = True
    return pairs.numpy(), shown.numpy()


def _draw_edges(ax: Any, ends: np.ndarray[Any, Any], alpha: Any, width: Any) -> None:
    """Draw lines between places [2, n_edges, 2]; opacity and width are one number or one each."""
    collections = importlib.import_module("matplotlib.collections")
    ink = importlib.import_module("matplotlib").rcParams["text.color"]
    lines = collections.LineCollection(
        ends.transpose(1, 0, 2), colors=ink, alpha=alpha, linewidths=width, zorder=1
    )
    ax.add_collection(lines)


def _draw_nodes(
    ax: Any, places: np.ndarray[Any, Any], scale: Any, classes: Tensor | None, marked: Tensor
) -> None:
    colours = [CLASSES[0]] * len(places)
    if classes is not None:
        colours = [CLASSES[number % len(CLASSES)] for number in classes.tolist()]
    size = float(np.clip(7000 / len(places), 8, 160))
    ax.scatter(*places.T, s=scale * size, c=colours, linewidths=0, zorder=2)
    rings = places[marked.numpy()]
    ax.scatter(
        *rings.T, s=2.6 * size, facecolors="none", edgecolors=POSITIVE, linewidths=1.3, zorder=3
    )


def _classes(explanation: GraphExplanation, classes: Tensor | None) -> Tensor | None:
    """Return the class of each node, where there is one."""
    n_nodes = explanation.game.players.n_nodes
    if classes is not None:
        return _of_nodes("classes", classes, n_nodes)
    full = explanation.game.full
    return full.argmax(1).cpu() if full.dim() == 2 and len(full) == n_nodes else None


def _marked(explanation: GraphExplanation, example: int, marked: Tensor | None) -> Tensor:
    """Return which nodes get a ring."""
    n_nodes = explanation.game.players.n_nodes
    if marked is not None:
        return _of_nodes("marked", marked, n_nodes).bool()
    explained = explanation.game.questions.nodes[example].cpu()
    rings = torch.zeros(n_nodes, dtype=torch.bool)
    if len(explained) == 1 and len(explanation.game.full) == n_nodes:
        rings[explained] = True
    return rings


def _of_nodes(name: str, values: Tensor, n_nodes: int) -> Tensor:
    check_tensor(name, values)
    if values.dim() == 0 or values.shape[0] != n_nodes:
        raise ValueError(
            f"{name} must have one entry for each of {n_nodes} nodes, got shape "
            f"{list(values.shape)}"
        )
    return values.detach().cpu()
