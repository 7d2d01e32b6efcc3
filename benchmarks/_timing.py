"""Ratios for the benchmarks: ours and its peers take turns in one run, by `pyxai._timing`."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from pyxai._timing import Taken, interleave, median_ratio

__all__ = ["compare", "notes"]

Candidate = Callable[[], Any]


def compare(
    benchmark: Any,
    ours: Candidate,
    peers: dict[str, Candidate],
    *,
    moved_bytes: int | None = None,
    rounds: int = 15,
    device: str = "cpu",
) -> dict[str, float]:
    """Time ``ours`` against ``peers`` and note the ratios with the benchmark.

    Parameters
    ----------
    benchmark
        The fixture of pytest-benchmark.
    ours, peers
        Calls without arguments; peers by name.
    moved_bytes
        What ``ours`` must at least read and write; gives GB/s.
    rounds, device
        How often each is called, and where they run.

    Returns
    -------
    dict
        For each peer how many times its time ours takes (below 1: ours is faster).
    """
    times = interleave({"ours": ours, **peers}, rounds=rounds, device=device)
    benchmark.extra_info |= notes(times, processor=device == "cpu")
    wall = {name: [taken.wall for taken in row] for name, row in times.items()}
    if moved_bytes is not None:
        benchmark.extra_info["GB/s"] = round(moved_bytes / statistics.median(wall["ours"]) / 1e9, 1)
    # For the table of pytest-benchmark itself; the ratios come from the turns above.
    benchmark.pedantic(ours, rounds=5, iterations=1)
    return {name: median_ratio(wall["ours"], wall[name]) for name in peers}


def notes(times: dict[str, list[Taken]], *, processor: bool = True) -> dict[str, float]:
    """Return what is kept of the times of "ours" and its peers: ratios and milliseconds."""
    own, found = times["ours"], {}
    for name, row in times.items():
        if name != "ours":
            ratio = median_ratio([a.wall for a in own], [b.wall for b in row])
            found[f"ours / {name}"] = round(ratio, 3)
            if processor:
                spent = median_ratio([a.processor for a in own], [b.processor for b in row])
                found[f"processor time, ours / {name}"] = round(spent, 3)
        found[f"ms {name}"] = round(1e3 * statistics.median(taken.wall for taken in row), 3)
    return found
