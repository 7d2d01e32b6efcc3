"""A model as a graph of aten ops, traced once, with pluggable rules per op.

May import the runner and what is below it. Start with `trace`; rules are in tables (`rules`),
what a rule sees of an op is in `interpreter`.
"""

from __future__ import annotations

from pyxai.tracing.affine import (
    AFFINE,
    BILINEAR,
    LINEAR_MAPS,
    POSITIVE,
    STRUCTURAL,
    is_affine,
)
from pyxai.tracing.graph import Graph
from pyxai.tracing.interpreter import Call, Run, Values
from pyxai.tracing.nodes import Node
from pyxai.tracing.row_views import GatheredRun, batch_growth
from pyxai.tracing.rules import Rule, RuleTable
from pyxai.tracing.signs import is_nonnegative
from pyxai.tracing.trace import trace, trace_rows, unwrapped

__all__ = [
    "AFFINE",
    "BILINEAR",
    "LINEAR_MAPS",
    "POSITIVE",
    "STRUCTURAL",
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
    "trace_rows",
    "unwrapped",
]
