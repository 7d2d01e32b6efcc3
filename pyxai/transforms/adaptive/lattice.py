"""Orthogonal filters as angles of a lattice: nothing that the angles say is not orthogonal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["angles_of_filter", "filter_of_angles"]


def filter_of_angles(angles: Tensor) -> Tensor:
    """Return the low-pass filter of an orthogonal bank.

    Even and odd taps are the first row of ``R(a_K) D R(a_(K-1)) ... D R(a_1)`` with rotations R and
    a delay D of the odd ones; that all angles add up to a quarter of pi makes the taps add up to
    the root of 2, so the last angle is not free.

    Parameters
    ----------
    angles : Tensor, shape [n_taps / 2 - 1]
        Radians; differentiable.

    Returns
    -------
    Tensor, shape [n_taps]

    References
    ----------
    .. [1] P. P. Vaidyanathan, P.-Q. Hoang, "Lattice Structures for Optimal Design and Robust
       Implementation of Two-Channel Perfect-Reconstruction QMF Banks", IEEE TASSP 36(1), 1988.
    """
    last = math.pi / 4 - angles.sum()
    even, odd = last.cos()[None], last.sin()[None]
    zero = torch.zeros_like(even)
    for angle in angles.flip(0):
        even, odd = torch.cat([even, zero]), torch.cat([zero, odd])
        cos, sin = angle.cos(), angle.sin()
        even, odd = cos * even - sin * odd, sin * even + cos * odd
    return torch.stack([even, odd], 1).flatten()


def angles_of_filter(scaling: Tensor) -> Tensor:
    """Return angles whose filter is a given one if that is orthogonal, and near it otherwise.

    Parameters
    ----------
    scaling : Tensor, shape [n_taps]

    Returns
    -------
    Tensor, shape [n_taps / 2 - 1]
    """
    even, odd = scaling.detach()[::2].clone(), scaling.detach()[1::2].clone()
    angles = []
    while len(even) > 1:
        # The rotation that leaves nothing at the ends: both ends ask for the same one if the filter
        # is orthogonal; the heavier end decides.
        first, last = torch.stack([even[0], odd[0]]), torch.stack([-odd[-1], even[-1]])
        cos, sin = first if float(first.norm()) >= float(last.norm()) else last
        angle = torch.atan2(sin, cos)
        cos, sin = angle.cos(), angle.sin()
        even, odd = cos * even + sin * odd, cos * odd - sin * even
        even, odd = even[:-1], odd[1:]
        angles.append(angle)
    return torch.stack(angles) if angles else scaling.new_zeros(0)
