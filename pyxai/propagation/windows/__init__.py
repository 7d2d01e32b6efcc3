"""Conv nets on an image of which one patch at a time is another: only what can change is computed.

A patch changes a window of each map that it reaches; `rules` say for each op which one, and compute
it from the maps of the image as it is. `plan` decides where the window covers too much and whole
maps go on, `model` runs it. May import the traced model and what is below. Start with `rules`.
"""

from __future__ import annotations

from pyxai.propagation.windows.model import WindowedModel, windowed_model
from pyxai.propagation.windows.patches import Patches

__all__ = ["Patches", "WindowedModel", "windowed_model"]
