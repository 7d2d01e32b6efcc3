"""The demonstration: small models trained in seconds, explained by every method there is."""

from __future__ import annotations

from pyxai.demo.main import run

__all__ = ["run"]
