"""Integrated gradients along a path that moves the features of small gradients first."""

from __future__ import annotations

from typing import Any

from pyxai._checks import check_int
from pyxai._deferred_checks import checked_at_the_end
from pyxai._inputs import format_baselines, format_inputs, restore_form
from pyxai.attribution.paths.guided_path import (
    GuidedPath,
    check_guidance,
    flat,
    flat_starts,
    from_flat,
    walk,
)
from pyxai.methods.base import GradientAttribution, TensorOrTuple, convergence_delta
from pyxai.methods.store import register
from pyxai.runner import Runner

__all__ = ["GuidedIG"]


@register(
    "guided_ig",
    summary="integrated gradients along a path that moves features of small gradients first",
    cost="n_steps gradients",
    use=(
        "images where integrated gradients are noisy; slow on few rows, since each step waits "
        "for the one before"
    ),
    complete=True,
    baselines="optional",
    axioms=("null_player", "implementation_invariance"),
)
class GuidedIG(GradientAttribution):
    """Guided integrated gradients: a path that stays where gradients are small.

    Every step shortens the L1 distance to the input by the same amount. It moves the features with
    the smallest absolute gradients, none further from the straight path than ``max_dist``, and adds
    gradient times movement to what they get. All features together then sum to the difference of
    the outputs, up to the error of the steps.

    Axioms: null player, implementation invariance; completeness up to ``convergence_delta``.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors that autograd can differentiate.

    References
    ----------
    .. [1] A. Kapishnikov et al., "Guided Integrated Gradients: an Adaptive Path Method for Removing
       Noise", CVPR 2021, algorithm 1; the steps are those of the authors' package ``saliency``.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import GuidedIG
    >>> model = lambda x: x @ torch.tensor([1.0, -2.0, 3.0])
    >>> GuidedIG(model).attribute(torch.ones(1, 3), n_steps=10).round(decimals=5)
    tensor([[ 1., -2.,  3.]])
    """

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: attributions are in output units."""
        return True

    def has_convergence_delta(self) -> bool:
        """Tell that the attributions sum to the difference of two outputs."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 200,
        fraction: float = 0.25,
        max_dist: float = 0.02,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
    ) -> Any:
        """Return guided integrated gradients for each example.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            Where the path starts, in input units; default 0.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        n_steps : int
            Number of steps; each costs one gradient per example, one after the other.
        fraction : float
            In [0, 1]: which share of the features, those of the smallest gradients, moves at once.
        max_dist : float
            In [0, 1]: how far a feature may leave the straight path, as a share of its whole way. 0
            is integrated gradients, 1 leaves it free.
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model; default: chosen from its memory.
        return_convergence_delta : bool
            Whether to return the delta as well.
        show_progress : bool
            Whether to show a progress bar.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``, in output units; float64 for float64 and float32 otherwise.
        delta : Tensor, shape [batch]
            Only with ``return_convergence_delta``:
            ``sum(attributions) - (f(inputs) - f(baselines))``, in output units.

        Raises
        ------
        ValueError
            If a shape, a target or a value does not fit.
        TypeError
            If an argument is not of the kind asked for.

        Notes
        -----
        Cost: ``batch * n_steps`` gradients; examples go side by side, steps one by one. The path is
        kept in float64, whatever the model's dtype.
        """
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        starts = format_baselines(baselines, tensors)
        check_int("n_steps", n_steps, minimum=1)
        check_guidance(fraction, max_dist)
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        runner = Runner(
            self.forward_func,
            target=target,
            additional_forward_args=additional_forward_args,
            max_rows=internal_batch_size,
        )
        path = GuidedPath(flat_starts(starts, tensors), flat(tensors), fraction, max_dist)
        with checked_at_the_end():
            for _ in walk(path, runner, tensors, n_steps, show_progress):
                pass  # the path adds up what its movements bring
        found = from_flat(path.attributions, tensors)
        result = restore_form(found, is_tuple)
        if not return_convergence_delta:
            return result
        return result, convergence_delta(runner, found, tensors, starts)
