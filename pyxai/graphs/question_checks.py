"""Checks of the nodes and classes that are asked of a graph."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.graphs.questions import Output, is_single, predictions

__all__ = ["check_nodes", "check_targets"]


def check_nodes(name: str, nodes: Any, n_rows: int, device: torch.device) -> Tensor:
    """Return node numbers as int64 [n_asked], from a number, a list, integers or a bool mask.

    Raises
    ------
    TypeError
        If they are of another kind.
    ValueError
        If there are none, or one is out of range.
    """
    chosen = _as_tensor(name, nodes, "node").to(device)
    if chosen.dtype == torch.bool:
        if chosen.shape != (n_rows,):
            raise ValueError(
                f"{name} must have one entry for each of {n_rows} nodes as a mask, "
                f"got shape {list(chosen.shape)}"
            )
        chosen = chosen.nonzero()[:, 0]
    if chosen.numel() == 0:
        raise ValueError(f"{name} must have at least one node, got none")
    if chosen.is_floating_point() or chosen.is_complex():
        raise TypeError(f"{name} must hold integers, got {chosen.dtype}")
    chosen = chosen.reshape(-1).long()
    low, high = (int(end) for end in chosen.aminmax())
    if low < 0 or high >= n_rows:
        raise ValueError(f"{name} must be in 0 .. {n_rows - 1}, got {low if low < 0 else high}")
    return chosen


def check_targets(target: Any, nodes: Tensor, full: Tensor, output: Output) -> Tensor | None:
    """Return the class that is asked of each node, int64 [n_asked].

    Parameters
    ----------
    target : None, int, list or Tensor
        None: what the model says of the whole graph. A list or tensor has one entry for each node
        of the graph or for each asked one.
    nodes : Tensor, shape [n_asked]
        The asked nodes.
    full : Tensor, shape [n_rows, n_classes]
        Outputs at the whole graph.
    output : str or callable
        Unit of the outputs.

    Returns
    -------
    Tensor, shape [n_asked], or None for a model with one output that is no logit

    Raises
    ------
    ValueError, TypeError
        If there is no such class, or the count does not fit.
    """
    single = is_single(full)
    binary = single and output in ("probability", "log_probability")
    if single and not binary:
        if target is not None:
            raise ValueError(
                f"target must be None for a model with one output per node, got {describe(target)}"
            )
        return None
    if full.dim() != 2 and not binary:
        raise ValueError(
            f"model must return [n_nodes, n_classes] for a graph, got shape {list(full.shape)}"
        )
    if target is None:
        return predictions(full)[nodes]
    chosen = _as_tensor("target", target, "class").to(nodes.device)
    if chosen.is_floating_point() or chosen.dtype == torch.bool:
        raise TypeError(f"target must hold integers, got {chosen.dtype}")
    if isinstance(target, Integral):
        chosen = chosen.expand_as(nodes)
    elif chosen.shape == (len(full),):
        chosen = chosen[nodes]
    if chosen.shape != nodes.shape:
        raise ValueError(
            f"target must have one class for each of {len(full)} nodes or of {len(nodes)} asked "
            f"ones, got shape {list(chosen.shape)}"
        )
    n_classes = 2 if binary else full.shape[1]
    if int(chosen.min()) < 0 or int(chosen.max()) >= n_classes:
        wrong = int(chosen.min()) if int(chosen.min()) < 0 else int(chosen.max())
        raise ValueError(f"target must be in 0 .. {n_classes - 1}, got {wrong}")
    return chosen.long()


def _as_tensor(name: str, value: Any, kind: str) -> Tensor:
    """Return a number, or a list of them, as a tensor; tensors as they are."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return torch.tensor([int(value)])
    if isinstance(value, (list, tuple)):
        try:
            return torch.tensor(value)
        except (TypeError, ValueError, RuntimeError):  # words, or lists of several lengths
            pass
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name} must be a {kind} number, a list of them or an integer tensor, "
            f"got {describe(value)}"
        )
    return value
