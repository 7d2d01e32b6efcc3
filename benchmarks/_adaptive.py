"""How many rows of a model adaptive steps take, one example after the other."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

__all__ = ["rows_taken"]


def rows_taken(
    model: nn.Module, calls: Iterable[Callable[[], tuple[Tensor, Tensor]]], moved: Iterable[float]
) -> tuple[list[Tensor], dict[str, Any]]:
    """Return attributions of each call, and what is said of its rows and gaps.

    Parameters
    ----------
    model : nn.Module
        What is counted: the rows of its calls, however they come about.
    calls : iterable of callable
        Each returns attributions of one example and their delta.
    moved : iterable of float
        How far the outputs are from those at the baselines.
    """
    rows, found, taken, gaps = [0], [], [], []
    hook = model.register_forward_hook(lambda _, given, __: rows.append(rows.pop() + len(given[0])))
    for call in calls:
        rows[0] = 0
        attributions, delta = call()
        taken.append(rows[0])
        found.append(attributions)
        gaps.append(float(delta.abs()))
    hook.remove()
    return found, {
        "rows, median": statistics.median(taken),
        "rows, mean": statistics.mean(taken),
        "largest gap": max(gap / abs(change) for gap, change in zip(gaps, moved, strict=True)),
    }
