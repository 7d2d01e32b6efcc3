"""The random state is put back where somebody drew, and is not written where nobody did."""

import contextlib

import pytest
import torch

from pyxai.runner.memory import LiveBytes
from pyxai.runner.state.randomness import RandomState, random_state_kept


def read():
    return torch.get_rng_state()


@pytest.fixture(params=[contextlib.nullcontext, LiveBytes], ids=["plain", "within a mode"])
def mode(request):
    """Where tensors may be traced or counted."""
    return request.param


def test_what_was_drawn_is_put_back(mode):
    before = read()
    with mode():
        state = RandomState()
        assert not state.has_moved()
        torch.rand(3)
        assert state.has_moved()
        assert not torch.equal(read(), before)
        state.restore()
        assert not state.has_moved()
    assert torch.equal(read(), before)


def test_a_state_that_is_settled_is_left_alone():
    before, state = read(), RandomState()
    assert state.settle()
    assert state.is_settled
    torch.rand(1)  # of another thread
    state.restore()
    assert not torch.equal(read(), before)
    assert not state.settle()
    state.restore()
    assert torch.equal(read(), before)


def test_draws_besides_those_that_are_known_are_told(mode):
    with mode():
        state = RandomState()
        torch.rand(3)
        now = read()
        assert not state.moved_besides(lambda: torch.rand(3))
        assert torch.equal(read(), now)
        torch.rand(1)
        now = read()
        assert state.moved_besides(lambda: torch.rand(3))
        assert torch.equal(read(), now)
        state.restore()


def test_a_block_keeps_it_also_when_it_fails():
    def draw_and_fail():
        torch.rand(5)
        raise ZeroDivisionError

    before = read()
    with pytest.raises(ZeroDivisionError), random_state_kept():
        draw_and_fail()
    assert torch.equal(read(), before)
