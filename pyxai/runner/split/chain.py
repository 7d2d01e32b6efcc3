"""Models that are one chain of modules, of which it is known what reads the input."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Chain", "chain_of", "is_bare", "is_linear"]

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_BEFORE = (nn.Flatten, nn.Unflatten, nn.Identity)
# The code that is known of these kinds; a kind that is given another is not.
_KNOWN: dict[type[nn.Module], Any] = {
    kind: kind.forward for kind in (*_LAYERS, *_BEFORE, nn.Sequential, nn.ReLU)
}
_CALL = nn.Module.__call__
_RELUS = functional.relu, torch.relu  # the first calls the second
_LINEAR = functional.linear


class Chain(NamedTuple):
    """A model whose modules get no more than what the one before returns."""

    head: tuple[nn.Module, ...]
    """Up to the first layer, whose code is torch's own."""
    tail: tuple[nn.Module, ...]
    """What follows it, of any kind."""

    @property
    def references(self) -> tuple[weakref.ref[nn.Module], ...]:
        """Its modules, without keeping them: equal if they are the same."""
        return tuple(map(weakref.ref, (*self.head, *self.tail)))

    @property
    def begins_with_relu(self) -> bool:
        """Whether all that reads what the first layer returns is a ReLU, as torch has it."""
        own = (functional.relu, torch.relu) == _RELUS and is_bare()
        return own and bool(self.tail) and _is_known(self.tail[0], (nn.ReLU,))


def chain_of(model: nn.Module) -> Chain | None:
    """Return a model as a chain, if it is one and begins with a layer.

    Hooks are not looked for.
    """
    modules = _flat(model)
    for count, module in enumerate(modules):
        if _is_known(module, _LAYERS):
            return Chain(tuple(modules[: count + 1]), tuple(modules[count + 1 :]))
        if not _is_known(module, _BEFORE):
            break
    return None


def is_bare() -> bool:
    """Whether torch's functions run as they are: no mode may make something else of them."""
    return not torch._C._len_torch_function_stack()


def is_linear(module: nn.Module, rows: Tensor) -> TypeGuard[nn.Linear]:
    """Whether a module multiplies rows of this form with its matrix, as torch has it."""
    if not _is_known(module, (nn.Linear,)) or functional.linear is not _LINEAR:
        return False
    layer = cast(nn.Linear, module)
    weight, bias = layer.weight, layer.bias
    own = [weight] if bias is None else [weight, bias]
    if not all(type(each) is nn.Parameter for each in own) or not is_bare():
        return False
    form = rows.dtype, rows.device
    return (
        rows.dim() == weight.dim() == 2
        and weight.shape[1] == rows.shape[1]
        and (bias is None or bias.shape == weight.shape[:1])
        and all((each.dtype, each.device) == form for each in own)
        and all(each.layout == torch.strided for each in own)
    )


def _flat(model: nn.Module) -> list[nn.Module]:
    if not (isinstance(model, nn.Sequential) and _is_known(model, (nn.Sequential,))):
        return [model]
    return [part for module in model for part in _flat(module)]


def _is_known(module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether a module is of one of some kinds, none derived from them, and runs its code."""
    kind = type(module)
    own = kind in kinds and kind.forward is _KNOWN[kind] and kind.__call__ is _CALL
    return own and "forward" not in vars(module)
