"""Going through a data loader without moving the global random state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

__all__ = ["quiet_batches"]

T = TypeVar("T")


def quiet_batches(loader: Iterable[T]) -> Iterator[T]:
    """Go through ``loader`` on a random state of its own, a copy of the global one on the CPU.

    A ``DataLoader`` draws a seed when it is opened, its sampler another one with the first batch,
    and a data set may draw for every example. They draw what they would have drawn anyway, so an
    order is as random as it was; but the caller's next draw does not depend on them, and neither
    do they depend on what the caller draws between two batches.
    """
    own, source = torch.get_rng_state(), None
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
