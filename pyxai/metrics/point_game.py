"""Metrics of attributions alone or of their sum: completeness, sparseness, stability, points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import (
    check_choice,
    check_finite,
    check_int,
    check_real,
    check_tensor,
    describe,
)
from pyxai._inputs import flat_features, format_baselines, format_inputs
from pyxai.metrics.attributions import shares_of_players
from pyxai.metrics.outputs import output_of_each
from pyxai.runner import Output, Runner

__all__ = ["completeness", "grid_point_game", "point_game", "sparseness", "stability"]


def completeness(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    attributions: Tensor | tuple[Tensor, ...],
    *,
    baselines: Any = None,
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = "logit",
    feature_mask: Any = None,
) -> Tensor:
    """Return how far attributions are from summing to the difference of two outputs.

    ``sum(attributions) - (f(inputs) - f(baselines))``, each group's score counted once

    Parameters
    ----------
    model : callable
        Takes the inputs and then the extra arguments.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Examples.
    attributions : Tensor or tuple of Tensor, shape of ``inputs``
        In output units. A map of one channel of an image, ``[batch, 1, height, width]`` or
        ``[batch, height, width]``, has the scores of whole pixels.
    baselines : float, Tensor or tuple, optional
        Default 0.
    target : int, tuple, list or Tensor, optional
        Which output.
    additional_forward_args : any, optional
        Extra arguments of the model.
    output : "logit", "probability", "log_probability" or callable
        Applied before the target is selected.
    feature_mask : Tensor or tuple of Tensor, optional
        That of the attributions: where features form groups, methods write the score of a group on
        each of its members.

    Returns
    -------
    Tensor, shape [batch]
        float64, in output units; 0 is complete.

    Raises
    ------
    ValueError
        If a shape does not fit, or the model returns one scalar for several examples.
    TypeError
        If a type does not fit.

    References
    ----------
    .. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
       proposition 1.
    """
    tensors, _ = format_inputs(inputs)
    shares = shares_of_players(attributions, tensors, feature_mask)
    starts = tuple(
        base.expand_as(tensor) if isinstance(base, Tensor) else torch.full_like(tensor, base)
        for base, tensor in zip(format_baselines(baselines, tensors), tensors, strict=True)
    )
    runner = Runner(
        model, target=target, additional_forward_args=additional_forward_args, output=output
    )
    change = output_of_each(runner, tensors) - output_of_each(runner, starts)
    return torch.stack([share.sum(1) for share in shares]).sum(0) - change


def sparseness(attributions: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the Gini index of absolute attributions.

    Parameters
    ----------
    attributions : Tensor or tuple of Tensor, shape [batch, *features]
        Any units.

    Returns
    -------
    Tensor, shape [batch]
        float64: 0 if all features weigh the same, ``1 - 1/n`` if one of n features has all; 0
        where all attributions are 0.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    TypeError
        If something is not a tensor.

    References
    ----------
    .. [1] P. Chalasani et al., "Concise Explanations of Neural Networks using Adversarial
       Training", ICML 2020, section 5.
    """
    values = _scaled(_rows("attributions", attributions)).abs().sort(1).values
    n = values.shape[1]
    ranks = torch.arange(1, n + 1, dtype=torch.float64, device=values.device)
    total = values.sum(1)
    weighted = (values * (2 * ranks - n - 1)).sum(1)
    return torch.where(total > 0, weighted / (n * total), torch.zeros_like(total))


def stability(
    attributions: Tensor | tuple[Tensor, ...],
    others: Tensor | tuple[Tensor, ...],
    *,
    measure: str = "spearman",
    top: float = 0.1,
) -> Tensor:
    """Compare two explanations of the same examples, such as runs of a sampling method.

    Parameters
    ----------
    attributions, others : Tensor or tuple of Tensor, shape [batch, *features]
        Any units.
    measure : "spearman", "pearson" or "top"
        Correlation of ranks (ties share their mean rank), of values, or the share of the top
        features that the two have in common.
    top : float
        In (0, 1]: the fraction of features that measure ``"top"`` compares.

    Returns
    -------
    Tensor, shape [batch]
        float64, 1 if the two agree; NaN where a correlation does not exist (a constant map).

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite or an argument is out of range.
    TypeError
        If something is not a tensor.
    """
    check_choice("measure", measure, ("spearman", "pearson", "top"))
    first, second = _rows("attributions", attributions), _rows("others", others)
    wanted, got = _shapes(attributions), _shapes(others)
    if wanted != got:
        raise ValueError(f"others must have the shape of attributions, {wanted}, got {got}")
    if measure == "top":
        if not 0 < top <= 1:
            raise ValueError(f"top must be in (0, 1], got {top}")
        count = max(1, round(top * first.shape[1]))
        masks = [
            torch.zeros_like(rows).scatter_(
                1, rows.argsort(dim=1, descending=True, stable=True)[:, :count], 1.0
            )
            for rows in (first, second)
        ]
        return (masks[0] * masks[1]).sum(1) / count
    if measure == "spearman":
        first, second = _ranks(first), _ranks(second)
    return (_directions(first) * _directions(second)).sum(1).clamp(-1, 1)


def point_game(attributions: Tensor, truth: Tensor, *, mode: str = "hit") -> Tensor:
    """Compare attributions with a known region.

    Parameters
    ----------
    attributions : Tensor, shape [batch, *features]
        Any units.
    truth : Tensor, shape of ``attributions`` or one that broadcasts to it
        bool: True inside the region.
    mode : "hit" or "mass"
        1 if the largest attribution (the first of equals) lies inside, else 0; or the share of the
        positive attribution that lies inside, 0 where there is none.

    Returns
    -------
    Tensor, shape [batch]
        float64.

    Raises
    ------
    ValueError
        If shapes do not fit or an argument is out of range.
    TypeError
        If something is not a tensor, or ``truth`` is not bool.

    References
    ----------
    .. [1] J. Zhang et al., "Top-Down Neural Attention by Excitation Backprop", IJCV 126, 2018,
       section 4.2 (hit).
    """
    check_choice("mode", mode, ("hit", "mass"))
    values = _scaled(_rows("attributions", check_tensor("attributions", attributions)))
    check_tensor("truth", truth)
    if truth.dtype != torch.bool:
        raise TypeError(f"truth must be bool, got {truth.dtype}")
    try:
        inside = flat_features(truth.expand_as(attributions))
    except RuntimeError as error:
        raise ValueError(
            f"truth must broadcast to {list(attributions.shape)}, got {list(truth.shape)}"
        ) from error
    if mode == "hit":
        return inside.gather(1, values.argmax(1, keepdim=True))[:, 0].double()
    positive = values.clamp(min=0)
    total = positive.sum(1)
    share = (positive * inside).sum(1) / total
    return torch.where(total > 0, share, torch.zeros_like(total))


def grid_point_game(attributions: Tensor, cells: int, cell: Tensor) -> Tensor:
    """Return the share of positive attribution inside the cell of the explained class.

    Parameters
    ----------
    attributions : Tensor, shape [batch, channels, height, width] or [batch, height, width]
        Explanations of images that tile ``cells`` x ``cells`` images of different classes;
        channels are summed first.
    cells : int
        Cells along a side; height and width are divisible by it.
    cell : Tensor, shape [batch]
        Integers: the row-major number of the explained class's cell.

    Returns
    -------
    Tensor, shape [batch]
        float64 in [0, 1]; 0 where no attribution is positive.

    Raises
    ------
    ValueError
        If a size does not fit.
    TypeError
        If something is not a tensor, or ``cell`` does not hold integers.

    References
    ----------
    .. [1] M. Boehle, M. Fritz, B. Schiele, "Convolutional Dynamic Alignment Networks for
       Interpretable Classifications", CVPR 2021, section 4.3.
    """
    check_tensor("attributions", attributions)
    if attributions.dim() not in (3, 4):
        raise ValueError(
            "attributions must have shape [batch, channels, height, width] or [batch, height, "
            f"width], got {list(attributions.shape)}"
        )
    _rows("attributions", attributions)
    maps = attributions.detach().double()
    maps = maps.sum(1) if maps.dim() == 4 else maps
    height, width = maps.shape[1:]
    check_int("cells", cells, minimum=1)
    if height % cells or width % cells:
        raise ValueError(f"cells must divide height {height} and width {width}, got {cells}")
    check_tensor("cell", cell)
    if cell.is_floating_point() or cell.is_complex() or cell.dtype == torch.bool:
        raise TypeError(f"cell must hold integers, got {cell.dtype}")
    if cell.shape != (len(maps),) or bool((cell < 0).any()) or bool((cell >= cells**2).any()):
        raise ValueError(
            f"cell must hold {len(maps)} numbers from 0 to {cells**2 - 1}, got {describe(cell)}"
        )
    rows = torch.arange(height, device=maps.device) // (height // cells)
    columns = torch.arange(width, device=maps.device) // (width // cells)
    owner = rows[:, None] * cells + columns
    return point_game(maps, owner == cell.to(maps.device)[:, None, None], mode="mass")


def _rows(name: str, values: Any) -> Tensor:
    """Return one float64 row per example."""
    parts = values if isinstance(values, (tuple, list)) else (values,)
    for part in parts:
        check_tensor(name, part)
        check_real(name, part)
        if part.dim() < 2 or part.numel() == 0:
            raise ValueError(
                f"{name} must have examples and features, got shape {list(part.shape)}"
            )
        check_finite(name, part)
        if len(part) != len(parts[0]):
            raise ValueError(f"{name} must have as many examples each, got {_shapes(values)}")
    return torch.cat([flat_features(part.detach().double()) for part in parts], 1)


def _shapes(values: Tensor | tuple[Tensor, ...]) -> list[Any]:
    """Return the shape of a tensor, or the shapes of a tuple, for a comparison or a message."""
    if isinstance(values, Tensor):
        return list(values.shape)
    return [list(value.shape) for value in values]


def _scaled(rows: Tensor) -> Tensor:
    """Return rows in units of their largest entry, so that sums and squares stay in range."""
    largest = rows.abs().amax(1, keepdim=True)
    return rows / torch.where(largest > 0, largest, 1.0)


def _directions(rows: Tensor) -> Tensor:
    """Return rows around their mean, of length 1; NaN where a row is constant.

    A constant row need not equal its mean, which is rounded.
    """
    centred = _scaled(rows)
    centred = centred - centred.mean(1, keepdim=True)
    constant = rows.amax(1, keepdim=True) == rows.amin(1, keepdim=True)
    length = centred.square().sum(1, keepdim=True).sqrt()
    return (centred / length).masked_fill(constant, torch.nan)


def _ranks(rows: Tensor) -> Tensor:
    """Return the rank of each entry; equal entries share their mean rank."""
    ordered = rows.sort(1).values.contiguous()
    first = torch.searchsorted(ordered, rows.contiguous(), right=False)
    last = torch.searchsorted(ordered, rows.contiguous(), right=True)
    return (first + last).double() / 2
