"""Effects of pairs of players: second differences of values, and second-order Taylor terms."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import (
    FLOAT_DTYPES,
    check_choice,
    check_device,
    check_dtype,
    check_int,
    check_shape,
    check_tensor,
)
from pyxai.ops._arguments import check_inputs, check_out, flat_players, owners_of
from pyxai.ops._segments import segments_of

__all__ = [
    "pairwise_taylor_hessian",
    "pairwise_taylor_hessian_reference",
    "pairwise_taylor_products",
    "pairwise_taylor_products_reference",
    "pairwise_taylor_values",
    "pairwise_taylor_values_reference",
]

_CONTEXTS = ("baseline", "input")


def pairwise_taylor_values(
    empty: Tensor,  # [batch]
    single: Tensor,  # [batch, n_players]
    pairs: Tensor,  # [batch, n_players * (n_players - 1) / 2]
    *,
    context: str = "baseline",
    backend: str | None = None,
) -> Tensor:
    """Compute the effects of all players and pairs from values of the game.

    ``context="baseline"`` adds players to the empty coalition, ``v(ij) - v(i) - v(j) + v()``: the
    dividend of the pair. ``context="input"`` takes them from the full one,
    ``v(N) - v(N - i) - v(N - j) + v(N - ij)``: the sum of all dividends that contain the pair.

    Parameters
    ----------
    empty : Tensor, shape [batch]
        Value of the empty coalition (of all players for ``"input"``), in output units. float32,
        float64, bfloat16 or float16; prefer the widest, because second differences cancel.
    single : Tensor, shape [batch, n_players]
        Values with one player added (taken away). Same dtype and device.
    pairs : Tensor, shape [batch, n_players * (n_players - 1) / 2]
        Values with two players added (taken away), for i < j, row by row: 01, 02, ..., 12, ...
    context : str
        ``"baseline"`` or ``"input"``.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``single`` lives.

    Returns
    -------
    Tensor, shape [batch, n_players, n_players]
        float64, symmetric, in output units. The diagonal holds what single players do:
        ``v(i) - v()``, or ``v(N) - v(N - i)``.

    Raises
    ------
    ValueError
        If a shape or a device does not match.
    TypeError
        If a dtype does not match.

    Notes
    -----
    The same bits on every backend.

    References
    ----------
    .. [1] J. C. Harsanyi, "A Simplified Bargaining Model for the n-Person Cooperative Game",
       International Economic Review 4(2), 1963: dividends.
    .. [2] H. Deng, N. Zou, M. Du, W. Chen, G. Feng, Z. Yang, Z. Li, Q. Zhang, "Unifying Fourteen
       Post-Hoc Attribution Methods With Taylor Interactions", IEEE TPAMI 46(7), 2024.
    """
    _check_values(empty, single, pairs, context)
    batch, n_players = single.shape
    out = torch.empty((batch, n_players, n_players), dtype=torch.float64, device=single.device)
    _C.pairwise_taylor_values(
        empty=empty.contiguous(),
        single=single.contiguous(),
        pairs=pairs.contiguous(),
        from_input=context == "input",
        out=out,
        backend=check_backend(single.device, backend),
    )
    return out


def _check_values(empty: Tensor, single: Tensor, pairs: Tensor, context: str) -> None:
    check_tensor("single", single)
    check_dtype("single", single, FLOAT_DTYPES)
    check_shape("single", single, [None, None])
    batch, n_players = single.shape
    for name, value, shape in (
        ("empty", empty, [batch]),
        ("pairs", pairs, [batch, n_players * (n_players - 1) // 2]),
    ):
        check_tensor(name, value)
        check_dtype(name, value, (single.dtype,))
        check_device(name, value, single.device)
        check_shape(name, value, shape)
    check_choice("context", context, _CONTEXTS)


def pairwise_taylor_hessian(
    hessian: Tensor,  # [batch, n_rows, *features]
    delta: Tensor,  # [batch, *features]
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
    row_start: int = 0,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Compute second-order terms of pairs of players from rows of Hessians.

    ``out[b, p, q] += sum over features i of p and j of q of H[b, i, j] delta[b, i] delta[b, j]``,
    over the rows i given. With features as players this is the Taylor term of ``e_i + e_j`` for
    i != j, and half the diagonal is the term of ``2 e_i``.

    Parameters
    ----------
    hessian : Tensor, shape [batch, n_rows, *features]
        Rows of the Hessian of the output, those of the flattened features ``row_start`` to
        ``row_start + n_rows - 1``, in output units per squared input unit. float32, float64,
        bfloat16 or float16.
    delta : Tensor, shape [batch, *features]
        Input minus baseline, in input units. Same dtype and device.
    players : Tensor, shape [*features] or [1 or batch, *features], optional
        int32 player of each feature, -1 for features of nobody; default: every feature is its own.
    n_players : int, optional
        Number of players; needed with ``players``.
    row_start : int
        Feature of the first row, so that rows can come in chunks.
    out : Tensor, shape [batch, n_players, n_players], optional
        float64, added to and returned.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``delta`` lives.

    Returns
    -------
    Tensor, shape [batch, n_players, n_players]
        float64, in output units; symmetric up to rounding once all rows are in.

    Raises
    ------
    ValueError
        If a shape, a device, a player id or a row does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    One read of ``hessian``. Deterministic on every backend. A network of piecewise linear units has
    no Hessian to speak of: use `pairwise_taylor_values` there.

    References
    ----------
    .. [1] H. Deng, N. Zou, M. Du, W. Chen, G. Feng, Z. Yang, Z. Li, Q. Zhang, "Unifying Fourteen
       Post-Hoc Attribution Methods With Taylor Interactions", IEEE TPAMI 46(7), 2024.
    """
    return _hessian("hessian", hessian, delta, players, n_players, row_start, out, backend)


def pairwise_taylor_products(
    products: Tensor,  # [batch, n_rows, *features]
    delta: Tensor,  # [batch, *features]
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
    row_start: int = 0,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Compute second-order terms of pairs of players from Hessian-vector products.

    ``out[b, p, q] += sum over features j of q of (H d_p)[b, j] * delta[b, j]``, where ``d_p`` is
    ``delta`` on the features of p and 0 elsewhere: one product per player instead of a row per
    feature, and the same result as `pairwise_taylor_hessian`.

    Parameters
    ----------
    products : Tensor, shape [batch, n_rows, *features]
        ``H d_p`` of the players ``row_start`` to ``row_start + n_rows - 1``, in output units per
        input unit. float32, float64, bfloat16 or float16.
    delta : Tensor, shape [batch, *features]
        Input minus baseline, in input units. Same dtype and device.
    players : Tensor, shape [*features] or [1 or batch, *features], optional
        int32 player of each feature, -1 for features of nobody; default: every feature is its own.
    n_players : int, optional
        Number of players; needed with ``players``.
    row_start : int
        Player of the first row, so that rows can come in chunks.
    out : Tensor, shape [batch, n_players, n_players], optional
        float64, added to and returned.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``delta`` lives.

    Returns
    -------
    Tensor, shape [batch, n_players, n_players]
        float64, in output units; symmetric up to rounding once all rows are in.

    Raises
    ------
    ValueError
        If a shape, a device, a player id or a row does not fit.
    TypeError
        If a dtype does not match.
    """
    return _hessian("products", products, delta, players, n_players, row_start, out, backend)


def _hessian(
    name: str,
    rows: Tensor,
    delta: Tensor,
    players: Tensor | None,
    n_players: int | None,
    row_start: int,
    out: Tensor | None,
    backend: str | None,
) -> Tensor:
    features = check_inputs(delta, "delta")
    batch = delta.shape[0]
    n_players = _check_hessian(name, rows, delta, players, n_players, row_start)
    flat = flat_players(players, delta, n_players)
    backend = check_backend(delta.device, backend)
    segments = None if backend == "cpu" else segments_of(players, flat, n_players)
    shape = (batch, n_players, n_players)
    accumulate = out is not None
    if out is None:
        out = torch.empty(shape, dtype=torch.float64, device=delta.device)
    check_out(out, shape, torch.float64, delta.device)
    _C.pairwise_taylor_hessian(
        hessian=rows.reshape(batch, rows.shape[1], features).contiguous(),
        delta=delta.reshape(batch, features).contiguous(),
        players=flat,
        segments=segments,
        n_players=n_players,
        row_start=row_start,
        products=name == "products",
        accumulate=accumulate,
        out=out,
        backend=backend,
    )
    return out


def _check_hessian(
    name: str,
    rows: Tensor,
    delta: Tensor,
    players: Tensor | None,
    n_players: int | None,
    row_start: int,
) -> int:
    """Check rows and return the number of players."""
    features = check_inputs(delta, "delta")
    check_tensor(name, rows)
    check_dtype(name, rows, (delta.dtype,))
    check_device(name, rows, delta.device)
    check_shape(name, rows, [delta.shape[0], None, *delta.shape[1:]])
    if n_players is not None:
        check_int("n_players", n_players, minimum=0)
    if players is None:
        if n_players not in (None, features):
            raise ValueError(f"n_players must be {features} without players, got {n_players}")
        n_players = features
    elif n_players is None:
        raise ValueError("n_players must be given with players, got None")
    check_int("row_start", row_start, minimum=0)
    n_rows = n_players if name == "products" else features
    if row_start + rows.shape[1] > n_rows:
        raise ValueError(
            f"{name} must have rows in 0..{n_rows - 1}, got {rows.shape[1]} from {row_start} on"
        )
    return n_players


def pairwise_taylor_values_reference(
    empty: Tensor, single: Tensor, pairs: Tensor, *, context: str = "baseline"
) -> Tensor:
    """Do what `pairwise_taylor_values` does, pair by pair and in float64."""
    _check_values(empty, single, pairs, context)
    batch, n_players = single.shape
    out = torch.zeros(batch, n_players, n_players, dtype=torch.float64)
    none, one, two = empty.double(), single.double(), pairs.double()
    k = 0
    for i in range(n_players):
        out[:, i, i] = none - one[:, i] if context == "input" else one[:, i] - none
        for j in range(i + 1, n_players):
            out[:, i, j] = out[:, j, i] = two[:, k] - one[:, i] - one[:, j] + none
            k += 1
    return out


def pairwise_taylor_hessian_reference(
    hessian: Tensor,
    delta: Tensor,
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
    row_start: int = 0,
) -> Tensor:
    """Do what `pairwise_taylor_hessian` does, with indicator matrices and in float64."""
    n_players = _check_hessian("hessian", hessian, delta, players, n_players, row_start)
    owns = owners_of(players, delta).unsqueeze(1) == torch.arange(n_players).unsqueeze(1)
    step = owns.double() * delta.double().flatten(1).unsqueeze(1)  # [batch, n_players, features]
    rows = hessian.double().flatten(2)
    return step[..., row_start : row_start + rows.shape[1]] @ rows @ step.transpose(1, 2)


def pairwise_taylor_products_reference(
    products: Tensor,
    delta: Tensor,
    players: Tensor | None = None,
    *,
    n_players: int | None = None,
    row_start: int = 0,
) -> Tensor:
    """Do what `pairwise_taylor_products` does, with indicator matrices and in float64."""
    n_players = _check_hessian("products", products, delta, players, n_players, row_start)
    owns = owners_of(players, delta).unsqueeze(1) == torch.arange(n_players).unsqueeze(1)
    step = owns.double() * delta.double().flatten(1).unsqueeze(1)
    out = torch.zeros(len(delta), n_players, n_players, dtype=torch.float64)
    rows = products.double().flatten(2)
    out[:, row_start : row_start + rows.shape[1]] = rows @ step.transpose(1, 2)
    return out
