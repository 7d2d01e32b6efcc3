"""Attribution methods, under the names and with the signatures that captum's users know."""

from __future__ import annotations

from pyxai.attribution.base import Attribution, GradientAttribution, PerturbationAttribution

__all__ = ["Attribution", "GradientAttribution", "PerturbationAttribution"]
