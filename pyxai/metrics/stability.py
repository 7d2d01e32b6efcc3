"""How much two attributions of the same examples agree."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_number
from pyxai.metrics.rows import rows_of, scaled, shapes
from pyxai.runner import takes_arrays

__all__ = ["stability"]


@takes_arrays
def stability(
    attributions: Tensor | tuple[Tensor, ...],
    others: Tensor | tuple[Tensor, ...],
    *,
    measure: str = "spearman",
    top: float = 0.1,
) -> Tensor:
    """Compare two explanations of the same examples, such as runs of a sampling method.

    Parameters
    ----------
    attributions, others : Tensor or tuple of Tensor, shape [batch, *features]
        Any units.
    measure : "spearman", "pearson" or "top"
        Correlation of ranks (ties share their mean rank), of values, or the share of the top
        features that the two have in common.
    top : float
        In (0, 1]: the fraction of features that measure ``"top"`` compares.

    Returns
    -------
    Tensor, shape [batch]
        float64, 1 if the two agree; NaN where a correlation does not exist (a constant map).

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite or an argument is out of range.
    TypeError
        If something is not a tensor.
    """
    check_choice("measure", measure, ("spearman", "pearson", "top"))
    if not 0 < check_number("top", top) <= 1:
        raise ValueError(f"top must be in (0, 1], got {top}")
    first, second = rows_of("attributions", attributions), rows_of("others", others)
    wanted, got = shapes(attributions), shapes(others)
    if wanted != got:
        raise ValueError(f"others must have the shape of attributions, {wanted}, got {got}")
    if measure == "top":
        count = max(1, round(top * first.shape[1]))
        masks = [
            torch.zeros_like(rows).scatter_(
                1, rows.argsort(dim=1, descending=True, stable=True)[:, :count], 1.0
            )
            for rows in (first, second)
        ]
        return (masks[0] * masks[1]).sum(1) / count
    if measure == "spearman":
        first, second = _ranks(first), _ranks(second)
    return (_directions(first) * _directions(second)).sum(1).clamp(-1, 1)


def _directions(rows: Tensor) -> Tensor:
    """Return rows around their mean, of length 1; NaN where a row is constant.

    A constant row need not equal its mean, which is rounded.
    """
    centred = scaled(rows)
    centred = centred - centred.mean(1, keepdim=True)
    constant = rows.amax(1, keepdim=True) == rows.amin(1, keepdim=True)
    length = centred.square().sum(1, keepdim=True).sqrt()
    return (centred / length).masked_fill(constant, torch.nan)


def _ranks(rows: Tensor) -> Tensor:
    """Return the rank of each entry; equal entries share their mean rank."""
    ordered = rows.sort(1).values.contiguous()
    first = torch.searchsorted(ordered, rows.contiguous(), right=False)
    last = torch.searchsorted(ordered, rows.contiguous(), right=True)
    return (first + last).double() / 2
