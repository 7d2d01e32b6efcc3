"""The CPU kernels share torch's threads."""

import sys

import pytest
import torch

from pyxai import _C


@pytest.mark.skipif(sys.platform != "linux", reason="built without OpenMP on other systems")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_kernels_run_on_as_many_threads_as_torch(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert _C.loop_threads() == threads
    finally:
        torch.set_num_threads(before)
