"""How strongly the output reacts to each feature: the gradient at the input."""

from __future__ import annotations

from typing import Any

from pyxai._inputs import format_inputs, restore_form
from pyxai.game.path import input_gradients
from pyxai.methods.base import GradientAttribution, TensorOrTuple
from pyxai.methods.store import register
from pyxai.runner import Runner

__all__ = ["Saliency"]


@register(
    "saliency",
    summary="gradient of the output, absolute by default",
    cost="1 gradient",
    use=(
        "a first look at what the output reacts to; not for amounts: its unit is output per "
        "input unit, and a saturated model gets zeros"
    ),
    axioms=("null_player", "symmetry", "implementation_invariance"),
)
class Saliency(GradientAttribution):
    """Gradient of the output with respect to the input, by default its absolute value.

    ``a[i] = |df(x) / dx[i]|``

    Axioms: null player, symmetry, implementation invariance; linearity with ``abs=False``. Not
    complete: the unit is output units per input unit.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors that autograd can differentiate.

    References
    ----------
    .. [1] K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks: Visualising
       Image Classification Models and Saliency Maps", ICLR 2014 workshop, section 3.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import Saliency
    >>> model = lambda x: x @ torch.tensor([3.0, -2.0])
    >>> Saliency(model).attribute(torch.ones(1, 2))
    tensor([[3., 2.]])
    """

    def attribute(
        self,
        inputs: TensorOrTuple,
        target: Any = None,
        abs: bool = True,
        additional_forward_args: Any = None,
    ) -> TensorOrTuple:
        """Return the gradient for each example.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        abs : bool
            Whether to return absolute values.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in output units per input unit; float64 for float64 and
            float32 otherwise.

        Raises
        ------
        ValueError
            If a shape, a target or a value does not fit.
        TypeError
            If an argument is not of the kind asked for.

        Notes
        -----
        Cost: one gradient per example.
        """
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        runner = Runner(
            self.forward_func, target=target, additional_forward_args=additional_forward_args
        )
        grads = input_gradients(runner, tensors)
        return restore_form(tuple(grad.abs() for grad in grads) if abs else grads, is_tuple)
