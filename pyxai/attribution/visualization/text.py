"""Attributions of words, as a table of texts."""

from __future__ import annotations

import html
import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pyxai._checks import check_bool
from pyxai._lazy import above
from pyxai.attribution.visualization.scale import as_numpy

__all__ = [
    "VisualizationDataRecord",
    "format_classname",
    "format_special_tokens",
    "format_tooltip",
    "format_word_importances",
    "visualize_text",
]


@dataclass(slots=True)
class VisualizationDataRecord:
    """A text with its attributions and what was predicted.

    Attributes
    ----------
    word_attributions : Tensor, shape [words]
        One for each word, from -1 to 1; larger ones are shown as these.
    pred_prob : float
        Probability of the predicted class.
    pred_class, true_class, attr_class : int or str
        The class that was predicted, the true one, and the one explained.
    attr_score : float
        Sum of the attributions.
    raw_input_ids : list of str
        The words.
    convergence_score : float
        The convergence delta.
    """

    word_attributions: Any
    pred_prob: float
    pred_class: Any
    true_class: Any
    attr_class: Any
    attr_score: float
    raw_input_ids: list[str]
    convergence_score: float


def visualize_text(datarecords: Iterable[VisualizationDataRecord], legend: bool = True) -> Any:
    """Write texts as a table of HTML, and display it where IPython is installed.

    Parameters
    ----------
    datarecords : iterable of VisualizationDataRecord
        One for each row.
    legend : bool
        Whether to say above what colours mean.

    Returns
    -------
    pyxai.plot.Html
        A string, which notebooks show.
    """
    check_bool("legend", legend)
    plot = above("plot")
    heads = ("True Label", "Predicted Label", "Attribution Label", "Attribution Score")
    cells = "".join(f"<th>{head}</th>" for head in (*heads, "Word Importance"))
    rows = "".join(_row(record) for record in datarecords)
    signs = (["Negative", "Neutral", "Positive"], [-1.0, 0.0, 1.0])
    above_it = plot.text_html(signs, legend=False) if legend else ""
    page = plot.Html(f'{above_it}<table width="100%"><tr>{cells}</tr>{rows}</table>')
    if importlib.util.find_spec("IPython") is not None:
        importlib.import_module("IPython.display").display(page)
    return page


def format_classname(classname: Any) -> str:
    """Return a cell with the name of a class.

    Parameters
    ----------
    classname : str or int
        The name.
    """
    return f"<td><b>{html.escape(str(classname))}</b></td>"


def format_special_tokens(token: str) -> str:
    """Return a token, one in angle brackets with a number sign in their place.

    Parameters
    ----------
    token : str
        Such as ``"<pad>"``.
    """
    special = token.startswith("<") and token.endswith(">")
    return f"#{token.strip('<>')}" if special else token


def format_tooltip(item: str, text: str) -> str:
    """Return an element that shows a text where the pointer rests.

    Parameters
    ----------
    item : str
        What is shown.
    text : str
        What is said of it.
    """
    return f'<div class="tooltip" title="{html.escape(text)}">{html.escape(item)}</div>'


def format_word_importances(words: Sequence[str], importances: Any) -> str:
    """Return a cell with words in the colours of `pyxai.plot.text_html`.

    Parameters
    ----------
    words : sequence of str
        The words.
    importances : Tensor, array or sequence of float, shape [words]
        From -1 to 1; those beyond the words are left out.

    Returns
    -------
    str
        A cell of a table.

    Raises
    ------
    ValueError
        If there are more words than importances.
    """
    if importances is None or len(importances) == 0:
        return "<td></td>"
    if not isinstance(importances, (Tensor, np.ndarray)):
        importances = np.array(importances, dtype=np.float64)
    values = as_numpy("importances", importances)
    if values.ndim != 1 or len(values) < len(words):
        raise ValueError(
            f"importances must be one number for each of {len(words)} words, "
            f"got shape {list(values.shape)}"
        )
    shown = [format_special_tokens(word) for word in words]
    text = above("plot").text_html((shown, values[: len(words)]), limit=1.0, legend=False)
    return f"<td>{text}</td>"


def _row(record: VisualizationDataRecord) -> str:
    names = (
        record.true_class,
        f"{record.pred_class} ({float(record.pred_prob):.2f})",
        record.attr_class,
        f"{float(record.attr_score):.2f}",
    )
    words = format_word_importances(record.raw_input_ids, record.word_attributions)
    return f"<tr>{''.join(map(format_classname, names))}{words}</tr>"
