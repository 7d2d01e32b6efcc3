"""Follow a model's input through the functions of torch up to its first layer, and past it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["FirstLayer", "Recorder", "Replacer", "Step"]

# Every element of the result is an affine function of the element of the input at the same place,
# rows stay rows, and elements keep their order.
_SCALED = {
    torch.Tensor.add, torch.Tensor.sub, torch.Tensor.mul, torch.Tensor.div, torch.Tensor.neg,
    torch.Tensor.__radd__, torch.Tensor.__rsub__, torch.Tensor.__rmul__,
    torch.add, torch.sub, torch.mul, torch.div, torch.neg,
}  # fmt: skip
_RESHAPED = {
    torch.Tensor.view, torch.Tensor.reshape, torch.Tensor.flatten, torch.Tensor.squeeze,
    torch.Tensor.unsqueeze, torch.Tensor.contiguous, torch.Tensor.float, torch.Tensor.double,
    torch.Tensor.to, torch.reshape, torch.flatten, torch.squeeze, torch.unsqueeze,
}  # fmt: skip
_LAYERS = {functional.linear, torch.conv1d, torch.conv2d, torch.conv3d}
_PRODUCTS = {torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.mm}
_WEIGHTS = {Tensor, nn.Parameter}  # tensors of other kinds may not be what they hold
# What tells of a tensor no more than its form.
_FORM = {
    torch.Tensor.size, torch.Tensor.dim, torch.Tensor.numel, torch.Tensor.__len__,
    torch.Tensor.is_floating_point,
    *(
        getattr(torch.Tensor, name).__get__
        for name in ("shape", "ndim", "dtype", "device", "is_cuda", "requires_grad")
    ),
}  # fmt: skip


@dataclass(frozen=True)
class FirstLayer:
    """The first layer of a model, as its code calls it, but for the input.

    Attributes
    ----------
    function : callable
    args, kwargs
        What follows the input; weights are the model's own tensors.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the layer's output."""
        found: Tensor = self.function(inputs, *self.args, **self.kwargs)
        return found

    def is_same(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether another pass calls the same layer, with the same weights."""
        return bool(function == self.function) and _are_alike(args, kwargs, self.args, self.kwargs)

    @property
    def weight(self) -> Tensor:
        """What the input is multiplied with."""
        found: Tensor = self.args[0] if self.args else next(iter(self.kwargs.values()))
        return found

    @property
    def matrix(self) -> Tensor | None:
        """The matrix of a product, [n_in, n_out]; None for a convolution."""
        if self.function in _PRODUCTS:
            return self.weight
        return self.weight.T if self.function is functional.linear else None

    @property
    def n_terms(self) -> int:
        """How many products are summed for each number of the output."""
        matrix = self.matrix
        return math.prod(self.weight.shape[1:]) if matrix is None else len(matrix)


@dataclass(frozen=True)
class Step:
    """One function between the input and the first layer.

    Attributes
    ----------
    function : callable
    args, kwargs
        What follows the value, for a function that changes elements.
    sizes : tuple of int
        Of a row of what it returns.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    sizes: tuple[int, ...]

    def __call__(self, value: Tensor) -> Tensor:
        """Return what the model makes of a value, of any number of rows."""
        if self.function not in _RESHAPED:
            value = self.function(value, *self.args, **self.kwargs)
        return value.reshape(len(value), *self.sizes)

    def is_same(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether another pass does the same; by what to reshape depends on the number of rows."""
        if function != self.function or function in _RESHAPED:
            return bool(function == self.function)
        return _are_alike(args, kwargs, self.args, self.kwargs)


class _Follower(TorchFunctionMode):
    """Passes on what does not touch the input; knows what was made of it."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = inputs
        self.refused = ""
        self._followed: dict[int, Tensor] = {}
        self._follow(inputs)

    def _follow(self, value: Tensor) -> None:
        self._followed[id(value)] = value  # held, so that no other tensor gets its id

    def _is_followed(self, value: Any) -> bool:
        if isinstance(value, Tensor):
            return id(value) in self._followed
        return isinstance(value, (tuple, list)) and any(map(self._is_followed, value))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        if not self._is_followed((*args, *named.values())) or func in _FORM:
            return func(*args, **named)
        others = (*args[1:], *named.values())
        if not args or not isinstance(args[0], Tensor) or self._is_followed(others):
            return self._refuse(func, args, named)
        return self._touched(func, args, named)

    def _touched(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _refuse(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note that what the model asks of its input cannot be told from its first layer.

        The model runs on: left in the middle, it may not be as it was found.
        """
        self.refused = self.refused or getattr(func, "__name__", str(func))
        return func(*args, **kwargs)


class Recorder(_Follower):
    """Run a model on real rows and see what it does up to its first layer.

    Attributes
    ----------
    steps : list of Step
        What the model did to its input.
    layer : FirstLayer or None
        What it did next; None if something else than a layer came.
    before, after : Tensor
        What the layer was given, and returned.
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__(inputs)
        self.steps: list[Step] = []
        self.layer: FirstLayer | None = None
        self.before = self.after = inputs

    def _touched(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value = args[0]
        if value is not self.before or self.layer is not None:  # it reads more than one thing
            return self._refuse(func, args, kwargs)
        if func in _LAYERS or func in _PRODUCTS:
            layer = FirstLayer(func, args[1:], kwargs)
            own = type(layer.weight) in _WEIGHTS
            if not own or "out" in kwargs or (layer.matrix is not None and layer.matrix.dim() != 2):
                return self._refuse(func, args, kwargs)
            found = func(*args, **kwargs)
            if found.dtype != value.dtype:  # autocast, in the model's own code
                self.refused = func.__name__
            # The model may write into it.
            self.layer, self.after = layer, found.clone()
            return found
        if not (_is_scaling(func, args, kwargs) or func in _RESHAPED):
            return self._refuse(func, args, kwargs)
        found = func(*args, **kwargs)
        kept = (value.dtype, value.device, value.shape[0], value.numel())
        if kept != (found.dtype, found.device, found.shape[0] if found.dim() else 0, found.numel()):
            self.refused = getattr(func, "__name__", str(func))
            return found
        self.steps.append(Step(func, args[1:], kwargs, tuple(found.shape[1:])))
        self.before = found
        self._follow(found)
        return found


class Replacer(_Follower):
    """Run a model whose first layer returns what is given.

    The input and all up to the layer are without numbers, one NaN that is never written out.

    Attributes
    ----------
    was_there : bool
        Whether the layer came.
    """

    def __init__(self, inputs: Tensor, steps: list[Step], layer: FirstLayer, after: Tensor) -> None:
        super().__init__(inputs)
        self._steps, self._layer, self._after = iter(steps), layer, after
        self._before = inputs
        self.was_there = False

    def _touched(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args[0] is not self._before or self.was_there:
            return self._refuse(func, args, kwargs)
        step = next(self._steps, None)
        if step is not None:
            if not step.is_same(func, args[1:], kwargs):
                return self._refuse(func, args, kwargs)
            found = self.inputs.new_full((), torch.nan).expand(len(self.inputs), *step.sizes)
            self._before = found
            self._follow(found)
            return found
        if not self._layer.is_same(func, args[1:], kwargs):
            return self._refuse(func, args, kwargs)
        self.was_there = True
        return self._after


def _is_scaling(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a function changes each element by itself, and the same for every row."""
    if func is functional.batch_norm:
        training = args[5] if len(args) > 5 else kwargs.get("training", False)
        return training is False
    if func not in _SCALED or kwargs:
        return False
    return all(_fits_any_row(other, args[0].dim()) for other in args[1:])


def _fits_any_row(other: Any, dims: int) -> bool:
    if not isinstance(other, Tensor):
        return isinstance(other, (int, float))
    return other.dim() < dims or (other.dim() == dims and other.shape[0] == 1)


def _are_alike(
    args: tuple[Any, ...], kwargs: dict[str, Any], own: tuple[Any, ...], named: dict[str, Any]
) -> bool:
    """Whether two calls are given the same, besides the input."""
    theirs, mine = (*args, *kwargs.values()), (*own, *named.values())
    if len(theirs) != len(mine) or kwargs.keys() != named.keys():
        return False
    return all(map(_are_equal, theirs, mine))


def _are_equal(one: Any, other: Any) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return one is other or (type(one) is type(other) and bool(one == other))
    if one is other or (one.shape == other.shape and one.data_ptr() == other.data_ptr()):
        return True
    return one.shape == other.shape and torch.equal(one, other)
