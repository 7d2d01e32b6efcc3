"""Gradients integrated along the straight path from a baseline to the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from pyxai._checks import check_int, check_number
from pyxai._errors import warn
from pyxai._inputs import format_baselines, format_inputs, restore_form
from pyxai._quadrature import nodes_and_weights
from pyxai.attribution.paths.adaptive_path import PathCall, integrate_adaptively
from pyxai.game.path import path_attributions
from pyxai.methods.base import GradientAttribution, TensorOrTuple, convergence_delta
from pyxai.methods.store import AXIOMS, register
from pyxai.runner import Runner

__all__ = ["IntegratedGradients"]


@register(
    "integrated_gradients",
    summary=(
        "gradients averaged along the straight path from the baseline, times input less baseline"
    ),
    cost="n_steps gradients",
    use=(
        "the first choice for differentiable models where a baseline stands for absence; not "
        "for steps, as of trees, whose gradient is 0"
    ),
    complete=True,
    baselines="optional",
    axioms=AXIOMS,
)
class IntegratedGradients(GradientAttribution):
    """Integrated gradients: complete, and exact for the quadrature rule that is chosen.

    ``a[i] = (x[i] - b[i]) * integral over t in [0, 1] of df/dx[i] (b + t * (x - b))``

    Axioms: completeness (up to the quadrature, see ``convergence_delta``), null player, symmetry,
    linearity, implementation invariance.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors that autograd can differentiate.
    multiply_by_inputs : bool
        Whether to multiply by ``x - b``. Without it the result is the mean gradient on the path,
        in output units per input unit, and is not complete.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
       eq. 1.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import IntegratedGradients
    >>> model = lambda x: x[:, 0] * x[:, 1]  # its gradient is linear, so one node is exact
    >>> IntegratedGradients(model).attribute(torch.tensor([[2.0, 3.0]]), n_steps=1)
    tensor([[3., 3.]])
    """

    def __init__(self, forward_func: Callable[..., Any], multiply_by_inputs: bool = True) -> None:
        super().__init__(forward_func)
        self._multiply_by_inputs = bool(multiply_by_inputs)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions are in output units, rather than output units per input unit."""
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
        n_steps: int | str = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        rule: str | None = None,
        tolerance: float | None = None,
        max_steps: int = 1600,
    ) -> Any:
        """Return integrated gradients for each example.

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
        n_steps : int or "auto"
            Number of nodes of the rule, each costs one gradient per example. With ``"auto"`` each
            example gets as many as it needs, where it needs them: five at equal distances, and two
            more in each of those pieces of its path that are the least exact, until ``tolerance``
            is met.
        method : str
            ``"gausslegendre"``, ``"clenshawcurtis"``, ``"midpoint"`` (also called
            ``"riemann_middle"``), ``"riemann_left"``, ``"riemann_right"`` or
            ``"riemann_trapezoid"``. With ``n_steps="auto"`` only the default.
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model; default: chosen from its memory.
        return_convergence_delta : bool
            Whether to return the delta as well.
        rule : str, optional
            The same as ``method``, for callers such as `pyxai.explain` that use that word for
            something else.
        tolerance : float, optional
            With a number of steps: repeat with twice the nodes for those examples whose ``|delta|``
            is above this number of output units, until none is or ``max_steps`` is reached. With
            ``n_steps="auto"``, where the default is 0.01: the largest ``|delta|`` as a share of
            ``|f(inputs) - f(baselines)|``; besides, the error of the attributions, estimated from
            differences of rules, must be at most 2.5 times this share of them, in sums of absolute
            values.
        max_steps : int
            Largest number of nodes that ``tolerance`` may lead to.

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
            If a shape, a target, a rule or a value does not fit.
        TypeError
            If an argument is not of the kind asked for.

        Warns
        -----
        PyxaiWarning
            If the tolerance is not met with ``max_steps`` nodes.

        Notes
        -----
        Cost: ``batch * n_steps`` gradients; memory does not grow with ``n_steps``. With ``"auto"``
        five gradients of every example are held, and all those of as many examples as are refined
        together, about 256 MiB. The same call gives the same bits.
        """
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        rule = rule or method
        call = PathCall(
            tensors, format_baselines(baselines, tensors), target, additional_forward_args
        )
        if isinstance(n_steps, str):
            attributions, delta = self._adapted(
                call, n_steps, rule, tolerance, max_steps, internal_batch_size
            )
            result = restore_form(attributions, is_tuple)
            return (result, delta.to(attributions[0].dtype)) if return_convergence_delta else result

        def integrate(call: PathCall, n_nodes: int) -> _Integral:
            return self._integrate(call, rule, n_nodes, internal_batch_size)

        integral = integrate(call, n_steps)
        if tolerance is not None:
            self._check_tolerance(tolerance)
            check_int("max_steps", max_steps, minimum=n_steps)
            _refine(integrate, call, integral, n_steps, tolerance, max_steps)
        result = restore_form(integral.attributions, is_tuple)
        return (result, integral.delta()) if return_convergence_delta else result

    def _adapted(
        self,
        call: PathCall,
        n_steps: str,
        rule: str,
        tolerance: float | None,
        max_steps: int,
        max_rows: int | None,
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        if n_steps != "auto":
            raise ValueError(f"n_steps must be a number or 'auto', got {n_steps!r}")
        if rule != "gausslegendre":
            raise ValueError(f"method must be left out where n_steps is 'auto', got {rule!r}")
        share = 0.01 if tolerance is None else tolerance
        self._check_tolerance(share)
        check_int("max_steps", max_steps, minimum=5)
        return integrate_adaptively(
            lambda mine: self._runner(mine, max_rows), call, share, max_steps
        )

    def _runner(self, call: PathCall, max_rows: int | None) -> Runner:
        return Runner(
            self.forward_func,
            target=call.target,
            additional_forward_args=call.arguments,
            max_rows=max_rows,
        )

    def _integrate(
        self, call: PathCall, rule: str, n_nodes: int, max_rows: int | None
    ) -> _Integral:
        nodes, weights = nodes_and_weights(rule, n_nodes)
        runner = self._runner(call, max_rows)
        attributions = path_attributions(
            runner,
            call.inputs,
            call.baselines,
            nodes,
            weights,
            multiply_by_inputs=self.multiplies_by_inputs,
        )
        return _Integral(runner, call, attributions)

    def _check_tolerance(self, tolerance: float) -> None:
        if not self.multiplies_by_inputs:
            raise ValueError(
                "tolerance must be None when multiply_by_inputs is False, as the result is not "
                f"complete, got {tolerance!r}"
            )
        if check_number("tolerance", tolerance) <= 0:
            raise ValueError(f"tolerance must be positive, got {tolerance!r}")


class _Integral(NamedTuple):
    """A result, and what it takes to know how complete it is."""

    runner: Runner
    call: PathCall
    attributions: tuple[Tensor, ...]

    def delta(self) -> Tensor:
        return convergence_delta(
            self.runner, self.attributions, self.call.inputs, self.call.baselines
        )


def _refine(
    integrate: Callable[[PathCall, int], _Integral],
    call: PathCall,
    integral: _Integral,
    n_nodes: int,
    tolerance: float,
    max_nodes: int,
) -> None:
    """Repeat the examples that miss the tolerance with more and more nodes, in place."""
    batch, delta = len(call.inputs[0]), integral.delta()
    while bool((missed := delta.abs() > tolerance).any()):
        # A model with one output for the whole batch has one delta for all examples.
        rows = missed.expand(batch).nonzero()[:, 0]
        if n_nodes >= max_nodes:
            warn(
                f"integrated gradients miss the tolerance of {tolerance:g} in {len(rows)} of "
                f"{batch} example(s), by up to {float(delta.abs().max()):.3g}, with "
                f"max_steps={max_nodes}; raise it, or look for jumps of the model on the path",
            )
            return
        n_nodes = min(2 * n_nodes, max_nodes)
        found = integrate(call.take(rows), n_nodes)
        for total, part in zip(integral.attributions, found.attributions, strict=True):
            total[rows] = part
        delta[rows if len(delta) == batch else slice(None)] = found.delta()
