"""How many of the features that matter are found, and how many of those found do not matter."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_finite, check_int, check_real, check_tensor
from pyxai.runner import takes_arrays

__all__ = ["SelectionRates", "selection_rates"]


class SelectionRates(NamedTuple):
    """Rates of a selection, float64 [batch] each; NaN where a rate is not defined."""

    tpr: Tensor
    """Share of the features that matter which are selected; NaN where none matters."""
    fpr: Tensor
    """Share of the features that do not matter which are selected; NaN where all matter."""
    fdr: Tensor
    """Share of the selected features that do not matter; 0 where none is selected."""


@takes_arrays
def selection_rates(
    selected: Tensor,
    truth: Tensor,
    *,
    k: int | None = None,
    threshold: float | None = None,
    absolute: bool = False,
) -> SelectionRates:
    """Compare selected features with those that are known to matter.

    Parameters
    ----------
    selected : Tensor, shape [batch, *features]
        bool, True where a feature is selected; or attributions, with ``k`` or ``threshold``.
    truth : Tensor, shape of ``selected`` or one that broadcasts to it
        bool, True where a feature matters.
    k : int, optional
        Select the ``k`` largest attributions of each example; ties go to the lower index.
    threshold : float, optional
        Select the attributions above it, in their units.
    absolute : bool
        Whether attributions count by their absolute value.

    Returns
    -------
    SelectionRates
        ``.tpr``, ``.fpr`` and ``.fdr``: true positives, false positives and false discoveries.

    Raises
    ------
    ValueError
        If shapes do not fit, ``k`` is not in 0 .. n_features, an attribution is NaN or infinite, or
        attributions come without exactly one of ``k`` and ``threshold``.
    TypeError
        If something is not a tensor, or ``truth`` is not bool.

    References
    ----------
    .. [1] J. Yoon, J. Jordon, M. van der Schaar, "INVASE: Instance-wise Variable Selection using
       Neural Networks", ICLR 2019, section 5, for the true positive and false discovery rates.

    Examples
    --------
    >>> import torch
    >>> from pyxai.metrics import selection_rates
    >>> truth = torch.tensor([True, True, False, False, False])
    >>> selection_rates(torch.tensor([[5.0, 1.0, 4.0, 3.0, 2.0]]), truth, k=2).fdr
    tensor([0.5000], dtype=torch.float64)
    """
    check_bool("absolute", absolute)
    chosen = _chosen(selected, k, threshold, absolute)
    check_tensor("truth", truth)
    if truth.dtype != torch.bool:
        raise TypeError(f"truth must be bool, got {truth.dtype}")
    try:
        matters = truth.to(chosen.device).expand_as(selected).flatten(1)
    except RuntimeError as error:
        raise ValueError(
            f"truth must broadcast to {list(selected.shape)}, got {list(truth.shape)}"
        ) from error
    hits = (chosen & matters).sum(1).double()
    false = (chosen & ~matters).sum(1).double()
    return SelectionRates(
        hits / matters.sum(1),
        false / (~matters).sum(1),
        false / chosen.sum(1).clamp(min=1),
    )


def _chosen(selected: Any, k: int | None, threshold: float | None, absolute: bool) -> Tensor:
    """Return what is selected, bool [batch, n_features]."""
    values: Tensor = check_tensor("selected", selected)
    if values.dim() < 2 or values.numel() == 0:
        raise ValueError(
            f"selected must have examples and features, got shape {list(values.shape)}"
        )
    flat = values.detach().flatten(1)
    if flat.dtype == torch.bool:
        if k is not None or threshold is not None:
            raise ValueError("k and threshold must be None where selected is bool, got a number")
        return flat
    check_real("selected", flat)
    check_finite("selected", flat)
    if (k is None) == (threshold is None):
        raise ValueError(
            f"one of k and threshold must be given for attributions, got k={k} and "
            f"threshold={threshold}"
        )
    flat = _magnitudes(flat) if absolute else flat
    if threshold is not None:
        return flat > threshold
    n_features = flat.shape[1]
    if check_int("k", k, minimum=0) > n_features:
        raise ValueError(f"k must be at most {n_features}, all features, got {k}")
    best = flat.argsort(dim=1, descending=True, stable=True)[:, :k]
    return torch.zeros_like(flat, dtype=torch.bool).scatter_(1, best, True)


def _magnitudes(values: Tensor) -> Tensor:
    """Return absolute values; the least whole number of a type has none in that type."""
    if values.is_floating_point():
        return values.abs()
    return values.long().clamp(min=-torch.iinfo(torch.int64).max).abs()
