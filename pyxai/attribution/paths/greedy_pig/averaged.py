"""Quadrature that follows the softmax: its gradient is averaged between nodes, not sampled."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["averaged_cotangents", "cell_mixing"]

_FINE = 16  # points of the average in each cell; they cost numbers of size n_outputs only


def averaged_cotangents(
    objective: Callable[[Tensor], Tensor],
    mixing: Tensor,  # that of `cell_mixing`, where the outputs are
    outputs: Tensor,  # [batch, n_nodes + 2, n_outputs]: at 0, at the nodes, at 1
) -> Tensor:
    """Return the mean of dG/d(outputs) over the cell of each node, [n_nodes, batch, n_outputs].

    The Jacobian of the outputs changes slowly along a path, but the gradient of a softmax quickly.
    So the outputs are interpolated linearly between the points where they are known, and the
    gradient of G with respect to them is averaged over each cell, whose length is the node's
    weight. What comes back is in the dtype of the outputs.

    References
    ----------
    The derivation is this package's own: ``dG/dx = J(t)^T v(t)``, with J taken at the node and v
    averaged.
    """
    points = torch.einsum("fk,bkc->bfc", mixing, outputs.double())
    with torch.inference_mode(False), torch.enable_grad():
        leaf = points.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(leaf).sum(), leaf)
    batch, _, n_outputs = points.shape
    cells = gradient.view(batch, -1, _FINE, n_outputs).mean(2)
    return cells.transpose(0, 1).to(outputs.dtype).contiguous()


def cell_mixing(nodes: Tensor, weights: Tensor) -> Tensor:
    """Return how points in the cells of the nodes lie between 0, the nodes and 1.

    Parameters
    ----------
    nodes, weights : Tensor, shape [n_nodes]
        float64; nodes ascend.

    Returns
    -------
    Tensor, shape [n_points, n_nodes + 2]
        float64 weights; each node has as many points.
    """
    ends = torch.cat([nodes.new_zeros(1), weights.cumsum(0)])
    places = (torch.arange(_FINE, dtype=torch.float64) + 0.5) / _FINE
    fine = (ends[:-1, None] + weights[:, None] * places).flatten().clamp(0, 1)
    knots = torch.cat([nodes.new_zeros(1), nodes, nodes.new_ones(1)])
    return _interpolation(knots, fine)


def _interpolation(knots: Tensor, points: Tensor) -> Tensor:
    """Return the weights of linear interpolation, [n_points, n_knots]."""
    upper = torch.searchsorted(knots, points, right=True).clamp(1, len(knots) - 1)
    left, right = knots[upper - 1], knots[upper]
    # Two knots of one place, as 0 and a node at 0, are one point.
    share = torch.where(right > left, (points - left) / (right - left).clamp(min=1e-300), 1.0)
    rows = torch.arange(len(points))
    mixing = torch.zeros(len(points), len(knots), dtype=torch.float64)
    mixing[rows, upper - 1] += 1 - share
    mixing[rows, upper] += share
    return mixing
