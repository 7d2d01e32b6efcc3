"""Curves of the output while the best features are shown, or hidden, one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pyxai.explanation.curve import Curve
from pyxai.metrics.curves.ranked_game import (
    name_of,
    ranked_game,
)
from pyxai.runner import Output, one_scope, takes_arrays

__all__ = ["deletion", "insertion"]


@takes_arrays
@one_scope
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
        Further arguments of the model. A tensor whose first size is that of the batch is taken to
        hold a row for each example; `pyxai.Shared` says that all rows share it.
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
    ranked = ranked_game(
        model,
        inputs,
        attributions,
        target=target,
        baselines=baselines,
        imputer=imputer,
        feature_mask=feature_mask,
        additional_forward_args=additional_forward_args,
        output=output,
        absolute=absolute,
        max_rows=max_rows,
        seed=seed,
    )
    return ranked.curve(n_points, hide=False, name=f"insertion ({name_of(output)})")


@takes_arrays
@one_scope
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
    ranked = ranked_game(
        model,
        inputs,
        attributions,
        target=target,
        baselines=baselines,
        imputer=imputer,
        feature_mask=feature_mask,
        additional_forward_args=additional_forward_args,
        output=output,
        absolute=absolute,
        max_rows=max_rows,
        seed=seed,
    )
    return ranked.curve(n_points, hide=True, name=f"deletion ({name_of(output)})")
