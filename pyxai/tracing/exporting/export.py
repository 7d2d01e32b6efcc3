"""Have torch.export record the ops of a model, in silence, with one error where it cannot."""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai._checks import describe
from pyxai._errors import UnsupportedOperationError
from pyxai.runner.arguments import Shared, follows, own_values
from pyxai.runner.state import random_state_kept
from pyxai.tracing.decompose import decompositions
from pyxai.tracing.exporting.twin import twin
from pyxai.tracing.exporting.watch import Stopped, Watch
from pyxai.tracing.nodes import is_user_code
from pyxai.tracing.staleness import attributes_kept

__all__ = ["export"]

# What these say of a failure is said by our error.
_TALKERS = (
    "torch.fx.experimental.symbolic_shapes",
    "torch.export._trace",
    "torch._export.non_strict_utils",
)


def export(model: nn.Module, example: tuple[Any, ...], batch: int | None) -> Any:
    """Return the program of ops that a model runs on arguments like the given ones.

    Parameters
    ----------
    model : Module
        What is recorded.
    example : tuple
        Its arguments. Tensors are arguments of the program too, anything else is part of it.
    batch : int, optional
        Size of the batch, which is free in the program; ``None``: all sizes stay as they are.

    Returns
    -------
    torch.export.ExportedProgram
        With a user input for each tensor of the arguments, in their order.

    Raises
    ------
    UnsupportedOperationError
        If the model cannot be recorded; says where in its code, and why.
    """
    leaves, structure = pytree.tree_flatten(own_values(example))
    _check_modules(leaves)
    watch = Watch()
    traced = twin(model)
    wrapper = _Positional(traced, leaves, structure, watch)
    tensors = tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))
    shapes = None if batch is None else (_dynamic(example, batch),)
    with _quiet(traced):
        try:
            exported = torch.export.export(wrapper, tensors, dynamic_shapes=shapes, strict=False)
            return exported.run_decompositions(decompositions())
        except Exception as error:
            why = watch.reason(error)
            cause = error.__cause__ if isinstance(error, Stopped) else error
            raise UnsupportedOperationError(
                f"{type(model).__name__} cannot be traced to a graph of ops, which this method "
                f"needs: {why}"
            ) from cause


def _check_modules(leaves: list[Any]) -> None:
    for leaf in leaves:
        if isinstance(leaf, nn.Module) and any(True for _ in leaf.state_dict().values()):
            raise UnsupportedOperationError(
                "additional_forward_args must hold no module with weights where the model is "
                f"traced, got {describe(leaf)}; make it a part of the model"
            )


def _dynamic(example: Any, batch: int) -> tuple[dict[int, Any], ...]:
    """Say for each tensor which sizes are free: the first, where it is the batch's."""
    free: list[dict[int, Any]] = []
    for leaf in pytree.tree_leaves(example):
        if isinstance(leaf, Shared):
            held = pytree.tree_leaves(own_values(leaf))
            free += [{} for part in held if isinstance(part, Tensor)]
        elif isinstance(leaf, Tensor):
            free.append({0: torch.export.Dim.AUTO} if follows(leaf, batch) else {})
    return tuple(free)


class _Positional(nn.Module):
    """Gives every model the same signature for ``torch.export``: the tensors of its arguments."""

    def __init__(self, model: nn.Module, leaves: list[Any], structure: Any, watch: Watch) -> None:
        super().__init__()
        self.model = model
        # In an object that export does not look into: modules among them are not its own.
        self._held: Callable[[], tuple[list[Any], Any, Watch]] = lambda: (leaves, structure, watch)

    def forward(self, *tensors: Tensor) -> Any:
        leaves, structure, watch = self._held()
        given = iter(tensors)
        values = [next(given) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        with watch.of_model():
            return self.model(*pytree.tree_unflatten(values, structure))


@contextlib.contextmanager
def _quiet(model: nn.Module) -> Iterator[None]:
    """Trace without fused shortcuts and without a trace left on the model or the process."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            attributes_kept(model),
            random_state_kept(),
            torch.no_grad(),
            warnings.catch_warnings(),
            _user_lines(),
            _unlogged(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Drop what torch logs of a failure in this thread; what was asked for, below it, stays."""
    here = threading.get_ident()

    def passes(record: logging.LogRecord) -> bool:
        return record.thread != here or record.levelno < logging.WARNING

    loggers = [logging.getLogger(name) for name in _TALKERS]
    for logger in loggers:
        logger.addFilter(passes)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(passes)


@contextlib.contextmanager
def _user_lines() -> Iterator[None]:
    """Have the tracer record the user's frames; by itself it records those named ``forward``."""
    tracer: Any = torch.fx.experimental.proxy_tensor.PythonKeyTracer
    if not hasattr(tracer, "_filter_traceback_frames"):  # torch before 2.9 keeps all frames
        yield
        return
    inherited = "_filter_traceback_frames" not in vars(tracer)
    original = tracer._filter_traceback_frames

    def user_frames(self: Any, summary: traceback.StackSummary) -> traceback.StackSummary:
        names = [frame.name for frame in summary]
        start = names.index("forward") if "forward" in names else len(names)
        kept = [frame for frame in summary[start:] if is_user_code(frame.filename)]
        return traceback.StackSummary.from_list(kept)

    tracer._filter_traceback_frames = user_frames
    try:
        yield
    finally:
        if inherited:
            del tracer._filter_traceback_frames
        else:
            tracer._filter_traceback_frames = original
