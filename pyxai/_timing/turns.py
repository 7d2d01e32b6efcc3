"""Times that a noisy machine cannot spoil: all candidates take turns.

A time taken alone says what else the machine did. Here every round runs each candidate once, so
that a ratio can be taken of times of the same round. On a machine with other work, compare
processor time too: it does not count waiting for a core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

__all__ = ["Candidate", "Taken", "interleave", "median_ratio", "time_call"]

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
    candidates: dict[str, Candidate], *, rounds: int, device: str = "cpu", warm_up: int = 2
) -> dict[str, list[Taken]]:
    """Take times of each candidate in each round, after a few rounds to warm up."""
    place = torch.device(device)
    times: dict[str, list[Taken]] = {name: [] for name in candidates}
    for turn in range(rounds + warm_up):
        for name, run in candidates.items():
            taken = time_call(run, place)
            if turn >= warm_up:
                times[name].append(taken)
    return times


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over rounds of (ours / theirs in the same round)."""
    return statistics.median(own / peer for own, peer in zip(ours, theirs, strict=True))
