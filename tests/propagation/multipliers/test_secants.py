"""Secants of functions of both signs, between points near to each other and far apart."""

import pytest
import torch

from pyxai.propagation.multipliers.closed_secants import exp_secant
from pyxai.propagation.multipliers.order_statistics import _candidates
from pyxai.propagation.multipliers.reductions import _powers
from pyxai.propagation.multipliers.secant import secant

D = torch.float64
FUNCTIONS = {
    "square": (lambda h: h.square() + 5, lambda h: 2 * h),
    "exp": (lambda h: h.exp() + 5, torch.exp),
    "tanh": (torch.tanh, lambda h: 1 - h.tanh().square()),
}
FAR = torch.tensor([-2.0, -0.5, 0.25, 1.0, 3.0], dtype=D)


def between(x, b, name, sign):
    function, slope = FUNCTIONS[name]
    return secant(
        x, b, sign * function(x), sign * function(b), lambda middle: sign * slope(middle), 1e-10
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_far_apart_it_is_the_quotient_on_either_way(name, sign):
    x, b = (each.flatten() for each in torch.meshgrid(FAR, FAR, indexing="ij"))
    apart = x != b
    x, b = x[apart], b[apart]
    function = FUNCTIONS[name][0]
    expected = sign * (function(x) - function(b)) / (x - b)
    torch.testing.assert_close(between(x, b, name, sign), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(between(x, b, name, sign), between(b, x, name, sign))


@pytest.mark.parametrize("step", [1e-9, -1e-9, 1e-12, -1e-12, 0.0])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nearby_it_is_the_derivative(name, sign, step):
    """The quotient of values that differ by rounding would be off by 1e-7."""
    expected = sign * FUNCTIONS[name][1](FAR + step / 2)
    torch.testing.assert_close(between(FAR + step, FAR, name, sign), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("order", [1.5, 2.0, 3.0, 4.0])
def test_powers_of_sizes(order):
    x, b = (each.flatten() for each in torch.meshgrid(FAR, FAR, indexing="ij"))
    apart = x != b
    expected = (x.abs() ** order - b.abs() ** order) / (x - b)
    found = _powers(x, b, order)
    torch.testing.assert_close(found[apart], expected[apart], rtol=1e-12, atol=1e-12)
    derivative = order * x.abs() ** (order - 1) * x.sign()
    torch.testing.assert_close(found[~apart], derivative[~apart], rtol=1e-12, atol=1e-12)
    near = _powers(FAR + 1e-11, FAR, order)
    torch.testing.assert_close(near, derivative[~apart], rtol=1e-8, atol=1e-8)


def test_the_mean_of_exp_has_no_direction():
    x = torch.tensor([0.0, 1.0, -3.0, 2.0, 50.0], dtype=D)
    b = torch.tensor([1.0, 0.0, 2.0, 2.0, -900.0], dtype=D)
    expected = torch.where(x == b, x.exp(), (x.exp() - b.exp()) / (x - b))
    torch.testing.assert_close(exp_secant(x.clone(), b.clone()), expected)
    torch.testing.assert_close(exp_secant(b.clone(), x.clone()), expected)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_who_may_have_moved_a_result_of_rank_and_how_far_off_it_is(sign):
    """The result goes from 1 to 3; of elements, one goes as far, one further, two not so far."""
    x = sign * torch.tensor([3.0, 4.0, 2.5, 3.0], dtype=D)
    b = sign * torch.tensor([1.0, 0.5, 0.0, 2.0], dtype=D)
    ends = torch.tensor(sign * 3.0, dtype=D), torch.tensor(sign * 1.0, dtype=D)
    fits, distance = _candidates(x, b, *ends)
    assert fits.tolist() == [True, True, False, False]
    assert distance.tolist() == [0.0, 1.5, torch.inf, torch.inf]
    fits, distance = _candidates(b, x, *ends[::-1])
    assert fits.tolist() == [True, True, False, False]
    assert distance.tolist() == [0.0, 1.5, torch.inf, torch.inf]
