"""Checks and layout shared by the op wrappers; what a kernel is given is contiguous and flat."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._checks import (
    FLOAT_DTYPES,
    check_device,
    check_dtype,
    check_shape,
    check_tensor,
    describe,
)

__all__ = [
    "Baselines",
    "accumulate_dtype",
    "check_inputs",
    "flat_baselines",
    "flat_players",
    "n_words",
]


class Baselines(NamedTuple):
    """Baselines as kernels take them."""

    tensor: Tensor | None  # [1 or batch, n_draws * features]
    value: float  # used where ``tensor`` is None
    n_draws: int


def accumulate_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which sums over values of ``dtype`` are kept."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def n_words(n_players: int) -> int:
    """Return how many 32-bit words a packed mask of ``n_players`` has."""
    return (n_players + 31) // 32


def check_inputs(inputs: Tensor, name: str = "inputs") -> int:
    """Check a batch of inputs and return its number of features per example."""
    check_tensor(name, inputs)
    check_dtype(name, inputs, FLOAT_DTYPES)
    if inputs.dim() < 1:
        raise ValueError(f"{name} must have a batch dimension, got shape []")
    return math.prod(inputs.shape[1:])


def flat_baselines(baselines: Tensor | float, inputs: Tensor, *, draws: bool = False) -> Baselines:
    """Bring ``baselines`` to the form of the kernels.

    Accepted are a number, a tensor of shape ``inputs.shape[1:]`` (one value per feature), of shape
    ``[1 or batch, *inputs.shape[1:]]``, and, with ``draws``, of shape
    ``[1 or batch, n_draws, *inputs.shape[1:]]``.
    A shape that fits two forms is read as the first of them.
    """
    if isinstance(baselines, (int, float)) and not isinstance(baselines, bool):
        return Baselines(None, float(baselines), 1)
    if not isinstance(baselines, Tensor):
        raise TypeError(f"baselines must be a number or a tensor, got {describe(baselines)}")
    if baselines.dtype != inputs.dtype:
        raise TypeError(
            f"baselines must have the dtype of inputs, {inputs.dtype}, got {baselines.dtype}"
        )
    check_device("baselines", baselines, inputs.device)
    feature_shape = tuple(inputs.shape[1:])
    batch, features = inputs.shape[0], math.prod(feature_shape)
    shape = tuple(baselines.shape)
    if shape == feature_shape:
        return Baselines(baselines.reshape(1, features).contiguous(), 0.0, 1)
    if (
        len(shape) == len(feature_shape) + 1
        and shape[1:] == feature_shape
        and shape[0] in (1, batch)
    ):
        return Baselines(baselines.reshape(shape[0], features).contiguous(), 0.0, 1)
    if (
        draws
        and shape[2:] == feature_shape
        and len(shape) == len(feature_shape) + 2
        and shape[0] in (1, batch)
    ):
        return Baselines(
            baselines.reshape(shape[0], shape[1] * features).contiguous(), 0.0, shape[1]
        )
    listed = ", ".join(str(size) for size in feature_shape)
    forms = f"[{listed}] or [1 or {batch}, {listed}]"
    if draws:
        forms += f" or [1 or {batch}, n_draws, {listed}]"
    raise ValueError(f"baselines must be a number or have shape {forms}, got {list(shape)}")


def flat_players(players: Tensor | None, inputs: Tensor) -> Tensor | None:
    """Bring a feature-to-player map to int32 ``[1 or batch, features]``."""
    if players is None:
        return None
    check_tensor("players", players)
    check_dtype("players", players, (torch.int32,))
    check_device("players", players, inputs.device)
    feature_shape = tuple(inputs.shape[1:])
    features = math.prod(feature_shape)
    shape = tuple(players.shape)
    if shape in (feature_shape, (features,)):
        return players.reshape(1, features).contiguous()
    if shape[:1] in ((1,), (inputs.shape[0],)) and shape[1:] in (feature_shape, (features,)):
        return players.reshape(shape[0], features).contiguous()
    check_shape("players", players, [features])
    return None
