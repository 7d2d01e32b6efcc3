"""How well attributions predict what a perturbation does to the output."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._inputs import format_baselines, format_inputs
from pyxai.metrics._attributions import format_attributions
from pyxai.runner import Runner

__all__ = ["infidelity", "infidelity_perturb_func_decorator", "takes_two"]


def infidelity(
    forward_func: Callable[..., Any],
    perturb_func: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    baselines: Any = None,
    additional_forward_args: Any = None,
    target: Any = None,
    n_perturb_samples: int = 10,
    max_examples_per_batch: int | None = None,
    normalize: bool = False,
) -> Tensor:
    """Return the expected squared error of attributions as a linear model of perturbations.

    ``E_I[(sum(I * attributions) - (f(x) - f(x - I)))^2]``

    Parameters
    ----------
    forward_func : callable
        The model.
    perturb_func : callable
        ``perturb_func(inputs)``, or ``perturb_func(inputs, baselines)`` if it takes two arguments
        and baselines are given, on ``n_perturb_samples`` copies of the batch, example-major.
        Returns ``(perturbations, perturbed_inputs)``, each like ``inputs``; see also
        `infidelity_perturb_func_decorator`.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Examples.
    attributions : Tensor or tuple of Tensor, shape of ``inputs``
        In output units per unit of perturbation.
    baselines : float, Tensor or tuple, optional
        Given to ``perturb_func``.
    additional_forward_args : any, optional
        Extra arguments of the model.
    target : int, tuple, list or Tensor, optional
        Which output.
    n_perturb_samples : int
        Perturbations of each example.
    max_examples_per_batch : int, optional
        Upper bound of the rows in one call of the model.
    normalize : bool
        Whether attributions are first scaled by the factor that minimises the error.

    Returns
    -------
    Tensor, shape [batch]
        float64, in squared output units.

    Raises
    ------
    ValueError
        If a shape or the perturbations do not fit.
    TypeError
        If a type does not fit.

    References
    ----------
    .. [1] C.-K. Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019,
       definition 2.1; the scale factor is that of its section 4.
    """
    tensors, is_tuple = format_inputs(inputs)
    weights = format_attributions(attributions, tensors)
    check_int("n_perturb_samples", n_perturb_samples, minimum=1)
    runner = Runner(
        forward_func,
        target=target,
        additional_forward_args=additional_forward_args,
        max_rows=max_examples_per_batch,
    )
    perturbations, perturbed = _perturb(
        perturb_func, tensors, is_tuple, baselines, n_perturb_samples
    )
    batch = tensors[0].shape[0]

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        return tuple(
            rows.view(batch, n_perturb_samples, *rows.shape[1:])[examples, repeats].flatten(0, 1)
            for rows in perturbed
        )

    outputs = runner.outputs(tensors).double()
    changes = outputs.unsqueeze(1) - runner.values(build, batch, n_perturb_samples).double()
    predicted = torch.zeros_like(changes)
    for change, weight in zip(perturbations, weights, strict=True):
        change = change.view(batch, n_perturb_samples, -1).double()
        predicted += (change * weight.reshape(batch, 1, -1)).sum(2)
    if normalize:
        scale = (predicted * changes).mean(1) / predicted.square().mean(1)
        # Where every prediction is 0 any factor serves.
        predicted *= scale.nan_to_num(1.0).unsqueeze(1)
    return (predicted - changes).square().mean(1)


def infidelity_perturb_func_decorator(
    multiply_by_inputs: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a ``perturb_func`` of a function that returns perturbed inputs only.

    Parameters
    ----------
    multiply_by_inputs : bool
        Whether attributions are in output units (as those of integrated gradients), so that a
        perturbation counts as a fraction of the difference of input and baseline, and as it is
        where that is 0; False for gradients. The baselines are those given to `infidelity`, by
        default 0, whether or not the function takes them.

    Returns
    -------
    callable
        A decorator.
    """

    def decorate(perturb_func: Callable[..., Any]) -> Callable[..., Any]:
        with_baselines = takes_two(perturb_func)

        @functools.wraps(perturb_func)
        def perturb(inputs: Any, baselines: Any = None) -> tuple[Any, Any]:
            given = with_baselines and baselines is not None
            perturbed = perturb_func(inputs, baselines) if given else perturb_func(inputs)
            is_tuple = isinstance(inputs, tuple)
            before = inputs if is_tuple else (inputs,)
            after = perturbed if isinstance(perturbed, (tuple, list)) else (perturbed,)
            changes = []
            for old, new, base in zip(
                before, after, format_baselines(baselines, before), strict=True
            ):
                change, whole = old - new, old - base
                if multiply_by_inputs:
                    change = torch.where(whole == 0, change, change / whole)
                changes.append(change)
            return (tuple(changes) if is_tuple else changes[0]), perturbed

        # Baselines count also where the function that is wrapped, whose signature Python would
        # show, does not take them.
        del perturb.__wrapped__
        return perturb

    return decorate


def _perturb(
    perturb_func: Callable[..., Any],
    tensors: tuple[Tensor, ...],
    is_tuple: bool,
    baselines: Any,
    n_samples: int,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    rows = tuple(tensor.repeat_interleave(n_samples, 0) for tensor in tensors)
    arguments: list[Any] = [rows if is_tuple else rows[0]]
    if takes_two(perturb_func) and baselines is not None:
        expanded = tuple(
            base.repeat_interleave(n_samples, 0)
            if isinstance(base, Tensor) and base.shape[0] == tensors[0].shape[0]
            else base
            for base in format_baselines(baselines, tensors)
        )
        arguments.append(expanded if is_tuple else expanded[0])
    result = perturb_func(*arguments)
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            "perturb_func must return (perturbations, perturbed_inputs), got "
            f"{describe(result)}; see infidelity_perturb_func_decorator"
        )
    return tuple(
        _check_rows(name, value, rows)  # type: ignore[return-value]
        for name, value in zip(("perturbations", "perturbed_inputs"), result, strict=True)
    )


def takes_two(perturb_func: Callable[..., Any]) -> bool:
    """Tell whether a user's perturbation takes a second argument, as captum tells."""
    if not callable(perturb_func):
        raise TypeError(f"perturb_func must be callable, got {describe(perturb_func)}")
    parameters = inspect.signature(inspect.unwrap(perturb_func)).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2


def _check_rows(name: str, value: Any, rows: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(given) != len(rows) or any(
        not isinstance(each, Tensor) or each.shape != row.shape
        for each, row in zip(given, rows, strict=False)
    ):
        raise ValueError(
            f"{name} of perturb_func must have the shapes {[list(row.shape) for row in rows]}, "
            f"got {[describe(each) for each in given]}"
        )
    return given
