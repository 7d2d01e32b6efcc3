"""How far an explanation moves when the input moves a little."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_int, check_tensor, describe
from pyxai._inputs import format_inputs
from pyxai._random import example_ids
from pyxai.explanation.rows import take_baselines, take_target
from pyxai.metrics.perturbation import takes_two
from pyxai.ops import philox_uniform
from pyxai.runner import in_rounds, takes_arrays
from pyxai.runner.arguments import follows, take_arguments

__all__ = ["default_perturb_func", "sensitivity_max"]


def default_perturb_func(
    inputs: Tensor | tuple[Tensor, ...], perturb_radius: float = 0.02, *, seed: int = 0
) -> tuple[Tensor, ...]:
    """Add noise that is uniform in ``[-perturb_radius, perturb_radius]`` to every feature.

    Parameters
    ----------
    inputs : Tensor or tuple of Tensor, shape [rows, *features]
        Rows to move.
    perturb_radius : float
        Largest change of a feature, in input units.
    seed : int
        Of the noise; it depends on the content of a row, and how many equal rows came before it.

    Returns
    -------
    tuple of Tensor
        Moved rows.

    Raises
    ------
    TypeError
        If a tensor is not floating point: noise would be rounded away.
    ValueError
        If ``seed`` is negative.
    """
    _check_radius(perturb_radius)
    rows = inputs if isinstance(inputs, tuple) else (inputs,)
    for row in rows:
        check_finite("inputs", check_tensor("inputs", row))
    names, owners = torch.unique(example_ids(None, rows), return_inverse=True)
    order = owners.argsort(stable=True)
    counts = torch.bincount(owners)
    before = torch.empty_like(owners)
    before[order] = torch.arange(len(owners), device=owners.device) - (
        counts.cumsum(0) - counts
    ).repeat_interleave(counts)
    noise = _noise(rows, names, perturb_radius, seed, 0, int(counts.max()))
    return tuple(row + each[owners, before] for row, each in zip(rows, noise, strict=True))


def _noise(
    rows: tuple[Tensor, ...], names: Tensor, radius: float, seed: int, start: int, count: int
) -> tuple[Tensor, ...]:
    """Return samples ``start ..`` of the noise of named examples, [names, count, *features]."""
    noise = []
    for stream, row in enumerate(rows):
        if not row.is_floating_point():
            raise TypeError(
                "inputs must be floating point for noise to be added, or perturb_func be given, "
                f"got {row.dtype}"
            )
        unit = philox_uniform(
            row.shape[1:],
            count,
            seed=seed,
            example_ids=names,
            start=start,
            stream=stream,
            dtype=torch.float64,
        )
        noise.append(((2 * unit - 1) * radius).to(row.dtype))
    return tuple(noise)


@takes_arrays
def sensitivity_max(
    explanation_func: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    perturb_func: Callable[..., Any] = default_perturb_func,
    perturb_radius: float = 0.02,
    n_perturb_samples: int = 10,
    norm_ord: str | float = "fro",
    max_examples_per_batch: int | None = None,
    *,
    seed: int = 0,
    **kwargs: Any,
) -> Tensor:
    """Return the largest relative change of an explanation over perturbations of the input.

    ``max_r |attr(x + r) - attr(x)| / |attr(x)|``

    Parameters
    ----------
    explanation_func : callable
        ``explanation_func(inputs, **kwargs)``, such as the ``attribute`` of a method.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Examples.
    perturb_func : callable
        ``perturb_func(inputs, perturb_radius)``, or ``perturb_func(inputs)`` if it takes one
        argument, on a tensor or a tuple of rows, example-major; returns the moved rows.
    perturb_radius : float
        Given to ``perturb_func``.
    n_perturb_samples : int
        Perturbations of each example.
    norm_ord : "fro", float
        Norm of a flattened explanation: "fro" is 2.
    max_examples_per_batch : int, optional
        Upper bound of the rows in one call of ``explanation_func``. A batch is never divided, as
        baselines may be a distribution for all its rows: a smaller bound acts as the batch size.
    seed : int
        Of `default_perturb_func`. The noise of an example depends on its content, not on the batch
        or on ``max_examples_per_batch``.
    **kwargs : any
        Arguments of ``explanation_func``. ``target``, ``baselines``, ``feature_mask``,
        ``example_ids`` and ``additional_forward_args`` that are given per example are repeated
        with the rows, as are tensors in other arguments that have one row for each of several
        examples; the rest is passed as it is.

    Returns
    -------
    Tensor, shape [batch]
        float64, without unit. Where the explanation of the input itself is 0 it is the absolute
        change.

    Raises
    ------
    ValueError
        If an argument is out of range or a shape does not fit.
    TypeError
        If a type does not fit.

    Notes
    -----
    Methods that draw random numbers key them by the content of an example, and a moved example is
    another one. If ``explanation_func`` takes ``example_ids``, moved examples therefore get those
    of the originals, and the draws with them. Otherwise, as through a function that hides that
    argument, a change holds what other draws make of it too.

    References
    ----------
    .. [1] C.-K. Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019,
       definition 3.1.
    """
    tensors, is_tuple = format_inputs(inputs)
    batch = tensors[0].shape[0]
    check_int("n_perturb_samples", n_perturb_samples, minimum=1)
    _check_radius(perturb_radius)
    order = _order(norm_ord)
    kwargs = _with_ids(explanation_func, tensors, kwargs)
    base = _explain(explanation_func, tensors, is_tuple, kwargs).unsqueeze(1)
    width = n_perturb_samples
    if max_examples_per_batch is not None:
        check_int("max_examples_per_batch", max_examples_per_batch, minimum=1)
        width = max(1, min(n_perturb_samples, max_examples_per_batch // batch))

    def work(start: int, count: int) -> Tensor:
        moved = _move(perturb_func, tensors, perturb_radius, seed, start, count)
        repeated = _repeat(kwargs, inputs, batch, count)
        return _explain(explanation_func, moved, is_tuple, repeated).view(batch, count, -1)

    rounds = in_rounds(n_perturb_samples, width, work)
    found = [_relative(rows - base, base, order).amax(1) for _, _, rows in rounds]
    return torch.stack(found).amax(0)


def _relative(change: Tensor, base: Tensor, order: float) -> Tensor:
    """Return the norm of the last dimension of ``change`` over that of ``base``, where not 0."""
    (scale, norm), (base_scale, base_norm) = _norm(change, order), _norm(base, order)
    relative = (scale / base_scale) * (norm / base_norm)
    return torch.where(base_scale * base_norm > 0, relative, scale * norm)


def _norm(rows: Tensor, order: float) -> tuple[Tensor, Tensor]:
    """Return a norm as two factors: the largest entry, and the norm in units of it.

    Powers of such entries do not leave the range of numbers.
    """
    if order == 0:  # counts entries, in no unit
        norm = torch.linalg.vector_norm(rows, order, dim=2)
        return torch.ones_like(norm), norm
    scale = rows.abs().amax(2)
    unit = rows / torch.where(scale > 0, scale, 1.0).unsqueeze(2)
    return scale, torch.linalg.vector_norm(unit, order, dim=2)


def _with_ids(
    explanation_func: Callable[..., Any], tensors: tuple[Tensor, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Name the examples for an explanation that draws by names, so that moved ones keep theirs."""
    given = kwargs.get("example_ids")
    if given is None and not _takes_ids(explanation_func):
        return kwargs
    return {**kwargs, "example_ids": example_ids(given, tensors)}


def _takes_ids(explanation_func: Callable[..., Any]) -> bool:
    try:
        return "example_ids" in inspect.signature(explanation_func).parameters
    except ValueError:  # a function of C may have no signature
        return False


def _explain(
    explanation_func: Callable[..., Any],
    tensors: tuple[Tensor, ...],
    is_tuple: bool,
    kwargs: dict[str, Any],
) -> Tensor:
    """Return explanations as float64 rows, [rows, features]."""
    result = explanation_func(tensors if is_tuple else tensors[0], **kwargs)
    parts = result if isinstance(result, tuple) else (result,)
    rows = tensors[0].shape[0]
    if any(not isinstance(part, Tensor) or part.shape[0] != rows for part in parts):
        raise ValueError(
            f"explanation_func must return one row for each of {rows} rows, "
            f"got {[describe(part) for part in parts]}"
        )
    return torch.cat([part.detach().double().reshape(rows, -1) for part in parts], 1)


def _order(norm_ord: str | float) -> float:
    if norm_ord == "fro":
        return 2.0
    message = f'norm_ord must be "fro" or a number, got {describe(norm_ord)}'
    if isinstance(norm_ord, (str, bool)):
        raise ValueError(message)
    if not isinstance(norm_ord, Real):
        raise TypeError(message)
    if math.isnan(norm_ord):
        raise ValueError(message)
    return float(norm_ord)


def _check_radius(perturb_radius: Any) -> None:
    message = (
        f"perturb_radius must be a finite number of at least 0, got {describe(perturb_radius)}"
    )
    if isinstance(perturb_radius, bool) or not isinstance(perturb_radius, Real):
        raise TypeError(message)
    if not 0 <= float(perturb_radius) < math.inf:
        raise ValueError(message)


def _move(
    perturb_func: Callable[..., Any],
    tensors: tuple[Tensor, ...],
    radius: float,
    seed: int,
    start: int,
    count: int,
) -> tuple[Tensor, ...]:
    """Return ``count`` moved rows of each example, example-major."""
    rows = tuple(tensor.repeat_interleave(count, 0) for tensor in tensors)
    if perturb_func is default_perturb_func:
        noise = _noise(tensors, example_ids(None, tensors), radius, seed, start, count)
        return tuple(row + each.flatten(0, 1) for row, each in zip(rows, noise, strict=True))
    given = rows if len(rows) > 1 else rows[0]
    result = perturb_func(given, radius) if takes_two(perturb_func) else perturb_func(given)
    moved = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    if [m.shape for m in moved] != [row.shape for row in rows]:
        raise ValueError(
            f"perturb_func must return rows of shapes {[list(row.shape) for row in rows]}, "
            f"got {[describe(m) for m in moved]}"
        )
    return moved


def _repeat(kwargs: dict[str, Any], inputs: Any, batch: int, count: int) -> dict[str, Any]:
    """Repeat what is given per example along with the rows."""
    rows = torch.arange(batch).repeat_interleave(count)
    like_inputs = tuple(inputs) if isinstance(inputs, list) else inputs
    repeated = {}
    for name, value in kwargs.items():
        if name == "target":
            repeated[name] = take_target(value, rows, batch)
        elif name == "additional_forward_args":
            repeated[name] = take_arguments(value, rows, batch)
        elif name in ("baselines", "feature_mask"):
            repeated[name] = take_baselines(value, like_inputs, rows)
        elif name == "example_ids" and value is not None:
            repeated[name] = value.repeat_interleave(count)
        else:
            repeated[name] = _repeat_other(value, batch, count)
    return repeated


def _repeat_other(value: Any, batch: int, count: int) -> Any:
    """Repeat tensors with a row for each example, also within tuples.

    Lists stay: those as long as a batch are options more often than rows.
    """
    if isinstance(value, tuple):
        return tuple(_repeat_other(entry, batch, count) for entry in value)
    per_example = batch > 1 and follows(value, batch) and value.layout == torch.strided
    return value.repeat_interleave(count, 0) if per_example else value
