"""Taylor effects of a model: generic (by masking), term by term, or by order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.game import Game
from pyxai.runner import Output, one_scope, takes_arrays
from pyxai.taylor.derivatives.extension import Extension
from pyxai.taylor.derivatives.jets import mixed_derivative
from pyxai.taylor.effects.harsanyi import HarsanyiDividends, harsanyi_dividends
from pyxai.taylor.effects.orders import OrderEffects, order_effects
from pyxai.taylor.effects.terms import TaylorTerms, check_names, degree_vectors
from pyxai.taylor.kinks.smoothness import smoothness_of, warn_if_kinked

__all__ = ["MAX_TERMS", "taylor_effects"]

MAX_TERMS = 50_000
_KINDS = ("generic", "kappa", "order")


@takes_arrays
@one_scope
def taylor_effects(
    model: Callable[..., Any],
    inputs: Tensor | tuple[Tensor, ...],
    *,
    kind: str = "generic",
    max_order: int = 4,
    baselines: Any = None,
    feature_mask: Any = None,
    target: Any = None,
    additional_forward_args: Any = None,
    output: Output = "logit",
    anchor: str = "baseline",
    names: Sequence[str] | None = None,
) -> HarsanyiDividends | TaylorTerms | OrderEffects:
    """Compute the Taylor effects of a model between a baseline and an input.

    Parameters
    ----------
    model, inputs, baselines, feature_mask, target, additional_forward_args, output
        As in `pyxai.Game`.
    kind : "generic", "kappa" or "order"
        * "generic": psi(i) and J(S) by masking; `harsanyi_dividends`. Right for every model.
        * "kappa": every term T(kappa) with ``1 <= |kappa| <= max_order``, from derivatives at the
          anchor.
        * "order": the sums J_k(S) of the terms with exactly the players S and order k, from
          univariate jets and the Moebius transform; no mixed derivatives.
    max_order : int
        Highest order K for "kappa" and "order". Order k takes 2^k forward passes for each term
        (or set), all rows batched.
    anchor : "baseline" or "input"
        Point of expansion.
    names : sequence of str, optional
        Names of the players, for printing.

    Returns
    -------
    HarsanyiDividends, TaylorTerms or OrderEffects
        All carry ``residual``: ``f(x) - f(b)`` minus the effects, in output units. For "kappa" and
        "order" that is the truncation gap.

    Warns
    -----
    PyxaiWarning
        For "kappa" and "order" on a model with kinks (ReLU, max, abs): derivatives at one point do
        not see beyond a kink, so the terms miss interactions whatever the order. The result's
        ``analytic`` is then False.

    Raises
    ------
    ValueError
        If ``kind`` or ``anchor`` is unknown, ``max_order < 1``, or there are too many players or
        terms; the message says how many.
    TypeError
        For derivatives of inputs that are not floating point.

    Notes
    -----
    Derivatives are exact (nested forward mode), in the dtype of the inputs: give float64 inputs
    and a float64 model for orders above 2. The series of tanh converges within pi/2 of the anchor,
    that of sigmoid and softplus within pi: look at ``residual`` there too.

    References
    ----------
    .. [1] H. Deng et al., "Unifying Fourteen Post-Hoc Attribution Methods With Taylor
       Interactions", IEEE TPAMI 46(7), 2024, section 3.
    """
    check_choice("kind", kind, _KINDS)
    check_int("max_order", max_order, minimum=1)
    arguments = {
        "baselines": baselines,
        "feature_mask": feature_mask,
        "target": target,
        "additional_forward_args": additional_forward_args,
        "output": output,
    }
    if kind == "generic":
        return harsanyi_dividends(model, inputs, anchor=anchor, names=names, **arguments)
    game = Game(model, inputs, **arguments)
    names = check_names(names, game.n_players)
    extension = Extension(game, feature_mask, anchor)
    smoothness = smoothness_of(extension)
    if kind == "order":
        result: OrderEffects | TaylorTerms = order_effects(
            extension, max_order, smoothness.analytic, names
        )
    else:
        result = _kappa_effects(extension, max_order, smoothness.analytic, names)
    warn_if_kinked(smoothness, result.residual, max_order)
    return result


def _kappa_effects(
    extension: Extension, max_order: int, analytic: bool, names: tuple[str, ...]
) -> TaylorTerms:
    n = extension.n_players
    count = math.comb(n + max_order, max_order) - 1
    if count > MAX_TERMS:
        raise ValueError(
            f"max_order must be lower for {n} players: order {max_order} has {count} terms, at "
            f"most {MAX_TERMS} are computed, got {max_order}; group features with feature_mask, or "
            "use pyxai.taylor.taylor_jet for sums by order and pairwise_terms for pairs"
        )
    kappas, values = [], []
    with extension.open() as function:
        for order in range(1, max_order + 1):
            degrees = degree_vectors(n, order)
            kappas.append(degrees)
            for part in degrees.split(extension.points_per_pass(order)):  # type: ignore[no-untyped-call]
                point = extension.point(0.0, len(part))
                directions = [
                    torch.nn.functional.one_hot(player, n).to(point).expand_as(point).contiguous()
                    for player in _spell_out(part).unbind(1)
                ]
                factor = torch.exp(torch.lgamma(part.double() + 1).sum(1)).round()  # kappa!
                found = mixed_derivative(function, point, directions).double().cpu()
                values.append(found / factor)
    value, baseline_value = extension.ends()
    sign = 1.0 if extension.anchor == "baseline" else -1.0
    return TaylorTerms(
        kappas=torch.cat(kappas),
        values=sign * torch.cat(values, 1),
        value=value,
        baseline_value=baseline_value,
        max_order=max_order,
        analytic=analytic,
        anchor=extension.anchor,
        names=names,
    )


def _spell_out(kappas: Tensor) -> Tensor:  # int64 [n_terms, order]
    """Write (2, 0, 1) as the players 0 0 2: one direction for each order."""
    n_terms, n_players = kappas.shape
    players = torch.arange(n_players).repeat(n_terms)
    return torch.repeat_interleave(players, kappas.flatten()).reshape(n_terms, -1)
