"""Contextual decomposition: what a group of features adds to an output by itself.

Scores of any number of groups at once, as an attribution method and as interactions of pairs, the
same by showing or removing groups, to compare, and hierarchies that grow by such scores
(`agglomeration`). May import `pyxai.methods`, the rules in `pyxai.propagation.decomposed` and what
is below. Start with `contextual_decomposition`.
"""

from __future__ import annotations

from pyxai.decomposition.agglomeration.agglomerative_decomposition import (
    ACD,
    AgglomerativeDecomposition,
)
from pyxai.decomposition.agglomeration.hierarchy import Hierarchy, HierarchyNode
from pyxai.decomposition.contextual_decomposition import ContextualDecomposition
from pyxai.decomposition.question import GroupParts
from pyxai.decomposition.removal_scores import BuildUp, GroupOcclusion

__all__ = [
    "ACD",
    "AgglomerativeDecomposition",
    "BuildUp",
    "ContextualDecomposition",
    "GroupOcclusion",
    "GroupParts",
    "Hierarchy",
    "HierarchyNode",
]
