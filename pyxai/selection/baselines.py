"""Other orders of the features, to compare a greedy selection with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_int
from pyxai.greedy import GreedyRounds, greedy_rounds, path_nodes
from pyxai.ops import pack_masks, philox_uniform, sample_permutations, unpack_masks
from pyxai.selection.data import Batch, DataSet
from pyxai.selection.greedy import selection_of
from pyxai.selection.objective import Objective
from pyxai.selection.problem import check_options, objective_of
from pyxai.selection.result import FeatureSelection

__all__ = ["ORDERS", "baseline_feature_selection"]


def baseline_feature_selection(
    model: Callable[..., Any],
    data: Any,
    *,
    order_by: str,
    n_select: int | None = None,
    n_steps: int = 32,
    n_repeats: int = 5,
    seed: int = 0,
    curve: bool = True,
    **options: Any,
) -> FeatureSelection:
    """Order features by a simpler rule, with the objective of `greedy_feature_selection`.

    ========================== ==================================================================
    ``order_by``               features come in the order of
    ========================== ==================================================================
    ``"exact"``                forward greedy selection: the exact gain in each round, at the cost
                               of one forward pass per row and candidate
    ``"integrated_gradients"`` mean absolute integrated gradients of the rows' losses
    ``"one_shot"``             integrated gradients of the mean loss, signed: greedy of one round
    ``"permutation"``          rise of the loss when the feature's values are shuffled over the rows
    ``"random"``               chance
    ========================== ==================================================================

    Parameters
    ----------
    model, data, n_select, curve
        As for `greedy_feature_selection`.
    order_by : str
        See above.
    n_steps : int
        Nodes of integrated gradients.
    n_repeats : int
        Shuffles of each feature for ``"permutation"``.
    seed : int
        Of shuffles, of a random order and of a sample of rows.
    **options : any
        ``loss``, ``baselines``, ``feature_mask``, ``fields``, ``feature_names``, ``embed``,
        ``batch_size`` and ``sample_size`` of `greedy_feature_selection`.

    Returns
    -------
    FeatureSelection
        Its scores are what the rule compares, in units of the loss.

    Raises
    ------
    ValueError, TypeError
        As for `greedy_feature_selection`.

    References
    ----------
    .. [1] L. Breiman, "Random Forests", Machine Learning 45(1), 2001, section 10, for permutation
       importance.
    """
    check_choice("order_by", order_by, ORDERS)
    check_int("n_steps", n_steps, minimum=1)
    check_int("n_repeats", n_repeats, minimum=1)
    check_bool("curve", curve)
    check_options(options)
    objective = objective_of(model, data, seed=seed, **options)
    if order_by == "exact":
        found = _exact(objective, n_select)
    else:
        scores = _scores(objective, order_by, n_steps, n_repeats, seed)
        found = greedy_rounds(
            lambda selected, examples: scores[None],
            1,
            objective.features.count,
            n_select=n_select,
            rounds=[objective.features.count if n_select is None else n_select],
            device=objective.device,
        )
    return selection_of(objective, found, order_by, curve)


ORDERS = ("exact", "integrated_gradients", "one_shot", "permutation", "random")


def _exact(objective: Objective, n_select: int | None) -> GreedyRounds:
    """Take the feature of the largest gain, one at a time."""
    count = objective.features.count
    one = torch.eye(count, dtype=torch.bool, device=objective.device)

    def score(selected: Tensor, _: Tensor) -> Tensor:
        shown = unpack_masks(selected, count)
        left = (~shown[0]).nonzero()[:, 0]
        values = objective.values(pack_masks(torch.cat([shown, one[left] | shown])))
        gains = torch.zeros(1, count, dtype=torch.float64, device=objective.device)
        gains[0, left] = values[1:] - values[0]
        return gains

    return greedy_rounds(score, 1, count, n_select=n_select, rounds=1, device=objective.device)


def _scores(objective: Objective, order_by: str, n_steps: int, n_repeats: int, seed: int) -> Tensor:
    """Return one score per feature, float64 [n_features]."""
    count, device = objective.features.count, objective.device
    if order_by == "permutation":
        return _permutation(objective, n_repeats, seed)
    if order_by == "random":
        ids = torch.zeros(1, dtype=torch.int64)
        return philox_uniform((count,), 1, seed=seed, example_ids=ids)[0, 0].double().to(device)
    nothing = pack_masks(torch.zeros(1, count, dtype=torch.bool, device=device))
    nodes, weights = path_nodes("midpoint", n_steps)
    absolute = order_by == "integrated_gradients"
    return objective.path_gains(nothing, nodes, weights, absolute=absolute)


def _permutation(objective: Objective, n_repeats: int, seed: int) -> Tensor:
    """Return the mean rise of the loss when a feature's rows are shuffled."""
    whole = objective.data.gathered()
    everything = torch.ones(1, objective.features.count, dtype=torch.bool, device=objective.device)
    shown = pack_masks(everything)
    ids = torch.zeros(1, dtype=torch.int64)
    orders = sample_permutations(len(whole.labels), n_repeats, seed=seed, example_ids=ids)[0].long()
    full = objective.values(shown)[0]
    rises = [
        full
        - torch.stack(
            [_shuffled_value(objective, whole, feature, order, shown) for order in orders]
        ).mean()
        for feature in range(objective.features.count)
    ]
    return torch.stack(rises)


def _shuffled_value(
    objective: Objective, whole: Batch, feature: int, order: Tensor, shown: Tensor
) -> Tensor:
    inputs = tuple(
        torch.where(owners == feature, x[order.to(x.device)], x)
        for x, owners in zip(whole.inputs, objective.features.owners, strict=True)
    )
    return objective.of(DataSet((inputs, whole.labels))).values(shown)[0]
