"""Standalone HTML reports: one file, pictures inside, nothing loaded from anywhere.

May import `pyxai.plot` and what is below it. Start with `document`; what pages look like is in
``templates/``.
"""

from __future__ import annotations

from pyxai.report.cells import Bar, Signed
from pyxai.report.document import Report, Section
from pyxai.report.numbers import format_number, format_seconds

__all__ = ["Bar", "Report", "Section", "Signed", "format_number", "format_seconds"]
