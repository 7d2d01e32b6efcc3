"""Data sets of every form as one: so many examples, read from one number to another.

May import the runner and what is below it. Start with `source`.
"""

from __future__ import annotations

from pyxai.audit.data.open import open_source
from pyxai.audit.data.source import Batch, Like, Source

__all__ = ["Batch", "Like", "Source", "open_source"]
