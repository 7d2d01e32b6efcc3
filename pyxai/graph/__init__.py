"""A model as a graph of aten ops, traced once, with pluggable rules per op."""

from __future__ import annotations

from pyxai.graph.affine import AFFINE, BILINEAR, POSITIVE, STRUCTURAL, AffinePrefix, is_affine
from pyxai.graph.gathered import GatheredRun, batch_growth
from pyxai.graph.graph import Graph
from pyxai.graph.interpreter import Call, Run, Values
from pyxai.graph.ir import Node
from pyxai.graph.rules import Rule, RuleTable
from pyxai.graph.signs import is_nonnegative
from pyxai.graph.trace import trace

__all__ = [
    "AFFINE",
    "BILINEAR",
    "POSITIVE",
    "STRUCTURAL",
    "AffinePrefix",
    "Call",
    "GatheredRun",
    "Graph",
    "Node",
    "Rule",
    "RuleTable",
    "Run",
    "Values",
    "batch_growth",
    "is_affine",
    "is_nonnegative",
    "trace",
]
