"""The cooperative game that every method asks: ``v(S)``, and its extension ``v(w)``.

May import imputers, the runner and what is below them. Start with `game`; `path` integrates
gradients along the way from the baseline to the input.
"""

from __future__ import annotations

from pyxai.game.game import Game

__all__ = ["Game"]
