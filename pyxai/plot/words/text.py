"""Attributions of the words of a text, as colours and lines beside the words."""

from __future__ import annotations

import importlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from pyxai._checks import check_bool
from pyxai.plot.axes import new_axes, size_in_points
from pyxai.plot.colours import ink, shade
from pyxai.plot.words.passage import Passage, Piece, read_passage

__all__ = ["text"]

_SIZE, _SMALL, _SMALLEST = 12.0, 8.5, 5.0  # of letters, in points
_WIDTH = 6.4  # of a new figure, in inches


def text(
    explanation: Any,
    *,
    words: Sequence[str] | None = None,
    example: int = 0,
    groups: Sequence[int] | None = None,
    limit: float | None = None,
    separator: str | None = None,
    legend: bool = True,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw a text whose words are coloured by their attributions.

    Red with a line below speaks for the explained output, blue with a dashed line above against
    it, so that signs are seen without colours. `text_html` makes the same for pages.

    Parameters
    ----------
    explanation : Explanation, Tensor or array, shape [words], or a pair (words, values)
        An explanation whose features are words, named by its ``feature_names``. Words that were
        one player, by a ``feature_mask``, are shown as one.
    words : sequence of str, optional
        Words of the example; default: ``feature_names``. Where attributions have further
        dimensions, as those of an embedding, [words, dimensions], these are added up.
    example : int
        Which example of the explanation.
    groups : sequence of int, optional
        One number a word: neighbours of the same number are shown as one word, joined without a
        space, and the attributions of a group are added up. For pieces of words.
    limit : float, optional
        Attribution at the ends of the colour scale, in output units; default: the largest absolute
        one. Give the same number to compare texts.
    separator : str, optional
        What stands between words; default: what does so in the text, where the explanation has it;
        else a space, or nothing where words bring spaces along.
    legend : bool
        Whether to say below the text what colours mean, and base value and output where the
        explanation knows them.
    title : str, optional
        Default: the method's name.
    ax : matplotlib Axes, optional
        Where to draw, in its size; default: a new figure, as high as the text needs.

    Returns
    -------
    matplotlib Axes
        In points, from the upper left corner.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If words, values, ``groups``, ``example`` or ``limit`` do not fit, or all outputs were
        explained at once.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array nor a pair.
    """
    check_bool("legend", legend)
    passage = read_passage(explanation, words, example, groups, limit, separator, title)
    own = ax is None
    ax = new_axes(ax, (_WIDTH, 1.0))
    page = _Page(passage, legend, ax.figure)
    if own:
        ax.figure.set_size_inches(_WIDTH, (page.height(72 * (_WIDTH - 0.2), _SIZE) + 30) / 72)
    ax.set_axis_off()
    ax.set_title(passage.title, loc="left")
    width, height = size_in_points(ax)
    size = _SIZE
    while size > _SMALLEST and page.height(width, size) > height:
        size -= 0.5
    ax.set_xlim(0, width)
    ax.set_ylim(-height, 0)
    page.draw(ax, width, size)
    return ax


class _Page:
    """A passage as lines of a given width: what is measured is what is drawn."""

    def __init__(self, passage: Passage, legend: bool, figure: Any) -> None:
        self.passage = passage
        self.legend = legend
        self.figure = figure
        self._measured: dict[tuple[str, float], float] = {}

    def height(self, width: float, size: float) -> float:
        """Return the height in points of the text and its legend."""
        lines = len(self._lines(width, size))
        small = min(_SMALL, size)
        return 1.9 * size * lines + 1.6 * small * len(self._notes(width, small))

    def draw(self, ax: Any, width: float, size: float) -> None:
        """Draw in data units that are points, downward from 0."""
        top = 0.0
        for line in self._lines(width, size):
            left = 0.0
            for piece, text in line:
                room = self._width(text, size)
                if text.strip():
                    self._piece(ax, piece, text, (left, top, room, size))
                left += room + self._width(self.passage.separator, size) + 0.15 * size
            top -= 1.9 * size
        small = min(_SMALL, size)
        for note in self._notes(width, small):
            left = 0.0
            for piece, text in note:
                room = self._width(text, small)
                self._piece(ax, piece, text, (left, top - 0.2 * small, room, small))
                left += room + small
            top -= 1.6 * small

    def _piece(
        self, ax: Any, piece: Piece, text: str, place: tuple[float, float, float, float]
    ) -> None:
        """Draw a word, its colour, and the line that tells its sign."""
        left, top, room, size = place
        share = self.passage.share(piece)
        base = top - 1.25 * size
        written = {"fontsize": size, "va": "baseline", "parse_math": False}
        if not share:
            ax.text(left, base, text, **written)
            return
        colour = shade(share)
        patches = importlib.import_module("matplotlib.patches")
        edges = (left - 0.1 * size, base - 0.3 * size), room + 0.2 * size, 1.35 * size
        # As artists of no kind: limits are set already, and are not to be searched for each word.
        ax.add_artist(patches.Rectangle(*edges, facecolor=colour, edgecolor="none", zorder=1))
        (start, bottom), across, height = edges
        if share < 0 or not self.passage.unsigned:
            # Inside the box, in the colour of the letters, which is seen on it.
            thick = (0.05 + 0.08 * abs(share)) * size
            level = bottom + (height - thick / 2 if share < 0 else thick / 2)
            dashes = (0, (2.2, 1.2)) if share < 0 else "solid"
            line = {"color": ink(colour), "linewidth": thick, "linestyle": dashes, "zorder": 2}
            lines = importlib.import_module("matplotlib.lines")
            ends = [start, start + across], [level, level]
            ax.add_artist(lines.Line2D(*ends, solid_capstyle="butt", **line))
        ax.text(left, base, text, color=ink(colour), zorder=3, **written)

    def _lines(self, width: float, size: float) -> list[list[tuple[Piece, str]]]:
        """Break the text where a line is full or a word has a line break."""
        lines: list[list[tuple[Piece, str]]] = [[]]
        left = 0.0
        between = self._width(self.passage.separator, size) + 0.15 * size
        for piece in self.passage.pieces:
            for number, text in enumerate(piece.text.split("\n")):
                if number:
                    lines.append([])
                    left = 0.0
                for part in self._parts(text, width, size):
                    room = self._width(part, size)
                    if left and left + room > width:
                        lines.append([])
                        left = 0.0
                    shown = part if left else part.lstrip()
                    lines[-1].append((piece, shown))
                    left += self._width(shown, size) + between
        return lines

    def _parts(self, text: str, width: float, size: float) -> list[str]:
        """Break a piece that is longer than a line, at a space where there is one."""
        parts = []
        while text and self._width(text, size) > width:
            fitting = bisect_right(
                range(1, len(text)), width, key=lambda stop: self._width(text[:stop], size)
            )
            space = text.rfind(" ", 1, fitting + 1)
            stop = space if space > 0 else max(fitting, 1)
            parts.append(text[:stop])
            text = text[stop:].lstrip()
        return [*parts, text]

    def _notes(self, width: float, size: float) -> list[list[tuple[Piece, str]]]:
        """Return the lines of the legend: samples of the marks, and from base value to output."""
        if not self.legend:
            return []
        passage = self.passage
        plus, minus = (Piece("", sign * passage.limit) for sign in (1, -1))
        plain = Piece("", 0.0)
        entries = [(plus, "for the output, up to " + passage.written(passage.limit))]
        if passage.unsigned:
            entries = [(plus, f"{passage.quantity}, up to {passage.written(passage.limit)}")]
        else:
            entries.append((minus, "against it, down to " + passage.written(-passage.limit)))
        entries += [(plain, part) for part in self._parts(passage.facts, width, size) if part]
        lines: list[list[tuple[Piece, str]]] = []
        left = width + 1
        for piece, text in entries:
            room = self._width(text, size) + size
            if left + room > width or not piece.value:
                lines.append([])
                left = 0.0
            lines[-1].append((piece, text))
            left += room
        return lines

    def _width(self, text: str, size: float) -> float:
        """Return the width of a text in points, spaces at its ends and all."""
        return self._extent(f"|{text}|", size) - self._extent("||", size)

    def _extent(self, text: str, size: float) -> float:
        # Hinting makes small letters wider, so that they are measured in their size.
        if (text, size) not in self._measured:
            artist = self.figure.text(0, 0, text, fontsize=size, parse_math=False)
            width = float(artist.get_window_extent().width)
            artist.remove()
            self._measured[text, size] = 72 * width / float(self.figure.dpi)
        return self._measured[text, size]
