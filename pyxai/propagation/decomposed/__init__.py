"""Contextual decomposition: forward rules that split every value of a traced model for a group.

A value is the sum of what the group explains (relevant), of what the rest explains (irrelevant)
and, on request, of what biases alone explain. Only the relevant part of each group is computed;
totals are shared by all groups, and the irrelevant part is what is left. May import the traced
model and what is below. Start with `split`, then `affine`; `table` says which op has which rule.
"""

from __future__ import annotations

from pyxai.propagation.decomposed.engine import DecompositionEngine, NodeError
from pyxai.propagation.decomposed.policies import Policies

__all__ = ["DecompositionEngine", "NodeError", "Policies"]
