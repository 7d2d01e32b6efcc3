"""Forwards that check their values; here, as pytest spells out the assertions of test files."""

import torch


def asserts(net, x):
    assert (x.abs() < 100).all()
    return net.linear(x)


def asserts_with_words(net, x):
    assert x.abs().sum() < 1e6, "too large"
    return net.linear(x)


def asserts_twice(net, x):
    assert (x < 9).all() and (x > -99).all(), f"out of range: {x.shape}"  # noqa: PT018
    return net.linear(x)


def asserts_not(net, x):
    assert not (x > 9).any()
    return net.linear(x)


def asserts_by_torch(net, x):
    torch._assert((x < 9).all(), "too large")
    return net.linear(x)


def raises(net, x):
    if (x > 9).any():
        message = f"x is large: {x.shape}"
        raise ValueError(message)
    return net.linear(x)


def raises_inside(net, x):
    def checked(value):
        if torch.isfinite(value).all():
            return value
        raise ValueError("x holds NaN")

    raises(net, x)
    return net.linear(checked(x))


def catches(net, x):
    """Return another value where the check fails: no check then."""
    try:
        if (x > 0).all():
            raise ValueError
        return net.linear(x)
    except ValueError:
        return net.linear(-x)


CHECKS = (
    asserts, asserts_with_words, asserts_twice, asserts_not, asserts_by_torch, raises,
    raises_inside,
)  # fmt: skip
