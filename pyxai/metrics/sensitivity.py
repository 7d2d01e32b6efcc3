"""How far an explanation moves when the input moves a little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._inputs import format_inputs
from pyxai.metrics.infidelity import takes_two
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
        Of the noise; row r always gets the same.

    Returns
    -------
    tuple of Tensor
        Moved rows.

    Raises
    ------
    ValueError
        If ``seed`` is negative.
    """
    moved = []
    for stream, tensor in enumerate(inputs if isinstance(inputs, tuple) else (inputs,)):
        ids = torch.arange(tensor.shape[0], device=tensor.device)
        unit = philox_uniform(
            tensor.shape[1:], 1, seed=seed, example_ids=ids, stream=stream, dtype=torch.float64
        )[:, 0]
        moved.append(tensor + ((2 * unit - 1) * perturb_radius).to(tensor.dtype))
    return tuple(moved)


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
        Of `default_perturb_func`.
    **kwargs : any
        Arguments of ``explanation_func``. Tensors and lists with one entry per example, also those
        inside a tuple (targets, baselines, feature masks, extra arguments), are repeated with the
        rows; everything else is passed as it is.

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
    order = 2.0 if norm_ord == "fro" else float(norm_ord)
    base = _explain(explanation_func, tensors, is_tuple, kwargs)
    size = torch.linalg.vector_norm(base, order, dim=1)
    width = n_perturb_samples
    if max_examples_per_batch is not None:
        check_int("max_examples_per_batch", max_examples_per_batch, minimum=1)
        width = max(1, min(n_perturb_samples, max_examples_per_batch // batch))
    largest = torch.zeros_like(size)
    for start in range(0, n_perturb_samples, width):
        count = min(width, n_perturb_samples - start)
        rows = tuple(tensor.repeat_interleave(count, 0) for tensor in tensors)
        moved = _move(perturb_func, rows, perturb_radius, seed + start)
        repeated = {name: _repeat(value, batch, count) for name, value in kwargs.items()}
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


def _move(
    perturb_func: Callable[..., Any], rows: tuple[Tensor, ...], radius: float, seed: int
) -> tuple[Tensor, ...]:
    if perturb_func is default_perturb_func:
        return default_perturb_func(rows, radius, seed=seed)
    if not callable(perturb_func):
        raise TypeError(f"perturb_func must be callable, got {describe(perturb_func)}")
    given = rows if len(rows) > 1 else rows[0]
    result = perturb_func(given, radius) if takes_two(perturb_func) else perturb_func(given)
    moved = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    if [m.shape for m in moved] != [row.shape for row in rows]:
        raise ValueError(
            f"perturb_func must return rows of shapes {[list(row.shape) for row in rows]}, "
            f"got {[describe(m) for m in moved]}"
        )
    return moved


def _repeat(value: Any, batch: int, count: int) -> Any:
    """Repeat what has one entry per example along with the rows."""
    if isinstance(value, Tensor):
        per_example = value.dim() > 0 and value.shape[0] == batch and batch > 1
        return value.repeat_interleave(count, 0) if per_example else value
    if isinstance(value, list) and len(value) == batch and batch > 1:
        return [entry for entry in value for _ in range(count)]
    if isinstance(value, tuple):
        return tuple(_repeat(entry, batch, count) for entry in value)
    return value
