"""How many threads torch runs on."""

import contextlib

import torch


@contextlib.contextmanager
def threads(count):
    """Run a block on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
