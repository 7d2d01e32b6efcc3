"""Numbers that have names, against torch's generator, which has a state instead."""

import pytest
import torch
from _timing import compare

from pyxai.ops import philox_random, philox_random_reference

EXAMPLES, SAMPLES, ELEMENTS = 16, 4, 25_000


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_philox_random(benchmark, distribution, dtype):
    torch.set_num_threads(2)
    row = {"seed": 0, "example_ids": torch.arange(EXAMPLES), "distribution": distribution}
    few = philox_random((3,), 2, dtype=dtype, **row)
    reference = philox_random_reference((3,), 2, dtype=dtype, **row)
    torch.testing.assert_close(few, reference.to(dtype))
    draw = torch.randn if distribution == "normal" else torch.rand
    shape = (EXAMPLES, SAMPLES, ELEMENTS)
    compare(
        benchmark,
        lambda: philox_random((ELEMENTS,), SAMPLES, dtype=dtype, **row),
        {"torch": lambda: draw(shape, dtype=dtype)},
        moved_bytes=EXAMPLES * SAMPLES * ELEMENTS * dtype.itemsize,
    )
