"""DeepLIFT on the traced graph of a model: Rescale and RevealCancel, complete on every op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_choice, check_module, describe
from pyxai._inputs import flat_features, format_baselines, format_inputs, restore_form
from pyxai.methods.base import GradientAttribution
from pyxai.methods.store import register
from pyxai.propagation.multipliers.engine import Engine, call_custom, target_seed
from pyxai.propagation.row_passes import row_passes
from pyxai.runner import Target
from pyxai.runner.arguments import as_arguments, take_arguments
from pyxai.runner.mixing import per_output
from pyxai.runner.state import find_modules, warn_if_training
from pyxai.tracing import trace_rows

__all__ = ["DeepLift"]

TensorOrTuple = Tensor | tuple[Tensor, ...]
Custom = Callable[..., tuple[Tensor, ...]]


@register(
    "deep_lift",
    summary=(
        "contributions of differences from the baseline, by the Rescale or the RevealCancel rule"
    ),
    cost="1 output + 1 gradient, traced",
    use=(
        "deep nets that saturate, in one pass and adding up; needs a module all of whose ops "
        "have rules, and says which lacks one"
    ),
    complete=True,
    baselines="optional",
    axioms=("completeness", "null_player", "linearity"),
    needs="module",
)
class DeepLift(GradientAttribution):
    """DeepLIFT: share the difference from a baseline among the inputs, layer by layer.

    ``a_i = (x_i - b_i) M_i`` with ``M`` the product of multipliers along the graph, summed over
    paths [1]_. The attributions sum to ``f(x) - f(b)`` for every model all of whose ops have a
    rule; an op without one is an error that names it. Functional and re-used activations,
    in-place ops, residual sums, products of two inputs, attention, norms, softmax, max pooling,
    order statistics, Fourier transforms and recurrent layers have complete rules, and no row
    depends on another.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example.
    multiply_by_inputs : bool
        Whether to return ``(x - b) M``, in output units, or ``M``.
    eps : float
        Change of an activation's input below which its derivative is taken.
    rule : {"rescale", "reveal_cancel"}
        ``"rescale"``: one multiplier per activation, its secant. ``"reveal_cancel"``: one for its
        positive and one for its negative contributions, the Shapley values of the two groups.
    strict : bool
        Whether an op without a rule is an error; otherwise its gradient is used, with a warning.

    Raises
    ------
    TypeError
        If ``model`` is no ``nn.Module``.
    ValueError
        If ``rule`` is unknown or ``eps`` negative.

    Notes
    -----
    Axioms: completeness, null player, linearity. Deterministic. Costs two forward passes and about
    one backward pass; tracing, once per model and input shape, costs some 10 ms per op. Models in
    16-bit types run as they are; multipliers are float32, and float64 for float64 models.

    References
    ----------
    .. [1] A. Shrikumar, P. Greenside, A. Kundaje, "Learning Important Features Through Propagating
       Activation Differences", ICML 2017, sections 3.1 to 3.5.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU(), torch.nn.Linear(4, 2))
    >>> inputs = torch.randn(5, 3)
    >>> attributions, delta = DeepLift(model).attribute(
    ...     inputs, target=1, return_convergence_delta=True
    ... )
    >>> attributions.shape
    torch.Size([5, 3])
    """

    _RULES: tuple[str, ...] = ("rescale", "reveal_cancel")

    def __init__(
        self,
        model: nn.Module,
        multiply_by_inputs: bool = True,
        eps: float = 1e-10,
        *,
        rule: str = "rescale",
        strict: bool = True,
    ) -> None:
        super().__init__(model)
        check_module("model", model)
        self.model = model
        self.eps = _checked_eps(eps)
        self.rule = check_choice("rule", rule, self._RULES)
        self.strict = strict
        self._multiply_by_inputs = multiply_by_inputs
        self._options: dict[str, Any] = {"eps": self.eps}

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units rather than output units per input unit."""
        return self._multiply_by_inputs

    def has_convergence_delta(self) -> bool:
        """Tell that the attributions sum to the difference of two outputs."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        return_convergence_delta: bool = False,
        custom_attribution_func: Custom | None = None,
    ) -> Any:
        """Attribute the difference from the baseline.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            Floating point, in input units.
        baselines : None, float, Tensor, or tuple of these
            Where the model is compared with, in input units: one for all rows or one per row.
            ``None`` is 0.
        target : None, int, tuple, list or Tensor
            Which output, one for all rows or one per row.
        additional_forward_args : Any
            Further arguments of the model, the same for inputs and baselines. A tensor whose first
            size is that of the batch is taken to hold a row for each example; `pyxai.Shared` says
            that all rows share it.
        return_convergence_delta : bool
            Whether to return how far the attributions are from ``f(x) - f(b)``.
        custom_attribution_func : callable, optional
            Takes tuples of multipliers, inputs and baselines (the first one, two or all) and
            returns the tuple of attributions in place of ``(x - b) M``.

        Returns
        -------
        Tensor or tuple of Tensor, shape [batch, *features]
            Attributions, float64 for float64 models and float32 otherwise.
        Tensor, shape [batch]
            With ``return_convergence_delta``: ``sum(a) - (f(x) - f(b))``, in output units.

        Raises
        ------
        UnsupportedOperationError
            If an op of the model has no rule and ``strict``, or the model cannot be traced.
        ValueError, TypeError
            If an argument does not fit.
        """
        given, is_tuple = format_inputs(inputs, gradients=True)
        starts = _expanded(format_baselines(baselines, given), given)
        arguments = as_arguments(additional_forward_args)
        chosen = Target(target)
        batch = given[0].shape[0]
        chosen.check_examples(batch)
        warn_if_training(find_modules(self.model), self.model)
        engine = self._make_engine(given, arguments)

        def work(examples: slice) -> tuple[Tensor, ...]:
            x, b, further = take_arguments((given, starts, arguments), examples, batch)
            runs = engine.run(x, further), engine.run(b, further)
            f_x, seed = target_seed(runs[0][engine.graph.output], chosen, examples, 1)
            f_b, _ = target_seed(runs[1][engine.graph.output], chosen, examples, 1)
            return *engine.multipliers(runs, seed, lambda: (x, b, further)), f_x - f_b

        # The values of two forward passes, and about as much on its way back.
        *multipliers, change = row_passes(engine.graph, given, 3, work)
        attributions = self._attributions(
            tuple(multipliers), given, starts, custom_attribution_func
        )
        result = restore_form(attributions, is_tuple)
        if not return_convergence_delta:
            return result
        total = torch.stack([flat_features(part).sum(1) for part in attributions]).sum(0)
        return result, per_output(total, change) - change

    def _make_engine(
        self, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...], **options: Any
    ) -> Engine:
        """Trace the model (once per signature) and check that every op has a rule."""
        graph = trace_rows(self.model, inputs, arguments)
        return Engine(graph, self.rule, self.strict, {**self._options, **options})

    def _attributions(
        self,
        multipliers: tuple[Tensor, ...],
        inputs: tuple[Tensor, ...],
        baselines: tuple[Tensor, ...],
        custom: Custom | None,
    ) -> tuple[Tensor, ...]:
        if custom is not None:
            return call_custom(custom, multipliers, inputs, baselines)
        if not self._multiply_by_inputs:
            return multipliers
        return tuple(
            slope * (x.to(slope.dtype) - b.to(slope.dtype))
            for slope, x, b in zip(multipliers, inputs, baselines, strict=True)
        )


def _checked_eps(eps: float) -> float:
    if isinstance(eps, bool) or not isinstance(eps, (int, float)):
        raise TypeError(f"eps must be a number, got {describe(eps)}")
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps must be finite and at least 0, got {eps}")
    return float(eps)


def _expanded(
    baselines: tuple[Tensor | float, ...], inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Return baselines as tensors with a row per example."""
    return tuple(
        start.expand_as(x).contiguous() if isinstance(start, Tensor) else torch.full_like(x, start)
        for start, x in zip(baselines, inputs, strict=True)
    )
