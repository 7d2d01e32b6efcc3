"""Log-densities of the present features under many components, as products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["quadratic_scores"]

_ELEMENTS = 2**23  # of the rows that are multiplied at once


def quadratic_scores(
    flat: Tensor, present: Tensor, means: Tensor, precisions: Tensor, offsets: Tensor
) -> Tensor:
    """Return ``-1/2 sum over present d of [precision_cd (x_d - mean_cd)^2 + offset_cd]``.

    The square is multiplied out, so that the sum over features is three products of matrices,
    ``-1/2 [(z x^2) P' - 2 (z x) (P m)' + z (P m^2 + o)']``, and no array of rows x components x
    features is ever made.

    Parameters
    ----------
    flat : Tensor, shape [batch, features]
        Values; those of absent features are not used.
    present : Tensor, shape [batch, n_masks, features]
        bool.
    means, precisions, offsets : Tensor, shape [n_components, features]
        float64.

    Returns
    -------
    Tensor, shape [batch, n_masks, n_components]
        float64, in which what the multiplication cancels is still exact enough: a component is
        drawn by these numbers, and must not depend on the rows beside.
    """
    right = torch.cat([precisions, -2 * precisions * means, precisions * means.square() + offsets])
    left = right.view(3, *means.shape).transpose(1, 2)  # [3, features, n_components]
    n_masks, features = present.shape[1:]
    step = max(1, _ELEMENTS // max(1, n_masks * features))
    parts = []
    for values, shown in zip(torch.split(flat, step), torch.split(present, step), strict=True):
        kept = torch.where(shown, values.unsqueeze(1).double(), 0.0).flatten(0, 1)
        total = shown.flatten(0, 1).double() @ left[2]
        total.addmm_(kept, left[1]).addmm_(kept.square_(), left[0])
        parts.append(total.view(-1, n_masks, total.shape[1]))
    return torch.cat(parts).mul_(-0.5)
