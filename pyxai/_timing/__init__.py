"""Times and memory of calls, for `pyxai bench` and the benchmarks. Start with `turns`."""

from __future__ import annotations

from pyxai._timing.bare import SIZES, bare_gradients, bare_outputs, best_of, best_size
from pyxai._timing.memory import extra_peak_bytes
from pyxai._timing.turns import Candidate, Taken, interleave, median_ratio, time_call

__all__ = [
    "SIZES",
    "Candidate",
    "Taken",
    "bare_gradients",
    "bare_outputs",
    "best_of",
    "best_size",
    "extra_peak_bytes",
    "interleave",
    "median_ratio",
    "time_call",
]
