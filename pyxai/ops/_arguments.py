"""Checks and layout shared by the op wrappers; what a kernel is given is contiguous and flat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai import _C
from pyxai._checks import (
    FLOAT_DTYPES,
    check_choice,
    check_device,
    check_dtype,
    check_int,
    check_shape,
    check_tensor,
    describe,
)

__all__ = [
    "COALITION_STREAM",
    "MASK_BITS",
    "MAX_TABLE_PLAYERS",
    "PERMUTATION_STREAM",
    "Baselines",
    "accumulate_dtype",
    "affine_out",
    "check_affine",
    "check_inputs",
    "check_out",
    "check_rows",
    "check_seed",
    "check_table",
    "flat_baselines",
    "flat_masks",
    "flat_path",
    "flat_players",
    "flat_rows",
    "flat_selected",
    "n_words",
    "owners_of",
]

MAX_TABLE_PLAYERS = 26  # of a table with one entry for each set of players
# Streams from 2**31 on belong to the package, so that coalitions, orders and the noise that a user
# draws with the same seed are independent.
COALITION_STREAM = 2**31
PERMUTATION_STREAM = 2**31 + 1

MASK_BITS = _C.mask_bits  # players in a word of a packed mask


class Baselines(NamedTuple):
    """Baselines as kernels take them."""

    values: Tensor | float  # [1 or batch, n_draws * features], or one number for all features
    n_draws: int

    def wide(self, batch: int, features: int, dtype: torch.dtype) -> Tensor:
        """Return ``[batch, n_draws * features]`` in float64, as the references need them."""
        # A number is a value of the inputs' dtype, as the model will see it.
        values = torch.as_tensor(self.values, dtype=dtype).double()
        return values.expand(batch, self.n_draws * features)


def accumulate_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which sums over values of ``dtype`` are kept."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def n_words(n_players: int) -> int:
    """Return how many words of `MASK_BITS` bits a packed mask of ``n_players`` has."""
    return -(-n_players // MASK_BITS)


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
        return Baselines(float(baselines), 1)
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
        return Baselines(baselines.reshape(1, features).contiguous(), 1)
    if (
        len(shape) == len(feature_shape) + 1
        and shape[1:] == feature_shape
        and shape[0] in (1, batch)
    ):
        return Baselines(baselines.reshape(shape[0], features).contiguous(), 1)
    if (
        draws
        and shape[2:] == feature_shape
        and len(shape) == len(feature_shape) + 2
        and shape[0] in (1, batch)
    ):
        return Baselines(baselines.reshape(shape[0], shape[1] * features).contiguous(), shape[1])
    listed = ", ".join(str(size) for size in feature_shape)
    forms = f"[{listed}] or [1 or {batch}, {listed}]"
    if draws:
        forms += f" or [1 or {batch}, n_draws, {listed}]"
    raise ValueError(f"baselines must be a number or have shape {forms}, got {list(shape)}")


def flat_players(
    players: Tensor | None, inputs: Tensor, n_players: int | None = None
) -> Tensor | None:
    """Bring a feature-to-player map to int32 ``[1 or batch, features]``.

    Ids must be below ``n_players`` (if given) and at least -1. This is looked up on the CPU only:
    on a GPU it would wait for the device, and kernels keep features of unknown players unchanged.
    """
    if players is None:
        return None
    check_tensor("players", players)
    check_dtype("players", players, (torch.int32,))
    check_device("players", players, inputs.device)
    if n_players is not None:
        check_int("n_players", n_players, minimum=0)
    feature_shape = tuple(inputs.shape[1:])
    features = math.prod(feature_shape)
    shape = tuple(players.shape)
    if shape in (feature_shape, (features,)):
        rows = 1
    elif shape[:1] in ((1,), (inputs.shape[0],)) and shape[1:] in (feature_shape, (features,)):
        rows = shape[0]
    else:
        check_shape("players", players, [features])
    if players.device.type == "cpu" and players.numel():
        low, high = (int(bound) for bound in torch.aminmax(players))
        if low < -1:
            raise ValueError(f"players must be at least -1 (nobody), got {low}")
        if n_players is not None and high >= n_players:
            raise ValueError(f"players must be below n_players = {n_players}, got {high}")
    return players.reshape(rows, features).contiguous()


def owners_of(players: Tensor | None, inputs: Tensor) -> Tensor:
    """Return the player of each feature of each example, int64 ``[batch, features]``."""
    features = math.prod(inputs.shape[1:])
    flat = flat_players(players, inputs)
    owners = torch.arange(features).unsqueeze(0) if flat is None else flat.long()
    return owners.expand(inputs.shape[0], features)


def flat_masks(masks: Tensor, inputs: Tensor, n_players: int | None) -> Tensor:
    """Bring packed masks to ``[1 or batch, n_masks, n_words]``."""
    check_tensor("masks", masks)
    check_dtype("masks", masks, (torch.int32,))
    check_device("masks", masks, inputs.device)
    table = masks.unsqueeze(0) if masks.dim() == 2 else masks
    words = None if n_players is None else n_words(n_players)
    if table.dim() != 3 or table.shape[0] not in (1, inputs.shape[0]):
        raise ValueError(
            f"masks must have shape [n_masks, n_words] or [1 or {inputs.shape[0]}, n_masks, "
            f"n_words], got {list(masks.shape)}"
        )
    if words not in (None, table.shape[2]):
        raise ValueError(
            f"masks must have {words} word(s) for {n_players} players, got {table.shape[2]}"
        )
    return table.contiguous()


def flat_selected(selected: Tensor | None, inputs: Tensor, n_players: int | None) -> Tensor | None:
    """Check a packed mask per example, ``[batch, n_words]``."""
    if selected is None:
        return None
    check_tensor("selected", selected)
    check_dtype("selected", selected, (torch.int32,))
    check_device("selected", selected, inputs.device)
    words = None if n_players is None else n_words(n_players)
    check_shape("selected", selected, [inputs.shape[0], words])
    return selected.contiguous()


def flat_rows(rows: Tensor, shape: Sequence[int | None], table: Tensor) -> Tensor:
    """Check rows of a table, int64 of a given shape; values are looked at on the CPU only."""
    check_tensor("rows", rows)
    check_dtype("rows", rows, (torch.int64,))
    check_device("rows", rows, table.device)
    check_shape("rows", rows, list(shape))
    if not len(table):
        raise ValueError("baselines must have at least one row, got none")
    if rows.device.type == "cpu" and rows.numel():
        low, high = (int(bound) for bound in rows.aminmax())
        if low < 0 or high >= len(table):
            raise ValueError(f"rows must be in 0..{len(table) - 1}, got values {low} to {high}")
    return rows.contiguous()


def check_out(
    out: Tensor, shape: Sequence[int], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Check a tensor to write into and return it."""
    check_tensor("out", out)
    check_dtype("out", out, (dtype,))
    check_device("out", out, device)
    check_shape("out", out, list(shape))
    if not out.is_contiguous():
        raise ValueError(f"out must be contiguous, got strides {list(out.stride())}")
    return out


def flat_path(grads: Tensor, weights: Tensor, node_axis: int = 0) -> tuple[Tensor, Tensor]:
    """Check gradients at the nodes of a path and the nodes' weights.

    Gradients come back as ``[n_nodes, batch * features]``, or ``[batch, n_nodes * features]`` with
    ``node_axis=1``; weights on their device.
    """
    check_dtype("grads", grads, FLOAT_DTYPES)
    if grads.dim() < 2:
        axes = "n_nodes, batch" if node_axis == 0 else "batch, n_nodes"
        raise ValueError(f"grads must have shape [{axes}, *features], got {list(grads.shape)}")
    check_tensor("weights", weights)
    check_dtype("weights", weights, (torch.float64,))
    check_shape("weights", weights, [grads.shape[node_axis]])
    flat = grads.reshape(grads.shape[0], math.prod(grads.shape[1:]))
    return flat.contiguous(), weights.to(grads.device).contiguous()


def check_affine(start: Tensor, parts: Tensor, activation: str | None) -> tuple[int, int, int]:
    """Return the sizes ``batch, n_players, size``."""
    check_tensor("start", start)
    check_dtype("start", start, (torch.float32, torch.float64))
    if start.dim() != 2:
        raise ValueError(f"start must have shape [batch, size], got {list(start.shape)}")
    batch, size = start.shape
    check_tensor("parts", parts)
    check_dtype("parts", parts, (start.dtype,))
    check_device("parts", parts, start.device)
    given = parts.shape
    if len(given) != 3 or given[0] not in (1, batch) or given[2] != size:
        raise ValueError(
            f"parts must have shape [1 or {batch}, n_players, {size}], got {list(given)}"
        )
    if activation is not None:
        check_choice("activation", activation, ("relu",))
    return batch, given[1], size


def affine_out(out: Tensor | None, shape: tuple[int, ...], start: Tensor) -> Tensor:
    """Return what to write into; the native op alone looks at the strides of ``out``."""
    if out is None:
        return start.new_empty(shape)
    check_tensor("out", out)
    check_dtype("out", out, (start.dtype,))
    check_device("out", out, start.device)
    check_shape("out", out, shape)
    return out


def check_table(values: Tensor) -> int:
    """Check a table, ``[..., 2**n_players]``, and return its number of players."""
    check_tensor("values", values)
    check_dtype("values", values, (torch.float32, torch.float64))
    n_sets = values.shape[-1] if values.dim() else 0
    if n_sets < 1 or n_sets & (n_sets - 1):
        raise ValueError(
            "values must have 2**n_players entries along the last axis, "
            f"got shape {list(values.shape)}"
        )
    n_players = n_sets.bit_length() - 1
    if n_players > MAX_TABLE_PLAYERS:
        gibibytes = n_sets * values.element_size() / 2**30
        raise ValueError(
            f"values must have at most 2**{MAX_TABLE_PLAYERS} entries a table, got 2**{n_players} "
            f"({gibibytes:g} GiB in {values.dtype})"
        )
    return n_players


def check_seed(seed: int, stream: int = 0) -> int:
    """Return ``seed`` as the signed 64-bit integer of the same bits."""
    check_int("seed", seed, minimum=0)
    if seed >= 2**64:
        raise ValueError(f"seed must be less than 2**64, got {seed}")
    check_int("stream", stream, minimum=0)
    if stream >= 2**31:
        raise ValueError(f"stream must be less than 2**31, got {stream}")
    return seed - 2**64 if seed >= 2**63 else seed


def check_rows(
    example_ids: Tensor, n_samples: int, start: int, *, name: str = "n_samples"
) -> Tensor:
    """Check the names of rows and return contiguous ``example_ids``."""
    check_tensor("example_ids", example_ids)
    check_dtype("example_ids", example_ids, (torch.int64,))
    check_shape("example_ids", example_ids, [None])
    check_int(name, n_samples, minimum=0)
    check_int("start", start, minimum=0)
    if start + n_samples > 2**32:
        raise ValueError(f"start + {name} must be at most 2**32, got {start + n_samples}")
    return example_ids.contiguous()
