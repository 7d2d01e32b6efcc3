"""A model cut behind its first layer, without a trace: its own code runs, the layer does not.

`watch` follows the input through the functions of torch that a model calls, up to the first layer
and past it; `first_layer` cuts a model there and asks whether both parts make up the whole. Knows
of the runner no more than its `state` and `mixing`. Start with `first_layer`.
"""

from __future__ import annotations

from pyxai.runner.split.first_layer import (
    PATH,
    LayerSizes,
    ModelChanged,
    PartedModel,
    may_be_cut,
    part_model,
)

__all__ = ["PATH", "LayerSizes", "ModelChanged", "PartedModel", "may_be_cut", "part_model"]
