"""Rows that show some players of an input and hide the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_bool, check_int, check_tensor
from pyxai.ops._arguments import (
    MASK_BITS,
    check_inputs,
    check_out,
    flat_baselines,
    flat_masks,
    flat_players,
    owners_of,
)
from pyxai.ops.masks import unpack_masks

__all__ = ["masked_perturb", "masked_perturb_reference"]


def masked_perturb(
    inputs: Tensor,  # [batch, *features]
    baselines: Tensor | float,
    masks: Tensor,  # [n_masks, n_words] or [batch, n_masks, n_words]
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
    channels_last: bool = False,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Replace the features of absent players by a baseline, for many masks in one write.

    ``out[b, m, d, f] = inputs[b, f] if masks[b, m] keeps players[b, f] else baselines[b, d, f]``

    Parameters
    ----------
    inputs : Tensor, shape [batch, *features]
        Values of present features, in input units. float32, float64, bfloat16 or float16.
    baselines : float or Tensor
        Values of absent features, in input units: one number, or a tensor of the dtype of
        ``inputs`` and of shape [*features] (shared), [1 or batch, *features] (one per example) or
        [1 or batch, n_draws, *features] (several per example, each gives a row).
    masks : Tensor, shape [n_masks, n_words] or [1 or batch, n_masks, n_words]
        int32 packed masks, see `pack_masks`; 1 keeps the player.
    players : Tensor, shape [*features] or [1 or batch, *features], optional
        int32 player of each feature, -1 for features that are always kept; default: every feature
        is its own player. Checked on the CPU; on a GPU, where a look would wait for the device,
        features of a player without a mask bit are kept.
    n_players : int, optional
        Number of players; ``masks`` must have as many words as they need.
    channels_last : bool
        Write rows of inputs [batch, channels, height, width] in NHWC memory order. The shape of
        the result stays the same, and ``out.flatten(0, 2)`` is contiguous in
        ``torch.channels_last``.
    out : Tensor, shape [batch, n_masks, n_draws, *features], optional
        Written to and returned, in the memory order asked for.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``inputs`` lives.

    Returns
    -------
    Tensor, shape [batch, n_masks, n_draws, *features]
        Values are copied bit by bit; n_draws is 1 unless several baselines per example are given.

    Raises
    ------
    ValueError
        If a shape, a device or a player id does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    Cost: one write of the result. Deterministic, and the same bits on every backend.

    References
    ----------
    .. [1] S. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions",
       NeurIPS 2017, section 2 (the map h_x from simplified inputs to inputs).
    """
    check_bool("channels_last", channels_last)
    features = check_inputs(inputs)
    batch, feature_shape = inputs.shape[0], tuple(inputs.shape[1:])
    if channels_last and inputs.dim() != 4:
        raise ValueError(
            "inputs must have shape [batch, channels, height, width] for channels_last, "
            f"got {list(inputs.shape)}"
        )
    if n_players is not None:
        check_int("n_players", n_players, minimum=0)
    elif players is None:
        n_players = features
    table = flat_masks(masks, inputs, n_players)
    limit = MASK_BITS * table.shape[2] if n_players is None else n_players
    owners = flat_players(players, inputs, limit)
    flat = flat_baselines(baselines, inputs, draws=True)
    shape = (batch, table.shape[1], flat.n_draws, *feature_shape)
    rows = None if out is None else check_tensor("out", out)
    if channels_last:
        inputs = inputs.permute(0, 2, 3, 1)
        if owners is None:
            owners = torch.arange(features, dtype=torch.int32, device=inputs.device).unsqueeze(0)
        owners = _to_channels_last(owners, 1, feature_shape)
        if isinstance(flat.values, Tensor):
            moved = _to_channels_last(flat.values, flat.n_draws, feature_shape)
            flat = flat._replace(values=moved)
        rows = None if rows is None else rows.movedim(3, -1)
    stored = (*shape[:3], *inputs.shape[1:])
    if rows is None:
        rows = torch.empty(stored, dtype=inputs.dtype, device=inputs.device)
    check_out(rows, stored, inputs.dtype, inputs.device)
    _C.masked_perturb(
        inputs=inputs.reshape(batch, features).contiguous(),
        baselines=flat.values,
        n_draws=flat.n_draws,
        masks=table,
        players=owners,
        out=rows.view(*shape[:3], features),
        backend=check_backend(inputs.device, backend),
    )
    if out is not None:
        return out
    return rows.movedim(-1, 3) if channels_last else rows


def _to_channels_last(flat: Tensor, n_draws: int, feature_shape: tuple[int, ...]) -> Tensor:
    """Reorder rows of n_draws * features values from CHW to HWC."""
    images = flat.view(flat.shape[0], n_draws, *feature_shape)
    return images.movedim(2, -1).reshape(flat.shape[0], n_draws * math.prod(feature_shape))


def masked_perturb_reference(
    inputs: Tensor,
    baselines: Tensor | float,
    masks: Tensor,
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
) -> Tensor:
    """Do what `masked_perturb` does, plainly and in float64."""
    batch, feature_shape = inputs.shape[0], inputs.shape[1:]
    features = math.prod(feature_shape)
    table = masks if masks.dim() == 3 else masks.unsqueeze(0).expand(batch, -1, -1)
    owners = owners_of(players, inputs)
    flat = flat_baselines(baselines, inputs, draws=True)
    base = flat.wide(batch, features, inputs.dtype).view(batch, flat.n_draws, features)
    keep = unpack_masks(table, MASK_BITS * table.shape[2]).expand(batch, -1, -1)
    rows = torch.empty(batch, table.shape[1], flat.n_draws, features, dtype=torch.float64)
    for b in range(batch):
        for m in range(table.shape[1]):
            shown = (owners[b] < 0) | keep[b, m][owners[b].clamp(min=0)]
            rows[b, m] = torch.where(shown, inputs[b].flatten().double(), base[b])
    return rows.view(batch, table.shape[1], flat.n_draws, *feature_shape)
