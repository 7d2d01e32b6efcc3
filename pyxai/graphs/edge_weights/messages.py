"""Weights on the messages of torch_geometric modules, by that package's own explanation masks."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from pyxai._extras import optional
from pyxai.runner.own_hooks import OwnHook
from pyxai.runner.state import find_modules

__all__ = ["layers_without_weights", "masked_messages", "need_torch_geometric"]

_STATE = ("_edge_mask", "_loop_mask", "_apply_sigmoid")


def need_torch_geometric(module: str = "torch_geometric") -> Any:
    """Import a module of torch_geometric.

    Raises
    ------
    ImportError
        If it is not installed; the message names the extra.
    """
    with optional("weights on the messages of a model need", "torch_geometric", "graphs"):
        return importlib.import_module(module)


@contextmanager
def masked_messages(
    model: Callable[..., Any], weights: Tensor, edge_index: Tensor
) -> Iterator[None]:
    """Multiply every message inside the block by the weight of its entry; then undo it.

    Layers with ``explain=False`` are skipped: their messages stay as they are.

    Parameters
    ----------
    model : callable
        Runs modules of torch_geometric.
    weights : Tensor, shape [n_entries]
        One for each entry of ``edge_index``. Self loops that a layer adds weigh 1.
    edge_index : Tensor, shape [2, n_entries]
        int64.

    Yields
    ------
    None

    Raises
    ------
    ImportError
        If torch_geometric is not installed.
    ValueError
        If ``model`` has no module that passes messages, or all of them have ``explain=False``.
    """
    base = need_torch_geometric("torch_geometric.nn").MessagePassing
    layers = [module for module in find_modules(model) if isinstance(module, base)]
    if not layers:
        raise ValueError(
            "model must hold torch_geometric modules that pass messages where weights_as is "
            "'messages', got none"
        )
    names = ", ".join(type(layer).__name__ for layer in layers)
    layers = [layer for layer in layers if layer.explain is not False]
    if not layers:
        raise ValueError(
            "model must hold a torch_geometric module whose messages may be weighed, "
            f"got explain=False for all of {names}"
        )
    before = [(layer.explain, {name: getattr(layer, name) for name in _STATE}) for layer in layers]
    loops = edge_index[0] != edge_index[1]  # True where there is none, as that package has it
    try:
        for layer in layers:
            layer.explain = True
            for name, value in zip(_STATE, (weights, loops, False), strict=True):
                setattr(layer, name, value)
        yield
    finally:
        for layer, (explain, state) in zip(layers, before, strict=True):
            layer.explain = explain
            for name, value in state.items():
                setattr(layer, name, value)


@contextmanager
def layers_without_weights(model: Callable[..., Any]) -> Iterator[list[str]]:
    """Note which layers of torch_geometric run inside the block without an edge weight.

    Parameters
    ----------
    model : callable
        What runs.

    Yields
    ------
    list of str
        Names of such layers, as they run; empty where that package is not in use.
    """
    found: list[str] = []

    def note(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = inspect.signature(layer.forward).bind(*args, **kwargs).arguments
        if given.get("edge_weight") is None:
            found.append(type(layer).__name__)

    layers: list[Any] = []
    if "torch_geometric" in sys.modules:
        base = need_torch_geometric("torch_geometric.nn").MessagePassing
        layers = [module for module in find_modules(model) if isinstance(module, base)]
    own = OwnHook(note)
    hooks = [layer.register_forward_pre_hook(own, with_kwargs=True) for layer in layers]
    try:
        with own.answering():
            yield found
    finally:
        for hook in hooks:
            hook.remove()
