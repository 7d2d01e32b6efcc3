"""An affine layer and its activation, seen by many masks of the players that add to it."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_device, check_dtype, check_shape, check_tensor
from pyxai.ops._arguments import affine_out, check_affine, flat_masks
from pyxai.ops.masks import unpack_masks

__all__ = ["masked_affine", "masked_affine_reference"]


def masked_affine(
    start: Tensor,  # [batch, size]
    parts: Tensor,  # [1 or batch, n_players, size]
    masks: Tensor | None = None,  # [n_masks, n_words] or [batch, n_masks, n_words]
    scales: Tensor | None = None,  # [batch, n_players]
    *,
    activation: str | None = None,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Add the parts of present players to where a layer starts, for many masks in one write.

    ``out[b, m, h] = act(start[b, h] + sum of scales[b, i] * parts[b, i, h] over i in masks[b, m])``

    Parameters
    ----------
    start : Tensor, shape [batch, size]
        What the layer has without any player, any unit. float32 or float64.
    parts : Tensor, shape [1 or batch, n_players, size]
        What each player adds, of the dtype of ``start`` and in its units over those of ``scales``;
        shared by the examples or not.
    masks : Tensor, shape [n_masks, n_words] or [1 or batch, n_masks, n_words], optional
        int32 packed masks, see `pack_masks`; 1 adds the player, and bits of no player are ignored.
        Default: each player alone, mask ``m`` has player ``m``.
    scales : Tensor, shape [batch, n_players], optional
        How much of its part a player adds, of the dtype of ``start``; default: 1.
    activation : str, optional
        ``"relu"``, as `torch.relu`; default: none.
    out : Tensor, shape [batch, n_masks, size], optional
        Written to and returned. The rows of an example lie side by side, and examples may lie
        apart: it may be part of a larger tensor.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``start`` lives.

    Returns
    -------
    Tensor, shape [batch, n_masks, size]
        Like ``start``.

    Raises
    ------
    ValueError
        If a shape, a device, the memory of ``out`` or ``activation`` does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    One write of the result, without gradients. Sums are kept in the dtype of ``start``: those of
    players 4 k to 4 k + 3 first, which are then added to ``start`` by ascending k. So rows have the
    same bits in every batch, with every number of threads and on every backend.

    Examples
    --------
    >>> import torch
    >>> from pyxai.ops import masked_affine, pack_masks
    >>> weight, bias = torch.tensor([[1.0, -2.0], [3.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    >>> masks = pack_masks(torch.tensor([[True, False], [True, True]]))
    >>> masked_affine(bias, weight.T.unsqueeze(0), masks, activation="relu")
    tensor([[[1.5000, 3.5000],
             [0.0000, 4.5000]]])
    """
    batch, n_players, size = check_affine(start, parts, activation)
    _check_scales(scales, start, n_players)
    table = None if masks is None else flat_masks(masks, start, n_players)
    n_masks = n_players if table is None else table.shape[1]
    out = affine_out(out, (batch, n_masks, size), start)
    _C.masked_affine(
        start=start.contiguous(),
        # What all examples read from the same memory is read once.
        parts=(parts[:1] if parts.stride(0) == 0 else parts).contiguous(),
        masks=table,
        scales=None if scales is None else scales.contiguous(),
        relu=activation == "relu",
        out=out,
        backend=check_backend(start.device, backend),
    )
    return out


def _check_scales(scales: Tensor | None, start: Tensor, n_players: int) -> None:
    if scales is None:
        return
    check_tensor("scales", scales)
    check_dtype("scales", scales, (start.dtype,))
    check_device("scales", scales, start.device)
    check_shape("scales", scales, [start.shape[0], n_players])


def masked_affine_reference(
    start: Tensor,
    parts: Tensor,
    masks: Tensor | None = None,
    scales: Tensor | None = None,
    *,
    activation: str | None = None,
) -> Tensor:
    """Do what `masked_affine` does, plainly and in float64."""
    batch, n_players, _ = check_affine(start, parts, activation)
    _check_scales(scales, start, n_players)
    if masks is None:
        keep = torch.eye(n_players, dtype=torch.bool).unsqueeze(0)
    else:
        keep = unpack_masks(flat_masks(masks, start, n_players), n_players)
    keep, wide = keep.expand(batch, -1, -1), parts.double().expand(batch, -1, -1)
    factors = torch.ones(batch, n_players) if scales is None else scales
    out = start.double().unsqueeze(1).repeat(1, keep.shape[1], 1)
    for player in range(n_players):
        term = (factors[:, player, None].double() * wide[:, player]).unsqueeze(1)
        out = torch.where(keep[:, :, player, None], out + term, out)
    return torch.relu(out) if activation == "relu" else out
