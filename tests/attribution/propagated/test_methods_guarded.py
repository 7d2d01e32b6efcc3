"""Methods on the graph: random state left alone, float32 under autocast, no NaN let through."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pyxai.attribution import (
    LRP,
    Deconvolution,
    DeepLift,
    DeepLiftShap,
    DeepTaylor,
    GuidedBackprop,
    GuidedGradCam,
)

METHODS = {
    "deep_lift": lambda model: DeepLift(model, strict=False),
    "deep_lift_shap": lambda model: DeepLiftShap(model, strict=False),
    "lrp": lambda model: LRP(model, strict=False),
    "deep_taylor": lambda model: DeepTaylor(model, strict=False, on_negative="clamp"),
    "guided_backprop": GuidedBackprop,
    "deconvolution": Deconvolution,
    "guided_grad_cam": lambda model: GuidedGradCam(model, model[0]),
}


def attribute(name, model, x):
    further = {"baselines": x[:2] * 0.5} if name == "deep_lift_shap" else {}
    return METHODS[name](model).attribute(x, target=1, **further)


def images(n=3):
    return torch.randn(n, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def net():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.4), nn.Flatten(), nn.Linear(64, 3)
    layers[-1].bias.data.add_(3)  # Deep Taylor decomposes positive outputs
    return nn.Sequential(*layers)


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", METHODS)
def test_random_state_is_left_alone(name):
    model, x = net().train(), images()
    state = torch.get_rng_state()
    first = attribute(name, model, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(attribute(name, model, x), first)


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
def test_the_way_back_drops_what_the_forward_pass_dropped():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(50, 50), nn.Dropout(0.5), nn.Linear(50, 1))
    x = torch.randn(4, 50)
    leaf = x.clone().requires_grad_()
    state = torch.get_rng_state()
    (expected,) = torch.autograd.grad(model(leaf).sum(), leaf)
    torch.set_rng_state(state)
    found = GuidedBackprop(model).attribute(x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", METHODS)
def test_float32_under_autocast(name):
    model, x = net().eval(), images()
    expected = attribute(name, model, x)
    with torch.autocast("cpu", torch.bfloat16):
        found = attribute(name, model, x)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()
    assert torch.equal(attribute(name, model, x), expected)


class Log(nn.Module):
    def forward(self, x):
        return x.sum(1, keepdim=True).log()


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", ["deep_lift", "deep_lift_shap", "lrp", "guided_backprop"])
def test_an_output_that_is_not_finite_is_an_error(name):
    x = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    further = {"baselines": x[:1]} if "lift" in name else {}
    with pytest.raises(ValueError, match="model output must be finite, got 1 NaN"):
        METHODS[name](Log()).attribute(x, target=0, **further)
