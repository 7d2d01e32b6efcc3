"""Derivatives along lines against polynomials, also of ops that have no forward rule."""

import math

import pytest
import torch

from pyxai.taylor.derivatives import jets
from pyxai.taylor.derivatives.second_order import _passes

D = torch.float64


class OldCube(torch.autograd.Function):
    """As most such functions are written; functorch refuses it."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


class Cube(torch.autograd.Function):
    """As functorch wants them, without a forward rule."""

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    backward = OldCube.backward


FUNCTIONS = {
    "a cube": (lambda z: z**3, Cube.apply),
    "an old cube": (lambda z: z**3, OldCube.apply),
    "a cube and a line": (lambda z: z**3 - 2 * z + 1, lambda z: Cube.apply(z) - 2 * z + 1),
    "an exponential": (lambda z: (z**3).exp(), lambda z: OldCube.apply(z).exp()),
}
WEIGHTS = torch.tensor([0.5, -1.0, 0.25], dtype=D)
POINT = torch.tensor([[[0.3, -0.2, 0.9], [-0.4, 0.1, 0.6]]], dtype=D)
WAY = torch.tensor([[[1.0, 0.5, -2.0], [0.2, 0.7, 1.5]]], dtype=D)


def of_players(function):
    return lambda w: function(w @ WEIGHTS)


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_reverse_mode_gives_what_forward_mode_gives(name, order):
    plain, opaque = map(of_players, FUNCTIONS[name])
    found = jets.taylor_coefficients(opaque, POINT, WAY, order)
    torch.testing.assert_close(found, jets.taylor_coefficients(plain, POINT, WAY, order))
    for one, other in zip(
        jets.jet_gradients(opaque, POINT, WAY, order),
        jets.jet_gradients(plain, POINT, WAY, order),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    ways = [WAY, -WAY + 1, WAY.flip(2), WAY * 0.5][:order]
    found = jets.mixed_derivative(opaque, POINT, ways)
    torch.testing.assert_close(found, jets.mixed_derivative(plain, POINT, ways))


@pytest.mark.parametrize("which", [0, 1])
def test_coefficients_of_a_cube_are_those_of_the_binomial(which):
    function = of_players(FUNCTIONS["a cube"][which])
    z, step = POINT @ WEIGHTS, WAY @ WEIGHTS
    expected = [math.comb(3, k) * z ** (3 - k) * step**k for k in range(4)] + [0 * z] * 2
    found = jets.taylor_coefficients(function, POINT, WAY, 5)
    torch.testing.assert_close(found, torch.stack(expected))
    coefficients, gradients = jets.jet_gradients(function, POINT, WAY, 5)
    torch.testing.assert_close(coefficients, found)
    slopes = [k * value / step for k, value in enumerate(expected)]
    torch.testing.assert_close(gradients, torch.stack(slopes)[..., None] * WEIGHTS)


def test_errors_of_the_model_are_not_taken_for_a_missing_rule():
    def broken(w):
        raise RuntimeError("a bug of the user's")

    with pytest.raises(RuntimeError, match=r"^a bug of the user's"):
        jets.taylor_coefficients(broken, POINT, WAY, 2)


@pytest.mark.parametrize("n_points", [1, 2, 3, 4, 5, 8, 9, 100])
def test_passes_cover_each_node_and_player_once_within_their_size(n_points):
    nodes, n_players = torch.arange(5), 4
    seen = torch.zeros(5, n_players)
    for some, first, last in _passes(nodes, n_players, n_points):
        assert len(some) * (last - first) <= max(n_points, 1)
        seen[some, first:last] += 1
    assert (seen == 1).all()
