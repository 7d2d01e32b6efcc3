"""Whether few features hold most of an attribution."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai.metrics.rows import rows_of, scaled
from pyxai.runner import takes_arrays

__all__ = ["sparseness"]


@takes_arrays
def sparseness(attributions: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the Gini index of absolute attributions.

    Parameters
    ----------
    attributions : Tensor or tuple of Tensor, shape [batch, *features]
        Any units.

    Returns
    -------
    Tensor, shape [batch]
        float64: 0 if all features weigh the same, ``1 - 1/n`` if one of n features has all; 0
        where all attributions are 0.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    TypeError
        If something is not a tensor.

    References
    ----------
    .. [1] P. Chalasani et al., "Concise Explanations of Neural Networks using Adversarial
       Training", ICML 2020, section 5.
    """
    values = scaled(rows_of("attributions", attributions)).abs().sort(1).values
    n = values.shape[1]
    ranks = torch.arange(1, n + 1, dtype=torch.float64, device=values.device)
    total = values.sum(1)
    weighted = (values * (2 * ranks - n - 1)).sum(1)
    return torch.where(total > 0, weighted / (n * total), torch.zeros_like(total))
