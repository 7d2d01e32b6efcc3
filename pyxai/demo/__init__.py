"""The demonstration: small models trained in seconds, explained by the methods there are.

May import everything below the command line. Start with `main`; a page's sections are in
`sections` and `fourteen`.
"""

from __future__ import annotations

from pyxai.demo.main import run

__all__ = ["run"]
