"""A report is a title and sections; a section is a list of blocks that know how to become HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from pyxai._checks import describe
from pyxai._files import check_target, whole_file
from pyxai.report import render
from pyxai.report.cells import cell_of, head_of
from pyxai.report.pictures import picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Report", "Section"]


@dataclass
class Section:
    """One part of a report; its methods append blocks and return the section, so they chain.

    Parameters
    ----------
    title : str
        Heading; also the entry in the table of contents at the top.
    lead : str
        A sentence or two beside the heading.
    """

    title: str
    lead: str = ""
    blocks: list[Markup | Section] = field(default_factory=list, repr=False)

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
        self.blocks += [render.block("paragraph", text=paragraph) for paragraph in paragraphs]
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
        self.blocks.append(render.block("heading", title=title))
        return self

    def figure(
        self,
        draw: Callable[[], Figure],
        *,
        alt: str,
        caption: str = "",
        least_width: int = 0,
        narrow: Callable[[], Figure] | None = None,
    ) -> Section:
        """Append a matplotlib figure as embedded PNGs, for light and for dark screens.

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
        narrow : callable, optional
            As ``draw``, at most 3.7 inches wide: shown on phones, in place of scrolling.

        Returns
        -------
        Section
            This section.
        """
        values = {"picture": picture(draw, narrow), "alt": alt, "caption": caption}
        self.blocks.append(render.block("figure", **values, least=int(least_width)))
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
        columns = [[row[place] for row in rows] for place in range(len(header))]
        heads = [head_of(name, column) for name, column in zip(header, columns, strict=True)]
        cells = [[cell_of(value) for value in row] for row in rows]
        self.blocks.append(render.block("table", header=heads, rows=cells, caption=caption))
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
        lists = (("", "You can conclude", can), (" not", "You cannot conclude", cannot))
        self.blocks.append(render.block("conclusions", lists=lists))
        return self

    def fold(self, summary: str, lead: str = "") -> Section:
        """Append a part that is closed until its summary is clicked; on paper it is open.

        Parameters
        ----------
        summary : str
            What it holds, in a line.
        lead : str
            First paragraph inside.

        Returns
        -------
        Section
            The part, empty: it takes any blocks, also folds.
        """
        part = Section(summary, lead)
        self.blocks.append(part)
        return part

    def html(self, markup: Markup) -> Section:
        """Append markup that is trusted, such as ``pyxai.plot.text`` makes.

        Parameters
        ----------
        markup : Markup
            Of markupsafe, whose author escaped what came from outside. Scripts in it do not run,
            and nothing is loaded.

        Returns
        -------
        Section
            This section.

        Raises
        ------
        TypeError
            If it is a plain text.
        """
        if not isinstance(markup, Markup):
            raise TypeError(f"markup must be a markupsafe.Markup, got {describe(markup)}")
        self.blocks.append(markup)
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

    def section(self, title: str, lead: str = "") -> Section:
        """Append a section and return it.

        Parameters
        ----------
        title : str
            Its heading.
        lead : str
            A sentence or two beside the heading.

        Returns
        -------
        Section
            The new, empty section.
        """
        self.sections.append(Section(title, lead))
        return self.sections[-1]

    def to_html(self) -> str:
        """Return the page.

        Returns
        -------
        str
            A complete HTML document; of more than four sections, with a table of contents.
        """
        named = list(zip(self._anchors(), self.sections, strict=True))
        return render.page(title=self.title, lead=self.lead, facts=self.facts, sections=named)

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
