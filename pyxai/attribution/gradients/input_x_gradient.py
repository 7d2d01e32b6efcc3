"""First-order effect of each feature: gradient times the difference to the baseline."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice
from pyxai._inputs import format_baselines, format_inputs, restore_form
from pyxai.game.path import input_gradients, path_attributions
from pyxai.methods.base import GradientAttribution, TensorOrTuple
from pyxai.methods.store import register
from pyxai.runner import Runner

__all__ = ["InputXGradient"]


@register(
    "input_x_gradient",
    summary="gradient times input, or times input less baseline",
    cost="1 gradient",
    use=(
        "quick contributions, exact where the model is affine from baseline to input; "
        "elsewhere rather integrated gradients"
    ),
    baselines="optional",
    axioms=("null_player", "symmetry", "implementation_invariance", "linearity"),
)
class InputXGradient(GradientAttribution):
    """Input times gradient.

    ``a[i] = (x[i] - b[i]) * df/dx[i]``, the gradient taken at the input or at the baseline.

    In Taylor terms around the baseline [2]_, the gradient at the baseline gives exactly the
    first-order effect of each feature. The gradient at the input, which all libraries take, counts
    an effect of degree k in the feature k times. The two agree where the model is affine between
    baseline and input.

    Axioms: null player, symmetry, linearity, implementation invariance. Complete for affine models
    only.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors that autograd can differentiate.

    References
    ----------
    .. [1] A. Shrikumar, P. Greenside, A. Shcherbina, A. Kundaje, "Not Just a Black Box: Learning
       Important Features Through Propagating Activation Differences", 2016, section 3.
    .. [2] H. Deng et al., "Unifying Fourteen Post-Hoc Attribution Methods With Taylor
       Interactions", IEEE TPAMI 46(7), 2024.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import InputXGradient
    >>> model = lambda x: (x**2).sum(1)
    >>> InputXGradient(model).attribute(torch.tensor([[1.0, 3.0]]))
    tensor([[ 2., 18.]])
    """

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: attributions are in output units."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        target: Any = None,
        additional_forward_args: Any = None,
        *,
        baselines: Any = None,
        at: str = "input",
    ) -> TensorOrTuple:
        """Return input times gradient for each example.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            What is subtracted from the input; default 0.
        at : "input" or "baseline"
            Where the gradient is taken.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in output units; float64 for float64 and float32 otherwise.

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
        starts = format_baselines(baselines, tensors)
        check_choice("at", at, ("input", "baseline"))
        runner = Runner(
            self.forward_func, target=target, additional_forward_args=additional_forward_args
        )
        if at == "input":
            grads = input_gradients(runner, tensors)
            found = tuple(
                (grad * (tensor.to(grad.dtype) - _as_held(start, tensor))).contiguous()
                for grad, tensor, start in zip(grads, tensors, starts, strict=True)
            )
        else:
            node, one = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
            found = path_attributions(runner, tensors, starts, node, one, multiply_by_inputs=True)
        return restore_form(found, is_tuple)


def _as_held(baseline: Tensor | float, tensor: Tensor) -> Tensor | float:
    """Return a baseline as the dtype of the inputs holds it."""
    return baseline if isinstance(baseline, Tensor) or not baseline else tensor.new_tensor(baseline)
