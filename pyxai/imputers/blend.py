"""Rows in which absent features come from an imputer's draws."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai._checks import FLOAT_DTYPES, check_device, check_dtype, check_int, check_tensor
from pyxai._inputs import Players, flat_features, format_feature_mask
from pyxai.imputers.base import Imputer
from pyxai.ops.soft_perturb import soft_perturb

__all__ = ["impute", "kept_or_drawn", "shown_features"]


def impute(
    imputer: Imputer,
    inputs: tuple[Tensor, ...],
    weights: Tensor,
    *,
    seed: int,
    example_ids: Tensor,
    players: Players | None = None,
) -> tuple[Tensor, ...]:
    """Draw values for absent features and blend them with the inputs.

    ``out[b, k, m] = u + w[b, k] * (x[b] - u)`` with draw ``u = u[b, k, m]``; where w is 1 the bits
    are those of x, where it is 0 those of u.

    Parameters
    ----------
    imputer : Imputer
        As `Imputer.check` returned it.
    inputs : tuple of Tensor, shape [batch, *feat] each
        The examples.
    weights : Tensor, shape [batch, n_masks, n_players]
        bool, True keeps; or floating point in [0, 1], of the dtype of the inputs. A player is
        present to the imputer where its weight is above 1/2.
    seed : int
        Of the draws.
    example_ids : Tensor, shape [batch] or [batch, n_masks]
        int64. With `mask_ids` of them each mask draws for itself.
    players : Players, optional
        Which player each feature belongs to, as `pyxai._inputs.format_feature_mask` returns it.
        Default: every feature is its own, counting on over the inputs.

    Returns
    -------
    tuple of Tensor, shape [batch, n_masks, n_draws, *feat] each
        Differentiable in floating-point weights, and in what `Imputer.parameters` names.

    Raises
    ------
    ValueError
        If a shape or a device does not fit.
    TypeError
        If a dtype does not fit, or weights of inputs that are no floating-point numbers are not
        hard.
    """
    maps = _check(inputs, weights, players)
    check_int("seed", seed, minimum=0)
    check_dtype("example_ids", check_tensor("example_ids", example_ids), (torch.int64,))
    if example_ids.shape not in (weights.shape[:1], weights.shape[:2]):
        raise ValueError(
            f"example_ids must have shape {list(weights.shape[:1])} or {list(weights.shape[:2])}, "
            f"got {list(example_ids.shape)}"
        )
    present = weights if weights.dtype == torch.bool else weights.detach() > 0.5
    floats = all(value.dtype in FLOAT_DTYPES for value in inputs)
    hard = weights.dtype == torch.bool or not floats
    shown = shown_features(present, maps, inputs) if hard or imputer.conditional else None
    drawn = imputer.draw(
        inputs,
        shown if imputer.conditional else None,
        seed=seed,
        example_ids=example_ids,
    )
    if hard and shown is not None:
        return tuple(map(kept_or_drawn, inputs, drawn, shown))
    return tuple(map(_moved, inputs, drawn, (weights,) * len(inputs), maps))


def shown_features(
    present: Tensor, maps: tuple[Tensor | None, ...], inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Return which features are present, given which players are.

    Parameters
    ----------
    present : Tensor, shape [batch, n_masks, n_players]
        bool.
    maps : tuple of None or Tensor, shape [1 or batch, *feat]
        int32 player of each feature; None: feature i is player i.
    inputs : tuple of Tensor, shape [batch, *feat] each

    Returns
    -------
    tuple of Tensor, shape [batch, n_masks, *feat] each
        bool.
    """
    shown = []
    for value, owners in zip(inputs, maps, strict=True):
        part = present
        if owners is not None:
            index = flat_features(owners).long().unsqueeze(1)
            part = present.gather(2, index.expand(present.shape[0], present.shape[1], -1))
        shown.append(part.reshape(*present.shape[:2], *value.shape[1:]))
    return tuple(shown)


def kept_or_drawn(inputs: Tensor, draws: Tensor | float, shown: Tensor) -> Tensor:
    """Return rows of any dtype, each value that of the input or of the draw.

    Parameters
    ----------
    inputs : Tensor, shape [batch, *feat]
    draws : float or Tensor, shape [1 or batch, (1 or n_masks,) n_draws, *feat]
        A tensor of the shape of the inputs is one draw.
    shown : Tensor, shape [batch, n_masks, *feat]
        bool.

    Returns
    -------
    Tensor, shape [batch, n_masks, n_draws, *feat]
    """
    if isinstance(draws, Tensor):
        missing = inputs.dim() + 2 - draws.dim()
        draws = draws[(slice(None), *(None,) * missing)]
    values = torch.as_tensor(draws, dtype=inputs.dtype, device=inputs.device)
    return torch.where(shown.unsqueeze(2), inputs[:, None, None], values)


def _moved(inputs: Tensor, draws: Tensor | float, weights: Tensor, owners: Tensor | None) -> Tensor:
    """Return rows between draws and floating-point inputs, by the kernel for soft masks."""
    batch, n_masks = weights.shape[:2]
    if not isinstance(draws, Tensor) or draws.dim() < inputs.dim() + 2:
        return soft_perturb(inputs, draws, weights, owners)
    # The kernel knows draws of an example; those of a mask are draws of a copy of it.
    draws = draws.expand(batch, n_masks, *draws.shape[2:]).flatten(0, 1)
    copies = inputs.unsqueeze(1).expand(batch, n_masks, *inputs.shape[1:]).flatten(0, 1)
    if owners is not None and owners.shape[0] > 1:
        owners = owners.repeat_interleave(n_masks, 0)
    rows = soft_perturb(copies, draws, weights.reshape(batch * n_masks, 1, -1), owners)
    return rows.view(batch, n_masks, -1, *inputs.shape[1:])


def _check(
    inputs: tuple[Tensor, ...], weights: Tensor, players: Players | None
) -> tuple[Tensor | None, ...]:
    """Return the player maps, or raise."""
    check_device("weights", check_tensor("weights", weights), inputs[0].device)
    for value in inputs:
        if value.dtype in FLOAT_DTYPES:
            check_dtype("weights", weights, (torch.bool, value.dtype))
        elif weights.requires_grad:
            raise TypeError(
                f"inputs must be floating point for gradients of weights, got {value.dtype}"
            )
    batch = inputs[0].shape[0]
    count = players.n_players if players else sum(value[0].numel() for value in inputs)
    if weights.dim() != 3 or weights.shape[0] != batch or weights.shape[2] != count:
        raise ValueError(
            f"weights must have shape [{batch}, n_masks, {count}], got {list(weights.shape)}"
        )
    return (players or format_feature_mask(None, inputs)).maps
