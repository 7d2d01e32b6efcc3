"""Pictures under the names and with the arguments that captum's users know.

Thin calls on `pyxai.plot`, whose functions take explanations, keep the units of attributions and
return Axes: those are for new code. May import what `pyxai.attribution` may; needs matplotlib when
a picture is drawn, nothing for text. Start with `images`.
"""

from __future__ import annotations

from pyxai.attribution.visualization.images import (
    ImageVisualizationMethod,
    visualize_image_attr,
    visualize_image_attr_multiple,
)
from pyxai.attribution.visualization.masks import draw_mask_border, draw_mask_legend
from pyxai.attribution.visualization.scale import VisualizeSign
from pyxai.attribution.visualization.series import (
    TimeseriesVisualizationMethod,
    visualize_timeseries_attr,
)
from pyxai.attribution.visualization.text import (
    VisualizationDataRecord,
    format_classname,
    format_special_tokens,
    format_tooltip,
    format_word_importances,
    visualize_text,
)

__all__ = [
    "ImageVisualizationMethod",
    "TimeseriesVisualizationMethod",
    "VisualizationDataRecord",
    "VisualizeSign",
    "draw_mask_border",
    "draw_mask_legend",
    "format_classname",
    "format_special_tokens",
    "format_tooltip",
    "format_word_importances",
    "visualize_image_attr",
    "visualize_image_attr_multiple",
    "visualize_text",
    "visualize_timeseries_attr",
]
