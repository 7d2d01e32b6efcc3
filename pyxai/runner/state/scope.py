"""One scope for each public call: what it looks up, holds or has computed serves all its runs."""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import MethodType
from typing import Any, ParamSpec, TypeVar

from torch import Tensor, nn

from pyxai.runner.state.found import Found, hold, release
from pyxai.runner.state.modules import find_modules
from pyxai.runner.state.randomness import RandomState

__all__ = [
    "Scope",
    "left_as_found",
    "modules_of",
    "one_scope",
    "open_scope",
    "outside_scope",
    "recall",
    "remember",
]

_MAX_CALLABLES = 32  # that are remembered: functions made for one run may hold large tensors

P = ParamSpec("P")
T = TypeVar("T")


class Scope:
    """What one public call knows of the models that it runs, in the thread that it runs in."""

    def __init__(self) -> None:
        self._thread: int | None = threading.get_ident()
        self._modules: dict[Any, tuple[Any, tuple[nn.Module, ...]]] = {}
        self._found: dict[tuple[int, ...], Found] = {}
        self.outputs: list[tuple[tuple[Any, ...], tuple[Tensor, ...], Tensor]] = []

    @property
    def is_open(self) -> bool:
        """Whether this thread is in it: contexts are copied, also to other threads."""
        return self._thread == threading.get_ident()

    def modules_of(self, forward_func: Any) -> tuple[nn.Module, ...]:
        """Return the modules that a callable runs, looked up once."""
        key: Any = id(forward_func)
        if isinstance(forward_func, MethodType):  # made anew at each access
            key = id(forward_func.__self__), forward_func.__func__
        if key not in self._modules:
            if len(self._modules) == _MAX_CALLABLES:
                del self._modules[next(iter(self._modules))]
            self._modules[key] = forward_func, find_modules(forward_func)
        return self._modules[key][1]

    def hold(self, modules: tuple[nn.Module, ...]) -> Found:
        """Return the state of modules as the scope found it, until it closes."""
        key = tuple(map(id, modules))
        if key not in self._found:
            self._found[key] = hold(modules)
        return self._found[key]

    def close(self) -> None:
        """Leave all models as they were found."""
        self._thread = None
        try:
            while self._found:
                release(self._found.popitem()[1])
        finally:
            if self._found:
                self.close()


_current: ContextVar[Scope | None] = ContextVar("pyxai_scope", default=None)


class open_scope:  # a generator takes as long as some runs
    """Run a block in the scope that is open, or in one of its own."""

    def __enter__(self) -> Scope:
        current = _current.get()
        self._opened: Scope | None = None
        if current is not None and current.is_open:
            return current
        self._opened = opened = Scope()
        self._token = _current.set(opened)
        return opened

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            _current.reset(self._token)
            self._opened.close()


@contextmanager
def outside_scope() -> Iterator[None]:
    """Run a block whose calls have scopes of their own: a model may be written to between them."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def modules_of(forward_func: Any) -> tuple[nn.Module, ...]:
    """Return the modules that a callable runs, looked up once in the scope that is open."""
    current = _current.get()
    if current is not None and current.is_open:
        return current.modules_of(forward_func)
    return find_modules(forward_func)


def remember(question: tuple[Any, ...], inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
    """Keep outputs for the rest of the scope that is open: a delta needs them again."""
    current = _current.get()
    if current is not None and current.is_open:
        current.outputs.append((question, inputs, outputs))


def recall(question: tuple[Any, ...], inputs: tuple[Tensor, ...]) -> Tensor | None:
    """Return outputs that were kept for this question and these tensors, if there are any."""
    current = _current.get()
    if current is None or not current.is_open:
        return None
    for asked, tensors, outputs in current.outputs:
        same = len(asked) == len(question) and all(map(operator.is_, asked, question))
        if same and len(tensors) == len(inputs) and all(map(_is_same, tensors, inputs)):
            return outputs
    return None


def _is_same(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors are views of the same numbers."""
    return left is right or (
        left.data_ptr() == right.data_ptr()
        and left.shape == right.shape
        and left.stride() == right.stride()
        and (left.dtype, left.device) == (right.dtype, right.device)
    )


def one_scope(function: Callable[P, T]) -> Callable[P, T]:
    """Let all runs of a model within one call of a function share a scope."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with open_scope():
            return function(*args, **kwargs)

    return call


@contextmanager
def left_as_found(modules: tuple[nn.Module, ...]) -> Iterator[Found]:
    """Run a block in which parameters need no gradient; put everything back afterwards.

    Restored, also after an exception: the state of the modules, see `Found`, and the random state
    of the CPU and of the devices that the modules are on. Within a scope the parameters keep
    needing none until it closes.
    """
    with open_scope() as opened:
        found = opened.hold(modules)
        random = RandomState(found.devices)
        try:
            yield found
        finally:
            random.restore()
            found.restore()
