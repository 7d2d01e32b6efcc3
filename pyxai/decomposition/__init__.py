"""Contextual decomposition: what a group of features adds to an output by itself.

Scores of any number of groups at once, as an attribution method and as interactions of pairs, and
the same by showing or removing groups, to compare. May import `pyxai.methods`, the rules in
`pyxai.propagation.decomposed` and what is below. Start with `contextual_decomposition`.
"""

from __future__ import annotations

from pyxai.decomposition.contextual_decomposition import ContextualDecomposition
from pyxai.decomposition.question import GroupParts
from pyxai.decomposition.removal_scores import BuildUp, GroupOcclusion

__all__ = ["BuildUp", "ContextualDecomposition", "GroupOcclusion", "GroupParts"]
