"""Random numbers that depend neither on the batch nor on who drew before, and move nobody's."""

from pyxai._random.batches import quiet_batches
from pyxai._random.names import example_ids, scramble

__all__ = ["example_ids", "quiet_batches", "scramble"]
