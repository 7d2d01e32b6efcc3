"""Attributions of the words of a text as HTML: for pages, templates and notebooks."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from pyxai._checks import check_bool
from pyxai.plot.colours import hexadecimal, ink, shade
from pyxai.plot.words.passage import Passage, Piece, read_passage

__all__ = ["Html", "text_html"]


class Html(str):
    """A piece of a page: notebooks show it, and Jinja2 puts it in without escaping it again.

    Attributes
    ----------
    data : str
        The same text, as the class of IPython of that name has it.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Html:
        """Take text that is HTML already."""
        return super().__new__(cls, text)

    @property
    def data(self) -> str:
        """The text."""
        return str(self)

    def _repr_html_(self) -> str:
        return str(self)

    def __html__(self) -> str:
        """Return the same text, which is HTML already."""
        return str(self)


def text_html(
    explanation: Any,
    *,
    words: Sequence[str] | None = None,
    example: int = 0,
    groups: Sequence[int] | None = None,
    limit: float | None = None,
    separator: str | None = None,
    legend: bool = True,
    title: str | None = None,
) -> Html:
    """Write a text as HTML whose words are coloured by their attributions, as `text` draws it.

    Words show their values where the pointer rests. Needs neither matplotlib nor a style sheet nor
    scripts; words are escaped; letters have a contrast of at least 4.5 on their colours.

    Parameters
    ----------
    explanation : Explanation, Tensor or array, shape [words], or a pair (words, values)
        As `text` takes it.
    words : sequence of str, optional
        Words of the example; default: ``feature_names``.
    example : int
        Which example of the explanation.
    groups : sequence of int, optional
        One number a word: neighbours of the same number are shown as one.
    limit : float, optional
        Attribution at the ends of the colour scale, in output units; default: the largest.
    separator : str, optional
        What stands between words; default: what does so in the text, where the explanation has it;
        else a space, or nothing where words bring spaces along.
    legend : bool
        Whether to say what colours mean, and base value and output where they are known.
    title : str, optional
        Default: the method's name.

    Returns
    -------
    Html
        A string with one ``<figure>``.

    Raises
    ------
    ValueError
        If words, values, ``groups``, ``example`` or ``limit`` do not fit, or all outputs were
        explained at once.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array nor a pair.

    Examples
    --------
    >>> from pyxai import plot
    >>> page = plot.text_html((["not", "<bad>"], [0.5, -0.25]), legend=False)
    >>> "&lt;bad&gt;" in page, page.count("title=")
    (True, 2)
    """
    check_bool("legend", legend)
    passage = read_passage(explanation, words, example, groups, limit, separator, title)
    words_ = html.escape(passage.separator).join(_word(passage, each) for each in passage.pieces)
    caption = f"<figcaption><b>{html.escape(passage.title)}</b></figcaption>"
    return Html(
        '<figure class="pyxai-text" style="margin:0 0 1em">'
        f"{caption if passage.title else ''}"
        f'<div style="line-height:2.1;white-space:pre-wrap;overflow-wrap:anywhere">{words_}</div>'
        f"{_legend(passage) if legend else ''}</figure>"
    )


def _word(passage: Passage, piece: Piece) -> str:
    shown = html.escape(piece.text)
    if piece.value is None:  # between words
        return shown
    value = passage.written(piece.value)
    return f'<span title="{value}"{_style(passage, piece)}>{shown}</span>'


def _style(passage: Passage, piece: Piece) -> str:
    """Return colour and line of a word; one without a visible colour keeps the page's."""
    share = passage.share(piece)
    if not share:
        return ""
    colour = shade(share)
    thick, line = 1 + round(1.5 * abs(share)), ""
    if share < 0:
        line = f";border-top:{thick}px dashed"
    elif not passage.unsigned:
        line = f";border-bottom:{thick}px solid"
    # A piece that goes over the end of a line has its colour, line and padding on both lines.
    return (
        f' style="background:{hexadecimal(colour)};color:{ink(colour)}{line};padding:.1em .15em;'
        '-webkit-box-decoration-break:clone;box-decoration-break:clone"'
    )


def _legend(passage: Passage) -> str:
    ends = [Piece("for the output", passage.limit), Piece("against it", -passage.limit)]
    if passage.unsigned:
        ends = [Piece(passage.quantity, passage.limit)]
    samples = " ".join(
        f"<span{_style(passage, end)}>{end.text}</span> {towards} "
        f"{passage.written(end.value or 0.0)}"
        for end, towards in zip(ends, ("up to", "down to"), strict=False)
    )
    facts = f"<br>{html.escape(passage.facts)}" if passage.facts else ""
    return f'<div style="font-size:85%;line-height:1.9">{samples}{facts}</div>'
