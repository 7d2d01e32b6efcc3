"""Metrics that show or hide the best features first: insertion, deletion and their relatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import format_inputs
from pyxai.game import Game
from pyxai.metrics._attributions import player_scores, rank_players
from pyxai.metrics.curve import Curve
from pyxai.runner import EveryOutput, Output, Runner

__all__ = [
    "comprehensiveness",
    "deletion",
    "insertion",
    "kl_auc",
    "softmax_auc",
    "sufficiency",
]

ALL_SIZES = 256  # up to so many players every size is a point of the curve
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
        What ranks the features; ties go to the lower index.
    target : int, tuple, list or Tensor, optional
        Which output, in any form that methods take.
    baselines : float, Tensor or tuple, optional
        What hidden features are replaced by; default 0.
    imputer : Imputer, optional
        Draws the values of hidden features instead.
    feature_mask : Tensor or tuple of Tensor, optional
        Features with the same number are shown together; their scores are averaged.
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
        If attributions have another shape than inputs, or an argument is out of range.
    TypeError
        If a type does not fit.

    References
    ----------
    .. [1] V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of
       Black-box Models", BMVC 2018, section 4.2.
    """
    options = _game_options(locals())
    game, order = _ranked(model, inputs, attributions, absolute, options)
    sizes = _sizes(game.n_players, n_points)
    return _curve(game, order, sizes, hide=False, name=f"insertion ({_name(output)})")


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
    options = _game_options(locals())
    game, order = _ranked(model, inputs, attributions, absolute, options)
    sizes = _sizes(game.n_players, n_points)
    return _curve(game, order, sizes, hide=True, name=f"deletion ({_name(output)})")


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
    curve = insertion(model, inputs, attributions, target=target, output="probability", **options)
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
        As for `insertion`; also if the model does not return classes.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023.
    """
    tensors, _ = format_inputs(inputs)
    extra = _as_tuple(additional_forward_args)
    logits = Runner(model, target=EveryOutput(), additional_forward_args=extra).outputs(tensors)
    if logits.dim() != 2 or logits.shape[1] < 2:
        raise ValueError(
            "model must return logits of shape [rows, n_classes] with at least 2 classes, "
            f"got {list(logits.shape)}"
        )
    full = logits.double().log_softmax(1)

    def divergence(*arguments: Any) -> Tensor:
        *given, reference = arguments
        shown = model(*given).double().log_softmax(1)
        p, q = (shown, reference) if reverse else (reference, shown)
        total: Tensor = (p.exp() * (p - q)).sum(1)
        return total

    curve = insertion(
        divergence,
        inputs,
        attributions,
        additional_forward_args=(*extra, full),
        output="logit",
        **options,
    )
    return Curve(curve.x, curve.y, "KL divergence", curve.x_name)


def comprehensiveness(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
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
    fractions : sequence of float
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
    options = _game_options(locals())
    game, order = _ranked(model, inputs, attributions, absolute, options)
    return _drop(game, order, fractions, hide=True)


def sufficiency(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    fractions: Sequence[float] = DEFAULT_FRACTIONS,
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
    fractions : sequence of float
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
    options = _game_options(locals())
    game, order = _ranked(model, inputs, attributions, absolute, options)
    return _drop(game, order, fractions, hide=False)


_GAME_OPTIONS = (
    "target",
    "baselines",
    "imputer",
    "feature_mask",
    "additional_forward_args",
    "output",
    "max_rows",
    "seed",
)


def _game_options(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in _GAME_OPTIONS}


def _ranked(
    model: Callable[..., Any],
    inputs: Any,
    attributions: Any,
    absolute: bool,
    options: dict[str, Any],
) -> tuple[Game, Tensor]:
    """Return the game and each example's players from best to worst."""
    tensors, _ = format_inputs(inputs)
    scores, _ = player_scores(attributions, tensors, options["feature_mask"], absolute=absolute)
    return Game(model, inputs, **options), rank_players(scores)


def _sizes(n_players: int, n_points: int | None) -> Tensor:
    if n_points is None:
        n_points = n_players + 1 if n_players <= ALL_SIZES else 101
    check_int("n_points", n_points, minimum=2)
    count = min(n_points, n_players + 1)
    return torch.linspace(0, n_players, count, dtype=torch.float64).round().long()


def _top(order: Tensor, sizes: Tensor) -> Tensor:
    """Return masks that hold the first ``sizes`` players of each example, [batch, sizes, n]."""
    place = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    return place.unsqueeze(1) < sizes.to(order.device)[:, None]


def _curve(game: Game, order: Tensor, sizes: Tensor, *, hide: bool, name: str) -> Curve:
    masks = _top(order, sizes)
    values = game.values(~masks if hide else masks)
    x = (sizes.double() / game.n_players).to(values.device)
    axis = "fraction of features hidden" if hide else "fraction of features shown"
    return Curve(x, values.double(), name, axis)


def _drop(game: Game, order: Tensor, fractions: Sequence[float], *, hide: bool) -> Tensor:
    shares = torch.tensor(list(fractions), dtype=torch.float64)
    if not len(shares) or bool((shares <= 0).any()) or bool((shares > 1).any()):
        raise ValueError(f"fractions must be in (0, 1], got {list(fractions)}")
    n = game.n_players
    # A product such as 0.1 * 30 may lie a rounding error above the whole number it stands for.
    sizes = (shares * n - 1e-9).ceil().long().clamp(1, n)
    masks = _top(order, sizes)
    whole = torch.ones_like(masks[:, :1])
    values = game.values(torch.cat([whole, ~masks if hide else masks], 1)).double()
    return (values[:, :1] - values[:, 1:]).mean(1)


def _name(output: Output) -> str:
    return output if isinstance(output, str) else "output"


def _as_tuple(arguments: Any) -> tuple[Any, ...]:
    if arguments is None:
        return ()
    return arguments if isinstance(arguments, tuple) else (arguments,)
