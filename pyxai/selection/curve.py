"""How a model does when it is shown the first features of an order, on any data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_finite, check_int, describe
from pyxai.ops import pack_masks
from pyxai.selection.objective import Objective
from pyxai.selection.problem import check_options, objective_of
from pyxai.selection.result import FeatureSelection, SelectionCurve
from pyxai.selection.scoring import Hit, Margin, roc_auc

__all__ = ["loss_curve", "selection_curve"]

METRICS = ("loss", "accuracy", "roc_auc")
_ALL_SIZES = 256  # up to so many features every number is a point of the curve


def selection_curve(
    model: Callable[..., Any],
    data: Any,
    order: FeatureSelection | Tensor | Sequence[int],
    *,
    metric: str = "loss",
    sizes: Sequence[int] | None = None,
    retrain: Callable[[Tensor], Callable[..., Any]] | None = None,
    **options: Any,
) -> SelectionCurve:
    """Show a model the first k features of an order, the others at the baseline.

    Parameters
    ----------
    model, data
        As for `greedy_feature_selection`; the data may be others than those of the selection, which
        tells how the order generalises. Their baseline is then best given too.
    order : FeatureSelection, Tensor or sequence of int
        Features, the best first.
    metric : str
        ``"loss"``; ``"accuracy"``; or ``"roc_auc"`` of a model with two classes or one logit.
    sizes : sequence of int, optional
        Numbers of features; default: all from 0 (101 of them, beyond 256 features).
    retrain : callable, optional
        ``retrain(kept)`` gets the features that are kept, int64 [k] from the best on, and returns
        the model to ask instead, which takes what ``model`` takes with the others at the baseline.
        It is called once for each size. How well a model does that was trained without the others
        tells what they hold; the model as it is, also how it copes with baselines.
    **options : any
        ``loss``, ``baselines``, ``feature_mask``, ``fields``, ``feature_names``, ``embed``,
        ``batch_size``, ``sample_size`` and ``seed`` of `greedy_feature_selection`.

    Returns
    -------
    SelectionCurve

    Raises
    ------
    ValueError
        If the order or a size does not fit.
    TypeError
        If an argument is of another kind.
    """
    check_choice("metric", metric, METRICS)
    check_options(options)
    objective = objective_of(model, data, **options)
    found = _check_order(order, objective.features.count).to(objective.device)
    counts = _check_sizes(sizes, len(found))
    masks = _top_masks(found, counts, objective.features.count)
    if retrain is None:
        values = _values(objective, model, masks, metric)
    else:
        parts = zip(counts.tolist(), torch.split(masks, 1), strict=True)
        each = [_values(objective, retrain(found[:k].cpu()), mask, metric) for k, mask in parts]
        values = torch.cat(each)
    return SelectionCurve(counts, values.cpu(), metric)


def _values(objective: Objective, model: Callable[..., Any], masks: Tensor, metric: str) -> Tensor:
    """Return the metric of a model for each packed mask, float64 [n_masks]."""
    if metric == "loss":
        return -objective.of_model(model).values(masks)
    score = Margin(model) if metric == "roc_auc" else Hit(model)
    rows, labels = objective.outputs(score, masks)
    check_finite("labels", labels)
    values = [roc_auc(column, labels) for column in rows.T] if metric == "roc_auc" else rows.mean(0)
    return torch.as_tensor(values, dtype=torch.float64)


def loss_curve(objective: Objective, order: Tensor, sizes: Tensor | None = None) -> SelectionCurve:
    """Return the mean loss over the number of features of ``order``."""
    counts = _check_sizes(None, len(order)) if sizes is None else sizes
    values = -objective.values(_top_masks(order, counts, objective.features.count))
    return SelectionCurve(counts, values.cpu())


def _check_order(order: Any, n_features: int) -> Tensor:
    """Return distinct features, int64."""
    if isinstance(order, FeatureSelection):
        order = order.order
    try:
        index = torch.as_tensor(order)
    except (TypeError, ValueError, RuntimeError):  # names, or lists of several lengths
        raise TypeError(f"order must be a list of feature numbers, got {describe(order)}") from None
    if index.is_floating_point() or index.dtype == torch.bool or index.dim() != 1:
        raise TypeError(f"order must be a list of feature numbers, got {describe(order)}")
    fits = len(index) and int(index.min()) >= 0 and int(index.max()) < n_features
    if not fits or len(set(index.tolist())) < len(index):
        raise ValueError(
            f"order must hold different features from 0 .. {n_features - 1}, got {index.tolist()}"
        )
    return index.long()


def _check_sizes(sizes: Sequence[int] | None, n_select: int) -> Tensor:
    if sizes is None:
        points = n_select + 1 if n_select <= _ALL_SIZES else 101
        return torch.linspace(0, n_select, points, dtype=torch.float64).round().long()
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise TypeError(f"sizes must be a list of numbers of features, got {describe(sizes)}")
    counts = [check_int("sizes", size, minimum=0) for size in sizes]
    if len(counts) < 2 or counts != sorted(set(counts)) or counts[-1] > n_select:
        raise ValueError(
            f"sizes must be at least two ascending numbers of at most {n_select}, got {counts}"
        )
    return torch.tensor(counts)


def _top_masks(order: Tensor, sizes: Tensor, n_features: int) -> Tensor:
    """Return packed masks of the first ``sizes`` features."""
    place = torch.full((n_features,), n_features, device=order.device)
    place[order] = torch.arange(len(order), device=order.device)
    return pack_masks(place < sizes.to(order.device)[:, None])
