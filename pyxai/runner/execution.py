"""Switches for how models run: compiled, and as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch

__all__ = ["Execution", "execution", "is_plain", "prepare"]


class Execution(NamedTuple):
    """How models run."""

    compile: bool = False
    cuda_graphs: bool = False
    backend: str = "inductor"


_PLAIN = Execution()
_CURRENT: ContextVar[Execution] = ContextVar("pyxai_execution", default=_PLAIN)


@contextmanager
def execution(
    *, compile: bool = False, cuda_graphs: bool = False, backend: str = "inductor"
) -> Iterator[Execution]:
    """Compile the models that run in this block with `torch.compile`.

    It pays for many calls of one model on small or medium inputs: the first call takes the time of
    compiling, which torch keeps for later calls with the same model and shapes. Results differ
    from the plain ones by rounding. Methods that trace the model (DeepLIFT, LRP, ...) run
    their own graph of it and are not affected.

    Parameters
    ----------
    compile : bool
        Run models through `torch.compile`.
    cuda_graphs : bool
        Also replay the compiled model as CUDA graphs (torch's mode ``"reduce-overhead"``), for
        small models whose time goes into launching kernels. Needs ``compile=True`` and the backend
        ``"inductor"``.
    backend : str
        Backend of `torch.compile`.

    Yields
    ------
    Execution
        The switches as set.

    Raises
    ------
    ValueError
        If ``cuda_graphs`` is set without what it needs, or ``backend`` is unknown.

    Examples
    --------
    >>> import torch, pyxai
    >>> from pyxai.runner import execution
    >>> model = torch.nn.Linear(2, 1, bias=False).eval()
    >>> with execution(compile=True, backend="eager"):
    ...     explanation = pyxai.explain(model, torch.ones(1, 2), method="saliency")
    >>> torch.equal(explanation.attributions, model.weight.detach().abs())
    True
    """
    if cuda_graphs and not (compile and backend == "inductor"):
        raise ValueError(
            "cuda_graphs must come with compile=True and backend='inductor', "
            f"got compile={compile}, backend={backend!r}"
        )
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ValueError(f"backend must be one of {known}, got {backend!r}")
    token = _CURRENT.set(Execution(compile, cuda_graphs, backend))
    try:
        yield _CURRENT.get()
    finally:
        _CURRENT.reset(token)


def is_plain() -> bool:
    """Whether models run as they are, not compiled."""
    return not _CURRENT.get().compile


def prepare(forward_func: Callable[..., Any]) -> tuple[Callable[..., Any], bool]:
    """Return the model as the switches want it, and whether its memory is used again.

    With CUDA graphs the next call writes where the results of the last one lie: who keeps them
    must copy them.
    """
    switches = _CURRENT.get()
    if not switches.compile:
        return forward_func, False
    if not switches.cuda_graphs:
        return torch.compile(forward_func, backend=switches.backend), False
    replayed = torch.compile(forward_func, mode="reduce-overhead")

    def call(*arguments: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return replayed(*arguments)

    return call, True
