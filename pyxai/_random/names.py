"""Names of examples for random numbers, so that a row's result does not depend on its batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_device, check_dtype, check_shape, check_tensor

__all__ = ["example_ids", "scramble"]

_BLOCK = 2**20  # words that are scrambled at a time
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def example_ids(given: Any, inputs: tuple[Tensor, ...]) -> Tensor:
    """Return one int64 name for each example, to key its random numbers with.

    Parameters
    ----------
    given : None, or sequence or Tensor of int, shape [batch]
        Names chosen by the caller, such as positions in a data set. ``None``: a hash of the
        example's content, so that a row draws the same numbers alone, in any batch and on any
        device, and different rows draw independently.
    inputs : tuple of Tensor, shape [batch, *features]
        The examples.

    Returns
    -------
    Tensor, shape [batch]
        int64, on the device of the inputs.

    Raises
    ------
    TypeError
        If the names are not integers.
    ValueError
        If there is not one name for each example.
    """
    batch, device = len(inputs[0]), inputs[0].device
    if given is None:
        total = torch.zeros(batch, dtype=torch.int64, device=device)
        for number, tensor in enumerate(inputs):
            total = scramble(total ^ _hash(tensor, number))
        return total
    if not isinstance(given, Tensor):
        given = torch.tensor(list(given), device=device)
    check_dtype("example_ids", check_tensor("example_ids", given), (torch.int64, torch.int32))
    check_shape("example_ids", given, [batch])
    check_device("example_ids", given, device)
    names: Tensor = given.to(torch.int64)
    return names


def _hash(tensor: Tensor, number: int) -> Tensor:
    """Hash the bits of each row: a sum of its words, each scrambled together with its place."""
    flat = tensor.detach().flatten(1) if tensor.dim() > 1 else tensor.detach()[:, None]
    if flat.is_floating_point():
        flat = flat + 0.0  # -0.0 and 0.0 are one value with two forms
    words = flat.contiguous().view(_WORDS[flat.element_size()])
    places = torch.arange(words.shape[1], dtype=torch.int64, device=flat.device)
    salt = scramble(places + (number << 40))
    # A sum has no order, so it is the same on every device; int64 wraps around everywhere.
    blocks = torch.split(words, max(1, _BLOCK // max(1, words.shape[1])))
    return torch.cat([scramble(block.to(torch.int64) + salt).sum(1) for block in blocks])


def scramble(value: Tensor) -> Tensor:
    """Scramble 64 bits, each of the result depends on all: the finaliser of splitmix64."""
    value = value + _signed(0x9E3779B97F4A7C15)
    value = (value ^ _shift(value, 30)) * _signed(0xBF58476D1CE4E5B9)
    value = (value ^ _shift(value, 27)) * _signed(0x94D049BB133111EB)
    return value ^ _shift(value, 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros; torch's own shift copies the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word
