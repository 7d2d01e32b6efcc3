"""From which order an interaction comes: jets along every set, no mixed derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai.explanation.numbers import number, rounding
from pyxai.game import Game
from pyxai.ops.moebius_transform import moebius_transform
from pyxai.runner import Output, one_scope, takes_arrays
from pyxai.taylor.derivatives.extension import Extension
from pyxai.taylor.derivatives.jets import jet_gradients, taylor_coefficients
from pyxai.taylor.effects.harsanyi import check_enumerable
from pyxai.taylor.effects.subsets import membership, name_set
from pyxai.taylor.effects.terms import check_names
from pyxai.taylor.kinks.smoothness import smoothness_of, warn_if_kinked

__all__ = ["OrderEffects", "TaylorJet", "order_effects", "taylor_jet"]

_MAX_PLAYERS = 16


@dataclass(frozen=True)
class OrderEffects:
    """Effects of every set of players, split by order: ``J(S) = sum over k of J_k(S) + gap``.

    Attributes
    ----------
    values : Tensor, float64, shape [batch, max_order, 2**n_players]
        ``J_k(S)`` at [:, k - 1, S]: the sum of the terms T(kappa) of order k whose players are
        exactly S, in output units. Index 0 is 0.
    value, baseline_value : Tensor, float64, shape [batch]
    max_order : int
    analytic : bool
        False when the model has kinks: no order then makes the residual small.
    anchor : str
    names : tuple of str
    """

    values: Tensor  # [batch, max_order, 2**n_players]
    value: Tensor  # [batch]
    baseline_value: Tensor  # [batch]
    max_order: int
    analytic: bool
    anchor: str
    names: tuple[str, ...]

    @property
    def residual(self) -> Tensor:  # [batch]
        """Truncation gap ``f(x) - f(b) - sum of all J_k(S)``."""
        return self.value - self.baseline_value - self.values.sum((1, 2))

    def generic(self) -> Tensor:  # [batch, 2**n_players]
        """Sum over the orders; index 0 holds the value at the baseline."""
        table = self.values.sum(1)
        table[:, 0] = self.baseline_value
        return table

    def order_sums(self) -> Tensor:  # [batch, max_order]
        """Sum over the sets of players."""
        return self.values.sum(2)

    def __str__(self) -> str:
        lines = [
            f"Effects by order 1..{self.max_order} of {len(self.names)} players, expanded at the "
            f"{self.anchor}; example 0 of {len(self.values)}",
        ]
        if len(self.values):
            total = float(self.value[0] - self.baseline_value[0])
            lines.append(f"  f(x) - f(b) = {total:.6g}, missing {float(self.residual[0]):.3g}")
            zero = rounding(self.values[0])
            strongest = self.values[0].abs().amax(0).topk(min(10, self.values.shape[2] - 1))
            for mask in strongest.indices.tolist():
                effects = self.values[0, :, mask].tolist()
                parts = " ".join(f"{number(v, '+.4g', zero):>11}" for v in effects)
                lines.append(f"  {parts}  {name_set(mask, self.names)}")
        return "\n".join(lines)


@dataclass(frozen=True)
class TaylorJet:
    """Sums of the Taylor terms of each order, for any number of players.

    Attributes
    ----------
    order_sums : Tensor, float64, shape [batch, max_order]
        ``sum over |kappa| = k of T(kappa)``, in output units.
    moments : Tensor, float64, shape [batch, max_order, n_players]
        ``sum over |kappa| = k of kappa_i T(kappa)``; divided by k it is the part of order k of
        integrated gradients.
    value, baseline_value : Tensor, float64, shape [batch]
    analytic : bool
        False if the model has kinks: the residual then does not vanish as the order grows.
    """

    order_sums: Tensor  # [batch, max_order]
    moments: Tensor  # [batch, max_order, n_players]
    value: Tensor  # [batch]
    baseline_value: Tensor  # [batch]
    names: tuple[str, ...]
    analytic: bool = True

    @property
    def residual(self) -> Tensor:  # [batch]
        """Truncation gap ``f(x) - f(b) - sum of the orders``."""
        return self.value - self.baseline_value - self.order_sums.sum(1)

    def __str__(self) -> str:
        lines = [f"Taylor jet of {len(self.names)} players; example 0 of {len(self.value)}"]
        if len(self.value):
            total = float(self.value[0] - self.baseline_value[0])
            sums = ", ".join(f"{s:.4g}" for s in self.order_sums[0].tolist())
            lines.append(f"  f(x) - f(b) = {total:.6g}, missing {float(self.residual[0]):.3g}")
            lines.append(f"  sums of orders 1..{self.order_sums.shape[1]}: {sums}")
        return "\n".join(lines)


def order_effects(
    extension: Extension, max_order: int, analytic: bool, names: tuple[str, ...]
) -> OrderEffects:
    """Compute J_k(S) for all sets: jets along every set, then the Moebius transform over sets."""
    n = extension.n_players
    check_enumerable(n, extension.batch, _MAX_PLAYERS)
    subsets = membership(n)  # [2**n, n]
    found = []
    with extension.open() as function:
        for part in subsets.split(extension.points_per_pass(max_order)):  # type: ignore[no-untyped-call]
            point = extension.point(0.0, len(part))
            direction = part.to(point).expand_as(point).contiguous()
            jet = taylor_coefficients(function, point, direction, max_order)[1:]
            found.append(jet.double().cpu())
    last, first = extension.ends()
    table = torch.cat(found, 2).transpose(0, 1).contiguous()  # [batch, max_order, 2**n]
    sign = 1.0 if extension.anchor == "baseline" else -1.0
    return OrderEffects(
        values=sign * moebius_transform(table),
        value=last,
        baseline_value=first,
        max_order=max_order,
        analytic=analytic,
        anchor=extension.anchor,
        names=names,
    )


@takes_arrays
@one_scope
def taylor_jet(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    max_order: int = 4,
    baselines: Any = None,
    feature_mask: Any = None,
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = "logit",
    names: Sequence[str] | None = None,
) -> TaylorJet:
    """Compute the sums of the Taylor terms of each order and their moments, for any n.

    One jet along ``x - b`` and one reverse pass for each order; no enumeration of terms.

    Parameters
    ----------
    model, inputs, baselines, feature_mask, target, additional_forward_args, output
        As in `pyxai.Game`.
    max_order : int
        Highest order, at least 1; costs 2^max_order forward passes.
    names : sequence of str, optional
        Names of the players.

    Returns
    -------
    TaylorJet

    Raises
    ------
    ValueError
        If ``max_order`` is below 1; and as in `pyxai.Game`.

    Warns
    -----
    PyxaiWarning
        If the model has kinks.

    Notes
    -----
    On a model with kinks the jet is that of the linear piece around the baseline; the residual
    says what is missing.
    """
    check_int("max_order", max_order, minimum=1)
    game = Game(
        model,
        inputs,
        baselines=baselines,
        feature_mask=feature_mask,
        target=target,
        additional_forward_args=additional_forward_args,
        output=output,
    )
    extension = Extension(game, feature_mask)
    with extension.open() as function:
        point, direction = extension.point(0.0), extension.point(1.0)
        sums, slopes = jet_gradients(function, point, direction, max_order)
    last, first = extension.ends()
    smoothness = smoothness_of(extension)
    jet = TaylorJet(
        order_sums=sums[1:, :, 0].T.double().cpu(),
        moments=slopes[1:, :, 0].transpose(0, 1).double().cpu(),
        value=last,
        baseline_value=first,
        names=check_names(names, game.n_players),
        analytic=smoothness.analytic,
    )
    warn_if_kinked(smoothness, jet.residual, max_order)
    return jet
