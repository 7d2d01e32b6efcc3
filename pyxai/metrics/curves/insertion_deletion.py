"""Metrics that show or hide the best features first: insertion, deletion and their relatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import format_inputs
from pyxai.metrics.options import refuse
from pyxai.metrics.outputs import log_probabilities, log_probabilities_of_each
from pyxai.metrics.curves.ranked_game import (
    as_tuple,
    game_options,
    mean_drop,
    name_of,
    ranked_game,
    reveal_curve,
)
from pyxai.explanation.curve import Curve
from pyxai.runner import Output

__all__ = [
    "comprehensiveness",
    "deletion",
    "insertion",
    "kl_auc",
    "softmax_auc",
    "sufficiency",
]

DEFAULT_FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5)


def insertion(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    target: Any = None,
    baselines: Any = None,
    imputer: Any = None,
    feature_mask: Any = None,
    additional_forward_args: Any = None,
    output: Output = "probability",
    n_points: int | None = None,
    absolute: bool = False,
    max_rows: int | None = None,
    seed: int = 0,
) -> Curve:
    """Show the features to the model one after the other, the highest attribution first.

    Parameters
    ----------
    model : callable
        Takes the inputs and then the extra arguments.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Examples.
    attributions : Tensor or tuple of Tensor, shape of ``inputs``
        What ranks the features; ties go to the lower index. A map of one channel of an image,
        ``[batch, 1, height, width]`` or ``[batch, height, width]``, ranks whole pixels: without
        ``feature_mask`` all channels of a pixel are shown together.
    target : int, tuple, list or Tensor, optional
        Which output, in any form that methods take.
    baselines : float, Tensor or tuple, optional
        What hidden features are replaced by; default 0.
    imputer : Imputer, optional
        Draws the values of hidden features instead.
    feature_mask : Tensor or tuple of Tensor, optional
        Features with the same number are shown together; their scores are averaged. Fractions
        count the groups that the example has.
    additional_forward_args : any, optional
        Extra arguments of the model.
    output : "logit", "probability", "log_probability" or callable
        What the curve shows.
    n_points : int, optional
        Points of the curve, both ends included; default: all sizes up to 256 features, else 101.
    absolute : bool
        Whether to rank by absolute value.
    max_rows : int, optional
        Upper bound of rows in one call of the model.
    seed : int
        Of the imputer's draws.

    Returns
    -------
    Curve
        From nothing shown to all; ``.auc`` [batch], higher is better.

    Raises
    ------
    ValueError
        If attributions have another shape, ``feature_mask`` divides the pixels of such a map, or
        an argument is out of range.
    TypeError
        If a type does not fit.

    References
    ----------
    .. [1] V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of
       Black-box Models", BMVC 2018, section 4.2.
    """
    options = game_options(locals())
    ranked = ranked_game(model, inputs, attributions, absolute, options)
    return reveal_curve(ranked, n_points, hide=False, name=f"insertion ({name_of(output)})")


def deletion(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    target: Any = None,
    baselines: Any = None,
    imputer: Any = None,
    feature_mask: Any = None,
    additional_forward_args: Any = None,
    output: Output = "probability",
    n_points: int | None = None,
    absolute: bool = False,
    max_rows: int | None = None,
    seed: int = 0,
) -> Curve:
    """Hide the features from the model one after the other, the highest attribution first.

    Parameters
    ----------
    model, inputs, attributions, target, baselines, imputer, feature_mask, \
additional_forward_args, output, n_points, absolute, max_rows, seed
        As for `insertion`.

    Returns
    -------
    Curve
        From nothing hidden to all; ``.auc`` [batch], lower is better.

    Raises
    ------
    ValueError, TypeError
        As for `insertion`.

    References
    ----------
    .. [1] V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of
       Black-box Models", BMVC 2018, section 4.2.
    """
    options = game_options(locals())
    ranked = ranked_game(model, inputs, attributions, absolute, options)
    return reveal_curve(ranked, n_points, hide=True, name=f"deletion ({name_of(output)})")


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


def comprehensiveness(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    fractions: float | Sequence[float] = DEFAULT_FRACTIONS,
    target: Any = None,
    baselines: Any = None,
    imputer: Any = None,
    feature_mask: Any = None,
    additional_forward_args: Any = None,
    output: Output = "probability",
    absolute: bool = False,
    max_rows: int | None = None,
    seed: int = 0,
) -> Tensor:
    """Return how far the output falls when the top features are hidden.

    Parameters
    ----------
    fractions : float or sequence of float
        In (0, 1]; of n features the first ``ceil(q n)`` are hidden, and the drops are averaged.
    model, inputs, attributions, target, baselines, imputer, feature_mask, \
additional_forward_args, output, absolute, max_rows, seed
        As for `insertion`.

    Returns
    -------
    Tensor, shape [batch]
        float64, in output units; higher is better.

    Raises
    ------
    ValueError, TypeError
        As for `insertion`; also if a fraction is outside (0, 1].

    References
    ----------
    .. [1] J. DeYoung et al., "ERASER: A Benchmark to Evaluate Rationalized NLP Models", ACL 2020,
       section 4, eq. 1.
    """
    options = game_options(locals())
    ranked = ranked_game(model, inputs, attributions, absolute, options)
    return mean_drop(ranked, fractions, hide=True)


def sufficiency(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    fractions: float | Sequence[float] = DEFAULT_FRACTIONS,
    target: Any = None,
    baselines: Any = None,
    imputer: Any = None,
    feature_mask: Any = None,
    additional_forward_args: Any = None,
    output: Output = "probability",
    absolute: bool = False,
    max_rows: int | None = None,
    seed: int = 0,
) -> Tensor:
    """Return how far the output falls when only the top features are shown.

    Parameters
    ----------
    fractions : float or sequence of float
        In (0, 1]; of n features the first ``ceil(q n)`` are shown, and the drops are averaged.
    model, inputs, attributions, target, baselines, imputer, feature_mask, \
additional_forward_args, output, absolute, max_rows, seed
        As for `insertion`.

    Returns
    -------
    Tensor, shape [batch]
        float64, in output units; lower is better.

    Raises
    ------
    ValueError, TypeError
        As for `insertion`; also if a fraction is outside (0, 1].

    References
    ----------
    .. [1] J. DeYoung et al., "ERASER: A Benchmark to Evaluate Rationalized NLP Models", ACL 2020,
       section 4, eq. 2.
    """
    options = game_options(locals())
    ranked = ranked_game(model, inputs, attributions, absolute, options)
    return mean_drop(ranked, fractions, hide=False)
