"""Layer-wise relevance propagation: rules, the table over ops, and the methods' engine.

May import `pyxai.propagation.multipliers`, the traced model and what is below. Start with `rules`.
"""

from __future__ import annotations

from pyxai.propagation.relevance.engine import RelevanceEngine, first_layers
from pyxai.propagation.relevance.rules import (
    Alpha1_Beta0_Rule,
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

__all__ = [
    "Alpha1_Beta0_Rule",
    "AlphaBetaRule",
    "EpsilonRule",
    "FlatRule",
    "GammaRule",
    "IdentityRule",
    "RelevanceEngine",
    "RelevanceRule",
    "WSquareRule",
    "ZBoxRule",
    "ZPlusRule",
    "first_layers",
]
