"""captum's arguments for `torch.autograd.grad`: those that change no gradient are taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pyxai._checks import describe

__all__ = ["check_grad_kwargs", "depending"]

# Arguments of `torch.autograd.grad` that do not change what gradients the runner takes, and those
# that do unless they are off.
_IDLE = ("retain_graph", "allow_unused", "materialize_grads")
_OFF = ("create_graph", "is_grads_batched", "grad_outputs")


def check_grad_kwargs(given: Any) -> bool:
    """Raise unless arguments of `torch.autograd.grad` leave the gradients as they are.

    Returns
    -------
    bool
        Whether a layer on which the output does not depend gets zeros (``materialize_grads``).

    Raises
    ------
    TypeError
        If they are no mapping.
    NotImplementedError
        If they ask for something else, as a graph of the gradients is.
    """
    if given is None:
        return False
    if not isinstance(given, Mapping):
        raise TypeError(f"grad_kwargs must be a mapping or None, got {describe(given)}")
    for name, value in given.items():
        if name not in _IDLE and not (name in _OFF and not value):
            raise NotImplementedError(
                f"grad_kwargs must be among {', '.join(_IDLE)}, got {name}={value!r}"
            )
    return bool(given.get("materialize_grads"))


def depending(outputs: Any, value: Tensor) -> Any:
    """Return outputs that depend on a value for autograd, with gradient 0 if they did not."""
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        return outputs
    return outputs + value.flatten()[:0].sum().to(outputs.device, outputs.dtype)
