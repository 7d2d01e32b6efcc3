"""The contract of an attribution method; captum's, so that its users find what they know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor

from pyxai._checks import describe

__all__ = ["Attribution", "GradientAttribution", "PerturbationAttribution"]

TensorOrTuple = Tensor | tuple[Tensor, ...]


class Attribution:
    """A way to tell how much each input feature adds to an output.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors: called with the inputs and then the additional
        arguments, it returns one row per example.

    Raises
    ------
    TypeError
        If ``forward_func`` cannot be called.
    """

    attribute: Callable[..., Any]

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        if not callable(forward_func):
            raise TypeError(f"forward_func must be callable, got {describe(forward_func)}")
        self.forward_func = forward_func

    def attribute_future(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: this method has no form for models that return futures."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}")

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than output units per input unit."""
        return False

    def has_convergence_delta(self) -> bool:
        """Tell whether the attributions sum to the difference of two outputs."""
        return False

    def compute_convergence_delta(
        self,
        attributions: TensorOrTuple,
        start_point: Any,
        end_point: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:
        """Say how far the attributions are from summing to the difference of the outputs.

        ``delta = sum(attributions) - (f(end_point) - f(start_point))``

        Parameters
        ----------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In output units.
        start_point : float, Tensor, tuple of those or None
            Baselines; ``None`` is 0.
        end_point : Tensor or tuple of Tensor, shape [batch, *features]
            The inputs.
        target : int, tuple, list or Tensor, optional
            Which output, in any form that `attribute` takes.
        additional_forward_args : any, optional
            Further arguments of the model.

        Returns
        -------
        Tensor, shape [batch]
            In output units.

        Raises
        ------
        ValueError
            If shapes do not match.
        TypeError
            If an argument is not a tensor of a floating dtype.
        """
        raise NotImplementedError

    @classmethod
    def get_name(cls) -> str:
        """Return the name of the class with spaces between its words."""
        first, rest = cls.__name__[:1], cls.__name__[1:]
        return first + "".join(char if char.islower() else f" {char}" for char in rest)


class GradientAttribution(Attribution):
    """A method that asks the model for gradients with respect to its inputs."""


class PerturbationAttribution(Attribution):
    """A method that asks the model for outputs at changed inputs only."""

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: differences of outputs are in output units."""
        return True
