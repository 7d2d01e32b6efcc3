"""Weighted sums of second derivatives of v(w) along the diagonal w = s (1, ..., 1)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pyxai.ops.masked_perturb import masked_perturb
from pyxai.ops.masks import pack_masks
from pyxai.ops.pairwise_taylor import pairwise_taylor_products
from pyxai.taylor.derivatives.extension import Extension
from pyxai.taylor.derivatives.jets import gradients, hessian_rows

__all__ = ["diagonal_gradients", "diagonal_hessian"]


def diagonal_hessian(
    extension: Extension, positions: Tensor, weights: Tensor
) -> Tensor:  # float64 [batch, n_players, n_players]
    """Return ``sum over q of weights[q] * d2v/dw2`` at ``w = positions[q] * (1, ..., 1)``.

    One Hessian-vector product per node and player: of the model's own Hessian with the way of one
    player's features, which `pairwise_taylor_products` multiplies by the way and sums by player. No
    Hessian of features exists.

    Parameters
    ----------
    extension : Extension
    positions, weights : Tensor, float64, shape [n_nodes]
        Nodes in [0, 1] and their weights; terms of weight 0 are left out.
    """
    n, batch = extension.n_players, extension.batch
    start, way, players = extension.features()
    total = torch.zeros(batch, n, n, dtype=torch.float64, device=way.device)
    nodes = weights.nonzero()[:, 0]
    with extension.open_features() as function:
        for some, first, last in _passes(nodes, n, extension.points_per_pass(2)):
            at = start[:, None] + positions[some].to(way)[:, None] * way[:, None]
            moved = _ways(way, players, n, first, last)
            directions = weights[some].to(way)[:, None, None] * moved[:, None]
            points = at[:, :, None].expand_as(directions)
            rows = hessian_rows(
                function, points.flatten(1, 2).contiguous(), directions.flatten(1, 2)
            )
            products = rows.view(directions.shape).sum(1)
            pairwise_taylor_products(
                products, way, players, n_players=n, row_start=first, out=total
            )
    total = total.cpu()
    return (total + total.transpose(1, 2)) / 2


def _passes(nodes: Tensor, n_players: int, n_points: int) -> Iterator[tuple[Tensor, int, int]]:
    """Cut pairs of a node and a player into passes: some nodes, players first .. last - 1."""
    if n_points >= n_players:
        for some in nodes.split(n_points // max(n_players, 1)):  # type: ignore[no-untyped-call]
            yield some, 0, n_players
        return
    for node in nodes:
        for first in range(0, n_players, n_points):
            yield node[None], first, min(first + n_points, n_players)


def _ways(
    way: Tensor, players: Tensor | None, n_players: int, first: int, last: int
) -> Tensor:  # [batch, last - first, n_features]
    """Return the way on the features of one player after another, 0 elsewhere."""
    own = torch.eye(n_players, dtype=torch.bool, device=way.device)[first:last]
    rows: Tensor = masked_perturb(way, 0.0, pack_masks(own), players, n_players=n_players)
    return rows[:, :, 0]


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
