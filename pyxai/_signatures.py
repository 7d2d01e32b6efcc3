"""The parameters of functions that are called again and again, looked up once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["option_names", "option_parameters", "required_names"]


def option_parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    """Return the parameters of a method, class or function after the first.

    The first is the inputs of `attribute` and the model of a constructor.
    """
    own, start = _function_of(function)
    return _parameters(own)[start:]


def option_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of `option_parameters`, but for one that takes what has no name of its own.

    That is the last, ``**kwargs``.
    """
    return _names(*_function_of(function))


def required_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of `option_parameters` that have no default."""
    return _required(*_function_of(function))


def _function_of(function: Callable[..., Any]) -> tuple[Callable[..., Any], int]:
    """Return what has the signature, and how many parameters are none of the options."""
    if inspect.ismethod(function):  # made anew at each access, and bound to its object
        return function.__func__, 2
    return function, 1


@functools.lru_cache(maxsize=512)
def _names(function: Callable[..., Any], start: int) -> tuple[str, ...]:
    parameters = _parameters(function)[start:]
    return tuple(each.name for each in parameters if each.kind is not each.VAR_KEYWORD)


@functools.lru_cache(maxsize=512)
def _required(function: Callable[..., Any], start: int) -> tuple[str, ...]:
    return tuple(
        each.name
        for each in _parameters(function)[start:]
        if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD) and each.default is each.empty
    )


@functools.lru_cache(maxsize=512)
def _parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())
