"""Checks that wait for a device, put off; and who is said to wait on a faked device."""

import contextlib

import pytest
import torch
from backends import REQUIRED
from faked_device import Faked, faked_devices, moved

from pyxai import _deferred_checks
from pyxai._deferred_checks import check_finite_later, checked_at_the_end
from pyxai.greedy import greedy_rounds

REAL = "cuda" in REQUIRED


@pytest.fixture(autouse=True)
def devices():
    """A GPU, else a faked one."""
    with contextlib.nullcontext() if REAL else faked_devices():
        yield


def bad(*values):
    return moved(torch.tensor([1.0, *values]))


def put_off(seen, error=None, **numbers):
    """Put off checks, note which were put off, and fail if there is an error to fail with."""
    with checked_at_the_end():
        for name, value in numbers.items():
            check_finite_later(name, value)
            seen.append(name)
        if error is not None:
            raise error


def test_the_first_error_is_raised_at_the_end():
    seen = []
    with pytest.raises(ValueError, match=r"two must be finite, got 1 .* at \[1\]"):
        put_off(seen, one=bad(2.0), two=bad(torch.nan), three=bad(-torch.inf))
    assert seen == ["one", "two", "three"]


def test_numbers_on_the_cpu_and_outside_of_a_block_are_looked_at_at_once():
    seen = []
    with pytest.raises(ValueError, match="one must be finite"):
        put_off(seen, one=torch.tensor([torch.inf]))
    assert seen == []
    with pytest.raises(ValueError, match="one must be finite"):
        check_finite_later("one", bad(torch.inf))


def test_an_error_that_such_numbers_led_to_gives_way():
    with pytest.raises(ValueError, match="one must be finite"):
        put_off([], KeyError(), one=bad(torch.nan))
    for error, value in ((KeyError, 2.0), (KeyboardInterrupt, torch.nan)):
        with pytest.raises(error):
            put_off([], error(), one=bad(value))


def test_numbers_that_were_changed_since_are_refused_too():
    scores = moved(torch.tensor([[torch.nan, 1.0, 2.0]]))

    def score(selected, _):
        if len(seen) > 0:
            scores.fill_(1.0)
        seen.append(selected)
        return scores

    seen = []
    with pytest.raises(ValueError, match="must be finite, got NaN or infinite ones, changed since"):
        greedy_rounds(score, 1, 3, rounds=1, device=scores.device)
    assert len(seen) == 3


def test_whole_numbers_no_numbers_and_single_ones():
    whole, none = moved(torch.tensor([1, 2])), moved(torch.zeros(0))
    put_off([], one=whole, two=none, three=moved(torch.tensor(1.0)))
    with pytest.raises(ValueError, match="four must be finite"):
        put_off([], one=whole, two=none, four=moved(torch.tensor(torch.nan)))


@pytest.mark.parametrize(("kept", "calls"), [(2**24, 4), (8, 3), (3, 1)])
def test_what_is_kept_for_them_has_a_bound(kept, calls, monkeypatch):
    monkeypatch.setattr(_deferred_checks, "_MOST_KEPT", kept)
    scores, seen = moved(torch.tensor([[torch.nan, 1.0, 2.0, 3.0]])), []

    def score(selected, _):
        seen.append(selected)
        return scores

    with pytest.raises(ValueError, match=r"score must be finite, got 1 .* at \[0, 0\]"):
        greedy_rounds(score, 1, 4, rounds=1, device=scores.device)
    assert len(seen) == calls


WAITING = {
    "item": lambda x, _: x.sum().item(),
    "truth": lambda x, _: bool((x > 0).any()),
    "equal": lambda x, _: torch.equal(x, x + 1),
    "places": lambda x, _: (x > 0).nonzero(),
    "by mask": lambda x, _: x[x > 0],
    "into mask": lambda x, h: x.clone().__setitem__(x > 0, moved(h)[:1]),
    "by places on the CPU": lambda x, _: x[torch.tensor([0, 1])],
    "runs": lambda x, _: torch.unique_consecutive(x),
    "to the CPU": lambda x, _: x.cpu(),
    "from the CPU": lambda x, h: h.to(x.device),
    "copy": lambda x, h: torch.zeros_like(x).copy_(h),
    "list": lambda x, _: torch.tensor([1.0], device=x.device),
    "to a list": lambda x, _: x.tolist(),
}
NOT_WAITING = {
    "product": lambda x, _: x @ x,
    "where": lambda x, _: torch.where(x > 0, x, 0.0),
    "by places": lambda x, _: x[torch.arange(2, device=x.device)],
    "by slice": lambda x, _: x[1:],
    "made there": lambda x, _: torch.zeros(2, device=x.device) + torch.full_like(x[:2], 3.0),
    "staged": lambda x, h: h.to(x.device, non_blocking=True),
}


@pytest.mark.skipif(REAL, reason="a GPU does not tell who waits for it")
@pytest.mark.parametrize("name", [*WAITING, *NOT_WAITING])
def test_a_faked_device_tells_who_waits(name, monkeypatch):
    here = torch.tensor([1.0, -2.0, 3.0])
    there = moved(here)
    monkeypatch.setattr(Faked, "waits", waits := [])
    {**WAITING, **NOT_WAITING}[name](there, here)
    assert bool(waits) == (name in WAITING)
