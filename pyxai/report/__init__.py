"""Standalone HTML reports: one file, pictures inside, nothing loaded from anywhere.

May import `pyxai.plot` and what is below it. Start with `document`; what pages look like is in
``templates/``. Names are loaded on their first use: they are listed in ``__init__.pyi``.
"""

from __future__ import annotations

from pyxai._lazy import exports_of_stub

__getattr__, __dir__, __all__ = exports_of_stub(__name__, __file__)
