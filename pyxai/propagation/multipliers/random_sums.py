"""Mean secants of a function over random sums: Shapley values of a neuron of many inputs.

The Shapley value of input ``i`` of ``f(c + sum_j u_j)`` is the integral over t in [0, 1] of

    E[f(Z + u_i) - f(Z)],   Z = c + sum_{j != i} B_j u_j,   B_j = 1 with probability t,

as the multilinear extension of a game has it [1]_. With f as a sum of cosines over the range of Z
the expectation is one product over the inputs, the characteristic function of Z [2]_: no
permutations are drawn, and nothing depends on a seed.

References
----------
.. [1] G. Owen, "Multilinear Extensions of Games", Management Science 18(5), 1972.
.. [2] F. Fang, C. W. Oosterlee, "A Novel Pricing Method for European Options Based on
   Fourier-Cosine Series Expansions", SIAM Journal on Scientific Computing 31(2), 2008.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pyxai._quadrature import legendre

__all__ = ["mean_secants"]

# Even, so that t is never 1/2, where a factor of the product can be 0 and cannot be divided out.
N_TIMES = 8
ELEMENTS = 2**19  # inputs times waves times neurons that are worked on at once
REACH = 3.0  # times the norm of the contributions: six standard deviations of Z


def mean_secants(
    each: Tensor, start: Tensor, slope: Callable[[Tensor, Tensor], Tensor], n_waves: int
) -> Tensor:
    """Return ``E[secant of f from Z to Z + u_i]`` for every input and neuron.

    Parameters
    ----------
    each : Tensor, shape [n_inputs, *shape]
        Contributions ``u``.
    start : Tensor, shape [*shape]
        ``c``.
    slope : callable
        ``slope(z, y)`` is the secant of f between two values of the neurons, its derivative where
        they are equal.
    n_waves : int
        Cosines, and places of each neuron where f is evaluated.

    Returns
    -------
    Tensor, shape [n_inputs, *shape]
        Times ``u`` they add up to ``f(c + sum u) - f(c)`` but for rounding.
    """
    n = each.shape[0]
    total, norm = each.sum(0), each.square().sum(0).sqrt()
    low = torch.maximum(start + each.clamp(max=0).sum(0), start + total.clamp(max=0) - REACH * norm)
    high = torch.minimum(
        start + each.clamp(min=0).sum(0), start + total.clamp(min=0) + REACH * norm
    )
    width = high - low
    still = width <= 1e3 * torch.finfo(start.dtype).eps * (low.abs() + high.abs())
    width = torch.where(still, 1.0, width)
    waves = torch.arange(n_waves, dtype=start.dtype, device=start.device)
    places = (waves + 0.5) / n_waves
    heights = []  # f at the places, less f(c)
    for place in places.tolist():
        there = low + place * width
        heights.append(slope(start, there) * (there - start))
    cosines = torch.cos(math.pi * waves[:, None] * places) * (2 / n_waves)
    cosines[0] /= 2
    amplitudes = cosines @ torch.stack(heights).flatten(1)  # [n_waves, n_neurons]
    frequencies = math.pi * waves[:, None] / width.flatten()
    steps, ahead = each.flatten(1), (start - low).flatten()
    found = torch.empty_like(steps)
    count = max(1, ELEMENTS // (n * n_waves))
    for first in range(0, steps.shape[1], count):
        part = slice(first, first + count)
        found[:, part] = _expected_slopes(
            steps[:, part], ahead[part], frequencies[:, part], amplitudes[:, part]
        )
    found = torch.where(still, slope(start, start), found.view_as(each))
    # What the series leaves over is shared so that all is complete.
    missing = slope(start, start + total) * total - (found * each).sum(0)
    return found + missing * each / norm.square().clamp(min=torch.finfo(start.dtype).tiny)


def _expected_slopes(
    steps: Tensor,  # [n_inputs, n_neurons]
    ahead: Tensor,  # [n_neurons], from the lower end of the range to c
    frequencies: Tensor,  # [n_waves, n_neurons]
    amplitudes: Tensor,  # like frequencies
) -> Tensor:
    """Integrate ``E[f(Z + u_i) - f(Z)] / u_i``, [n_inputs, n_neurons]."""
    half = frequencies * steps[:, None] / 2  # [n_inputs, n_waves, n_neurons]
    turn = torch.polar(torch.ones_like(half), half)  # exp(i w u / 2)
    whole = turn * turn
    means = torch.zeros_like(whole)
    times, shares = legendre(N_TIMES)
    for time, share in zip(times.tolist(), shares.tolist(), strict=True):
        factors = whole * time + (1 - time)
        means += share * factors.prod(0) / factors
    # (exp(i w u) - 1) / u, also where u is 0
    quotients = turn * torch.sinc(half / math.pi) * (1j * frequencies)
    base = torch.polar(amplitudes.abs(), frequencies * ahead) * amplitudes.sign()
    result: Tensor = (base * quotients * means).real.sum(1)
    return result
