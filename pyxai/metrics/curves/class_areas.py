"""Areas of probabilities and divergences over all classes while the best features are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool
from pyxai._inputs import format_inputs
from pyxai.explanation.curve import Curve
from pyxai.metrics.curves.ranked_game import (
    as_tuple,
    ranked_game,
)
from pyxai.metrics.options import sets
from pyxai.metrics.outputs import log_probabilities, log_probabilities_of_each
from pyxai.runner import one_scope, takes_arrays
from pyxai.runner.mixing import each_row

__all__ = ["kl_auc", "softmax_auc"]


@takes_arrays
@one_scope
@sets("output")
def softmax_auc(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    target: Any = None,
    baselines: Any = None,
    imputer: Any = None,
    feature_mask: Any = None,
    additional_forward_args: Any = None,
    n_points: int | None = None,
    absolute: bool = False,
    max_rows: int | None = None,
    seed: int = 0,
    running_max: bool = False,
) -> Curve:
    """Return the softmax probability of the target against the fraction of features shown.

    Parameters
    ----------
    model, inputs, attributions, target, baselines, imputer, feature_mask, \
additional_forward_args, n_points, absolute, max_rows, seed
        As for `insertion`.
    running_max : bool
        Whether the curve may not fall.

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
    check_bool("running_max", running_max)
    ranked = ranked_game(
        model,
        inputs,
        attributions,
        target=target,
        baselines=baselines,
        imputer=imputer,
        feature_mask=feature_mask,
        additional_forward_args=additional_forward_args,
        output="probability",
        absolute=absolute,
        max_rows=max_rows,
        seed=seed,
    )
    curve = ranked.curve(n_points, hide=False, name="softmax probability")
    return curve.running_max() if running_max else curve


@takes_arrays
@one_scope
@sets("target", "output")
def kl_auc(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    baselines: Any = None,
    imputer: Any = None,
    feature_mask: Any = None,
    additional_forward_args: Any = None,
    n_points: int | None = None,
    absolute: bool = False,
    max_rows: int | None = None,
    seed: int = 0,
    reverse: bool = False,
) -> Curve:
    """Return ``KL(p(x) || p(x_S))`` against the fraction of features shown.

    Parameters
    ----------
    model, inputs, attributions, baselines, imputer, feature_mask, additional_forward_args, \
n_points, absolute, max_rows, seed
        As for `insertion`; the model returns logits ``[rows, n_classes]``.
    reverse : bool
        Whether to take ``KL(p(x_S) || p(x))`` instead.

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
    check_bool("reverse", reverse)
    tensors, _ = format_inputs(inputs)
    extra = as_tuple(additional_forward_args)
    full = log_probabilities_of_each(model, tensors, extra, max_rows)

    def divergence(*arguments: Any) -> Tensor:
        *given, reference = arguments
        shown = log_probabilities(each_row(model(*given), len(reference)))
        p, q = (shown, reference) if reverse else (reference, shown)
        # A class without probability adds nothing: x log x is 0 at 0.
        total: Tensor = torch.where(p == -torch.inf, 0.0, p.exp() * (p - q)).sum(1)
        if bool(total.isposinf().any()):
            raise ValueError(
                "model must give the same classes a probability of 0 whatever is shown, got an "
                "infinite divergence"
            )
        return total

    ranked = ranked_game(
        divergence,
        inputs,
        attributions,
        target=None,
        baselines=baselines,
        imputer=imputer,
        feature_mask=feature_mask,
        additional_forward_args=(*extra, full),
        output="logit",
        absolute=absolute,
        max_rows=max_rows,
        seed=seed,
    )
    return ranked.curve(n_points, hide=False, name="KL divergence")
