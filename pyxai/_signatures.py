"""The parameters of functions that are called again and again, looked up once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["option_parameters"]


def option_parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    """Return the parameters of a method, class or function after the first.

    The first is the inputs of `attribute` and the model of a constructor.
    """
    if inspect.ismethod(function):  # made anew at each access, and bound to its object
        return _parameters(function.__func__)[2:]
    return _parameters(function)[1:]


@functools.lru_cache(maxsize=512)
def _parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())
