"""What a transform is: a change of coordinates, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import FLOAT_DTYPES, check_dtype, check_finite, check_tensor, describe
from pyxai.runner.state import find_modules

__all__ = ["FunctionTransform", "Transform", "seen_modules"]


class Transform(nn.Module):
    """Coordinates ``s = T(x)`` in which a model's inputs are explained, and the way back.

    A subclass sets ``input_sizes`` and ``coefficient_sizes``, the sizes of the last dimensions of
    ``x`` and of ``s``, and defines `analyse` and `synthesise`. Dimensions before them, batch and
    channels, are left alone. Both directions are torch code that autograd differentiates; numbers
    of 16 bits are computed with in float32.
    """

    pairs: bool = False
    """Whether the last dimension of the coefficients holds the real and the imaginary part."""
    input_sizes: tuple[int, ...] = ()
    coefficient_sizes: tuple[int, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the coefficients ``T(inputs)``.

        Parameters
        ----------
        inputs : Tensor, shape [batch, ..., *input_sizes]
            Of a floating dtype.

        Returns
        -------
        Tensor, shape [batch, ..., *coefficient_sizes]
            In the dtype of the inputs.

        Raises
        ------
        TypeError
            If the inputs are not a tensor of a floating dtype.
        ValueError
            If the shape does not fit, or a value is NaN or infinite.
        """
        values = _checked("inputs", inputs, self.input_sizes)
        check_finite("inputs", values)
        return self.analyse(_wide(values)).to(values.dtype)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Return the inputs that coefficients stand for, as far as they tell.

        Parameters
        ----------
        coefficients : Tensor, shape [batch, ..., *coefficient_sizes]
            Of a floating dtype.

        Returns
        -------
        Tensor, shape [batch, ..., *input_sizes]
            In the dtype of the coefficients.

        Raises
        ------
        TypeError
            If the coefficients are not a tensor of a floating dtype.
        ValueError
            If the shape does not fit.
        """
        values = _checked("coefficients", coefficients, self.coefficient_sizes)
        return self.synthesise(_wide(values)).to(values.dtype)

    def analyse(self, inputs: Tensor) -> Tensor:
        """Return the coefficients of checked inputs in float32 or float64."""
        raise NotImplementedError

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """Return the inputs of checked coefficients in float32 or float64."""
        raise NotImplementedError


class FunctionTransform(Transform):
    """Two functions of the user's: an encoder and its decoder, or anything else of that form.

    Parameters
    ----------
    function : callable
        ``function(inputs) -> coefficients``, one row for each row. It is called once for the whole
        batch and without gradients.
    inverse_function : callable
        ``inverse_function(coefficients) -> inputs``, which autograd can differentiate for methods
        that ask for gradients. It need not be exact.

    Raises
    ------
    TypeError
        If one of them cannot be called, or does not return a tensor of a floating dtype.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import FunctionTransform
    >>> octaves = FunctionTransform(torch.log2, torch.exp2)
    >>> octaves(torch.tensor([[1.0, 8.0]]))
    tensor([[0., 3.]])
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        inverse_function: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        for name, value in (("function", function), ("inverse_function", inverse_function)):
            if not callable(value):
                raise TypeError(f"{name} must be callable, got {describe(value)}")
        self.function = function
        self.inverse_function = inverse_function
        self.hidden = seen_modules(function, inverse_function)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``function(inputs)``.

        Raises
        ------
        TypeError
            If the inputs or the result are not tensors of a floating dtype.
        ValueError
            If a value is NaN or infinite, or if there is not a row for each input.
        """
        check_finite("inputs", _checked("inputs", inputs, ()))
        found = _checked("result of function", self.function(inputs), ())
        check_finite("result of function", found)
        return _same_rows("result of function", found, inputs)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Return ``inverse_function(coefficients)``.

        Raises
        ------
        TypeError
            If the coefficients or the result are not tensors of a floating dtype.
        ValueError
            If there is not a row for each row of coefficients.
        """
        values = _checked("coefficients", coefficients, ())
        found = _checked("result of inverse_function", self.inverse_function(values), ())
        return _same_rows("result of inverse_function", found, values)


def seen_modules(*functions: Any) -> nn.ModuleList:
    """Return the modules behind functions that are no modules, for whoever asks what is held."""
    plain = [function for function in functions if not isinstance(function, nn.Module)]
    return nn.ModuleList(dict.fromkeys(each for f in plain for each in find_modules(f)))


def _checked(name: str, value: Any, sizes: tuple[int, ...]) -> Tensor:
    """Return a floating tensor [batch, ..., *sizes]."""
    tensor = check_tensor(name, value)
    check_dtype(name, tensor, FLOAT_DTYPES)
    last = tuple(tensor.shape[tensor.dim() - len(sizes) :])
    if tensor.dim() < 1 + len(sizes) or last != sizes:
        wanted = ", ".join(("batch", "...", *map(str, sizes)))
        raise ValueError(f"{name} must have shape [{wanted}], got {list(tensor.shape)}")
    return tensor


def _same_rows(name: str, found: Tensor, given: Tensor) -> Tensor:
    if found.dim() < 2 or found.shape[0] != given.shape[0]:
        raise ValueError(
            f"{name} must have one row for each of {given.shape[0]} rows, "
            f"got shape {list(found.shape)}"
        )
    return found


def _wide(values: Tensor) -> Tensor:
    """Return values in float64 if they are, and in float32 otherwise."""
    return values if values.dtype == torch.float64 else values.float()
