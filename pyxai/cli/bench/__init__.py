"""`pyxai bench`: what methods take for a model on this machine.

Start with `measure`: what is timed, against what. `peer` runs captum, where it is asked for.
"""

from __future__ import annotations

from pyxai.cli.bench.verb import add

__all__ = ["add"]
