"""How many rows a pass has at most, and the words by which libraries say that memory ran out."""

import pytest
import torch

from pyxai.runner import Runner
from pyxai.runner.memory import Measure, is_out_of_memory, rows_for

WORDS = (
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "GET was unable to find an engine to execute this computation",
    "FIND was unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm to run convolution",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
)


@pytest.mark.parametrize("words", WORDS)
def test_a_pass_is_halved_where_a_library_finds_no_room(words):
    sizes = []

    def model(rows):
        sizes.append(len(rows))
        if len(rows) > 4:
            raise RuntimeError(words)
        return rows.sum(1)

    inputs = torch.arange(60.0).view(20, 3)
    found = Runner(model).outputs((inputs,))
    assert torch.equal(found, inputs.sum(1))
    assert max(sizes) > 4 >= sizes[-1]
    assert is_out_of_memory(RuntimeError(words))


def test_a_grid_has_room_for_the_rows_of_a_pass():
    """Kernels of attention make a block for each row; an axis of a grid ends at 65 535."""
    assert rows_for(Measure(1.0), torch.device("cpu"), None) == 32_768
    assert rows_for(Measure(1.0), torch.device("cpu"), 100_000) == 32_768
