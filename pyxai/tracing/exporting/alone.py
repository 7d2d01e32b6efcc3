"""One thread traces at a time, and the others do not notice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.fx.experimental import proxy_tensor

__all__ = ["tracing_alone"]

_lock = threading.RLock()  # a forward that is being traced may explain something itself


@contextmanager
def tracing_alone() -> Iterator[None]:
    """Keep other threads from tracing, and the tracer from what other threads run.

    While it traces, torch takes the calls and attributes of all modules of the process to be those
    of the model that it traces, in whatever thread they happen.
    """
    cls: Any = proxy_tensor.PythonKeyTracer
    with _lock:
        original = cls.__init__

        def init(tracer: Any, *args: Any, **kwargs: Any) -> None:
            original(tracer, *args, **kwargs)
            # A thread may ask a tracer that is done: so these belong to the tracer.
            tracer.call_module = _for_this_thread(tracer.call_module, _call)
            tracer.getattr = _for_this_thread(tracer.getattr, _value)

        cls.__init__ = init
        try:
            yield
        finally:
            cls.__init__ = original


def _for_this_thread(traced: Callable[..., Any], outside: Callable[..., Any]) -> Callable[..., Any]:
    thread = threading.get_ident()

    def method(*args: Any) -> Any:
        return (traced if threading.get_ident() == thread else outside)(*args)

    return method


def _call(module: Any, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return forward(*args, **kwargs)


def _value(name: str, value: Any, proxies: Any) -> Any:
    return value
