"""Ratios that a noisy machine cannot spoil: all candidates take turns in one run.

A time taken alone says what else the machine did. Here every round runs each candidate once, in
turn, and a ratio is the median over rounds of (time of ours / time of theirs in the same round).
On a machine with other work, compare processor time too: it does not count waiting for a core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

__all__ = ["compare", "interleave", "time_call"]

Candidate = Callable[[], Any]


class Taken(NamedTuple):
    """What one call took."""

    wall: float  # seconds
    processor: float  # seconds of all threads


def time_call(run: Candidate, device: torch.device) -> Taken:
    """Time one call; on a GPU until the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start, processor = time.perf_counter(), time.process_time()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Taken(time.perf_counter() - start, time.process_time() - processor)


def interleave(
    candidates: dict[str, Candidate], *, rounds: int = 15, device: str = "cpu"
) -> dict[str, list[Taken]]:
    """Take times of each candidate in each round, after two rounds to warm up."""
    place = torch.device(device)
    times: dict[str, list[Taken]] = {name: [] for name in candidates}
    for turn in range(rounds + 2):
        for name, run in candidates.items():
            taken = time_call(run, place)
            if turn >= 2:
                times[name].append(taken)
    return times


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
    ratios = {name: _ratio(wall["ours"], wall[name]) for name in peers}
    for name in peers:
        benchmark.extra_info[f"ours / {name}"] = round(ratios[name], 3)
        if device == "cpu":
            spent = _ratio(processor["ours"], processor[name])
            benchmark.extra_info[f"processor time, ours / {name}"] = round(spent, 3)
    for name, seconds in middle.items():
        benchmark.extra_info[f"ms {name}"] = round(1e3 * seconds, 3)
    if moved_bytes is not None:
        benchmark.extra_info["GB/s"] = round(moved_bytes / middle["ours"] / 1e9, 1)
    # For the table of pytest-benchmark itself; the ratios come from the turns above.
    benchmark.pedantic(ours, rounds=5, iterations=1)
    return ratios


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(own / peer for own, peer in zip(ours, theirs, strict=True))
