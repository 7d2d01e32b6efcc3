"""Random numbers that depend on neither batch nor caller. Start with `names`."""

from pyxai._random.batches import quiet_batches
from pyxai._random.names import example_ids, scramble

__all__ = ["example_ids", "quiet_batches", "scramble"]
