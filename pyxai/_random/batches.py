"""Going through a data loader without moving the global random state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

__all__ = ["quiet_batches"]

T = TypeVar("T")


def quiet_batches(loader: Iterable[T], *, seed: int | None = None) -> Iterator[T]:
    """Go through ``loader`` on a random state of its own: a copy of the global one on the CPU.

    With ``seed`` it starts from that instead, so that every pass over a loader that shuffles gives
    one order.

    A ``DataLoader`` draws a seed when it is opened, its sampler another one with the first batch,
    and a data set may draw for every example. Without ``seed`` they draw what they would have drawn
    anyway, so an order is as random as it was; but the caller's next draw does not depend on them,
    and neither do they depend on what the caller draws between two batches.
    """
    own, source = torch.get_rng_state(), None
    if seed is not None:
        own = torch.Generator().manual_seed(seed).get_state()
    while True:
        outer = torch.get_rng_state()
        torch.set_rng_state(own)
        try:
            source = iter(loader) if source is None else source
            batch = next(source)
        except StopIteration:
            return
        finally:
            own = torch.get_rng_state()
            torch.set_rng_state(outer)
        yield batch
