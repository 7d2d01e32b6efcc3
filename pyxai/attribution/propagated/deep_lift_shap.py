"""Deep SHAP: DeepLIFT against a distribution of baselines, each row run forward once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_int, check_number
from pyxai._inputs import format_background, format_inputs, restore_form
from pyxai.attribution.propagated.deep_lift import Custom, DeepLift, TensorOrTuple
from pyxai.attribution.propagated.refined import Refined
from pyxai.methods.store import register
from pyxai.propagation.multipliers.blocks import attribute_blocks
from pyxai.propagation.multipliers.engine import Engine, call_custom, target_seed
from pyxai.propagation.multipliers.pairs import Combine, Pairs, times_differences
from pyxai.runner import Target
from pyxai.runner.arguments import as_arguments
from pyxai.runner.state import find_modules, warn_if_training

__all__ = ["DeepLiftShap"]


@register(
    "deep_lift_shap",
    summary="DeepLIFT averaged over a background set (Deep SHAP)",
    cost="1 output + n_background backward passes, traced",
    use=(
        "deep nets against typical rows, quicker than expected gradients; not the Shapley "
        "values of the whole model"
    ),
    complete=True,
    baselines="distribution",
    axioms=("completeness", "null_player", "linearity"),
    needs="module",
)
class DeepLiftShap(DeepLift):
    """Deep SHAP: the mean of DeepLIFT over a distribution of baselines [1]_.

    ``a_i = mean_b (x_i - b_i) M_i(x, b)``; the attributions sum to ``f(x) - mean_b f(b)``.

    Inputs and baselines are run forward once each, not once for every pair; only multipliers are
    computed for pairs, in chunks that fit a memory budget.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example.
    multiply_by_inputs : bool
        Whether to return ``(x - b) M``, in output units, or ``M``.
    rule : {"rescale", "reveal_cancel", "neuron_shapley"}
        How a neuron shares its change among its inputs. ``"rescale"`` is what other libraries
        call Deep SHAP; ``"neuron_shapley"`` is the definition, Shapley values of the inputs of
        each neuron: exact up to 12 inputs, beyond by a quadrature that draws nothing.
    n_permutations : int, optional
        Sample neurons of more than 12 inputs instead: permutations per neuron, each followed by
        its reverse. 16 of them err by 15 % at 40 inputs, 1000 by 2 %.
    seed : int
        Of these permutations; they are the same for all neurons and rows.
    strict : bool
        Whether an op without a rule is an error; otherwise its gradient is used, with a warning.

    Notes
    -----
    Axioms: completeness, linearity; null player for each baseline. Deterministic.

    References
    ----------
    .. [1] S. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions",
       NeurIPS 2017, section 4.2.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU(), torch.nn.Linear(4, 2))
    >>> inputs, baselines = torch.randn(5, 3), torch.randn(20, 3)
    >>> attributions = DeepLiftShap(model).attribute(inputs, baselines, target=1)
    >>> attributions.shape
    torch.Size([5, 3])
    """

    _RULES = ("rescale", "reveal_cancel", "neuron_shapley")

    def __init__(
        self,
        model: nn.Module,
        multiply_by_inputs: bool = True,
        *,
        rule: str = "rescale",
        n_permutations: int | None = None,
        seed: int = 0,
        strict: bool = True,
    ) -> None:
        if n_permutations is not None:
            check_int("n_permutations", n_permutations, minimum=1)
        check_int("seed", seed, minimum=0)
        super().__init__(model, multiply_by_inputs, rule=rule, strict=strict)
        self._options |= {"seed": seed, "n_permutations": n_permutations}

    def estimates_error(self, options: Mapping[str, Any]) -> bool:
        """Tell whether there may be an error: only neurons of many inputs are not exact."""
        return self.rule == "neuron_shapley"

    def attribute(  # type: ignore[override] # baselines have no default, as in captum
        self,
        inputs: TensorOrTuple,
        baselines: TensorOrTuple | Callable[..., TensorOrTuple],
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        custom_attribution_func: Custom | None = None,
        *,
        return_error: bool = False,
        tolerance: float | None = None,
    ) -> Any:
        """Attribute the difference from the mean over baselines.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            Floating point, in input units.
        baselines : Tensor, tuple of Tensor, or callable
            Rows [n_baselines, *features], at least one, that are compared with every input; or a
            function of the inputs (or of nothing) that returns them.
        target : None, int, tuple, list or Tensor
            Which output, one for all rows or one per row.
        additional_forward_args : Any
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it. With such
            rows every baseline is run with the arguments of each example, which costs a pass per
            pair.
        return_convergence_delta : bool
            Whether to return how far the attributions of each pair are from ``f(x) - f(b)``.
        custom_attribution_func : callable, optional
            Takes tuples of multipliers, inputs and baselines of pairs (the first one, two or
            all), called once per chunk of pairs; the result is averaged over baselines.

        return_error : bool
            Whether to return how far the attributions may be off where neurons have many inputs: by
            quadrature what half as many places change, by permutations a standard error; else 0.
        tolerance : float, optional
            Double the places, or the permutations, until every error of an example is at most this,
            in units of the attributions.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            Attributions, float64 for float64 models and float32 otherwise.
        Tensor, shape [batch * n_baselines]
            With ``return_convergence_delta``: one per pair, the baselines of an example side by
            side, in output units.
        Tensor or tuple of Tensor, shape [batch, *features]
            With ``return_error``.

        Raises
        ------
        UnsupportedOperationError
            If an op of the model has no rule and ``strict``, or the model cannot be traced.
        ValueError, TypeError
            If an argument does not fit.

        Warns
        -----
        PyxaiWarning
            If the tolerance is not reached.
        """
        if tolerance is not None and check_number("tolerance", tolerance) <= 0:
            raise ValueError(f"tolerance must be positive and finite, got {tolerance}")
        given, is_tuple = format_inputs(inputs, gradients=True)
        background = format_background(_drawn(baselines, inputs), given, name="baselines")
        chosen = Target(target)
        chosen.check_examples(given[0].shape[0])
        warn_if_training(find_modules(self.model), self.model)
        arguments = as_arguments(additional_forward_args)

        def seed(outputs: Tensor, examples: slice, n_repeats: int) -> tuple[Tensor, Tensor]:
            return target_seed(outputs, chosen, examples, n_repeats)

        combine = self._combine(custom_attribution_func)

        def run(**options: Any) -> tuple[tuple[Tensor, ...], Tensor | None]:
            def make(x: tuple[Tensor, ...], further: tuple[Any, ...]) -> Engine:
                return self._make_engine(x, further, **options)

            return attribute_blocks(
                make, given, background, arguments, seed, combine, return_convergence_delta
            )

        if self.rule == "neuron_shapley":
            refined = Refined(run, self._options, return_error, tolerance)
            means, delta, errors = refined.means, refined.delta, refined.errors
        else:
            means, delta = run()
            errors = tuple(torch.zeros_like(mean) for mean in means)
        result: list[Any] = [restore_form(means, is_tuple)]
        if return_convergence_delta:
            result.append(delta)
        if return_error:
            result.append(restore_form(errors, is_tuple))
        return result[0] if len(result) == 1 else tuple(result)

    def _combine(self, custom: Custom | None) -> Combine:
        if custom is None and self._multiply_by_inputs:
            return times_differences

        def combine(
            pairs: Pairs, multipliers: tuple[Tensor, ...], examples: slice, repeats: slice
        ) -> tuple[Tensor, ...]:
            found = multipliers
            if custom is not None:
                found = call_custom(custom, multipliers, *pairs.rows(examples, repeats))
            shape = (examples.stop - examples.start, repeats.stop - repeats.start)
            return tuple(part.reshape(*shape, *part.shape[1:]) for part in found)

        return combine


def _drawn(baselines: Any, inputs: Any) -> Any:
    """Call a function that makes baselines, with the inputs if it takes an argument."""
    if isinstance(baselines, (Tensor, tuple, list)) or not callable(baselines):
        return baselines
    return baselines(inputs) if inspect.signature(baselines).parameters else baselines()
