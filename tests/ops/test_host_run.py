"""The runner that executes CUDA sources on the CPU must catch the mistakes it was made for."""

import pytest
import torch

from pyxai import _C

pytestmark = pytest.mark.skipif(
    "host_run" not in _C.backends, reason="the CUDA sources run natively in this build"
)


def run(name, values, size=None):
    out = torch.zeros(len(values) if size is None else size)
    _C.host_run_selftest(name, values, out)
    return out


@pytest.fixture(params=[False, True], ids=["forward", "reversed"])
def order(request):
    _C.host_run_reverse_threads(request.param)
    yield request.param
    _C.host_run_reverse_threads(False)


def test_barriers_and_shared_memory(order):
    values = torch.arange(64.0)
    assert torch.equal(run("neighbour", values), values.roll(-1))


def test_missing_barrier_reads_poison(order):
    values = torch.arange(64.0)
    out = run("missing_barrier", values)
    assert not torch.equal(out, values.roll(-1))
    # Shared memory is filled with 0xCD before each block.
    poison = torch.full((1,), 0xCDCDCDCD - 2**32, dtype=torch.int32).view(torch.float32)
    assert (out == poison).any()


def test_divergent_barrier_is_an_error(order):
    with pytest.raises(RuntimeError, match="divergent barrier: 16 threads returned, 48 wait"):
        run("divergent_barrier", torch.zeros(1))


def test_divergent_warp_exchange_is_an_error(order):
    with pytest.raises(RuntimeError, match="divergent warp exchange: 16 of 32 lanes take part"):
        run("divergent_exchange", torch.zeros(1))


def test_race_depends_on_the_thread_order():
    forward = run("race", torch.zeros(1))
    _C.host_run_reverse_threads(True)
    backward = run("race", torch.zeros(1))
    _C.host_run_reverse_threads(False)
    assert forward.item() == 63
    assert backward.item() == 0


def test_exchanges_and_atomics(order):
    values = torch.arange(256.0)
    assert run("sum", values, 1).item() == values.sum().item()


def test_launch_outside_of_what_cuda_allows():
    with pytest.raises(RuntimeError, match="launch outside of what CUDA or the host runner"):
        run("block_too_large", torch.zeros(1))


def test_runner_works_after_an_error():
    with pytest.raises(RuntimeError, match="divergent"):
        run("divergent_barrier", torch.zeros(1))
    assert run("race", torch.zeros(1)).item() == 63
