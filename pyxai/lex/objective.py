"""The bound of masks: rows made, predicted and put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pyxai._checks import check_tensor
from pyxai.imputers import impute, mask_ids
from pyxai.lex.likelihoods import Bound
from pyxai.lex.masks.laws import FixedBernoulli

if TYPE_CHECKING:
    from pyxai.lex.model import LEX

__all__ = ["Batch", "bound_of_masks", "by_row", "completed", "full_loss", "random_mask_loss"]

_RANDOM_MASKS = 0x52414E44  # set apart from the selector's masks of the same step


class Batch(NamedTuple):
    """Rows with labels, as `LEX.prepared` returns them."""

    inputs: Tensor
    """``[batch, *feat]``."""
    targets: Tensor
    """As the likelihood takes them."""
    ids: Tensor
    """int64 ``[batch]``, names of the rows."""

    def part(self, at: slice) -> Batch:
        """Return some of the rows."""
        return Batch(*(each[at] for each in self))


def bound_of_masks(
    lex: LEX,
    masks: Tensor,  # [batch, L * K, n_groups]
    n_inner: int,
    batch: Batch,
    seed: int,
    *,
    train: bool,
    smooth: bool = False,
) -> Bound:
    """Return the bound of masks, ``n_inner`` of them in each logarithm.

    ``train``: whether the predictor gets a gradient; ``smooth``: whether the bound is free of jumps
    in soft masks, and differentiable twice.
    """
    count = len(batch.inputs)
    rows = completed(lex, masks, batch, seed, smooth=smooth)
    n_draws = rows.shape[1] // masks.shape[1]
    outer = lex.outer_imputations if n_draws > 1 else 1
    outputs = _predicted(lex.predictor, rows.flatten(0, 1), train)
    lex.likelihood.check(_first(outputs, count, rows.shape[1]), batch.targets)
    sizes = (masks.shape[1] // n_inner, n_inner, outer, n_draws // outer)
    return lex.likelihood.bound(by_row(outputs, count), batch.targets, sizes, lex.aggregation)


def completed(
    lex: LEX,
    masks: Tensor,  # [batch, n_masks, n_groups]
    batch: Batch,
    seed: int,
    *,
    n_draws: int | None = None,
    smooth: bool = False,
) -> Tensor:
    """Return completed inputs, ``[batch, n_masks * n_draws, *feat]``, masks first."""
    inputs = batch.inputs
    weights, players = lex.groups.spread(masks, inputs)
    n_draws = n_draws or lex.outer_imputations * lex.n_imputations
    drawing = lex.imputer.with_draws(n_draws).check((inputs,))
    options: dict[str, Any] = {
        "seed": seed,
        "example_ids": mask_ids(batch.ids, weights.shape[1]),
        "players": players,
    }
    if not smooth:
        if not inputs.is_floating_point():
            weights = weights > 0.5
        (rows,) = impute(drawing, (inputs,), weights, **options)
        return rows.flatten(1, 2)
    # Draws that depend on nothing kept, so that the result has no jumps in the masks.
    nothing = torch.zeros_like(weights, dtype=torch.bool)
    (drawn,) = impute(drawing, (inputs,), nothing, **options)
    owners = players.maps[0]
    if owners is not None:
        index = owners.long().expand(inputs.shape).flatten(1).unsqueeze(1)
        weights = weights.gather(2, index.expand(-1, weights.shape[1], -1))
    shown = weights.reshape(*weights.shape[:2], 1, *inputs.shape[1:])
    moved: Tensor = drawn + shown * (inputs[:, None, None] - drawn)
    return moved.flatten(1, 2)


def random_mask_loss(lex: LEX, batch: Batch, seed: int) -> Tensor:
    """Return the predictor's loss on masks that keep a group with probability 1/2, ``[batch]``."""
    inputs = batch.inputs
    like = inputs if inputs.is_floating_point() else inputs.float()
    zeros = like.new_zeros(len(inputs), lex.groups.count(inputs))
    other = batch._replace(ids=batch.ids ^ _RANDOM_MASKS)
    masks = FixedBernoulli(0.5).sample(zeros, lex.n_masks, seed=seed, example_ids=other.ids)
    return bound_of_masks(lex, masks, lex.n_masks, other, seed, train=True).loss.mean(1)


def full_loss(lex: LEX, model: Callable[..., Any], batch: Batch) -> Tensor:
    """Return the loss of a model on full inputs, ``[batch]``."""
    outputs = model(batch.inputs)
    lex.likelihood.check(outputs, batch.targets)
    rows = by_row(outputs, len(batch.inputs))
    return lex.likelihood.bound(rows, batch.targets, (1, 1, 1, 1)).loss.mean(1)


def by_row(outputs: Any, batch: int) -> Any:
    """Return outputs ``[batch * n, ...]`` as ``[batch, n, ...]``."""
    if isinstance(outputs, tuple):
        return tuple(by_row(part, batch) for part in outputs)
    return outputs.reshape(batch, -1, *outputs.shape[1:])


def _first(outputs: Any, batch: int, n: int) -> Any:
    """Return the outputs of each example's first row."""
    if isinstance(outputs, tuple):
        return tuple(_first(part, batch, n) for part in outputs)
    check_tensor("outputs of the predictor", outputs)
    if len(outputs) != batch * n:
        raise ValueError(
            f"predictor must return one row for each of {batch * n}, got shape "
            f"{list(outputs.shape)}"
        )
    return outputs[::n]


def _predicted(predictor: nn.Module, rows: Tensor, train: bool) -> Any:
    """Return outputs of the predictor; unless it is trained, its parameters count as fixed."""
    if train or not isinstance(predictor, nn.Module):
        return predictor(rows)
    fixed = {name: each.detach() for name, each in predictor.named_parameters()}
    return functional_call(predictor, fixed, (rows,))
