"""Leave the model as found: flags, gradients, buffers, cached tensors and random state."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._errors import warn

__all__ = ["find_modules", "left_as_found", "random_state_kept", "warn_if_training"]

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


def warn_if_training(modules: tuple[nn.Module, ...], forward_func: Any) -> None:
    """Warn if layers that act otherwise in training mode are in it; the warning names them."""
    noisy = {id(module): module for module in modules if module.training and _is_noisy(module)}
    if not noisy:
        return
    names = _names_of(noisy, forward_func)
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    warn(
        f"the model is in training mode, where these layers are random or mix the examples: "
        f"{listed}; call model.eval() first"
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
    devices = {p.device for m in modules for p in m.parameters(False)}
    parameters = [(p, p.requires_grad, p.grad) for m in modules for p in m.parameters(False)]
    training = [(module, module.training) for module in modules]
    buffers = [(module, _buffers(module), _copies(module)) for module in modules]
    tensors = [(module, _tensor_attributes(module)) for module in modules]
    try:
        for parameter, requires_grad, _ in parameters:
            if requires_grad:
                parameter.requires_grad_(False)
        with random_state_kept(devices):
            yield
    finally:
        for parameter, requires_grad, grad in parameters:
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)
            if parameter.grad is not grad:
                parameter.grad = grad
        for module, flag in training:
            if module.training != flag:
                module.training = flag
        for module, originals, copies in buffers:
            _restore_buffers(module, originals, copies)
        for module, before in tensors:
            _drop_inference_tensors(module, before)


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
    if isinstance(forward_func, nn.Module):
        named = {id(module): name for name, module in forward_func.named_modules()}
    else:
        named = {}
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
