"""Checks of options that several metrics have."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from pyxai._checks import describe

__all__ = ["check_fractions", "sets"]

P = ParamSpec("P")
R = TypeVar("R")


def check_fractions(name: str, values: Any, *, zero: bool = False) -> Tensor:
    """Return one fraction or several as a float64 vector.

    Raises
    ------
    TypeError
        If something is not a number.
    ValueError
        If there is none, or one is NaN or outside (0, 1]; with ``zero`` outside [0, 1].
    """
    bounds = "[0, 1]" if zero else "(0, 1]"
    try:
        plain = isinstance(values, (Tensor, str)) or not hasattr(values, "__iter__")
        shares = torch.as_tensor(values if plain else list(values), dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be numbers in {bounds}, got {describe(values)}") from None
    shares = shares.detach().cpu().reshape(-1)
    # Comparisons with NaN are false, so ask for what is right rather than for what is wrong.
    inside = ((shares >= 0) if zero else (shares > 0)) & (shares <= 1)
    if not len(shares) or not bool(inside.all()):
        raise ValueError(f"{name} must be in {bounds}, got {shares.tolist()}")
    return shares


def sets(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a metric say that it sets some options itself, which similar metrics are given.

    The metric raises ``TypeError`` for them.
    """

    def decorate(metric: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(metric)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in names:
                if name in kwargs:
                    raise TypeError(
                        f"{name} must not be given, as this metric sets it, "
                        f"got {describe(kwargs[name])}"
                    )
            return metric(*args, **kwargs)

        return checked

    return decorate
