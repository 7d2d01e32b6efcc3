"""One run of a model, with what its layers give on the way, and what takes its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn

from pyxai._checks import describe
from pyxai.runner.own_hooks import OwnHook

__all__ = ["Replace", "run_with_layers"]

Values = tuple[Tensor, ...]
# From the number of a layer and its tensors to those that take their place.
Replace = Callable[[int, Values], Values]


def run_with_layers(
    forward_func: Callable[..., Any],
    layers: Sequence[nn.Module],
    at_input: bool,
    arguments: tuple[Any, ...],
    replace: Replace | None = None,
    *,
    floating: bool = True,
) -> tuple[Any, list[Values]]:
    """Run a model and return what it returns, and the tensors of its layers.

    What a layer gives, or with ``at_input`` takes, is a tensor or a flat tuple: its floating point
    tensors are the values of the layer; numbers, ``None`` and other tensors are left as they are.

    Parameters
    ----------
    forward_func : callable
        The model; it must run each layer once.
    layers : sequence of nn.Module
    at_input : bool
        Whether the values are what the layers are given.
    arguments : tuple
        Those of the model.
    replace : callable, optional
        ``replace(number, values)`` returns as many tensors, with which the model goes on. Without
        it the tensors of the layers are copies, of what they were before the model went on.
    floating : bool
        Whether tensors of other dtypes are no values.

    Raises
    ------
    ValueError
        If a layer is not run exactly once.
    TypeError
        If it gives something else, or nothing with values.
    """
    seen: list[list[Values]] = [[] for _ in layers]

    def answer(number: int, value: Any) -> Any:
        entries = value if isinstance(value, tuple) else (value,)
        places = _places(entries, layers[number], floating)
        values = tuple(entries[place] for place in places)
        if replace is None:
            # A module that comes later may write into them, as an in-place ReLU does.
            seen[number].append(tuple(each.clone() for each in values))
            return None
        seen[number].append(values)
        changed = list(entries)
        for place, tensor in zip(places, replace(number, values), strict=True):
            changed[place] = tensor
        if not isinstance(value, tuple):
            return changed[0]
        return type(value)(*changed) if hasattr(value, "_fields") else tuple(changed)

    with ExitStack() as stack:
        for number, layer in enumerate(layers):
            hook = OwnHook(lambda *given, number=number: answer(number, given[-1]))
            add = layer.register_forward_pre_hook if at_input else layer.register_forward_hook
            stack.callback(add(hook).remove)
            stack.enter_context(hook.answering())
        outputs = forward_func(*arguments)
    for layer, runs in zip(layers, seen, strict=True):
        if len(runs) != 1:
            raise ValueError(
                f"layer must be run exactly once by the model, got {len(runs)} runs of "
                f"{type(layer).__name__}"
            )
    return outputs, [runs[0] for runs in seen]


def _places(entries: tuple[Any, ...], layer: nn.Module, floating: bool) -> list[int]:
    """Return where the values of a layer are among what it gives."""
    for entry in entries:
        if not (entry is None or isinstance(entry, (Tensor, int, float, str))):
            raise TypeError(
                f"layer must give a tensor or a flat tuple of tensors, got {describe(entry)} from "
                f"{type(layer).__name__}; choose a layer inside, or one that takes what it gives"
            )
    places = [
        place
        for place, entry in enumerate(entries)
        if isinstance(entry, Tensor) and (entry.is_floating_point() or not floating)
    ]
    if not places:
        what = describe(entries[0]) if len(entries) == 1 else describe(entries)
        kind = "floating point tensors" if floating else "tensors"
        raise TypeError(f"layer must give {kind}, got {what} from {type(layer).__name__}")
    return places
