"""Standalone HTML reports: one file, pictures inside, nothing loaded from anywhere.

May import `pyxai.plot` and what is below it. Start with `document`.
"""

from __future__ import annotations

from pyxai.report.document import Bar, Report, Section
from pyxai.report.numbers import format_number, format_seconds

__all__ = ["Bar", "Report", "Section", "format_number", "format_seconds"]
