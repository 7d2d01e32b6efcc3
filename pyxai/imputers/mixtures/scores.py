"""Log-densities of the present features under many components, as products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["quadratic_scores"]

_ELEMENTS = 2**23  # of the rows that are multiplied at once
_CACHED = 2**17  # on a CPU, so that they stay in its cache


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
    batch, n_masks, features = present.shape
    elements = _CACHED if flat.device.type == "cpu" else _ELEMENTS
    step = min(batch, max(1, elements // max(1, n_masks * features)))
    # Absent values are multiplied by 0; only what is not finite needs more, which is slower.
    is_finite = bool(flat.sum().isfinite())
    weights, kept = flat.new_empty((2, step, n_masks, features), dtype=torch.float64)
    total: Tensor = weights.new_empty((batch, n_masks, len(means)))
    for first in range(0, batch, step):
        part = slice(first, min(first + step, batch))
        shown = weights[: part.stop - first].copy_(present[part])
        values = torch.mul(flat[part].double().unsqueeze(1), shown, out=kept[: part.stop - first])
        if not is_finite:
            values.masked_fill_(~present[part], 0.0)
        own, values = total[part].flatten(0, 1), values.flatten(0, 1)
        torch.mm(shown.flatten(0, 1), left[2], out=own)
        own.addmm_(values, left[1]).addmm_(values.square_(), left[0])
    return total.mul_(-0.5)
