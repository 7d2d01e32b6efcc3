"""Rules that give multipliers: how the change of an op's value is shared among its operands.

For an op ``y = f(h)`` with values at the input and at the baseline, a rule turns the multiplier
of ``y`` into that of ``h`` such that ``<M_h, h - h_b> = <M_y, y - y_b>``: DeepLIFT's chain rule.

May import the traced model and what is below. Start with `rescale`.
"""

from __future__ import annotations

from pyxai.propagation.multipliers.neuron_shapley import neuron_shapley
from pyxai.propagation.multipliers.rescale import RESCALE
from pyxai.propagation.multipliers.reveal_cancel import reveal_cancel

__all__ = ["RESCALE", "neuron_shapley", "reveal_cancel"]
