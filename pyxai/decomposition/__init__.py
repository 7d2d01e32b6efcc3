"""Contextual decomposition: what a group of features adds to an output by itself.

Scores of any number of groups at once, as an attribution method and as interactions of pairs, the
same by showing or removing groups, to compare, hierarchies that grow by such scores
(`agglomeration`), and losses to train with (`training`). May import `pyxai.methods`, the rules in
`pyxai.propagation.decomposed` and what is below. Start with `contextual_decomposition`.
"""

from __future__ import annotations

from pyxai.decomposition.agglomeration.agglomerative_decomposition import (
    ACD,
    AgglomerativeDecomposition,
)
from pyxai.decomposition.agglomeration.hierarchy import Hierarchy, HierarchyNode
from pyxai.decomposition.agglomeration.rank_stability import rank_stability
from pyxai.decomposition.contextual_decomposition import ContextualDecomposition
from pyxai.decomposition.question import GroupParts
from pyxai.decomposition.relevant_inputs import RelevantInputs
from pyxai.decomposition.removal_scores import BuildUp, GroupOcclusion
from pyxai.decomposition.training.cdep_loss import cdep_loss
from pyxai.decomposition.training.frozen_prefix import FrozenPrefix
from pyxai.decomposition.training.gradient_losses import expected_gradients_loss, rrr_loss

__all__ = [
    "ACD",
    "AgglomerativeDecomposition",
    "BuildUp",
    "ContextualDecomposition",
    "FrozenPrefix",
    "GroupOcclusion",
    "GroupParts",
    "Hierarchy",
    "HierarchyNode",
    "RelevantInputs",
    "cdep_loss",
    "expected_gradients_loss",
    "rank_stability",
    "rrr_loss",
]
