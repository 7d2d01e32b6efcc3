"""What a model is left with: its modules are found, held for one public call, and put back.

`scope` opens what all runs of a public call share, `found` is the state of some modules,
`kept_values` that of their tensors, `evaluation` serves losses within a training step, `path`
carries the name of the way that rows took. Knows nothing of how rows are run. Start with `scope`.
"""

from __future__ import annotations

from pyxai.runner.state.evaluation import in_evaluation
from pyxai.runner.state.found import Found
from pyxai.runner.state.modules import device_of, find_modules, warn_if_training
from pyxai.runner.state.path import DIRECT, PathNotes, note_path, path_noted
from pyxai.runner.state.randomness import RandomState, random_state_kept
from pyxai.runner.state.scope import (
    left_as_found,
    modules_of,
    one_scope,
    open_scope,
    outside_scope,
    recall,
    remember,
)

__all__ = [
    "DIRECT",
    "Found",
    "PathNotes",
    "RandomState",
    "device_of",
    "find_modules",
    "in_evaluation",
    "left_as_found",
    "modules_of",
    "note_path",
    "one_scope",
    "open_scope",
    "outside_scope",
    "path_noted",
    "random_state_kept",
    "recall",
    "remember",
    "warn_if_training",
]
