"""How well attributions predict what a perturbation does to the output."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_int
from pyxai._inputs import flat_features, format_baselines, format_inputs
from pyxai.metrics.attributions import shares_of_players
from pyxai.metrics.outputs import output_of_each
from pyxai.metrics.perturbation import Perturb, takes_two
from pyxai.runner import Runner, one_scope, takes_arrays

__all__ = ["infidelity", "infidelity_perturb_func_decorator"]

_TOGETHER = 16  # calls of a bounded perturb_func whose rows are held at a time


@takes_arrays
@one_scope
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
    *,
    feature_mask: Any = None,
) -> Tensor:
    """Return the expected squared error of attributions as a linear model of perturbations.

    ``E_I[(sum(I * attributions) - (f(x) - f(x - I)))^2]``

    Parameters
    ----------
    forward_func : callable
        The model.
    perturb_func : callable
        ``perturb_func(inputs)``, or ``perturb_func(inputs, baselines)`` if it takes two arguments
        and baselines are given, on copies of the examples, those of an example side by side.
        Returns ``(perturbations, perturbed_inputs)``, each like its ``inputs``; see also
        `infidelity_perturb_func_decorator`. It is called once, or, with
        ``max_examples_per_batch``, for as many copies at a time.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Examples.
    attributions : Tensor or tuple of Tensor, shape of ``inputs``
        In output units per unit of perturbation. A map of one channel of an image, ``[batch, 1,
        height, width]`` or ``[batch, height, width]``, has the scores of whole pixels.
    baselines : float, Tensor or tuple, optional
        Given to ``perturb_func``.
    additional_forward_args : any, optional
        Further arguments of the model. A tensor whose first size is that of the batch is taken to
        hold a row for each example; `pyxai.Shared` says that all rows share it.
    target : int, tuple, list or Tensor, optional
        Which output.
    n_perturb_samples : int
        Perturbations of each example.
    max_examples_per_batch : int, optional
        Upper bound of the rows in one call of the model and of ``perturb_func``.
    normalize : bool
        Whether attributions are first scaled by the factor that minimises the error.
    feature_mask : Tensor or tuple of Tensor, optional
        That of the attributions: where features form groups, methods write the score of a group on
        each of its members. It counts once here, with the mean perturbation of the members.

    Returns
    -------
    Tensor, shape [batch]
        float64, in squared output units.

    Raises
    ------
    ValueError
        If a shape or the perturbations do not fit, something is NaN or infinite, or the model
        returns one scalar for several examples.
    TypeError
        If a type does not fit.

    References
    ----------
    .. [1] C.-K. Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019,
       definition 2.1; the scale factor is that of its section 4.
    """
    check_bool("normalize", normalize)
    tensors, is_tuple = format_inputs(inputs)
    shares = shares_of_players(attributions, tensors, feature_mask)
    check_int("n_perturb_samples", n_perturb_samples, minimum=1)
    limit, batch = max_examples_per_batch, len(tensors[0])
    width = n_perturb_samples
    if limit is not None:
        check_int("max_examples_per_batch", limit, minimum=1)
        width = max(1, _TOGETHER * limit // batch)
    runner = Runner(
        forward_func,
        target=target,
        additional_forward_args=additional_forward_args,
        max_rows=limit,
    )
    outputs = output_of_each(runner, tensors).unsqueeze(1)
    perturb = Perturb(perturb_func, tensors, is_tuple, baselines, limit)
    predicted, changes = [], []
    for start in range(0, n_perturb_samples, width):
        count = min(width, n_perturb_samples - start)
        perturbations, rows = perturb(count)
        said = [_dot(*each) for each in zip(perturbations, shares, strict=True)]
        predicted.append(torch.stack(said).sum(0))
        changes.append(outputs - _outputs_of_rows(runner, rows))
    errors = _errors(torch.cat(predicted, 1), torch.cat(changes, 1), normalize)
    return errors.square().mean(1)


def _dot(perturbations: Tensor, shares: Tensor) -> Tensor:
    """Return what attributions say of perturbations, [batch, samples]."""
    return (flat_features(perturbations, 2).to(shares) * shares.unsqueeze(1)).sum(2)


def _outputs_of_rows(runner: Runner, rows: tuple[Tensor, ...]) -> Tensor:
    """Return the outputs of rows ``[batch, count, *features]``: [batch, count], float64."""

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        return tuple(row[examples, repeats].flatten(0, 1) for row in rows)

    return runner.values(build, *rows[0].shape[:2]).double()


def _errors(predicted: Tensor, changes: Tensor, normalize: bool) -> Tensor:
    """Return by how much predictions are off, scaled by the best factor or as they are."""
    if not normalize:
        return predicted - changes
    # Attributions may be so small, or so large, that squares of what they predict are lost.
    size = predicted.abs().amax(1, keepdim=True)
    unit = predicted / torch.where(size > 0, size, 1.0)
    factor = (unit * changes).mean(1, keepdim=True) / unit.square().mean(1, keepdim=True)
    # Where every prediction is 0 any factor serves.
    return unit * torch.where(size > 0, factor, 0.0) - changes


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
