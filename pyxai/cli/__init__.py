"""The command line, one file for each verb.

May import everything. Start with `command`; a new verb is one file with `add`, and its name there.
"""

from __future__ import annotations

from pyxai.cli.command import main

__all__ = ["main"]
