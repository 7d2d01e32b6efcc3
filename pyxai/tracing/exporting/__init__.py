"""How a model is given to torch.export, and what is said of it where that fails.

A twin of the model is exported, in one thread at a time. May import the runner and what is below
it, and the nodes of a graph. Start with `export`.
"""

from __future__ import annotations

from pyxai.tracing.exporting.alone import tracing_alone
from pyxai.tracing.exporting.export import export

__all__ = ["export", "tracing_alone"]
