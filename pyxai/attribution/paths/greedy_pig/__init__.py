"""Greedy PIG: path integrated gradients that start over from what is selected already.

Start with `method`.
"""

from __future__ import annotations

from pyxai.attribution.paths.greedy_pig.method import GreedyPIG

__all__ = ["GreedyPIG"]
