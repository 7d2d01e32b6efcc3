"""GradientShap: expected gradients by Monte Carlo, with captum's signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._inputs import format_background, format_inputs, restore_form
from pyxai._random import example_ids as name_examples
from pyxai.attribution.sampled.gradient_rounds import SampledCall, check_stop, sample_to_tolerance
from pyxai.attribution.sampled.sampled_gradients import SampledGradients
from pyxai.methods.base import GradientAttribution, warn_if_infinite
from pyxai.methods.store import register
from pyxai.runner.mixing import per_output

__all__ = ["GradientShap", "format_stdevs", "rows_to_draw_from"]


@register(
    "gradient_shap",
    summary="expected gradients by random points and noise, as captum has it",
    cost="n_samples gradients",
    use=(
        "a cheap, noisy estimate, and a drop-in for captum's; expected_gradients has no error "
        "of a random point on the path"
    ),
    baselines="distribution",
    stochastic=True,
    axioms=("null_player", "linearity", "implementation_invariance"),
)
class GradientShap(GradientAttribution):
    """Average gradients between randomly drawn baselines and the (noisy) inputs.

    ``a = mean over draws of (x + noise - b) * gradient at b + t (x + noise - b)``, with b drawn
    from the rows of ``baselines``, t uniform on [0, 1] and noise normal. In expectation and without
    noise these are the expected gradients of [1]_, which sum to ``f(x) - mean f(b)``;
    `ExpectedGradients` gives them without the error of a random t.

    Parameters
    ----------
    forward_func : callable
        The model.
    multiply_by_inputs : bool
        Whether to multiply gradients by ``x + noise - b``.

    Notes
    -----
    One forward and backward row per draw, in passes that fit the memory. Draws depend on the seed,
    the example and the number of the draw only, so a row does not depend on its batch.

    References
    ----------
    .. [1] G. Erion, J. D. Janizek, P. Sturmfels, S. Lundberg, S.-I. Lee, "Improving performance of
       deep learning models with axiomatic attribution priors and expected gradients", Nature
       Machine Intelligence 3, 2021, eq. 3.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import GradientShap
    >>> x, background = torch.ones(1, 2), torch.zeros(3, 2)
    >>> GradientShap(lambda z: z @ torch.tensor([1.0, 2.0])).attribute(x, background)
    tensor([[1., 2.]])
    """

    def __init__(self, forward_func: Callable[..., Any], multiply_by_inputs: bool = True) -> None:
        super().__init__(forward_func)
        self._multiply_by_inputs = multiply_by_inputs

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than output units per input unit."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Tell that a delta can be returned: True, one per draw."""
        return True

    def gives_delta(self, options: Mapping[str, Any]) -> bool:
        """Tell that it can but with a tolerance, where examples differ in their number of draws."""
        return options.get("tolerance") is None

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any,
        n_samples: int = 5,
        stdevs: float | tuple[float, ...] = 0.0,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        *,
        internal_batch_size: int | None = None,
        seed: int = 0,
        example_ids: Any = None,
        return_error: bool = False,
        tolerance: float | None = None,
        max_evals: int | None = None,
    ) -> Any:
        """Attribute the output to the inputs.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain; floating point.
        baselines : Tensor, tuple of Tensor, or callable, shape [n_baselines, *features]
            Rows to draw from, independent of the batch; a callable is given the inputs (or
            nothing) and returns them. In a tuple of inputs the same row is drawn for all.
        n_samples : int
            Draws per example.
        stdevs : float or tuple of float
            Standard deviation of the noise, in input units; one for all or one per input tensor.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        return_convergence_delta : bool
            Whether to return the delta of each draw.
        internal_batch_size : int, optional
            Upper bound of the rows in one pass; default: chosen by memory.
        seed : int
            Fixes all draws; from 0 to 2**64 - 1.
        example_ids : sequence of int or Tensor, shape [batch], optional
            Names of the examples, which key their draws; default: their content.
        return_error : bool
            Whether to return standard errors.
        tolerance : float, optional
            Double the draws of an example, from 32 at least, until each of its standard errors is
            at most this, in output units.
        max_evals : int, optional
            With a tolerance: draws per example at most; default 64 times the first round.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In output units; float64 for float64 inputs, else float32.
        delta : Tensor, shape [batch * n_samples]
            If asked for: ``sum((x + noise - b) * gradient) - (f(x + noise) - f(b))`` of each draw,
            the draws of an example side by side.
        error : like ``attributions``
            If asked for: standard errors over the draws.

        Raises
        ------
        ValueError
            If a shape does not fit, ``n_samples`` is less than 1, ``stdevs`` is negative, or deltas
            are asked for with a tolerance, where examples differ in their number of draws.
        TypeError
            If the inputs are not floating point, or baselines are not tensors.

        Warns
        -----
        PyxaiWarning
            If the tolerance is not reached.
        """
        values, is_tuple = format_inputs(inputs, gradients=True)
        background = format_background(
            rows_to_draw_from(baselines, inputs), values, name="baselines"
        )
        sampled = SampledGradients(
            values,
            background,
            n_samples,
            format_stdevs(stdevs, len(values)),
            seed,
            name_examples(example_ids, values),
            self._multiply_by_inputs,
        )
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        call = SampledCall(self.forward_func, target, additional_forward_args, internal_batch_size)
        check_stop(tolerance, max_evals)
        if tolerance is not None:
            if return_convergence_delta:
                raise ValueError(
                    "return_convergence_delta must be False with a tolerance, where examples "
                    "differ in their number of draws, got True"
                )
            means, errors, _ = sample_to_tolerance(sampled, call, tolerance, max_evals)
            found = restore_form(means, is_tuple)
            return (found, restore_form(errors, is_tuple)) if return_error else found
        runner = call.runner()
        means, errors, sums = sampled.run(
            runner, errors=return_error, sums=return_convergence_delta
        )
        result: list[Any] = [restore_form(means, is_tuple)]
        if return_convergence_delta:
            differences = sampled.differences(runner)
            result.append((per_output(sums, differences) - differences).flatten())
        if return_error:
            warn_if_infinite(errors, f"n_samples={n_samples}", "give two draws at least")
            result.append(restore_form(errors, is_tuple))
        return result[0] if len(result) == 1 else tuple(result)


def rows_to_draw_from(baselines: Any, inputs: Any) -> Any:
    """Return the baselines that a callable gives, as captum does.

    Raises
    ------
    TypeError
        If they are neither tensors nor a callable.
    """
    if isinstance(baselines, Tensor) or not callable(baselines):
        if baselines is None or isinstance(baselines, (int, float)):
            raise TypeError(
                "baselines must be a tensor of rows to draw from, a tuple of them or a callable, "
                f"got {describe(baselines)}"
            )
        return baselines
    code = getattr(baselines, "__code__", None)
    if code is not None and code.co_argcount == 0:
        return baselines()
    return baselines(inputs)


def format_stdevs(stdevs: Any, n_inputs: int) -> tuple[float, ...]:
    """Return one standard deviation for each input.

    Raises
    ------
    ValueError
        If there is another number of them, or one is negative or infinite.
    TypeError
        If one is no number.
    """
    given = tuple(stdevs) if isinstance(stdevs, (tuple, list)) else (stdevs,) * n_inputs
    if len(given) != n_inputs:
        raise ValueError(
            f"stdevs must be one number or {n_inputs}, one per input tensor, got {len(given)}"
        )
    for value in given:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"stdevs must hold numbers, got {describe(value)}")
        if not 0 <= value < float("inf"):
            raise ValueError(f"stdevs must be finite and not negative, got {value}")
    return tuple(float(value) for value in given)
