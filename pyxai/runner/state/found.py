"""Leave the model as found: flags, gradients, buffers and what else modules hold."""

from __future__ import annotations

import functools
import operator
import threading
from collections import deque
from collections.abc import Collection
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyxai.runner.state.kept_values import KeptValues

__all__ = ["Found", "hold", "release"]

_STANDARD = frozenset(vars(nn.Module()))  # attributes of every module
_QUIET = frozenset({bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device})
_MAX_ENTRIES = 1000  # of a list or dict that is looked into
_MAX_DEPTH = 4  # of lists in lists
_NESTS = (list, tuple, dict, set, deque)
_MISSING = object()
_grad = operator.attrgetter("grad")
_values = operator.methodcaller("values")

# Layers that draw no random numbers in eval mode, and not those that are made of them.
_DRAW_NOTHING = frozenset(
    (
        *(nn.Sequential, nn.Identity, nn.Flatten, nn.Linear, nn.Embedding),
        *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.LayerNorm, nn.GroupNorm),
        *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Dropout, nn.Dropout2d),
        *(nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softplus),
        *(nn.Softmax, nn.LogSoftmax, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d),
        *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    )
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

_lock = threading.RLock()  # a finaliser that runs meanwhile may explain something too
# What threads hold at the moment: by the modules, and by the parameter whether it needed a gradient
# and how many use it.
_held: dict[tuple[int, ...], Found] = {}
_frozen: dict[int, tuple[nn.Parameter, bool, int]] = {}


class Found:
    """The state of modules as it was found, and parameters that need no gradient meanwhile.

    Part of the state are flags for training, ``grad`` fields, buffers, parameters as such, and
    attributes that are tensors or hold some in lists, tuples, dicts or sets: which they are, and
    what they hold. Other attributes, such as numbers that count calls, are the model's own affair.
    """

    def __init__(self, modules: tuple[nn.Module, ...]) -> None:
        self.modules, self.users = modules, 0
        self.parameters: list[nn.Parameter] = []
        self._scripted: list[tuple[nn.Module, bool]] = []
        self._attributes: list[dict[str, Any]] = []
        self._dicts: list[dict[Any, Any]] = []
        self._lists: list[tuple[Any, tuple[Any, ...]]] = []
        moving: list[tuple[Tensor, int]] = []  # tensors, and the numbers of their modules
        still: list[tuple[Tensor, int]] = []
        silent: set[int] = set()
        self.draws_nothing = bool(modules)
        """Whether it is known that none of the modules draws random numbers."""
        for number, module in enumerate(modules):
            cls: Any = type(module)
            of_torch, scripted = _kind_of(cls)
            attributes = vars(module)
            self._attributes.append(attributes)
            if scripted:  # keeps flags elsewhere, and cannot swap its buffers
                self._scripted.append((module, module.training))
                buffers, parameters = module._buffers, module._parameters
            else:
                buffers, parameters = attributes["_buffers"], attributes["_parameters"]
                self._dicts += (buffers, parameters)
            if parameters:
                self.parameters += [p for p in parameters.values() if p is not None]
            if buffers:
                # No forward of torch's own layers writes into them in eval mode.
                kept = still if of_torch and not module.training else moving
                kept += [(buffer, number) for buffer in buffers.values() if buffer is not None]
            if not of_torch:
                for name, value in attributes.items():
                    if type(value) not in _QUIET and name not in _STANDARD:
                        self._look_into(value, number, moving)
            elif buffers and _writes_silently(module):
                silent.add(number)
            if self.draws_nothing:
                self.draws_nothing = cls in _DRAW_NOTHING and _is_plain(attributes)
        self.devices = {parameter.device for parameter in self.parameters}
        self._grads = [*map(_grad, self.parameters)]
        dicts = self._attributes + self._dicts
        self._live = [*map(_values, dicts)]
        self._names = [*chain.from_iterable(dicts)]
        self._values = [*chain.from_iterable(self._live)]
        self._sizes = [*map(len, dicts)]
        self._moving = KeptValues(moving, silent) if moving else None
        self._still = KeptValues(still) if still else None

    def _look_into(
        self, value: Any, owner: int, kept: list[tuple[Tensor, int]], depth: int = 0
    ) -> None:
        """Note tensors, and the lists and dicts that hold some or may come to."""
        if isinstance(value, Tensor):
            if not isinstance(value, nn.Parameter):
                kept.append((value, owner))
        elif isinstance(value, _NESTS) and len(value) <= _MAX_ENTRIES and depth < _MAX_DEPTH:
            if isinstance(value, dict):
                self._dicts.append(value)
            elif not isinstance(value, tuple):
                self._lists.append((value, tuple(value)))
            for entry in _entries_of(value):
                if type(entry) not in _QUIET:
                    self._look_into(entry, owner, kept, depth + 1)

    def restore(self, *, thorough: bool = False) -> None:
        """Put back all that a pass of the model has changed, and touch nothing else.

        ``thorough`` also looks at the values of tensors in layers of torch in eval mode, which no
        forward of theirs writes.
        """
        if not all(map(operator.is_, map(_grad, self.parameters), self._grads)):
            for parameter, grad in zip(self.parameters, self._grads, strict=True):
                if parameter.grad is not grad:
                    parameter.grad = grad
        for module, training in self._scripted:
            if module.training != training:
                module.train(training)
        now = [*chain.from_iterable(self._live)]
        if len(now) != len(self._values) or not all(map(operator.is_, now, self._values)):
            self._restore_entries()
        for each, found in self._lists:
            if len(each) != len(found) or not all(map(operator.is_, each, found)):
                _restore_list(each, found)
        if self._moving is not None:
            self._moving.restore(compare=True)
        if self._still is not None:
            self._still.restore(compare=thorough)

    def _restore_entries(self) -> None:
        names, values = iter(self._names), iter(self._values)
        dicts = chain(self._attributes, self._dicts)
        for place, (live, size) in enumerate(zip(dicts, self._sizes, strict=True)):
            before = dict(zip(islice(names, size), islice(values, size), strict=True))
            if len(live) == size and all(map(operator.is_, live.values(), before.values())):
                continue
            if place < len(self._attributes):
                _restore_attributes(live, before)
            else:
                _restore_dict(live, before)

    def freeze(self) -> None:
        """Let no parameter need a gradient; the first to come notes the flags."""
        self._frozen = [p for p in self.parameters if p.requires_grad or id(p) in _frozen]
        for parameter in self._frozen:
            key, needs = id(parameter), parameter.requires_grad
            _, flag, users = _frozen.get(key, (parameter, needs, 0))
            _frozen[key] = parameter, flag, users + 1
            if needs:
                parameter.requires_grad_(False)

    def thaw(self) -> None:
        """Put the flags back if nobody else uses the parameters."""
        for parameter in self._frozen:
            _, flag, users = _frozen.pop(id(parameter))
            if users > 1:
                _frozen[id(parameter)] = parameter, flag, users - 1
            elif parameter.requires_grad != flag:
                if parameter.is_inference():
                    with torch.inference_mode():  # where it was made
                        parameter.requires_grad_(flag)
                else:
                    parameter.requires_grad_(flag)


def hold(modules: tuple[nn.Module, ...]) -> Found:
    """Return the state of modules; threads that hold the same ones share what the first found."""
    key = tuple(map(id, modules))
    with _lock:
        found = _held.get(key)
        if found is None:
            found = _held[key] = Found(modules)
            found.freeze()
        found.users += 1
    return found


def release(found: Found) -> None:
    """Put the state back; the last to leave gives the parameters their flags."""
    try:
        found.restore(thorough=True)
    finally:
        with _lock:
            found.users -= 1
            if not found.users:
                del _held[tuple(map(id, found.modules))]
                found.thaw()


@functools.lru_cache(maxsize=1024)
def _kind_of(cls: type[Any]) -> tuple[bool, bool]:
    """Return whether modules of a class are layers of torch's own, and whether scripted."""
    return cls.__module__.startswith("torch.nn.modules."), issubclass(cls, torch.jit.ScriptModule)


def _is_plain(attributes: dict[str, Any]) -> bool:
    """Whether a module runs in eval mode, and runs nothing but its own forward."""
    hooked = any(map(attributes.__getitem__, _HOOKS))
    return not (attributes["training"] or hooked or "forward" in attributes)


def _writes_silently(module: nn.Module) -> bool:
    """Whether it writes and no version tells: batch norm that does not count its batches."""
    return module.training and isinstance(module, _BatchNorm) and module.num_batches_tracked is None


def _entries_of(value: Any) -> Collection[Any]:
    entries: Collection[Any] = value.values() if isinstance(value, dict) else value
    return entries


def _holds_tensors(value: Any, depth: int = 0) -> bool:
    if isinstance(value, Tensor):
        return True
    if not isinstance(value, _NESTS) or len(value) > _MAX_ENTRIES or depth == _MAX_DEPTH:
        return False
    return any(_holds_tensors(entry, depth + 1) for entry in _entries_of(value))


def _restore_attributes(live: dict[str, Any], before: dict[str, Any]) -> None:
    """Put back attributes that are or were tensors, and flags.

    Of a module that remembers tensors, also the numbers: a place in a cache goes with it.
    """
    changed = [
        name
        for name in live.keys() | before.keys()
        if live.get(name, _MISSING) is not before.get(name, _MISSING)
    ]
    tensors = {
        name
        for name in changed
        if _holds_tensors(live.get(name)) or _holds_tensors(before.get(name))
    }
    for name in changed:
        number = tensors and type(live.get(name)) in _QUIET and type(before.get(name)) in _QUIET
        if name not in tensors and name != "training" and not number:
            continue
        if name in before:
            live[name] = before[name]
        else:
            del live[name]


def _restore_dict(live: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Put back all entries of a dict that holds or held tensors; what is the same is not touched.

    Another thread may be reading it.
    """
    if not _holds_tensors(live) and not _holds_tensors(before):
        return
    for name in live.keys() - before.keys():
        del live[name]
    for name, found in before.items():
        if live.get(name, _MISSING) is not found:
            live[name] = found
    if list(live) != list(before):
        for name in before:
            live[name] = live.pop(name)


def _restore_list(live: Any, before: tuple[Any, ...]) -> None:
    if _holds_tensors(live) or _holds_tensors(before):
        live.clear()
        (live.update if isinstance(live, set) else live.extend)(before)
