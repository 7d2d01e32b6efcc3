"""Functional Fisher information and the sampling methods that share its noise.

May import `pyxai.covariance` and what the family may. Start with `method`.
"""

from __future__ import annotations

from pyxai.attribution.sampled.functional_information.method import (
    EntropyBound,
    FunctionalInformation,
)

__all__ = ["EntropyBound", "FunctionalInformation"]
