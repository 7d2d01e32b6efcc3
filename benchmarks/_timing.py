"""Ratios for the benchmarks: ours and its peers take turns in one run, by `pyxai._timing`."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from pyxai._timing import interleave, median_ratio

__all__ = ["compare"]

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
    wall = {name: [taken.wall for taken in row] for name, row in times.items()}
    processor = {name: [taken.processor for taken in row] for name, row in times.items()}
    middle = {name: statistics.median(row) for name, row in wall.items()}
    ratios = {name: median_ratio(wall["ours"], wall[name]) for name in peers}
    for name in peers:
        benchmark.extra_info[f"ours / {name}"] = round(ratios[name], 3)
        if device == "cpu":
            spent = median_ratio(processor["ours"], processor[name])
            benchmark.extra_info[f"processor time, ours / {name}"] = round(spent, 3)
    for name, seconds in middle.items():
        benchmark.extra_info[f"ms {name}"] = round(1e3 * seconds, 3)
    if moved_bytes is not None:
        benchmark.extra_info["GB/s"] = round(moved_bytes / middle["ours"] / 1e9, 1)
    # For the table of pytest-benchmark itself; the ratios come from the turns above.
    benchmark.pedantic(ours, rounds=5, iterations=1)
    return ratios
