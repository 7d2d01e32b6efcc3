"""The result object that all methods return: indexing, printing, files, other packages' forms.

May import the runner, games and what is below them, no method. Start with `result`.
"""

from __future__ import annotations

from pyxai.explanation.result import Explanation
from pyxai.explanation.text import feature_label

__all__ = ["Explanation", "feature_label"]
