"""The result object that all methods return: indexing, printing, files, other packages' forms."""

from __future__ import annotations

from pyxai.explanation.result import Explanation
from pyxai.explanation.text import feature_label

__all__ = ["Explanation", "feature_label"]
