"""Path gradients in which only the direction of the gradient takes part."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_int
from pyxai._inputs import flat_features, format_baselines, format_inputs, restore_form
from pyxai.attribution._path import rows_of
from pyxai.attribution.base import GradientAttribution, TensorOrTuple
from pyxai.ops.path_points import path_points
from pyxai.runner import Runner

__all__ = ["IDGI"]


class IDGI(GradientAttribution):
    """Important direction gradient integration: squared gradients share each step of the path.

    ``a_i = sum over steps j of g_i(x_j)^2 / |g(x_j)|^2 * (f(x_{j+1}) - f(x_j))`` on the straight
    path from the baseline to the input. What a movement across the gradient would add to a feature,
    though it changes nothing in the output, is left out.

    Axioms: completeness (exact, but for steps whose gradient is zero), null player, symmetry,
    implementation invariance.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors that autograd can differentiate.

    References
    ----------
    .. [1] R. Yang, B. Wang, M. Bilgic, "IDGI: A Framework to Eliminate Explanation Noise from
       Integrated Gradients", CVPR 2023, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import IDGI
    >>> model = lambda x: x @ torch.tensor([1.0, 2.0])  # shares 1 : 4 of 3
    >>> IDGI(model).attribute(torch.ones(1, 2), n_steps=4)
    tensor([[0.6000, 2.4000]])
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
        n_steps: int = 50,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        show_progress: bool = False,
    ) -> Any:
        """Return a share of the difference of the outputs for each feature.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            Where the path starts, in input units; default 0.
        target : int, tuple, list or Tensor, optional
            Which output: one index for all examples, or one for each; see `pyxai.runner.Target`.
        additional_forward_args : any, optional
            Further arguments of the model; tensors with one row per example follow the examples.
        n_steps : int
            Number of steps of equal length; each costs a gradient and an output per example.
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model; default: chosen from its memory.
        return_convergence_delta : bool
            Whether to return the delta as well.
        show_progress : bool
            Whether to show progress bars, one for the outputs and one for the gradients.

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
        """
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        check_int("n_steps", n_steps, minimum=1)
        check_bool("return_convergence_delta", return_convergence_delta)
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        runner = Runner(
            self.forward_func,
            target=target,
            additional_forward_args=additional_forward_args,
            max_rows=internal_batch_size,
            progress=show_progress,
        )
        path = _Path(runner, tensors, format_baselines(baselines, tensors), n_steps)
        outputs = path.outputs()  # [batch, n_steps + 1]
        found = path.share(outputs.diff(dim=1).double())
        result = restore_form(found, is_tuple)
        if not return_convergence_delta:
            return result
        total = torch.stack([flat_features(part).double().sum(1) for part in found]).sum(0)
        delta = total - (outputs[:, -1] - outputs[:, 0]).double()
        return result, delta.to(found[0].dtype)


class _Path:
    """The straight paths of a call, at steps of equal length."""

    def __init__(
        self,
        runner: Runner,
        inputs: tuple[Tensor, ...],
        baselines: tuple[Tensor | float, ...],
        n_steps: int,
    ) -> None:
        self.runner, self.inputs, self.baselines = runner, inputs, baselines
        self.nodes = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps

    def outputs(self) -> Tensor:
        """Return the outputs at all nodes, [batch, n_steps + 1]."""

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return tuple(part.transpose(0, 1).flatten(0, 1) for part in self._at(examples, repeats))

        values = self.runner.values(build, len(self.inputs[0]), len(self.nodes))
        if len(values) != len(self.inputs[0]):
            raise ValueError(
                f"model must return one row for each of {len(self.inputs[0])} examples, got one "
                "number for all of them"
            )
        return values

    def share(self, steps: Tensor) -> tuple[Tensor, ...]:
        """Share the change of each step, [batch, n_steps], among all features."""
        totals = tuple(
            torch.zeros(
                tensor.shape,
                dtype=torch.float64 if tensor.dtype == torch.float64 else torch.float32,
                device=tensor.device,
            )
            for tensor in self.inputs
        )

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return tuple(part.flatten(0, 1) for part in self._at(examples, repeats))

        def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
            count = examples.stop - examples.start
            wide = [
                grad.reshape(-1, count, *grad.shape[1:]).to(total.dtype)
                for grad, total in zip(grads, totals, strict=True)
            ]
            # Shares do not depend on the scale of the gradients, whose squares may not be numbers.
            sizes = [flat_features(grad, 2).abs().amax(2).double() for grad in wide]
            largest = torch.stack(sizes).amax(0)
            largest = torch.where(largest > 0, largest, 1)
            squares = [
                (grad / largest.to(grad.dtype).view(-1, count, *[1] * (grad.dim() - 2))).square_()
                for grad in wide
            ]
            norm = torch.stack([flat_features(part, 2).double().sum(2) for part in squares]).sum(0)
            change = steps[examples, repeats].T
            weights = torch.where(norm > 0, change / torch.where(norm > 0, norm, 1), 0)
            for square, total in zip(squares, totals, strict=True):
                total[examples] += torch.einsum("sb,sb...->b...", weights.to(total.dtype), square)

        self.runner.gradients(build, len(self.inputs[0]), len(self.nodes) - 1, consume)
        return totals

    def _at(self, examples: slice, repeats: slice) -> list[Tensor]:
        return [
            path_points(tensor[examples], rows_of(baseline, examples), self.nodes[repeats])
            for tensor, baseline in zip(self.inputs, self.baselines, strict=True)
        ]
