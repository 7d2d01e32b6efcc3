"""What the output loses without the best features, and with nothing but them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from pyxai.metrics.curves.ranked_game import (
    ranked_game,
)
from pyxai.runner import Output, one_scope, takes_arrays

__all__ = ["comprehensiveness", "sufficiency"]

DEFAULT_FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5)


@takes_arrays
@one_scope
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
    return ranked.mean_drop(fractions, hide=True)


@takes_arrays
@one_scope
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
    return ranked.mean_drop(fractions, hide=False)
