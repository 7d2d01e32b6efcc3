"""The modules that a callable runs: where they are, and whether they act as in training."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections import deque
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._errors import warn

__all__ = ["device_of", "find_modules", "warn_if_training"]

_MAX_HELD = 1000  # things that are looked at to find modules
_MAX_ENTRIES = 64  # of a list or a dict
_FOREIGN = frozenset({"builtins", "numpy", "torch"})


def find_modules(forward_func: Any) -> tuple[nn.Module, ...]:
    """Return the modules that ``forward_func`` runs, as far as they can be seen.

    Seen are a module itself, the object of a bound method, the arguments of a partial, the
    variables that a function closes over or names globally, the attributes of an object, the
    entries of a list or a dict, and what all of these hold in turn.
    """
    found: dict[int, nn.Module] = {}
    if isinstance(forward_func, nn.Module):  # it knows its parts
        _add_parts(forward_func, found)
        return tuple(found.values())
    for candidate in _candidates(forward_func):
        if isinstance(candidate, nn.Module):
            _add_parts(candidate, found)
    return tuple(found.values())


def warn_if_training(modules: tuple[nn.Module, ...], forward_func: Any) -> bool:
    """Warn if layers that act otherwise in training mode are in it, by name; return whether."""
    noisy = {id(module): module for module in modules if module.training and _is_noisy(module)}
    if not noisy:
        return False
    names = _names_of(noisy, forward_func)
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    warn(
        f"the model is in training mode, where these layers are random or mix the examples: "
        f"{listed}; call model.eval() first"
    )
    return True


def device_of(modules: tuple[nn.Module, ...]) -> torch.device | None:
    """Return where the first parameter or buffer is, as a model's first layer is; None if none."""
    tensors = ((*m._parameters.values(), *m._buffers.values()) for m in modules)
    each = itertools.chain.from_iterable(tensors)
    return next((tensor.device for tensor in each if tensor is not None), None)


def _add_parts(root: nn.Module, found: dict[int, nn.Module]) -> None:
    """Add a module and what it is made of, in the order of `nn.Module.modules`, only faster."""
    waiting = [root]
    while waiting:
        module = waiting.pop()
        key = id(module)
        if key not in found:
            found[key] = module
            parts = module._modules
            if parts:
                waiting += [part for part in parts.values() if part is not None][::-1]


def _candidates(forward_func: Any) -> Iterator[Any]:
    """Yield what a callable holds, and what that holds, the nearest first and each once."""
    seen = {id(forward_func)}
    waiting = deque([forward_func])
    while waiting:
        value = waiting.popleft()
        yield value
        for held in _held(value):
            if id(held) not in seen and len(seen) < _MAX_HELD:
                seen.add(id(held))
                waiting.append(held)


def _held(value: Any) -> Iterator[Any]:
    if isinstance(value, (nn.Module, Tensor, type, ModuleType)):
        return  # modules know their parts
    if isinstance(value, functools.partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, (list, tuple)):
        yield from itertools.islice(value, _MAX_ENTRIES)
    elif isinstance(value, dict):
        yield from itertools.islice(value.values(), _MAX_ENTRIES)
    elif inspect.ismethod(value):
        yield from (value.__self__, value.__func__)
    elif not _is_foreign(value):
        yield from _referenced(value) if inspect.isfunction(value) else _attributes(value)


def _is_foreign(value: Any) -> bool:
    """Tell what belongs to a library that holds no model of the user's."""
    owner = value if inspect.isfunction(value) else type(value)
    return str(owner.__module__).partition(".")[0] in _FOREIGN


def _attributes(value: Any) -> Iterator[Any]:
    yield from tuple(getattr(value, "__dict__", {}).values())


def _referenced(function: Any) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # the cell is not filled yet
            continue
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield function.__globals__[name]
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()


def _is_noisy(module: nn.Module) -> bool:
    if isinstance(module, (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)):
        return not (isinstance(module, nn.modules.dropout._DropoutNd) and module.p == 0)
    if isinstance(module, nn.RReLU):
        return True
    if isinstance(module, (nn.RNNBase, nn.MultiheadAttention)):
        return float(module.dropout) > 0
    return False


def _names_of(noisy: dict[int, nn.Module], forward_func: Any) -> list[str]:
    named: dict[int, str] = {}
    for candidate in _candidates(forward_func):
        if isinstance(candidate, nn.Module):
            for name, module in candidate.named_modules():
                named.setdefault(id(module), name)
    names = []
    for key, module in noisy.items():
        kind = type(module).__name__
        names.append(f"{named[key]} ({kind})" if named.get(key) else kind)
    return names
