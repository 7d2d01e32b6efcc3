"""A model whose inputs are the coefficients of a transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_bool, check_model, check_tensor, describe
from pyxai._inputs import format_inputs
from pyxai.runner.arguments import as_arguments
from pyxai.runner.state import left_as_found
from pyxai.transforms.transform import Transform, seen_modules

__all__ = ["TransformedModel"]


class TransformedModel(nn.Module):
    """A model ``f`` as a function of coefficients: ``f'(s, r) = f(T^-1(s) + r)``.

    With the residual ``r = x - T^-1(T(x))`` of each example, which is held constant,
    ``f'(T(x), r) = f(x)`` to rounding, also where the transform loses something. `split` gives
    both. The residual is an argument of the model, so that it follows the rows that a method makes
    of an example, and is the same for all of them.

    Parameters
    ----------
    model : callable
        Takes a tensor ``[batch, *features]`` and then further arguments.
    transform : Transform
        T, which has an ``inverse``.
    residual : bool
        Whether the first argument after the coefficients is the residual. Without it the model sees
        only what coefficients can tell.

    Raises
    ------
    TypeError
        If the model cannot be called, or the transform is none.

    References
    ----------
    .. [1] C. Singh et al., "Transformation Importance with Applications to Cosmology", 2020.

    Examples
    --------
    >>> import torch
    >>> from pyxai.transforms import FourierTransform, TransformedModel
    >>> model = torch.nn.Linear(6, 2)
    >>> transformed = TransformedModel(model, FourierTransform(6))
    >>> x = torch.ones(1, 6)
    >>> coefficients, arguments = transformed.split(x)
    >>> torch.allclose(transformed(coefficients, *arguments), model(x))
    True
    """

    def __init__(
        self, model: Callable[..., Any], transform: Transform, residual: bool = True
    ) -> None:
        super().__init__()
        check_model("model", model)
        if not isinstance(transform, Transform):
            raise TypeError(f"transform must be a Transform, got {describe(transform)}")
        self.model = model
        self.transform = transform
        self.residual = check_bool("residual", residual)
        self.hidden = seen_modules(model)
        self.training = isinstance(model, nn.Module) and model.training

    def forward(self, coefficients: Tensor, *arguments: Any) -> Any:
        """Return the model's output at the inputs that coefficients and residual stand for.

        Parameters
        ----------
        coefficients : Tensor, shape [batch, *coefficients]
            In the units of the transform.
        *arguments : any
            The residual, of the shape of the inputs, where there is one; then the further arguments
            of the model.

        Returns
        -------
        any
            What the model returns.

        Raises
        ------
        ValueError
            If a shape does not fit.
        TypeError
            If the residual is not a tensor, or not given.
        """
        inputs = self.transform.inverse(coefficients)
        if self.residual:
            if not arguments:
                raise TypeError("residual must be given after the coefficients, got no argument")
            residual, arguments = arguments[0], arguments[1:]
            if check_tensor("residual", residual).shape != inputs.shape:
                raise ValueError(
                    f"residual must have shape {list(inputs.shape)}, got {list(residual.shape)}"
                )
            inputs = inputs + residual
        return self.model(inputs, *arguments)

    def split(
        self, inputs: Tensor, additional_forward_args: Any = None
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Return the coefficients of inputs, and what the model takes after them.

        Parameters
        ----------
        inputs : Tensor, shape [batch, *features]
            What the model would be given, of a floating dtype.
        additional_forward_args : any, optional
            Further arguments of the model; a tuple holds several.

        Returns
        -------
        Tensor, shape [batch, *coefficients]
            ``T(inputs)``.
        tuple
            The residual, unless ``residual`` is False, and the further arguments: what methods take
            as ``additional_forward_args``. None of it requires a gradient.

        Raises
        ------
        ValueError
            If the inputs are not finite, or the transform does not give their shape back.
        TypeError
            If the inputs are not one tensor of a floating dtype.
        """
        (values, *others), _ = format_inputs(inputs, gradients=True)
        if others:
            raise TypeError(
                f"inputs must be one tensor for a transform, got a tuple of {1 + len(others)}; "
                "give the others as additional_forward_args"
            )
        with left_as_found(tuple(self.transform.modules())), torch.no_grad():
            coefficients = self.transform(values)
            back = self.transform.inverse(coefficients)
        if back.shape != values.shape:
            raise ValueError(
                f"inverse of transform must return shape {list(values.shape)}, that of inputs, "
                f"got {list(back.shape)}"
            )
        residual = (values - back,) if self.residual else ()
        return coefficients, (*residual, *as_arguments(additional_forward_args))
