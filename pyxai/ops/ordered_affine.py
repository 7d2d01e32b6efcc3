"""An affine layer and its activation, as the players that add to it come in one after another."""

from __future__ import annotations

import torch
from torch import Tensor

from pyxai import _C
from pyxai._backends import check_backend
from pyxai._checks import check_device, check_dtype, check_tensor
from pyxai.ops._arguments import affine_out, check_affine

__all__ = ["ordered_affine", "ordered_affine_reference"]


def ordered_affine(
    start: Tensor,  # [batch, size]
    parts: Tensor,  # [1 or batch, n_players, size]
    orders: Tensor | None = None,  # [n_orders, n_steps]
    *,
    activation: str | None = None,
    out: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """Add the parts of players one after another to where a layer starts, keeping every step.

    ``out[b, o, k, h] = act(start[b, h] + sum of parts[b, orders[o, j], h] over j <= k)``

    Parameters
    ----------
    start : Tensor, shape [batch, size]
        What the layer has without any player, any unit. float32 or float64.
    parts : Tensor, shape [1 or batch, n_players, size]
        What each player adds, of the dtype of ``start`` and in its units; shared by the examples
        or not.
    orders : Tensor, shape [n_orders, n_steps], optional
        int32 player of each step, from 0 to ``n_players - 1``; players may be left out or come
        again. The same for all examples. Default: one order, every player once by its number.
        Checked on the CPU; on a GPU, where a look would wait for the device, steps of unknown
        players add nothing.
    activation : str, optional
        ``"relu"``, as `torch.relu`; default: none.
    out : Tensor, shape [batch, n_orders, n_steps, size], optional
        Written to and returned. The rows of an example lie side by side, and examples may lie
        apart: it may be part of a larger tensor.
    backend : str, optional
        ``"cpu"``, ``"cuda"`` or ``"host_run"``; default: where ``start`` lives.

    Returns
    -------
    Tensor, shape [batch, n_orders, n_steps, size]
        Like ``start``.

    Raises
    ------
    ValueError
        If a shape, a device, a player, the memory of ``out`` or ``activation`` does not fit.
    TypeError
        If a dtype does not match.

    Notes
    -----
    One write of the result, without gradients. The sum is kept in float64, whatever the dtype, and
    added to in the order of the steps; each row is rounded once. So rows have the same bits in
    every batch, beside any other orders, with every number of threads and on every backend.

    Examples
    --------
    >>> import torch
    >>> from pyxai.ops import ordered_affine
    >>> weight, bias = torch.tensor([[1.0, -2.0], [3.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    >>> orders = torch.tensor([[0, 1], [1, 0]], dtype=torch.int32)
    >>> ordered_affine(bias, weight.T.unsqueeze(0), orders, activation="relu")
    tensor([[[[1.5000, 3.5000],
              [0.0000, 4.5000]],
    <BLANKLINE>
             [[0.0000, 1.5000],
              [0.0000, 4.5000]]]])
    """
    batch, n_players, size = check_affine(start, parts, activation)
    steps = None if orders is None else _check_orders(orders, start)
    n_orders, n_steps = (1, n_players) if steps is None else steps.shape
    out = affine_out(out, (batch, n_orders, n_steps, size), start)
    _C.ordered_affine(
        start=start.contiguous(),
        # What all examples read from the same memory is read once.
        parts=(parts[:1] if parts.stride(0) == 0 else parts).contiguous(),
        orders=steps,
        relu=activation == "relu",
        out=out,
        backend=check_backend(start.device, backend),
    )
    return out


def _check_orders(orders: Tensor, start: Tensor) -> Tensor:
    check_tensor("orders", orders)
    check_dtype("orders", orders, (torch.int32,))
    check_device("orders", orders, start.device)
    if orders.dim() != 2:
        raise ValueError(f"orders must have shape [n_orders, n_steps], got {list(orders.shape)}")
    return orders.contiguous()


def ordered_affine_reference(
    start: Tensor,
    parts: Tensor,
    orders: Tensor | None = None,
    *,
    activation: str | None = None,
) -> Tensor:
    """Do what `ordered_affine` does, plainly and in float64."""
    batch, n_players, size = check_affine(start, parts, activation)
    if orders is None:
        orders = torch.arange(n_players, dtype=torch.int32).unsqueeze(0)
    steps = _check_orders(orders, start)
    out = torch.empty(batch, *steps.shape, size, dtype=torch.float64)
    for o, players in enumerate(steps):
        value = start.double()
        for k, part in enumerate(parts.double().index_select(1, players).unbind(1)):
            value = value + part
            out[:, o, k] = value
    return torch.relu(out) if activation == "relu" else out
