"""Which features of a table a trained model needs: selection over a whole data set.

`GreedyFeatureSelector` is the same as a scikit-learn selector; asking for it imports scikit-learn::

    from pyxai.selection import GreedyFeatureSelector
    GreedyFeatureSelector(model, n_features_to_select=5).fit(X, y).transform(X)

May import `pyxai.methods`, `pyxai.greedy`, games and what is below them. Start with `greedy`.
"""

from __future__ import annotations

from typing import Any

from pyxai.selection.baselines import baseline_feature_selection
from pyxai.selection.curve import selection_curve
from pyxai.selection.greedy import greedy_feature_selection
from pyxai.selection.result import FeatureSelection, SelectionCurve

__all__ = [
    "FeatureSelection",
    "SelectionCurve",
    "baseline_feature_selection",
    "greedy_feature_selection",
    "selection_curve",
]


def __getattr__(name: str) -> Any:
    # Not in __all__: `import *` must not need scikit-learn.
    if name == "GreedyFeatureSelector":
        from pyxai.selection.selector import GreedyFeatureSelector

        return GreedyFeatureSelector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
