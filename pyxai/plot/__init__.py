"""Pictures of results: each function takes an explanation or a tensor and returns the Axes.

May import results, metrics and methods. Start with `bar`.
"""

from __future__ import annotations

from pyxai.plot.bar import bar
from pyxai.plot.curve import curve
from pyxai.plot.graph import graph
from pyxai.plot.heatmap import heatmap
from pyxai.plot.hierarchy import hierarchy
from pyxai.plot.interactions import interactions
from pyxai.plot.principles import principles
from pyxai.plot.selection import selection
from pyxai.plot.wavelet import wavelet

__all__ = [
    "bar",
    "curve",
    "graph",
    "heatmap",
    "hierarchy",
    "interactions",
    "principles",
    "selection",
    "wavelet",
]
