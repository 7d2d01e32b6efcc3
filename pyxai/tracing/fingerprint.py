"""What a model holds that decides which ops it runs, as a value to compare with later."""

from __future__ import annotations

import dis
import enum
import functools
import logging
import types
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pyxai.runner.own_hooks import OwnHook
from pyxai.tracing.nodes import is_user_code

__all__ = ["Fingerprint"]

_PLAIN = (
    bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type, enum.Enum,
    torch.dtype, torch.device, torch.layout, torch.memory_format, range,
)  # fmt: skip
_COMMON = frozenset({bool, int, float, str, type(None)})  # most attributes: looked up first
_SETS = (set, frozenset)
# Held by every module: parameters, buffers and submodules are looked at by name, hooks below.
_BOOKKEEPING = frozenset(nn.Module().__dict__) - {"training"}
_MAX_DEPTH = 6
_MAX_VALUES = 20_000
_MAX_LENGTH = 2_000


class _Identity:
    """Equal to the mark of the same object as long as that lives; does not keep it alive."""

    __slots__ = ("_address", "_reference")

    def __init__(self, value: Any) -> None:
        self._address = id(value)
        self._reference = weakref.ref(value)

    def __hash__(self) -> int:
        return hash(self._address)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Identity):
            return NotImplemented
        mine = self._reference()
        return mine is not None and mine is other._reference()


class Fingerprint:
    """Reads the modules of a model; two equal ones mean the same ops.

    Read are attributes (containers and objects of Python from the inside, tensors that are no
    parameters or buffers by identity and version, anything callable by identity), hooks, and what
    the code of a ``forward`` names: variables it closes over, globals, helper functions. Contents
    of containers that only the code can see are not read: they are often logs.

    Attributes
    ----------
    complete : bool
        Whether everything that was met could be read.
    """

    def __init__(self, model: nn.Module) -> None:
        self.complete = True
        self._count = 0
        self._places: dict[int, int] = {}
        self._read: set[tuple[int, type | None]] = set()
        tensors = (*model.parameters(), *model.buffers())
        for place, known in enumerate((*model.modules(), *tensors)):
            self._places[id(known)] = -1 - place

    def module(self, name: str, module: nn.Module) -> Any:
        """Return class, mode, attributes, hooks and code of a module."""
        attributes = tuple(
            (key, type(value), value)
            if type(value) in _COMMON
            else (key, value.shape, value.dtype, value.device)  # read from the model in every run
            if isinstance(value, Tensor)
            else (key, self._value(value, 0))
            for key, value in module.__dict__.items()
            if key not in _BOOKKEEPING
        )
        hooks = tuple(
            self._value(hook, 0)
            for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
            if not isinstance(hook, OwnHook)
        )
        kind = type(module)
        return name, kind, attributes, hooks, self._function(kind.forward, 0, kind)

    def value(self, value: Any) -> Any:
        """Return what of an argument decides which ops run."""
        return self._value(value, 0)

    def _value(self, value: Any, depth: int) -> Any:
        if type(value) in _COMMON or isinstance(value, _PLAIN):
            return type(value), value
        if type(value) is tuple and all(type(each) is int for each in value):  # sizes of kernels
            return value
        if isinstance(value, slice):  # not hashable before Python 3.12
            parts = (value.start, value.stop, value.step)
            return slice, tuple(self._value(part, depth) for part in parts)
        if isinstance(value, (types.ModuleType, weakref.ref, logging.Logger)):
            return type(value)
        if id(value) in self._places:
            return type(value), self._places[id(value)]
        self._places[id(value)] = self._count
        self._count += 1
        if isinstance(value, Tensor):
            version = 0 if value.is_inference() else value._version
            return _Identity(value), version, value.shape, value.dtype
        if isinstance(value, types.FunctionType):
            return self._function(value, depth)
        if isinstance(value, types.BuiltinFunctionType):
            return _Identity(value)
        if depth >= _MAX_DEPTH or self._count > _MAX_VALUES:
            return self._unread(value)
        return type(value), self._contents(value, depth + 1)

    def _contents(self, value: Any, depth: int) -> Any:
        """Return what is inside a container or an object."""
        if isinstance(value, (np.ndarray, np.generic)) and value.nbytes <= _MAX_LENGTH:
            return value.shape, str(value.dtype), value.tobytes()
        if isinstance(value, (list, tuple, dict, *_SETS)) and len(value) > _MAX_LENGTH:
            return self._unread(value)
        if isinstance(value, dict):
            pairs = value.items()
            return tuple((self._value(k, depth), self._value(v, depth)) for k, v in pairs)
        if isinstance(value, (list, tuple)):
            return tuple(self._value(each, depth) for each in value)
        if isinstance(value, _SETS) and all(isinstance(each, _PLAIN) for each in value):
            return frozenset((type(each), each) for each in value)
        if isinstance(value, types.MethodType):
            return _Identity(value.__func__), self._value(value.__self__, depth)
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
            return tuple(self._value(part, depth) for part in parts)
        held = getattr(value, "__dict__", None)
        if held is None:
            return self._unread(value)
        return tuple((key, self._value(each, depth)) for key, each in held.items())

    def _unread(self, value: Any) -> Any:
        self.complete = False
        try:
            return _Identity(value)
        except TypeError:  # the type allows no weak references
            return type(value)

    def _function(self, function: Any, depth: int, owner: type | None = None) -> Any:
        """Return a function's identity and what its code names."""
        code = getattr(function, "__code__", None)
        if code is None or not is_user_code(code.co_filename) or depth > _MAX_DEPTH:
            return _Identity(function)
        if (id(function), owner) in self._read:
            return _Identity(function)
        self._read.add((id(function), owner))
        named = tuple(self._named(value, depth + 1) for value in _referenced(function, owner))
        return _Identity(function), named

    def _named(self, value: Any, depth: int) -> Any:
        """Return what code names; of a container or an object only which one it is."""
        if isinstance(value, types.FunctionType):
            return self._value(value, depth)
        if isinstance(value, (*_PLAIN, Tensor, types.BuiltinFunctionType, types.ModuleType)):
            return self._value(value, depth)
        if isinstance(value, nn.Module) and id(value) in self._places:
            return self._places[id(value)]
        return type(value) if isinstance(value, logging.Logger) else self._unread(value)


def _referenced(function: types.FunctionType, owner: type | None) -> Iterator[Any]:
    """Yield variables closed over, defaults, and globals and methods whose names occur."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    yield from function.__defaults__ or ()
    found, attributes = _names(function.__code__)
    for name in found:
        if name in function.__globals__:
            yield function.__globals__[name]
    for name in attributes if owner is not None else ():
        method = getattr(owner, name, None)
        if isinstance(method, types.FunctionType):
            yield method


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of globals that code reads, and those of attributes."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    found = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    attributes = set(code.co_names) - found
    for names, further in map(_names, inner):
        found.update(names)
        attributes.update(further)
    return tuple(sorted(found)), tuple(sorted(attributes))
