"""Weighted sums of second derivatives of v(w) along the diagonal w = s (1, ..., 1)."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.taylor.derivatives.extension import Extension
from pyxai.taylor.derivatives.jets import gradients, hessian_rows

__all__ = ["diagonal_gradients", "diagonal_hessian"]


def diagonal_hessian(
    extension: Extension, positions: Tensor, weights: Tensor
) -> Tensor:  # float64 [batch, n_players, n_players]
    """Return ``sum over q of weights[q] * d2v/dw2`` at ``w = positions[q] * (1, ..., 1)``.

    One Hessian-vector product per node and player: the derivative along one player's weight,
    summed by player as autograd goes back through ``w[player]``. No pixel-level Hessian exists.

    Parameters
    ----------
    extension : Extension
    positions, weights : Tensor, float64, shape [n_nodes]
        Nodes in [0, 1] and their weights; terms of weight 0 are left out.
    """
    n, batch = extension.n_players, extension.batch
    total = torch.zeros(batch, n, n, dtype=torch.float64)
    nodes = weights.nonzero()[:, 0]
    pairs = torch.cartesian_prod(nodes, torch.arange(n)).reshape(-1, 2)  # node, player
    with extension.open() as function:
        for part in pairs.split(extension.points_per_pass(2)):  # type: ignore[no-untyped-call]
            node, player = part.unbind(1)
            point = (
                extension.point(1.0, len(part)) * positions[node].to(extension.point(0.0))[:, None]
            )
            direction = torch.nn.functional.one_hot(player, n).to(point)
            rows = hessian_rows(function, point, direction.expand_as(point).contiguous())
            scaled = rows.double().cpu() * weights[node][:, None]
            total.index_add_(1, player, scaled)
    return (total + total.transpose(1, 2)) / 2


def diagonal_gradients(
    extension: Extension, positions: Tensor
) -> Tensor:  # float64 [batch, n_nodes, n_players]
    """Return ``dv/dw`` at ``w = positions[q] * (1, ..., 1)``."""
    found = []
    with extension.open() as function:
        for part in positions.split(extension.points_per_pass(1)):  # type: ignore[no-untyped-call]
            point = extension.point(1.0, len(part)) * part.to(extension.point(0.0))[:, None]
            found.append(gradients(function, point)[1].double().cpu())
    return torch.cat(found, 1)
