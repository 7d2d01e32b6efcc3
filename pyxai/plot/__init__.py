"""Pictures of results: each function takes an explanation or a tensor and returns the Axes.

Those whose names end in ``_html`` return a string for pages and notebooks instead.

May import results, metrics and methods. Start with `bar`.
"""

from __future__ import annotations

from pyxai.plot.curve import curve
from pyxai.plot.features.bar import bar
from pyxai.plot.features.beeswarm import beeswarm
from pyxai.plot.features.waterfall import waterfall
from pyxai.plot.graph import graph
from pyxai.plot.hierarchy import hierarchy
from pyxai.plot.interactions import interactions
from pyxai.plot.maps.heatmap import heatmap
from pyxai.plot.maps.image import image
from pyxai.plot.maps.timeseries import timeseries
from pyxai.plot.principles import principles
from pyxai.plot.selection import selection
from pyxai.plot.summary_html import summary_html
from pyxai.plot.wavelet import wavelet
from pyxai.plot.words.text import text
from pyxai.plot.words.text_html import Html, text_html
from pyxai.plot.words.token_matrix import token_matrix

__all__ = [
    "Html",
    "bar",
    "beeswarm",
    "curve",
    "graph",
    "heatmap",
    "hierarchy",
    "image",
    "interactions",
    "principles",
    "selection",
    "summary_html",
    "text",
    "text_html",
    "timeseries",
    "token_matrix",
    "waterfall",
    "wavelet",
]
