"""Rules by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyxai._checks import check_choice, describe
from pyxai.propagation.relevance.rules import (
    AlphaBetaRule,
    EpsilonRule,
    FlatRule,
    GammaRule,
    IdentityRule,
    RelevanceRule,
    WSquareRule,
    ZBoxRule,
    ZPlusRule,
)

__all__ = ["NAMED", "as_rule"]

NAMED: dict[str, Callable[[], RelevanceRule]] = {
    "epsilon": EpsilonRule,
    "alpha_beta": AlphaBetaRule,
    "gamma": GammaRule,
    "z_plus": ZPlusRule,
    "w_square": WSquareRule,
    "z_box": lambda: ZBoxRule(0.0, 1.0),
    "flat": FlatRule,
}


def _of_captum(given: Any) -> RelevanceRule | None:
    """Return the rule that one of captum's rules is here, if there is one."""
    name, without_bias = type(given).__name__, getattr(given, "set_bias_to_zero", False)
    if name == "EpsilonRule":
        return EpsilonRule(given.STABILITY_FACTOR)
    if name == "GammaRule" and not without_bias:
        return GammaRule(given.gamma)
    if name == "Alpha1_Beta0_Rule":
        return AlphaBetaRule(1.0, 0.0, "ignore" if without_bias else "absorb")
    return IdentityRule() if name == "IdentityRule" else None


def as_rule(
    given: Any, argument: str, made: dict[str, Callable[[], RelevanceRule]] | None = None
) -> RelevanceRule:
    """Return a rule as it is, or make the one of that name, by default with its own defaults.

    Rules of captum are taken for the rule of the same name here.

    Raises
    ------
    TypeError
        If ``given`` is neither a rule nor a name.
    ValueError
        If there is no rule of that name.
    """
    if isinstance(given, RelevanceRule):
        return given
    if type(given).__module__ == "captum.attr._utils.lrp_rules":
        made_of = _of_captum(given)
        if made_of is not None:
            return made_of
    rules = made or NAMED
    if isinstance(given, str):
        return rules[check_choice(argument, given, tuple(rules))]()
    got = given if isinstance(given, type) else type(given)
    raise TypeError(
        f"{argument} must be one of {list(rules)} or a rule of pyxai.propagation.relevance, "
        f"got {describe(given)} of {got.__module__}"
    )
