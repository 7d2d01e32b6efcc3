"""The cooperative game that every method asks: ``v(S)``, and its extension ``v(w)``."""

from __future__ import annotations

from pyxai.game.game import Game

__all__ = ["Game"]
