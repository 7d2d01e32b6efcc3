"""How far attributions are from adding up to the difference of the outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import format_baselines, format_inputs
from pyxai.metrics.attributions import shares_of_players
from pyxai.metrics.outputs import output_of_each
from pyxai.runner import Output, Runner, one_scope, takes_arrays

__all__ = ["completeness"]


@takes_arrays
@one_scope
def completeness(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    baselines: Any = None,
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = "logit",
    feature_mask: Any = None,
) -> Tensor:
    """Return how far attributions are from summing to the difference of two outputs.

    ``sum(attributions) - (f(inputs) - f(baselines))``, each group's score counted once

    Parameters
    ----------
    model : callable
        Takes the inputs and then the extra arguments.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Examples.
    attributions : Tensor or tuple of Tensor, shape of ``inputs``
        In output units. A map of one channel of an image, ``[batch, 1, height, width]`` or
        ``[batch, height, width]``, has the scores of whole pixels.
    baselines : float, Tensor or tuple, optional
        Default 0.
    target : int, tuple, list or Tensor, optional
        Which output.
    additional_forward_args : any, optional
        Further arguments of the model. A tensor whose first size is that of the batch is taken to
        hold a row for each example; `pyxai.Shared` says that all rows share it.
    output : "logit", "probability", "log_probability" or callable
        Applied before the target is selected.
    feature_mask : Tensor or tuple of Tensor, optional
        That of the attributions: where features form groups, methods write the score of a group on
        each of its members.

    Returns
    -------
    Tensor, shape [batch]
        float64, in output units; 0 is complete.

    Raises
    ------
    ValueError
        If a shape does not fit, or the model returns one scalar for several examples.
    TypeError
        If a type does not fit.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
       proposition 1.
    """
    tensors, _ = format_inputs(inputs)
    shares = shares_of_players(attributions, tensors, feature_mask)
    starts = tuple(
        base.expand_as(tensor) if isinstance(base, Tensor) else torch.full_like(tensor, base)
        for base, tensor in zip(format_baselines(baselines, tensors), tensors, strict=True)
    )
    runner = Runner(
        model, target=target, additional_forward_args=additional_forward_args, output=output
    )
    change = output_of_each(runner, tensors) - output_of_each(runner, starts)
    return torch.stack([share.sum(1) for share in shares]).sum(0) - change
