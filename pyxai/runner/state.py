"""Leave the model as found: flags, gradients, buffers, cached tensors and random state."""

from __future__ import annotations

import functools
import inspect
import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._errors import warn

__all__ = [
    "device_of",
    "devices_of",
    "find_modules",
    "left_as_found",
    "random_state_kept",
    "random_states",
    "warn_if_random",
    "warn_if_training",
]

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
    for candidate in _candidates(forward_func):
        if isinstance(candidate, nn.Module):
            for module in candidate.modules():
                found.setdefault(id(module), module)
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


def random_states(devices: Iterable[torch.device]) -> list[Tensor]:
    """Return the random state of the CPU and of CUDA devices."""
    cuda = [torch.cuda.get_rng_state(d) for d in devices if d.type == "cuda"]
    return [torch.get_rng_state(), *cuda]


def warn_if_random(before: list[Tensor], devices: Iterable[torch.device]) -> None:
    """Warn if the random state is another than before a pass of the model."""
    if not all(map(torch.equal, before, random_states(devices))):
        warn(
            "the model draws random numbers, so results depend on the global random state and on "
            "which rows it gets together; if this is dropout, call model.eval() first and pass "
            "training=self.training to functional dropout"
        )


@contextmanager
def random_state_kept(devices: Iterable[torch.device] = ()) -> Iterator[None]:
    """Put the random state of the CPU and of CUDA devices back after a block."""
    random = torch.get_rng_state()
    cuda = {d: torch.cuda.get_rng_state(d) for d in devices if d.type == "cuda"}
    try:
        yield
    finally:
        torch.set_rng_state(random)
        for device, state in cuda.items():
            torch.cuda.set_rng_state(state, device)


@contextmanager
def left_as_found(modules: tuple[nn.Module, ...]) -> Iterator[None]:
    """Run a block in which parameters need no gradient; put everything back afterwards.

    Restored, also after an exception: ``requires_grad`` and ``grad`` of the parameters, buffers
    and their values, train/eval flags, tensors that a forward in inference mode has left in a
    module, and the random state of the CPU and of the devices that the modules are on.
    """
    parameters = [p for m in modules for p in m.parameters(False)]
    grads = [p.grad for p in parameters]
    training = [(module, module.training) for module in modules]
    buffers = [(module, _buffers(module), _copies(module)) for module in modules]
    tensors = [(module, _tensor_attributes(module)) for module in modules]
    try:
        with random_state_kept(devices_of(modules)), _frozen(parameters):
            yield
    finally:
        for parameter, grad in zip(parameters, grads, strict=True):
            if parameter.grad is not grad:
                parameter.grad = grad
        for module, flag in training:
            if module.training != flag:
                module.training = flag
        for module, originals, copies in buffers:
            _restore_buffers(module, originals, copies)
        for module, before in tensors:
            _drop_inference_tensors(module, before)


def device_of(modules: tuple[nn.Module, ...]) -> torch.device | None:
    """Return where the first parameter or buffer is, as a model's first layer is; None if none."""
    tensors = ((*m.parameters(False), *m.buffers(False)) for m in modules)
    return next((each.device for each in itertools.chain.from_iterable(tensors)), None)


def devices_of(modules: tuple[nn.Module, ...]) -> set[torch.device]:
    """Return the devices that the parameters of modules are on."""
    return {p.device for m in modules for p in m.parameters(False)}


_freezing = threading.Lock()
# Parameters in use: the parameter, whether it needed a gradient, and how many runs use it.
_in_use: dict[int, tuple[nn.Parameter, bool, int]] = {}


@contextmanager
def _frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Run a block in which parameters need no gradient.

    Threads may explain one model at once: the first to come notes the flags, the last to leave
    puts them back.
    """
    with _freezing:
        for parameter in parameters:
            _, flag, users = _in_use.get(id(parameter), (parameter, parameter.requires_grad, 0))
            _in_use[id(parameter)] = parameter, flag, users + 1
            if parameter.requires_grad:
                parameter.requires_grad_(False)
    try:
        yield
    finally:
        with _freezing:
            for parameter in parameters:
                _, flag, users = _in_use.pop(id(parameter))
                if users > 1:
                    _in_use[id(parameter)] = parameter, flag, users - 1
                elif parameter.requires_grad != flag:
                    parameter.requires_grad_(flag)


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


def _buffers(module: nn.Module) -> dict[str, Tensor | None]:
    return dict(module._buffers.items())


def _copies(module: nn.Module) -> dict[str, Tensor]:
    buffers = _buffers(module)
    return {name: value.detach().clone() for name, value in buffers.items() if value is not None}


def _restore_buffers(
    module: nn.Module, originals: dict[str, Tensor | None], copies: dict[str, Tensor]
) -> None:
    if not isinstance(module, torch.jit.ScriptModule):  # these cannot swap their buffers
        now = list(module._buffers.items())
        same = len(now) == len(originals) and all(originals.get(n) is value for n, value in now)
        if not same:  # only then, since another thread may be reading them
            module._buffers.clear()
            module._buffers.update(originals)
    with torch.no_grad():
        for name, copy in copies.items():
            original = originals[name]
            if original is not None and not _same(original, copy):
                original.copy_(copy)


def _same(left: Tensor, right: Tensor) -> bool:
    # On a GPU a comparison would wait for the device; copying does not.
    return left.device.type == "cpu" and torch.equal(left, right)


def _tensor_attributes(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in vars(module).items() if isinstance(value, Tensor)}


def _drop_inference_tensors(module: nn.Module, before: dict[str, Tensor]) -> None:
    """Forget tensors cached during inference mode: a later training step could not use them."""
    for name, value in _tensor_attributes(module).items():
        if value.is_inference() and before.get(name) is not value:
            if name in before:
                setattr(module, name, before[name])
            else:
                delattr(module, name)
