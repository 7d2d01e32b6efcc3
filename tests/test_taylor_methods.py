"""The tables of nine nets for every method of the package, and each method as weights x effects."""

from __future__ import annotations

import pytest
import torch
from closed_forms import CASES

from pyxai.attribution import (
    DeepLift,
    DeepLiftShap,
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
)


def path_options(case):
    """Return a quadrature that is exact: the kinks of the nets lie between its 60 cells."""
    kinked = case.piecewise_linear
    return {"n_steps": 60, "method": "riemann_middle"} if kinked else {"n_steps": 50}


def gradient_x_input(case, dtype, at="input"):
    return InputXGradient(case.net(dtype)).attribute(case.inputs(dtype), at=at)


def occlusion_patch(case, dtype):
    ablation = FeatureAblation(case.net(dtype))
    return ablation.attribute(case.inputs(dtype), feature_mask=case.feature_mask())


def integrated_gradients(case, dtype):
    method = IntegratedGradients(case.net(dtype))
    return method.attribute(case.inputs(dtype), **path_options(case))


def deep_lift(case, dtype, rule):
    return DeepLift(case.net(dtype), rule=rule).attribute(case.inputs(dtype), 0.0)


def deep_shap(case, dtype, rule):
    method = DeepLiftShap(case.net(dtype), rule=rule)
    return method.attribute(case.inputs(dtype), case.background(dtype))


RUN = {
    "gradient_x_input": gradient_x_input,
    "gradient_x_input_at_baseline": lambda c, d: gradient_x_input(c, d, "baseline"),
    "occlusion_1": lambda c, d: FeatureAblation(c.net(d)).attribute(c.inputs(d)),
    "occlusion_patch": occlusion_patch,
    "integrated_gradients": integrated_gradients,
    "deeplift_rescale": lambda c, d: deep_lift(c, d, "rescale"),
    "deeplift_reveal_cancel": lambda c, d: deep_lift(c, d, "reveal_cancel"),
    "deep_shap_neuron_shapley": lambda c, d: deep_shap(c, d, "neuron_shapley"),
    "deep_shap_rescale": lambda c, d: deep_shap(c, d, "rescale"),
}


@pytest.mark.parametrize("method", RUN)
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_method_on_closed_form(method, name, dtype, tolerance):
    case = CASES[name]
    found = RUN[method](case, dtype)
    assert found.dtype == dtype
    expected = case.expected(method)
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=tolerance)
