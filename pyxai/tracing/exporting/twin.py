"""A model's twin, which shares its tensors: traced while other threads run the model."""

from __future__ import annotations

import copy
import functools
import types
from collections import OrderedDict, defaultdict, deque
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.runner.own_hooks import OwnHook
from pyxai.runner.state import find_modules

__all__ = ["twin"]

_QUIET = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, type)
_DICTS = (dict, OrderedDict, defaultdict)
_LISTS = (list, deque)
_MAX_ENTRIES = 1000  # of a list or dict that is looked into


def twin(model: nn.Module) -> nn.Module:
    """Return modules like those of a model, with its parameters and buffers.

    To trace a model, torch puts fake tensors in the place of its parameters. Done to a twin, nobody
    who runs the model meanwhile meets them, and what its forward writes into modules is written
    into the twin's. Attributes that hold modules or methods of such, also in lists, dicts and
    partials, hold those of the twin.

    Parameters
    ----------
    model : Module

    Returns
    -------
    Module
        Of the same class; the model itself where something else that is no module leads to its
        modules, such as a hook that closes over one, and where it cannot be made anew.
    """
    try:
        return _Twins(model).made(model)
    except _NoTwinError:
        return model


class _NoTwinError(Exception):
    """A module that would be reached past its twin."""


class _Twins:
    """Twins of all modules of a model, and of the lists and dicts that they hold."""

    def __init__(self, model: nn.Module) -> None:
        self._modules: dict[int, Any] = {}
        self._nests: dict[int, tuple[Any, Any]] = {}
        for module in model.modules():
            self._modules[id(module)] = _unmade(module)
        for module in model.modules():
            own = self._modules[id(module)]
            vars(own).update({k: self._of(v) for k, v in list(vars(module).items())})

    def made(self, model: nn.Module) -> nn.Module:
        """Return the twin of a module."""
        found: nn.Module = self._modules[id(model)]
        return found

    def _of(self, value: Any) -> Any:
        """Return a value with twins for modules; what may be written to is a copy."""
        if isinstance(value, (*_QUIET, Tensor, OwnHook)):
            return value
        if isinstance(value, nn.Module):
            return self._modules.get(id(value), value)
        if type(value) in _DICTS or type(value) in _LISTS or type(value) in (tuple, set):
            if len(value) <= _MAX_ENTRIES:
                return self._nest(value)
        elif isinstance(value, types.MethodType):
            owner = self._of(value.__self__)
            return value if owner is value.__self__ else types.MethodType(value.__func__, owner)
        elif type(value) is functools.partial:
            args, keywords = self._of(value.args), self._of(value.keywords)
            return functools.partial(self._of(value.func), *args, **keywords)
        if any(id(module) in self._modules for module in find_modules(value)):
            raise _NoTwinError
        return value

    def _nest(self, nest: Any) -> Any:
        if id(nest) in self._nests:
            return self._nests[id(nest)][1]
        if isinstance(nest, (tuple, set)):
            return type(nest)([self._of(each) for each in nest])
        own = copy.copy(nest)
        self._nests[id(nest)] = nest, own  # before what it holds: it may hold itself
        if isinstance(nest, dict):
            own.update({key: self._of(each) for key, each in nest.items()})
        else:
            parts = [self._of(each) for each in nest]
            own.clear()
            own.extend(parts)
        return own


def _unmade(module: nn.Module) -> Any:
    if isinstance(module, torch.jit.ScriptModule):  # its parts are not in Python
        raise _NoTwinError
    try:
        return object.__new__(type(module))
    except TypeError as error:  # a subclass of dict, say
        raise _NoTwinError from error
