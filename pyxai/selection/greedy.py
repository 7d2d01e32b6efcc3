"""Greedy selection of features for a trained model, over a whole data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from pyxai._checks import check_bool, check_int
from pyxai.greedy import (
    GreedyRounds,
    Score,
    greedy_rounds,
    path_nodes,
    round_sizes,
)
from pyxai.greedy.flat_scores import warn_of_flat_scores
from pyxai.greedy.schedule import is_adaptive
from pyxai.selection.curve import loss_curve
from pyxai.selection.growing import GrowingScores
from pyxai.selection.losses import Loss
from pyxai.selection.objective import Objective
from pyxai.selection.problem import objective_of
from pyxai.selection.result import FeatureSelection

__all__ = ["greedy_feature_selection", "selection_of"]


def greedy_feature_selection(
    model: Callable[..., Any],
    data: Any,
    *,
    n_select: int | None = None,
    loss: str | Loss = "cross_entropy",
    baselines: Any = None,
    feature_mask: Any = None,
    fields: Any = None,
    feature_names: Sequence[str] | None = None,
    embed: Callable[..., Any] | None = None,
    rounds: str | int | Sequence[int] = 1,
    n_steps: int = 4,
    method: str = "midpoint",
    absolute: bool = False,
    epsilon: float | None = None,
    shortlist: int | None = None,
    batch_size: int | None = None,
    sample_size: int | None = None,
    max_sample_size: int | None = None,
    seed: int = 0,
    curve: bool = True,
    fast_path: bool = True,
) -> FeatureSelection:
    """Order the features of a data set by what they are worth to a trained model.

    Maximises ``G(S) = -(1/N) sum_i loss(f(x_i restricted to S), y_i)`` greedily, one ``S`` for all
    rows. A feature's score is the gradient of ``G`` on the way from what is selected already to all
    features, integrated: one gradient per row and node scores all features at once, and features
    that repeat what is selected score low.

    Parameters
    ----------
    model : callable
        Takes the input tensors of some rows and returns logits ``[rows, n_classes]``, or what
        ``loss`` takes. It is left as found.
    data : pair of tensors, or iterable of such pairs
        ``(inputs, labels)``, inputs one floating-point tensor or a tuple of them, dimension 0 the
        rows; or a ``DataLoader`` of such pairs. ``(first, second, ..., labels)`` are several inputs
        too. The result does not depend on the batches.
    n_select : int, optional
        How many features to select; default: all are ordered.
    loss : str or callable
        ``"cross_entropy"`` (of logits; labels are classes), ``"squared_error"``, or
        ``loss(outputs, labels) -> [rows]``.
    baselines : float, Tensor or tuple of those, shape [*features] or [1, *features], optional
        What stands for a feature that is not selected; default: the mean of the data set.
    feature_mask : Tensor or tuple of Tensor, optional
        Integers that broadcast to a row: values of the same number are one feature. Default: each
        entry of dimension 1 is a feature with all that lies behind it, so that fields of embeddings
        ``[rows, fields, size]`` are selected as wholes.
    fields : sequence of int, or mapping of str to int, optional
        Widths of consecutive features along dimension 1, counted over all inputs: for fields that
        lie side by side, as one-hot columns do.
    feature_names : sequence of str, optional
        One for each feature.
    embed : callable, optional
        ``embed(*inputs)`` makes of a batch what ``model`` takes: for integer categories the
        embedding part of a net, while ``model`` is the rest of it.
    rounds : "geometric", "adaptive", int or sequence of int
        Features per round, see `pyxai.greedy.greedy_rounds`. Each round costs ``n_steps`` gradients
        per row; adaptive ones also some forward passes.
    n_steps : int
        Nodes of the integral.
    method : str
        Rule of the integral, see `pyxai.greedy.path_nodes`; ``"start"`` is one gradient.
    absolute : bool
        Whether to select by absolute score, from a shortlist by absolute gain.
    epsilon : float, optional
        Stop once the loss is within this share of the loss with all features; what is left follows
        in the order of the last scores.
    shortlist : int, optional
        Order this many candidates of a round by their exact gain, one forward pass each.
    batch_size : int, optional
        Upper bound of the rows in one call of the model; default: chosen from its memory.
    sample_size : int, optional
        Use this many random rows, the same in all rounds; they are held in memory. The seed names
        places in the data: of a loader that shuffles with a generator of its own, other rows.
    max_sample_size : int, optional
        Up to how many the sample doubles while the choice of a round is within two standard errors
        of another. The curve is that of so many rows.
    seed : int
        Of that sample.
    curve : bool
        Whether to compute the loss over the number of features, one forward pass per row for each.
    fast_path : bool
        Whether to run a first layer that is affine once a round rather than at every node, where
        the model begins with one and that pays; equal to rounding.

    Returns
    -------
    FeatureSelection
        ``.order``, ``.scores`` and ``.curve``; printing it shows a table.

    Raises
    ------
    ValueError
        If shapes, labels or numbers do not fit, or there are more rounds than features.
    TypeError
        If an argument is of another kind.

    Warns
    -----
    PyxaiWarning
        If all scores are 0, in all rounds or in the first, which then do not tell one feature from
        another.

    Notes
    -----
    Columns that equal the baseline everywhere score exactly 0. Sums over rows are in float64.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023,
       sections 2.2 and 3.2 for the objective, algorithm 1 for the rounds.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[1.0, 1.0, 2.0], [-1.0, -1.0, 2.0]])
    >>> found = greedy_feature_selection(
    ...     lambda rows: rows[:, 0], (x, x[:, 0]), loss="squared_error", curve=False
    ... )
    >>> found.order, found.scores
    (tensor([0, 1, 2]), tensor([1., 0., 0.], dtype=torch.float64))
    """
    check_int("seed", seed, minimum=0)
    objective = objective_of(
        model,
        data,
        loss=loss,
        baselines=baselines,
        feature_mask=feature_mask,
        fields=fields,
        feature_names=feature_names,
        embed=embed,
        batch_size=batch_size,
        sample_size=_sampled(sample_size, max_sample_size, rounds),
        seed=seed,
        sample_name="sample_size" if max_sample_size is None else "max_sample_size",
    )
    check_bool("curve", curve)
    check_bool("fast_path", fast_path)
    nodes, weights = path_nodes(method, n_steps)
    if fast_path:
        sizes = "geometric" if is_adaptive(rounds) else rounds
        n_rounds = len(round_sizes(sizes, objective.features.count, n_select))
        objective = objective.on_linear_paths(n_rounds, len(nodes))
    # Once, as each copy waits for the device.
    nodes, weights = nodes.to(objective.device), weights.to(objective.device)

    score: Score
    if max_sample_size is None:

        def score(selected: Tensor, _: Tensor) -> Tensor:
            return objective.path_gains(selected, nodes, weights)[None]

    else:
        assert sample_size is not None
        sizes = round_sizes(rounds, objective.features.count, n_select)
        score = GrowingScores(objective, sample_size, nodes, weights, sizes, absolute)

    needs_value = epsilon is not None or shortlist is not None or is_adaptive(rounds)
    found = greedy_rounds(
        score,
        1,
        objective.features.count,
        n_select=n_select,
        rounds=rounds,
        absolute=absolute,
        value=(lambda masks, _: objective.values(masks)) if needs_value else None,
        epsilon=epsilon,
        shortlist=shortlist,
        device=objective.device,
    )
    assert found.still is not None
    assert found.flat is not None
    warn_of_flat_scores(
        found.still, found.flat, player="feature", names=lambda _: "over the data set", rule=method
    )
    result = selection_of(objective, found, "greedy", curve)
    return replace(result, n_rows=score.n_rows) if isinstance(score, GrowingScores) else result


def _sampled(size: int | None, largest: int | None, rounds: Any) -> int | None:
    """Return how many rows to draw."""
    if largest is None:
        return size
    check_int("max_sample_size", largest, minimum=1)
    if size is None or size > largest:
        raise ValueError(f"sample_size must be at most max_sample_size={largest}, got {size}")
    check_int("sample_size", size, minimum=2)
    if is_adaptive(rounds):
        raise ValueError("max_sample_size must be None for adaptive rounds, got both")
    return largest


def selection_of(
    objective: Objective, found: GreedyRounds, method: str, curve: bool
) -> FeatureSelection:
    """Return what rounds over one example, the data set, have selected."""
    order = found.order[0]
    return FeatureSelection(
        order.cpu(),
        found.raw[0].double().cpu(),
        found.round_index[0].cpu(),
        loss_curve(objective, order) if curve else None,
        objective.features.names,
        method,
    )
