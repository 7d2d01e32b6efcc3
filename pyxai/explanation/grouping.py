"""Attributions of groups of features: sums over them, and one number for each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._inputs import flat_features, format_feature_mask
from pyxai.explanation.balance import of_each_output
from pyxai.explanation.groups import (
    MaskGroups,
    adds_up,
    mask_groups,
    masked_form,
    scores_of_groups,
)
from pyxai.masks import sum_groups

if TYPE_CHECKING:
    from pyxai.explanation.result import Explanation

__all__ = ["group_scores", "grouped"]

TensorOrTuple = Tensor | tuple[Tensor, ...]


def grouped(explanation: Explanation, feature_mask: Any, names: Any) -> Explanation:
    """Return the explanation by groups; see `Explanation.grouped`."""
    if not adds_up(explanation):
        raise ValueError(
            "feature_mask must be of attributions that add up, which ranks and means over regions "
            f"do not, got those of {explanation.method}"
        )
    if feature_mask is None:
        raise TypeError("feature_mask must be a tensor or a tuple of tensors, got None")
    outputs = of_each_output(explanation)
    each = [_summed(one, feature_mask) for one in outputs]
    several = len(outputs) > 1 or outputs[0] is not explanation
    attributions, errors = (
        _of_outputs([pair[which] for pair in each], several) for which in range(2)
    )
    return replace(
        explanation,
        attributions=attributions,
        error=errors,
        options={**explanation.options, "feature_mask": feature_mask},
        feature_names=explanation.feature_names if names is None else names,
    )


def group_scores(explanation: Explanation) -> Tensor:
    """Return one number for each group; see `Explanation.group_scores`."""
    outputs = of_each_output(explanation)
    scores = [scores_of_groups(one, one.attributions) for one in outputs]
    return scores[0] if outputs[0] is explanation else torch.stack(scores, 1)


def _summed(explanation: Explanation, mask: Any) -> tuple[Any, Any]:
    """Return the sums over groups of attributions and of errors, for one output."""
    values, errors = explanation.attributions, explanation.error
    form = masked_form(explanation.options, explanation.inputs, values)
    new = format_feature_mask(mask, form if isinstance(form, tuple) else (form,)).owners
    found = mask_groups(explanation)
    if found is not None:
        values = _once(values, found, new)
        errors = None if errors is None else _once(errors, found, new)
    return sum_groups(values, mask), None if errors is None else _sums_of_errors(errors, mask)


def _once(values: TensorOrTuple, old: MaskGroups, new: Tensor) -> TensorOrTuple:
    """Return values that are 0 but at the first feature of each group.

    Raises
    ------
    ValueError
        If a group is not within one of the new groups.
    """
    own = old.first.gather(1, old.owners)  # the first feature of each feature's group
    rows = max(len(own), len(new))
    owners = new.expand(rows, -1)
    if not torch.equal(owners.gather(1, own.expand(rows, -1)), owners):
        raise ValueError(
            "feature_mask must keep the groups by which the method explained together, got one "
            "that divides them"
        )
    places = torch.arange(own.shape[1], device=own.device)
    parts = values if isinstance(values, tuple) else (values,)
    sizes = [part.shape[1:].numel() for part in parts]
    kept = tuple(
        (flat_features(part) * first).view(part.shape)
        for part, first in zip(parts, torch.split(own == places, sizes, 1), strict=True)
    )
    return kept if isinstance(values, tuple) else kept[0]


def _sums_of_errors(errors: TensorOrTuple, mask: Any) -> TensorOrTuple:
    """Return sums over groups, infinite where an error is, as that of a single sample."""
    parts = errors if isinstance(errors, tuple) else (errors,)
    finite = sum_groups(tuple(part.masked_fill(part.isinf(), 0) for part in parts), mask)
    unknown = sum_groups(tuple(part.isinf().to(part.dtype) for part in parts), mask)
    sums = tuple(
        part.masked_fill(some > 0, torch.inf) for part, some in zip(finite, unknown, strict=True)
    )
    return sums if isinstance(errors, tuple) else sums[0]


def _of_outputs(values: list[Any], several: bool) -> Any:
    """Put what was found for each output side by side, [batch, n_outputs, *features]."""
    if not several or values[0] is None:
        return values[0]
    if isinstance(values[0], tuple):
        return tuple(torch.stack(list(parts), 1) for parts in zip(*values, strict=True))
    return torch.stack(values, 1)
