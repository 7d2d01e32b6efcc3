"""Expected gradients: integrated gradients averaged over a set of baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import flat_features, format_background, format_inputs, restore_form
from pyxai._random import example_ids as name_examples
from pyxai.attribution.paths.integrated_gradients import IntegratedGradients
from pyxai.attribution.sampled.gradient_rounds import SampledCall, check_stop, sample_to_tolerance
from pyxai.attribution.sampled.sampled_gradients import SampledGradients
from pyxai.explanation.rows import take_target
from pyxai.methods.base import GradientAttribution, warn_if_infinite
from pyxai.methods.store import AXIOMS, register
from pyxai.runner import Runner, Target, in_rounds
from pyxai.runner.arguments import take_copies
from pyxai.runner.mixing import per_output

__all__ = ["ExpectedGradients"]

_COPY_BYTES = 2**26  # of inputs repeated for several baselines


class _Call:
    """The arguments that all forms need."""

    def __init__(
        self,
        inputs: tuple[Tensor, ...],
        background: tuple[Tensor, ...],
        target: Any,
        arguments: Any,
        max_rows: int | None,
    ) -> None:
        self.inputs, self.background = inputs, background
        self.target, self.arguments, self.max_rows = target, arguments, max_rows
        self.batch = inputs[0].shape[0]

    def sampled(self, forward_func: Callable[..., Any]) -> SampledCall:
        """Return the call as the Monte Carlo form makes it."""
        return SampledCall(forward_func, self.target, self.arguments, self.max_rows)

    def mean_output(self, runner: Runner) -> Tensor:
        """Return the mean output at the baselines, with the target of each example, [batch]."""

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            rows = examples.stop - examples.start
            return tuple(
                part[repeats].repeat(rows, *[1] * (part.dim() - 1)) for part in self.background
            )

        return runner.values(build, self.batch, self.background[0].shape[0]).mean(1)


@register(
    "expected_gradients",
    summary="integrated gradients averaged over a background set",
    cost="n_steps * n_background gradients",
    use=(
        "differentiable models where no single baseline is neutral but typical rows are at "
        "hand; few rows of background keep it quick"
    ),
    complete=True,
    baselines="distribution",
    axioms=AXIOMS,
)
class ExpectedGradients(GradientAttribution):
    """Average integrated gradients over baselines: complete with respect to the mean output.

    ``a_i = mean over b of (x_i - b_i) * integral of df/dx_i (b + t (x - b)) dt``

    By default exact over the rows of the background, and in t as far as the quadrature goes. With
    ``n_samples`` both b and t are drawn, one t for each draw of b.

    Parameters
    ----------
    forward_func : callable
        The model.
    multiply_by_inputs : bool
        Whether to multiply gradients by ``x - b``.

    References
    ----------
    .. [1] G. Erion, J. D. Janizek, P. Sturmfels, S. Lundberg, S.-I. Lee, "Improving performance of
       deep learning models with axiomatic attribution priors and expected gradients", Nature
       Machine Intelligence 3, 2021, eq. 3.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import ExpectedGradients
    >>> x, background = torch.tensor([[2.0, 3.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    >>> ExpectedGradients(lambda z: z[:, 0] * z[:, 1]).attribute(x, background)
    tensor([[2.5000, 3.0000]])
    """

    def __init__(self, forward_func: Callable[..., Any], multiply_by_inputs: bool = True) -> None:
        super().__init__(forward_func)
        self._multiply_by_inputs = bool(multiply_by_inputs)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than output units per input unit."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Tell that a delta can be returned: True."""
        return True

    def estimates_error(self, options: Mapping[str, Any]) -> bool:
        """Tell whether there is a standard error: without ``n_samples`` nothing is drawn."""
        return options.get("n_samples") is not None

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        rule: str | None = None,
        tolerance: float | None = None,
        max_steps: int = 1600,
        n_samples: int | None = None,
        seed: int = 0,
        example_ids: Any = None,
        return_error: bool = False,
        max_evals: int | None = None,
    ) -> Any:
        """Attribute the output to the inputs.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain; floating point.
        baselines : Tensor or tuple of Tensor, shape [n_baselines, *features]
            The background set, independent of the batch.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        n_steps, method, tolerance, max_steps
            The quadrature in t, as in `IntegratedGradients`; the tolerance holds for each baseline.
            With ``n_samples`` the tolerance is the largest standard error of an example, and its
            draws are doubled, from 32 at least, until that holds.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.
        return_convergence_delta : bool
            Whether to return the delta.
        rule : str, optional
            The same as ``method``, for callers such as `pyxai.explain` that use that word for
            something else.
        n_samples : int, optional
            Draw so many pairs of b and t per example instead.
        seed : int
            Fixes the draws.
        example_ids : sequence of int or Tensor, shape [batch], optional
            Names of the examples, which key their draws; default: their content.
        return_error : bool
            Whether to return standard errors over the draws; 0 without ``n_samples``.
        max_evals : int, optional
            With ``n_samples`` and a tolerance: draws per example at most; default 64 times the
            first round.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In output units; float64 for float64 inputs, else float32.
        delta : Tensor, shape [batch]
            If asked for: ``sum(attributions) - (f(x) - mean over all baselines of f(b))``.
        error : like ``attributions``
            If asked for.

        Raises
        ------
        ValueError
            If a shape does not fit, or a number is too small.
        TypeError
            If inputs are not floating point, or baselines are not tensors.

        Warns
        -----
        PyxaiWarning
            If the tolerance is not reached.
        """
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        background = format_background(baselines, tensors, name="baselines")
        Target(target).check_examples(tensors[0].shape[0], sums=True)
        call = _Call(tensors, background, target, additional_forward_args, internal_batch_size)
        if n_samples is None:
            if max_evals is not None:
                raise ValueError(f"max_evals must come with n_samples, got {max_evals} alone")
            means, delta = self._exact(
                call, n_steps, rule or method, tolerance, max_steps, return_convergence_delta
            )
            errors = tuple(torch.zeros_like(mean) for mean in means)
        else:
            ids = name_examples(example_ids, tensors)
            check_stop(tolerance, max_evals)
            asked = return_error, return_convergence_delta
            means, errors, sums = self._sampled(
                call, n_samples, seed, ids, tolerance, max_evals, *asked
            )
            delta = None
            if return_convergence_delta:
                runner = call.sampled(self.forward_func).runner()
                difference = runner.outputs(tensors) - call.mean_output(runner)
                delta = per_output(sums, difference) - difference
        result: list[Any] = [restore_form(means, is_tuple)]
        if return_convergence_delta:
            result.append(delta)
        if return_error:
            warn_if_infinite(errors, f"n_samples={n_samples}", "give two draws at least")
            result.append(restore_form(errors, is_tuple))
        return result[0] if len(result) == 1 else tuple(result)

    def _exact(
        self,
        call: _Call,
        n_steps: int,
        method: str,
        tolerance: float | None,
        max_steps: int,
        with_delta: bool,
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        integrated = IntegratedGradients(self.forward_func, self._multiply_by_inputs)
        count, batch = call.background[0].shape[0], call.batch
        size = sum(tensor.nbytes for tensor in call.inputs)
        step = max(1, min(count, _COPY_BYTES // max(size, 1)))
        totals: list[Tensor] = []
        delta: Tensor | None = None

        def work(first: int, copies: int) -> Any:
            some = tuple(rows[first : first + copies] for rows in call.background)
            each = torch.arange(batch, device=call.inputs[0].device).repeat_interleave(copies)
            found = integrated.attribute(
                tuple(tensor[each] for tensor in call.inputs),
                tuple(rows.repeat(batch, *[1] * (rows.dim() - 1)) for rows in some),
                take_target(call.target, each, batch),
                take_copies(call.arguments, each, batch),
                n_steps,
                method,
                call.max_rows,
                with_delta,
                tolerance=tolerance,
                max_steps=max_steps,
            )
            return found if with_delta else (found, None)

        for _, copies, (parts, missed) in in_rounds(count, step, work):
            sums = [part.unflatten(0, (batch, copies)).sum(1) for part in parts]
            totals = [t + s for t, s in zip(totals, sums, strict=True)] if totals else sums
            if missed is not None:
                gaps = missed.view(-1, copies).sum(1)  # one row if the batch has one output
                delta = gaps if delta is None else delta + gaps
        means = tuple(total / count for total in totals)
        return means, None if delta is None else delta / count

    def _sampled(
        self,
        call: _Call,
        n_samples: int,
        seed: int,
        ids: Tensor,
        tolerance: float | None,
        max_evals: int | None,
        with_errors: bool,
        with_sums: bool,
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """Return means, their errors, and the mean over draws of each draw's sum, [batch].

        The latter two only if asked for.
        """
        check_int("n_samples", n_samples, minimum=1)
        sampled = SampledGradients(
            call.inputs,
            call.background,
            n_samples,
            (0.0,) * len(call.inputs),
            seed,
            ids,
            self._multiply_by_inputs,
        )
        gradients = call.sampled(self.forward_func)
        # Where attributions are what the sums are of, these need no look at every draw.
        with_sums = with_sums and not self._multiply_by_inputs
        if tolerance is not None:
            means, errors, sums = sample_to_tolerance(
                sampled, gradients, tolerance, max_evals, sums=with_sums
            )
        else:
            runner = gradients.runner()
            means, errors, each = sampled.run(runner, errors=with_errors, sums=with_sums)
            sums = each.mean(1)
        if self._multiply_by_inputs:
            sums = torch.stack([flat_features(mean).sum(1) for mean in means]).sum(0)
        return means, errors, sums
