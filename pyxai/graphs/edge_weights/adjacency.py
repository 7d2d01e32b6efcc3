"""From edge weights to the normalised adjacency of a graph convolution, under two degree rules."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import (
    FLOAT_DTYPES,
    check_bool,
    check_choice,
    check_dtype,
    check_finite,
    check_int,
    check_tensor,
)
from pyxai.graphs.edge_weights.normalisation import Normalisation, normalisation
from pyxai.graphs.players import check_edge_index

__all__ = [
    "DEGREES",
    "LAYOUTS",
    "NORMALISATIONS",
    "check_base",
    "check_entries",
    "check_not_negative",
    "normalised_weights",
    "plan_adjacency",
    "weighted_adjacency",
]

DEGREES = ("renormalise", "frozen")
NORMALISATIONS = ("symmetric", "row", "none")
LAYOUTS = ("dense", "sparse")


def normalised_weights(
    edge_index: Tensor,
    weights: Tensor,
    n_nodes: int,
    *,
    base: Tensor | None = None,
    degrees: str = "renormalise",
    normalise: str = "symmetric",
    self_loops: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return the entries of the normalised adjacency of a graph with weighted edges.

    ``A_w = sum_e w_e base_e E_(target, source) + I``. Symmetric: ``D^(-1/2) A_w D^(-1/2)`` with
    ``D`` the sums over the edges that arrive at a node, as in a graph convolutional network [1]_.

    Parameters
    ----------
    edge_index : Tensor, shape [2, n_entries]
        int64 sources and targets.
    weights : Tensor, shape [n_entries]
        In [0, 1]; 1 is the whole graph. float32, float64, bfloat16 or float16. Gradients flow.
    n_nodes : int
        Nodes of the graph.
    base : Tensor, shape [n_entries], optional
        The graph's own edge weights; not negative, unless ``normalise`` is ``"none"``. Default 1.
    degrees : str
        ``"renormalise"``: degrees are those of the weighted graph, and gradients flow through them.
        ``"frozen"``: degrees stay those of the whole graph.
    normalise : str
        ``"symmetric"``, ``"row"`` (``D^-1 A_w``, the mean over neighbours) or ``"none"``.
    self_loops : bool
        Whether each node without a self loop gets one of weight 1. Loops are never weighted down.

    Returns
    -------
    edge_index : Tensor, shape [2, n_entries + n_added_loops]
    weights : Tensor, same length
        Of the normalised adjacency.

    Raises
    ------
    ValueError
        If a shape or a choice does not fit.
    TypeError
        If a dtype does not fit.

    References
    ----------
    .. [1] T. Kipf, M. Welling, "Semi-Supervised Classification with Graph Convolutional Networks",
       ICLR 2017, equation 2.

    Examples
    --------
    >>> edge_index = torch.tensor([[0, 1], [1, 0]])
    >>> weights = torch.tensor([0.25, 0.25])
    >>> normalised_weights(edge_index, weights, 2, self_loops=False)[1]
    tensor([1., 1.])
    >>> normalised_weights(edge_index, weights, 2, self_loops=False, degrees="frozen")[1]
    tensor([0.2500, 0.2500])
    """
    plan = plan_adjacency(edge_index, weights, n_nodes, base, degrees, normalise, self_loops)
    return plan.edge_index, plan.values(weights)


def weighted_adjacency(
    edge_index: Tensor,
    weights: Tensor,
    n_nodes: int,
    *,
    layout: str = "dense",
    base: Tensor | None = None,
    degrees: str = "renormalise",
    normalise: str = "symmetric",
    self_loops: bool = True,
) -> Tensor:
    """Return the normalised adjacency of a graph with weighted edges, see `normalised_weights`.

    Parameters
    ----------
    edge_index, weights, n_nodes, base, degrees, normalise, self_loops
        As in `normalised_weights`.
    layout : str
        ``"dense"`` or ``"sparse"`` (coalesced COO; torch's own gradient of a product with it needs
        memory for n_nodes x n_nodes numbers, which `GraphGame` avoids).

    Returns
    -------
    Tensor, shape [n_nodes, n_nodes]
        Row i holds what arrives at node i, so that ``adjacency @ x`` sums over neighbours. Several
        entries between the same nodes add up. Gradients flow to ``weights``.

    Raises
    ------
    ValueError
        If a shape or a choice does not fit.
    TypeError
        If a dtype does not fit.

    Examples
    --------
    >>> edge_index = torch.tensor([[0, 1], [1, 0]])
    >>> weighted_adjacency(edge_index, torch.tensor([1.0, 1.0]), 2)
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    check_choice("layout", layout, LAYOUTS)
    plan = plan_adjacency(edge_index, weights, n_nodes, base, degrees, normalise, self_loops)
    values = plan.values(weights)
    return plan.dense(values) if layout == "dense" else plan.sparse(values)


def plan_adjacency(
    edge_index: Tensor,
    weights: Tensor,
    n_nodes: int,
    base: Tensor | None,
    degrees: str,
    normalise: str,
    self_loops: bool,
) -> Normalisation:
    """Check the arguments of `normalised_weights` and work out what the weights do not change."""
    check_int("n_nodes", n_nodes, minimum=1)
    edge_index = check_edge_index(edge_index, n_nodes)
    check_choice("degrees", degrees, DEGREES)
    check_choice("normalise", normalise, NORMALISATIONS)
    check_bool("self_loops", self_loops)
    check_entries("weights", weights, edge_index)
    full = torch.ones_like(weights) if base is None else check_base("base", base, edge_index)
    if normalise != "none":
        check_not_negative("base", full)
    return normalisation(
        edge_index,
        n_nodes,
        full.detach(),
        degrees=degrees,
        normalise=normalise,
        self_loops=self_loops,
    )


def check_base(name: str, base: Tensor, edge_index: Tensor) -> Tensor:
    """Return a graph's own edge weights if there is a finite one for each entry."""
    check_entries(name, base, edge_index)
    check_finite(name, base)
    return base


def check_not_negative(name: str, base: Tensor) -> None:
    """Raise ``ValueError`` if an edge weight is negative, of which degrees cannot be summed."""
    least = float(base.min())
    if least < 0:
        raise ValueError(f"{name} must be at least 0 where degrees are summed of it, got {least:g}")


def check_entries(name: str, weights: Tensor, edge_index: Tensor) -> Tensor:
    """Return ``weights`` if it is one floating-point number for each entry of ``edge_index``."""
    check_tensor(name, weights)
    check_dtype(name, weights, FLOAT_DTYPES)
    if weights.shape != edge_index.shape[1:]:
        raise ValueError(
            f"{name} must have shape [{edge_index.shape[1]}], one for each entry of edge_index, "
            f"got {list(weights.shape)}"
        )
    return weights
