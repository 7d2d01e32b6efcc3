"""How far an explanation moves when the input moves a little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._example_ids import example_ids
from pyxai._inputs import format_inputs
from pyxai.explanation.rows import take_arguments, take_baselines, take_target
from pyxai.metrics._perturb import takes_two
from pyxai.ops import philox_uniform

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
    ValueError
        If ``seed`` is negative.
    """
    rows = inputs if isinstance(inputs, tuple) else (inputs,)
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
        Upper bound of the rows in one call of ``explanation_func``, at least the batch size.
    seed : int
        Of `default_perturb_func`. The noise of an example depends on its content, not on the batch
        or on ``max_examples_per_batch``.
    **kwargs : any
        Arguments of ``explanation_func``. Targets, baselines, feature masks and extra arguments
        that are given per example are repeated with the rows, as are tensors and lists in other
        arguments that have one entry for each of several examples; the rest is passed as it is.

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

    References
    ----------
    .. [1] C.-K. Yeh et al., "On the (In)fidelity and Sensitivity of Explanations", NeurIPS 2019,
       definition 3.1.
    """
    tensors, is_tuple = format_inputs(inputs)
    batch = tensors[0].shape[0]
    check_int("n_perturb_samples", n_perturb_samples, minimum=1)
    if not perturb_radius >= 0:
        raise ValueError(f"perturb_radius must not be negative, got {perturb_radius}")
    order = _order(norm_ord)
    base = _explain(explanation_func, tensors, is_tuple, kwargs)
    size = torch.linalg.vector_norm(base, order, dim=1)
    width = n_perturb_samples
    if max_examples_per_batch is not None:
        check_int("max_examples_per_batch", max_examples_per_batch, minimum=1)
        width = max(1, min(n_perturb_samples, max_examples_per_batch // batch))
    largest = torch.zeros_like(size)
    for start in range(0, n_perturb_samples, width):
        count = min(width, n_perturb_samples - start)
        moved = _move(perturb_func, tensors, perturb_radius, seed, start, count)
        repeated = _repeat(kwargs, inputs, batch, count)
        found = _explain(explanation_func, moved, is_tuple, repeated).view(batch, count, -1)
        change = torch.linalg.vector_norm(found - base.unsqueeze(1), order, dim=2)
        largest = torch.maximum(largest, change.amax(1))
    return torch.where(size > 0, largest / size, largest)


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
    if isinstance(norm_ord, (str, bool)) or float(norm_ord) != float(norm_ord):
        raise ValueError(f'norm_ord must be "fro" or a number, got {norm_ord!r}')
    return float(norm_ord)


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
        else:
            repeated[name] = _repeat_other(value, batch, count)
    return repeated


def _repeat_other(value: Any, batch: int, count: int) -> Any:
    if isinstance(value, Tensor):
        per_example = value.dim() > 0 and value.shape[0] == batch and batch > 1
        return value.repeat_interleave(count, 0) if per_example else value
    if isinstance(value, list) and len(value) == batch and batch > 1:
        return [entry for entry in value for _ in range(count)]
    if isinstance(value, tuple):
        return tuple(_repeat_other(entry, batch, count) for entry in value)
    return value
