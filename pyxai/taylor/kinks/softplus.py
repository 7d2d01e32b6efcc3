"""Run a model with softplus in place of ReLU, without touching it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["SoftplusForRelu"]

_RELU = (functional.relu, torch.relu, Tensor.relu)
_IN_PLACE = (functional.relu_, torch.relu_, Tensor.relu_)


class SoftplusForRelu(TorchFunctionMode):
    """Within the block every ReLU is ``softplus(z, beta) = ln(1 + exp(beta z)) / beta``.

    Modules, functional calls and methods alike; in-place forms write into their argument.

    Parameters
    ----------
    beta : float
        Sharpness, in 1 / unit of the pre-activation; the error of an activation is at most
        ln 2 / beta.
    """

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace calls of ReLU, pass on everything else."""
        kwargs = kwargs or {}
        if func not in _RELU and func not in _IN_PLACE:
            return func(*args, **kwargs)
        given = args[0] if args else kwargs["input"]
        inplace = func in _IN_PLACE or kwargs.get("inplace", False) or args[1:2] == (True,)
        # Softplus keeps its argument for the backward pass, so that one must not be overwritten.
        result = functional.softplus(given.clone() if inplace else given, self.beta, 40)
        return given.copy_(result) if inplace else result
