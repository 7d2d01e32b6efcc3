"""Functional Fisher information and the sampling methods that share its noise."""

from __future__ import annotations

from pyxai.attribution.sampled.functional_information.method import (
    EntropyBound,
    FunctionalInformation,
)

__all__ = ["EntropyBound", "FunctionalInformation"]
