"""Sums of what has the same number: against loops, here and in the order of a GPU."""

import contextlib

import pytest
import torch
from backends import REQUIRED
from faked_device import CUDA, faked_devices, moved

from pyxai._inputs import add_at, sums_at

REAL = "cuda" in REQUIRED


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def placed(there):
    return contextlib.nullcontext() if REAL or not there else faked_devices()


def numbers(*shape, below=4):
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("there", [False, True])
def test_rows_are_summed_by_number(there):
    index, values = numbers(3, 7), drawn(3, 7)
    expected = torch.zeros(3, 5, dtype=torch.float64)
    for row in range(3):
        for place, number in enumerate(index[row].tolist()):
            expected[row, number] += values[row, place]
    with placed(there):
        if there:
            index, values = moved(index), moved(values)
        values.requires_grad_()
        found = sums_at(index, values, 5)
        (slope,) = torch.autograd.grad(found.square().sum(), values)
        found, slope = found.detach().cpu(), slope.cpu()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(slope, 2 * expected.gather(1, numbers(3, 7)))


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("tail", [(), (2,)])
def test_values_are_added_where_they_belong(there, tail):
    index, values, total = numbers(9), drawn(9, *tail), drawn(5, *tail, seed=2)
    expected = total.clone()
    for place, number in enumerate(index.tolist()):
        expected[number] += values[place]
    with placed(there):
        if there:
            index, values, total = moved(index), moved(values), moved(total)
        found = add_at(total, index, values)
        assert found is total
        found = found.cpu()
    torch.testing.assert_close(found, expected)


@pytest.mark.skipif(REAL, reason="torch's own sums run on a GPU")
@pytest.mark.parametrize("name", ["index_add_", "scatter_add_"])
def test_sums_without_an_order_are_seen_on_a_faked_device(name):
    index, values = numbers(9), drawn(9)
    with faked_devices():
        total = torch.zeros(5, dtype=torch.float64, device=CUDA)
        with pytest.raises(AssertionError, match="adds in no fixed order on a GPU"):
            getattr(total, name)(0, moved(index), moved(values))
        getattr(total, name)(0, moved(index), moved(values.round()))
        getattr(total, name)(0, moved(torch.arange(5)), moved(values[:5]))


@pytest.mark.skipif(not REAL, reason="needs a GPU")
def test_a_gpu_gives_one_answer():
    index, values = numbers(4, 100_000, below=3).to(CUDA), drawn(4, 100_000).float().to(CUDA)
    first = sums_at(index, values, 3)
    flat = add_at(values.new_zeros(3), index[0], values[0])
    for _ in range(10):
        assert torch.equal(sums_at(index, values, 3), first)
        assert torch.equal(add_at(values.new_zeros(3), index[0], values[0]), flat)
