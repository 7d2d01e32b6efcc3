"""Graphs before and after their compression."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_int, check_tensor, describe
from pyxai.graphs import GraphExplanation, graph_layout
from pyxai.plot._axes import POSITIVE, new_axes

__all__ = ["graph"]

# Readable with colour blindness, in this order the most distant first; the order of Okabe and Ito.
CLASSES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#6c6c6c")


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
        Heading; default: how many edges are drawn.
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
    if hidden:
        _draw_edges(ax, places[edges[:, ~kept]], alpha=0.1, width=0.5)
    _draw_edges(ax, places[edges[:, kept]], alpha=0.45, width=0.9)
    _draw_nodes(ax, places, _classes(explanation, classes), _marked(explanation, example, marked))
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.set_title(f"{int(kept.sum())} of {len(kept)} edges" if title is None else title)
    return ax


def _edges(
    explanation: GraphExplanation, example: int, count: int | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return each edge once, [2, n_edges], and whether it is kept, [n_edges]."""
    players = explanation.game.players
    source, target = players.edge_index.cpu()
    everything = torch.ones_like(source, dtype=torch.bool)
    kept = everything if count is None else explanation.kept(count)[example].cpu()
    ends = torch.stack([torch.minimum(source, target), torch.maximum(source, target)])
    pairs, index = torch.unique(ends[:, source != target], dim=1, return_inverse=True)
    shown = torch.zeros(pairs.shape[1], dtype=torch.bool)
    shown[index[kept[source != target]]] = True
    return pairs.numpy(), shown.numpy()


def _draw_edges(ax: Any, ends: np.ndarray[Any, Any], alpha: float, width: float) -> None:
    """Draw lines between places [2, n_edges, 2]."""
    collections = importlib.import_module("matplotlib.collections")
    ink = importlib.import_module("matplotlib").rcParams["text.color"]
    lines = collections.LineCollection(
        ends.transpose(1, 0, 2), colors=ink, alpha=alpha, linewidths=width, zorder=1
    )
    ax.add_collection(lines)


def _draw_nodes(
    ax: Any, places: np.ndarray[Any, Any], classes: Tensor | None, marked: Tensor
) -> None:
    colours = [CLASSES[0]] * len(places)
    if classes is not None:
        colours = [CLASSES[number % len(CLASSES)] for number in classes.tolist()]
    size = float(np.clip(7000 / len(places), 8, 160))
    ax.scatter(*places.T, s=size, c=colours, linewidths=0, zorder=2)
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
    asked = explanation.game.questions.nodes[example].cpu()
    rings = torch.zeros(n_nodes, dtype=torch.bool)
    if len(asked) == 1 and len(explanation.game.full) == n_nodes:
        rings[asked] = True
    return rings


def _of_nodes(name: str, values: Tensor, n_nodes: int) -> Tensor:
    check_tensor(name, values)
    if values.dim() == 0 or values.shape[0] != n_nodes:
        raise ValueError(
            f"{name} must have one entry for each of {n_nodes} nodes, got shape "
            f"{list(values.shape)}"
        )
    return values.detach().cpu()
