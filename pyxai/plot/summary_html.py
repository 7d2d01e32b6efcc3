"""An explanation as a notebook shows it."""

from __future__ import annotations

import base64
import html
import importlib
import importlib.util
import io

from torch import Tensor

from pyxai._checks import describe
from pyxai.explanation import Explanation
from pyxai.explanation.balance import is_of_all_outputs
from pyxai.explanation.groups import is_unsigned, quantity
from pyxai.explanation.names import has_words
from pyxai.explanation.numbers import number, shortened
from pyxai.explanation.text import facts, top_features
from pyxai.plot.colours import NEGATIVE, POSITIVE
from pyxai.plot.maps.heatmap import heatmap
from pyxai.plot.words.text_html import Html, text_html

__all__ = ["summary_html"]

_EXAMPLES = 3  # of a text that are shown
_TOP = 8


def summary_html(explanation: Explanation) -> Html:
    """Write an explanation as HTML: what was done, and words, a map or the leading features.

    Parameters
    ----------
    explanation : Explanation
        Of anything. Where each example has names of its own, such as words, the first three are
        shown as texts; of images the first is drawn if matplotlib is installed.

    Returns
    -------
    Html
        A string with one ``<div>``.

    Raises
    ------
    TypeError
        If it is no explanation.
    """
    if not isinstance(explanation, Explanation):
        raise TypeError(f"explanation must be an explanation, got {describe(explanation)}")
    title = f"Explanation by {explanation.method.replace('_', ' ') or 'an unnamed method'}"
    rows = "".join(
        f'<tr><th style="text-align:left;font-weight:normal;opacity:.7">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(shortened(text, 120))}</td></tr>'
        for name, text in facts(explanation)
    )
    shown = _shown(explanation) if len(explanation) else ""
    return Html(
        f'<div class="pyxai-explanation"><b>{html.escape(title)}</b>{shown}'
        f"<details><summary>what was done</summary><table>{rows}</table></details></div>"
    )


def _shown(explanation: Explanation) -> str:
    if has_words(explanation) and not is_of_all_outputs(explanation):
        first = range(min(len(explanation), _EXAMPLES))
        more = len(explanation) - len(first)
        texts = "".join(text_html(explanation, example=row, title="") for row in first)
        return texts + (f"<p>and {more} more</p>" if more else "")
    if _is_image(explanation) and importlib.util.find_spec("matplotlib") is not None:
        return _drawn(explanation)
    return _bars(explanation)


def _is_image(explanation: Explanation) -> bool:
    """Tell whether attributions and inputs are grids that the heat map takes."""
    values, inputs = explanation.attributions, explanation.inputs
    return (
        isinstance(values, Tensor)
        and isinstance(inputs, Tensor)
        and values.shape == inputs.shape
        and values.dim() in (3, 4)
        and min(values.shape[-2:]) > 1
        and not is_of_all_outputs(explanation)
    )


def _drawn(explanation: Explanation) -> str:
    """Return the heat map of the first example, without pyplot, which would keep the figure."""
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(4, 3))
    heatmap(explanation, title="", ax=figure.subplots())
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    alt = f"attributions of example 0 of {len(explanation)}"
    return f'<div><img alt="{alt}" src="data:image/png;base64,{data}"></div>'


def _bars(explanation: Explanation) -> str:
    """Return the leading features, each with a bar."""
    best = top_features(explanation, _TOP)
    largest = max((abs(value) for _, value in best), default=0.0) or 1.0
    what, rows = quantity(explanation), len(explanation)
    signed = rows == 1 and not is_unsigned(explanation)
    form, colours = ("+.3g", (NEGATIVE, POSITIVE)) if signed else (".3g", ("#777", "#777"))
    lines = "".join(
        f'<tr><td style="text-align:left">{html.escape(shortened(name, 40))}</td>'
        f'<td style="text-align:right">{number(value, form)}</td>'
        f'<td style="text-align:left"><span style="display:inline-block;height:.8em;width:'
        f'{_width(value / largest)}em;background:{colours[value >= 0]}">'
        "</span></td></tr>"
        for name, value in best
    )
    head = what if rows == 1 else f"mean |{what}| over {rows} examples"
    return f"<table><caption>{html.escape(head)}</caption>{lines}</table>"


def _width(share: float) -> str:
    return f"{10 * min(abs(share), 1.0):.2f}" if share == share else "0"
