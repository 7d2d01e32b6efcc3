"""Flags of a method are True or False: a word or a number would be read as one silently."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from pyxai._checks import check_bool
from pyxai.runner.progress import check_progress

__all__ = ["checked_flags"]


def checked_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function check, before anything else, what its signature annotates as ``bool``.

    ``show_progress`` has captum's annotation and takes a callback too.
    """
    parameters = enumerate(inspect.signature(function).parameters.values())
    flags = [(place, each.name) for place, each in parameters if each.annotation in ("bool", bool)]
    if not flags:
        return function

    @functools.wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        for place, name in flags:
            if place < len(given):
                _check(name, given[place])
            elif name in named:
                _check(name, named[name])
        return function(*given, **named)

    return checked


def _check(name: str, value: Any) -> None:
    if name == "show_progress":
        check_progress(name, value)
    else:
        check_bool(name, value)
