"""Infidelity against closed forms and captum: baselines, groups, batches, extreme numbers."""

import captum.metrics
import pytest
import torch
from torch import nn

from pyxai import metrics
from pyxai.attribution import IntegratedGradients


@pytest.fixture(scope="module")
def case():
    generator = torch.Generator().manual_seed(0)
    x, base, scores = torch.randn(3, 3, 4, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()
    return net, x, base, scores


def noise_like(rows):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(rows.shape, generator=generator, dtype=rows.dtype) * 0.3


def shifted(rows):
    return rows - noise_like(rows)


def between(rows, baselines):
    return torch.where(noise_like(rows) > 0, rows, (rows + baselines) / 2)


class TestBaselinesOfTheDecorator:
    @pytest.mark.parametrize("scaled", [False, True])
    @pytest.mark.parametrize("form", ["number", "one", "each", "touching"])
    @pytest.mark.parametrize("function", [shifted, between])
    def test_equals_captum(self, case, scaled, form, function):
        net, x, base, scores = case
        baselines = {"number": 0.5, "one": base[:1], "each": base, "touching": base.clone()}[form]
        if form == "touching":
            baselines[:, 1] = x[:, 1]  # nothing to divide by
        options = {"target": 1, "n_perturb_samples": 4}
        decorated = metrics.infidelity_perturb_func_decorator(scaled)(function)
        found = metrics.infidelity(net, decorated, x, scores, baselines=baselines, **options)

        def as_captum_calls_it(rows, baselines):
            return function(rows) if function is shifted else function(rows, baselines)

        peer = captum.metrics.infidelity_perturb_func_decorator(scaled)(as_captum_calls_it)
        expected = captum.metrics.infidelity(net, peer, x, scores, baselines=baselines, **options)
        torch.testing.assert_close(found, expected.detach())

    @pytest.mark.parametrize("function", [shifted, between])
    def test_integrated_gradients_of_a_linear_model_are_faithful(self, case, function):
        _, x, base, _ = case
        weight = torch.tensor([3.0, -1.0, 2.0, 0.5], dtype=torch.float64)

        def linear(rows):
            return rows @ weight

        scores = IntegratedGradients(linear).attribute(x, base)
        decorated = metrics.infidelity_perturb_func_decorator()(function)
        found = metrics.infidelity(linear, decorated, x, scores, baselines=base)
        assert found.max() < 1e-20

    def test_several_inputs(self, case):
        net, x, base, scores = case

        def split(rows):
            return rows[:, :1], rows[:, 1:]

        def model(first, second):
            return net(torch.cat([first, second], 1))

        @metrics.infidelity_perturb_func_decorator()
        def halfway(rows, baselines):
            return tuple((row + base) / 2 for row, base in zip(rows, baselines, strict=True))

        @metrics.infidelity_perturb_func_decorator()
        def halfway_of_one(rows, baselines):
            return (rows + baselines) / 2

        several = metrics.infidelity(
            model, halfway, split(x), split(scores), baselines=split(base), target=0
        )
        one = metrics.infidelity(net, halfway_of_one, x, scores, baselines=base, target=0)
        torch.testing.assert_close(several, one)
