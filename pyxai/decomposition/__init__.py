"""Contextual decomposition: what a group of features adds to an output by itself.

Scores of any number of groups at once, as an attribution method and as interactions of pairs. May
import `pyxai.methods`, the rules in `pyxai.propagation.decomposed` and what is below. Start with
`contextual_decomposition`.
"""

from __future__ import annotations

from pyxai.decomposition.contextual_decomposition import ContextualDecomposition
from pyxai.decomposition.question import GroupParts

__all__ = ["ContextualDecomposition", "GroupParts"]
