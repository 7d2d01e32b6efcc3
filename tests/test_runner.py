import pytest
import torch
from torch import nn

from pyxai.runner import Runner

GENERATOR = torch.Generator().manual_seed(0)
WEIGHT = torch.randn(5, 3, generator=GENERATOR, dtype=torch.float64)


def linear(rows):  # [rows, 5] -> [rows, 3]
    return rows @ WEIGHT.to(rows.dtype)


def scaled(inputs, factors):
    """Rows ``factor * input`` in the order that values() wants."""

    def build(examples, repeats):
        return ((inputs[examples, None] * factors[repeats, None]).flatten(0, 1),)

    return build


def sample_inputs(batch=4, dtype=torch.float64):
    return torch.randn(batch, 5, generator=torch.Generator().manual_seed(1), dtype=dtype)


def test_values_of_a_linear_model():
    inputs, factors = sample_inputs(), torch.linspace(0, 1, 7, dtype=torch.float64)
    values = Runner(linear, target=[0, 1, 2, 0]).values(scaled(inputs, factors), 4, 7)
    expected = linear(inputs)[torch.arange(4), torch.tensor([0, 1, 2, 0])][:, None] * factors
    torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("max_rows", [None, 1, 3, 8, 100])
def test_gradients_of_a_quadratic_model(max_rows):
    inputs, factors = sample_inputs(), torch.linspace(0, 1, 7, dtype=torch.float64)
    out = torch.zeros(7, 4, 5, dtype=torch.float64)

    def build(examples, repeats):
        return ((factors[repeats, None, None] * inputs[examples]).flatten(0, 1),)

    def consume(examples, repeats, grads):
        out[repeats, examples] = grads[0].view(-1, examples.stop - examples.start, 5)

    runner = Runner(lambda rows: rows.square().sum(1), max_rows=max_rows)
    values = runner.gradients(build, 4, 7, consume)
    points = factors[:, None, None] * inputs
    torch.testing.assert_close(out, 2 * points)
    torch.testing.assert_close(values, points.square().sum(-1).T)
    assert not values.requires_grad


@pytest.mark.parametrize("example_major", [False, True])
def test_consumer_gets_the_outputs_of_its_rows(example_major):
    inputs, factors = sample_inputs(), torch.linspace(0, 1, 7, dtype=torch.float64)
    seen = torch.zeros(4, 7, dtype=torch.float64)

    def build(examples, repeats):
        points = inputs[examples, None] * factors[repeats, None]
        return ((points if example_major else points.transpose(0, 1)).flatten(0, 1),)

    def consume(examples, repeats, grads, values):
        seen[examples, repeats] = values if example_major else values.T

    runner = Runner(lambda rows: rows.square().sum(1), max_rows=3)
    options = {"example_major": example_major, "with_values": True}
    torch.testing.assert_close(runner.gradients(build, 4, 7, consume, **options), seen)


def test_model_is_left_as_found():
    model = nn.Sequential(nn.Linear(5, 3)).eval()
    model[0].bias.requires_grad_(False)
    Runner(model, target=0).outputs((sample_inputs(dtype=torch.float32),))
    assert model[0].weight.requires_grad
    assert not model[0].bias.requires_grad
