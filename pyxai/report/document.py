"""A report is a title and sections; a section is a list of blocks that know how to become HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pyxai._files import check_target, whole_file
from pyxai.report.numbers import format_number
from pyxai.report.pictures import picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Bar", "Report", "Section"]

STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True)
class Bar:
    """A table cell with a thin bar below its text.

    Parameters
    ----------
    text : str
        What the cell says.
    share : float
        Length of the bar as a share of the cell, 0 to 1; other values are clipped.
    """

    text: str
    share: float


@dataclass
class Section:
    """One part of a report; its methods append blocks and return the section, so they chain.

    Parameters
    ----------
    title : str
        Heading; also the entry in the navigation at the top.
    """

    title: str
    blocks: list[str] = field(default_factory=list, repr=False)

    @property
    def anchor(self) -> str:
        """Name that links within the page use; the page adds a number where two are the same."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-_") or "section"

    def text(self, *paragraphs: str) -> Section:
        """Append paragraphs of plain text.

        Parameters
        ----------
        *paragraphs : str
            Each becomes one paragraph; markup in it is shown, not interpreted.

        Returns
        -------
        Section
            This section.
        """
        self.blocks += [f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs]
        return self

    def heading(self, title: str) -> Section:
        """Append a heading one level below the section's own.

        Parameters
        ----------
        title : str
            Plain text.

        Returns
        -------
        Section
            This section.
        """
        self.blocks.append(f"<h3>{html.escape(title)}</h3>")
        return self

    def figure(
        self, draw: Callable[[], Figure], *, alt: str, caption: str = "", least_width: int = 0
    ) -> Section:
        """Append a matplotlib figure as two embedded PNGs, for light and for dark screens.

        Parameters
        ----------
        draw : callable
            Makes the figure and returns it; called once per colour scheme under matching
            ``rcParams``, and the figure is closed afterwards.
        alt : str
            What the picture shows, for those who cannot see it.
        caption : str
            Text below the picture.
        least_width : int
            Width in CSS pixels below which the picture scrolls sideways rather than shrinks.

        Returns
        -------
        Section
            This section.
        """
        note = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
        style = f' style="--least:{int(least_width)}px"' if least_width else ""
        self.blocks.append(
            f'<figure{style}><div class="frame">{picture(draw, alt)}</div>{note}</figure>'
        )
        return self

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str = ""
    ) -> Section:
        """Append a table.

        Parameters
        ----------
        header : sequence of str
            Column names.
        rows : sequence of sequences
            Cells: text, numbers (right-aligned, three significant digits), `Bar`, or ``None`` for
            an empty cell.
        caption : str
            Text below the table.

        Returns
        -------
        Section
            This section.

        Raises
        ------
        ValueError
            If a row has not as many cells as the header.
        """
        for number, row in enumerate(rows):
            if len(row) != len(header):
                raise ValueError(
                    f"rows must have {len(header)} cells each, got {len(row)} in row {number}"
                )
        numeric = [
            all(isinstance(row[column], (int, float, Bar, type(None))) for row in rows)
            for column in range(len(header))
        ]
        head = "".join(
            f"<th{_class('number' if right else '')}>{html.escape(name)}</th>"
            for name, right in zip(header, numeric, strict=True)
        )
        body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
        note = f"<caption>{html.escape(caption)}</caption>" if caption else ""
        self.blocks.append(
            f'<div class="scroll"><table>{note}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )
        return self

    def conclusions(self, can: Sequence[str], cannot: Sequence[str]) -> Section:
        """Append what a reader may conclude and may not, side by side.

        Parameters
        ----------
        can, cannot : sequence of str
            One plain sentence or two each.

        Returns
        -------
        Section
            This section.
        """
        boxes = ""
        for kind, title, items in (
            ("", "You can conclude", can),
            (" not", "You cannot conclude", cannot),
        ):
            listed = "".join(f"<li>{html.escape(item)}</li>" for item in items)
            boxes += f'<div class="verdict{kind}"><h3>{title}</h3><ul>{listed}</ul></div>'
        self.blocks.append(f'<div class="verdicts">{boxes}</div>')
        return self


class Report:
    """A page of sections in one HTML file that loads nothing from outside.

    Parameters
    ----------
    title : str
        Heading of the page.
    lead : str
        One or two sentences below it.
    facts : str
        Small print: versions, seed, machine.
    """

    def __init__(self, title: str, lead: str = "", facts: str = "") -> None:
        self.title = title
        self.lead = lead
        self.facts = facts
        self.sections: list[Section] = []

    def section(self, title: str) -> Section:
        """Append a section and return it.

        Parameters
        ----------
        title : str
            Its heading.

        Returns
        -------
        Section
            The new, empty section.
        """
        self.sections.append(Section(title))
        return self.sections[-1]

    def to_html(self) -> str:
        """Return the page.

        Returns
        -------
        str
            A complete HTML document.
        """
        named = list(zip(self._anchors(), self.sections, strict=True))
        links = "".join(
            f'<a href="#{anchor}">{html.escape(section.title)}</a>' for anchor, section in named
        )
        body = "".join(
            f'<section id="{anchor}"><h2>{html.escape(section.title)}</h2>'
            f"{''.join(section.blocks)}</section>"
            for anchor, section in named
        )
        title = html.escape(self.title)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            # The browser itself enforces that the page is standalone.
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
            f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
            f'<header><h1>{title}</h1><p class="lead">{html.escape(self.lead)}</p>'
            f"<nav>{links}</nav></header><main>{body}</main>"
            f"<footer>{html.escape(self.facts)}</footer></body></html>\n"
        )

    def _anchors(self) -> list[str]:
        """Return a name for each section, all of them different."""
        taken: list[str] = []
        for section in self.sections:
            name, count = section.anchor, 1
            while name in taken:
                count += 1
                name = f"{section.anchor}-{count}"
            taken.append(name)
        return taken

    def write(self, path: str | Path) -> Path:
        """Write the page to a file.

        Parameters
        ----------
        path : str or Path
            Where; missing folders are made.

        Returns
        -------
        Path
            The file written; until it is whole, one that was there stays as it was.

        Raises
        ------
        ValueError
            If there is something else than a regular file.
        OSError
            If the folder cannot be made, or the disk is full.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        check_target(target)
        page = self.to_html().encode("utf-8")
        with whole_file(target) as file:
            file.write(page)
        return target


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _cell(value: object) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, Bar):
        width = 100 * min(1.0, max(0.0, value.share))
        text = html.escape(value.text)
        return (
            f'<td class="number">{text}<span class="bar"><span style="width:{width:.1f}%"></span>'
            "</span></td>"
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'<td class="number">{format_number(value)}</td>'
    text = str(value)
    return f"<td{_class('words' if len(text) > 40 else '')}>{html.escape(text)}</td>"
