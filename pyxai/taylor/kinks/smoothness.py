"""Does a model have kinks (ReLU, max, abs)? Where it has, Taylor series at one point mislead."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._errors import warn
from pyxai.taylor.derivatives.extension import Extension
from pyxai.taylor.derivatives.jets import Function, hessian_rows

__all__ = [
    "Smoothness",
    "inspect_smoothness",
    "kinked_operations",
    "smoothness_of",
    "warn_if_kinked",
]

# Names of autograd nodes (without "Backward0") whose function is not analytic.
_KINKED = re.compile(
    "Abs|Amax|Amin|Aminmax|Ceil|Celu|Clamp(Max|Min)?|Cummax|Cummin|Elu|Floor|Hardshrink|"
    "Hardsigmoid|Hardswish|Hardtanh|Kthvalue|LeakyRelu|Max|Maximum|(Nan)?[Mm]edian|Min|Minimum|"
    "Prelu(Kernel)?|Relu|Remainder|Round|Rrelu(WithNoise)?|Sgn|Sign|Softshrink|Sort|Threshold|"
    "Topk|Trunc|Where|(Adaptive|Fractional)?MaxPool.*"
)


@dataclass(frozen=True)
class Smoothness:
    """What is known about the kinks of a model.

    Attributes
    ----------
    kinks : tuple of str
        Operations on the way from input to output that are not analytic; "where" counts, since
        its condition may depend on the input.
    piecewise_linear : bool
        The second derivative vanished at every probed point: linear, or linear between kinks.
    """

    kinks: tuple[str, ...]
    piecewise_linear: bool

    @property
    def analytic(self) -> bool:
        """Whether no kink was found."""
        return not self.kinks


def kinked_operations(output: Tensor) -> tuple[str, ...]:
    """Return the non-analytic operations that ``output`` was computed with, sorted by name.

    Only operations that depend on a tensor requiring a gradient are seen.
    """
    seen: set[object] = set()
    found: set[str] = set()
    stack = [output.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        name = node.name().split("Backward")[0]
        if _KINKED.fullmatch(name):
            found.add(name)
        stack.extend(parent for parent, _ in node.next_functions)
    return tuple(sorted(found))


def inspect_smoothness(
    function: Function, batch: int, n_players: int, *, like: Tensor, n_probes: int = 4
) -> Smoothness:
    """Look at the operations of one forward pass, and probe the second derivative.

    Parameters
    ----------
    function : callable
        ``[batch, n_points, n_players] -> [batch, n_points]``.
    batch, n_players : int
        Sizes of the game.
    like : Tensor
        Gives dtype and device of the weights.
    n_probes : int
        Random points and directions in the unit cube at which the second derivative is taken.
    """
    # A generator of its own: the global one is not moved.
    generator = torch.Generator().manual_seed(0)
    shape = (batch, n_probes, n_players)
    points = torch.rand(shape, generator=generator, dtype=torch.float64).to(like)
    directions = torch.randn(shape, generator=generator, dtype=torch.float64).to(like)
    with torch.enable_grad():
        kinks = kinked_operations(function(points[:, :1].clone().requires_grad_()))
    # Automatic differentiation of linear pieces gives zeros, not small numbers.
    curvature = hessian_rows(function, points, directions)
    return Smoothness(kinks, not bool((curvature != 0).any()))


def smoothness_of(extension: Extension) -> Smoothness:
    """Look for kinks of a game's extension."""
    with extension.open() as function:
        return inspect_smoothness(
            function, extension.batch, extension.n_players, like=extension.point(0.0)
        )


def warn_if_kinked(smoothness: Smoothness, residual: Tensor, max_order: int) -> None:
    """Warn that derivatives at one point cannot see beyond a kink."""
    if smoothness.analytic:
        return
    warn(
        f"the model has kinks ({', '.join(smoothness.kinks)}): Taylor terms at one point do not "
        f"contain its interactions, whatever the order. Up to order {max_order} they miss "
        f"{float(residual.abs().max()):.3g} of f(x) - f(b); pyxai.taylor.harsanyi_dividends and "
        "pairwise_terms(kind='values') are right for such models"
    )
