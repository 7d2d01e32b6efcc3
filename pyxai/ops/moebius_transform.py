"""From a game's values to its dividends and back."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_bool
from pyxai.ops._arguments import check_table

__all__ = [
    "moebius_transform",
    "moebius_transform_reference",
    "zeta_transform",
    "zeta_transform_reference",
]


def moebius_transform(
    values: Tensor,  # [..., 2**n_players]
    *,
    inplace: bool = False,
    backend: str | None = None,
) -> Tensor:
    """Turn the values of all coalitions into their Harsanyi dividends.

    ``out[S] = sum over T subset of S of (-1)**(|S| - |T|) * values[T]``

    Parameters
    ----------
    values : Tensor, shape [..., 2**n_players]
        Value of every coalition, in output units; bit i of an index is player i. float32 or
        float64, at most 26 players.
    inplace : bool
        Whether to write the result into ``values``.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``values`` lives.

    Returns
    -------
    Tensor, shape [..., 2**n_players]
        Dividends in output units; entry 0 is the value of the empty coalition, and the entries of
        the subsets of S add up to ``values[S]``.

    Raises
    ------
    ValueError
        If the last axis is not a power of two or too long.
    TypeError
        If the dtype is not supported.

    Notes
    -----
    ``n_players * 2**(n_players - 1)`` subtractions, in the same order on every backend, so that the
    bits agree. Rounding and noise of size e in the values become about ``e * 2**(|S| / 2)`` in the
    dividend of S: prefer float64.

    References
    ----------
    .. [1] J. C. Harsanyi, "A Simplified Bargaining Model for the n-Person Cooperative Game",
       International Economic Review 4(2), 1963.
    .. [2] R. Kennes, P. Smets, "Computational Aspects of the Moebius Transformation", UAI 1990, for
       the fast transform.
    """
    return _transform(values, False, inplace, backend)


def zeta_transform(
    values: Tensor,  # [..., 2**n_players]
    *,
    inplace: bool = False,
    backend: str | None = None,
) -> Tensor:
    """Add up the entries of all subsets: the inverse of `moebius_transform`.

    ``out[S] = sum over T subset of S of values[T]``

    Parameters
    ----------
    values : Tensor, shape [..., 2**n_players]
        An entry for every coalition, in output units; bit i of an index is player i. float32 or
        float64, at most 26 players.
    inplace : bool
        Whether to write the result into ``values``.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``values`` lives.

    Returns
    -------
    Tensor, shape [..., 2**n_players]
        Sums in output units.

    Raises
    ------
    ValueError
        If the last axis is not a power of two or too long.
    TypeError
        If the dtype is not supported.
    """
    return _transform(values, True, inplace, backend)


def _transform(values: Tensor, zeta: bool, inplace: bool, backend: str | None) -> Tensor:
    check_bool("inplace", inplace)
    n_players = check_table(values)
    name = check_backend(values.device, backend)
    tables = values.reshape(-1, 2**n_players).contiguous()
    shares = tables.data_ptr() == values.data_ptr()
    out = tables if inplace else torch.empty_like(tables)
    _C.moebius_transform(values=tables, zeta=zeta, out=out, backend=name)
    if not inplace:
        return out.view(values.shape)
    # Of a strided tensor a copy was transformed.
    return values if shares else values.copy_(out.view(values.shape))


def moebius_transform_reference(values: Tensor) -> Tensor:
    """Do what `moebius_transform` does, subset by subset and in float64."""
    return _sum_subsets(values, -1)


def zeta_transform_reference(values: Tensor) -> Tensor:
    """Do what `zeta_transform` does, subset by subset and in float64."""
    return _sum_subsets(values, 1)


def _sum_subsets(values: Tensor, sign: int) -> Tensor:
    out = torch.zeros(values.shape, dtype=torch.float64)
    for whole in range(values.shape[-1]):
        part = whole
        while True:
            out[..., whole] += sign ** (whole ^ part).bit_count() * values[..., part].double()
            if part == 0:
                break
            part = (part - 1) & whole
    return out
