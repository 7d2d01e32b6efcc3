"""Areas of probabilities and divergences over all classes while the best features are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import format_inputs
from pyxai.explanation.curve import Curve
from pyxai.metrics.curves.insertion_deletion import insertion
from pyxai.metrics.curves.ranked_game import (
    as_tuple,
)
from pyxai.metrics.options import refuse
from pyxai.metrics.outputs import log_probabilities, log_probabilities_of_each

__all__ = ["kl_auc", "softmax_auc"]


def softmax_auc(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    target: Any = None,
    running_max: bool = False,
    **options: Any,
) -> Curve:
    """Return the softmax probability of the target against the fraction of features shown.

    Parameters
    ----------
    model, inputs, attributions, target
        As for `insertion`.
    running_max : bool
        Whether the curve may not fall.
    **options : any
        Further arguments of `insertion`, but for ``output``.

    Returns
    -------
    Curve
        ``.auc`` [batch] in [0, 1], higher is better.

    Raises
    ------
    ValueError, TypeError
        As for `insertion`.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023.
    """
    refuse(options, "output")
    curve = insertion(model, inputs, attributions, target=target, output="probability", **options)
    curve = replace(curve, name="softmax probability")
    return curve.running_max() if running_max else curve


def kl_auc(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    reverse: bool = False,
    additional_forward_args: Any = None,
    **options: Any,
) -> Curve:
    """Return ``KL(p(x) || p(x_S))`` against the fraction of features shown.

    Parameters
    ----------
    model, inputs, attributions
        As for `insertion`; the model returns logits ``[rows, n_classes]``.
    reverse : bool
        Whether to take ``KL(p(x_S) || p(x))`` instead.
    additional_forward_args : any, optional
        Extra arguments of the model.
    **options : any
        Further arguments of `insertion`, but for ``target`` and ``output``.

    Returns
    -------
    Curve
        In nats; ``.auc`` [batch], lower is better.

    Raises
    ------
    ValueError, TypeError
        As for `insertion`; also if the model does not return classes, or the divergence is
        infinite: a class has no probability with some features shown and some with others.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023.
    """
    refuse(options, "target", "output")
    tensors, _ = format_inputs(inputs)
    extra = as_tuple(additional_forward_args)
    full = log_probabilities_of_each(model, tensors, extra, options.get("max_rows"))

    def divergence(*arguments: Any) -> Tensor:
        *given, reference = arguments
        shown = log_probabilities(model(*given))
        p, q = (shown, reference) if reverse else (reference, shown)
        # A class without probability adds nothing: x log x is 0 at 0.
        total: Tensor = torch.where(p == -torch.inf, 0.0, p.exp() * (p - q)).sum(1)
        if bool(total.isposinf().any()):
            raise ValueError(
                "model must give the same classes a probability of 0 whatever is shown, got an "
                "infinite divergence"
            )
        return total

    curve = insertion(
        divergence,
        inputs,
        attributions,
        additional_forward_args=(*extra, full),
        output="logit",
        **options,
    )
    return replace(curve, name="KL divergence")
