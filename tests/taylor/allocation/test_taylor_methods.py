"""The tables of nine nets for every method of the package, and each method as weights x effects."""

from __future__ import annotations

import functools

import pytest
import torch
from closed_forms import CASES, METHODS

from pyxai.attribution import (
    LRP,
    DeepLift,
    DeepLiftShap,
    DeepTaylor,
    ExpectedGradients,
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    PredictionDifference,
    ShapleyValues,
)


@functools.cache
def _net(name, dtype):
    return CASES[name].net(dtype)


def net_of(case, dtype):
    """Return one net for all methods, so that it is traced once."""
    return _net(case.name, dtype)


def path_options(case):
    """Return a quadrature that is exact: the kinks of the nets lie between its 60 cells."""
    kinked = case.piecewise_linear
    return {"n_steps": 60, "method": "riemann_middle"} if kinked else {"n_steps": 50}


def gradient_x_input(case, dtype, at="input"):
    return InputXGradient(net_of(case, dtype)).attribute(case.inputs(dtype), at=at)


def occlusion_patch(case, dtype):
    ablation = FeatureAblation(net_of(case, dtype))
    return ablation.attribute(case.inputs(dtype), feature_mask=case.feature_mask())


def integrated_gradients(case, dtype):
    method = IntegratedGradients(net_of(case, dtype))
    return method.attribute(case.inputs(dtype), **path_options(case))


def prediction_difference(case, dtype):
    method = PredictionDifference(net_of(case, dtype))
    return method.attribute(case.inputs(dtype), case.background(dtype))


def grad_cam(case, dtype):
    net = case.feature_map_net(dtype)
    return LayerGradCam(net, net.features).attribute(case.feature_map(dtype))[:, 0]


def expected_gradients(case, dtype):
    method = ExpectedGradients(net_of(case, dtype))
    return method.attribute(case.inputs(dtype), case.background(dtype), **path_options(case))


def deep_lift(case, dtype, rule):
    return DeepLift(net_of(case, dtype), rule=rule).attribute(case.inputs(dtype), 0.0)


def deep_shap(case, dtype, rule):
    method = DeepLiftShap(net_of(case, dtype), rule=rule)
    return method.attribute(case.inputs(dtype), case.background(dtype))


def lrp(case, dtype, **options):
    return LRP(net_of(case, dtype), **options).attribute(case.inputs(dtype))


def deep_taylor(case, dtype):
    """Take the rule alone where the output is not positive: Deep Taylor does not speak of it."""
    if case.value <= 0:
        return lrp(case, dtype, rule="z_plus")
    return DeepTaylor(net_of(case, dtype)).attribute(case.inputs(dtype))


RUN = {
    "gradient_x_input": gradient_x_input,
    "gradient_x_input_at_baseline": lambda c, d: gradient_x_input(c, d, "baseline"),
    "occlusion_1": lambda c, d: FeatureAblation(net_of(c, d)).attribute(c.inputs(d)),
    "occlusion_patch": occlusion_patch,
    "prediction_difference": prediction_difference,
    "grad_cam": grad_cam,
    "integrated_gradients": integrated_gradients,
    "expected_gradients": expected_gradients,
    "shapley_value": lambda c, d: ShapleyValues(net_of(c, d)).attribute(c.inputs(d)),
    "deeplift_rescale": lambda c, d: deep_lift(c, d, "rescale"),
    "deeplift_reveal_cancel": lambda c, d: deep_lift(c, d, "reveal_cancel"),
    "deep_shap_neuron_shapley": lambda c, d: deep_shap(c, d, "neuron_shapley"),
    "deep_shap_rescale": lambda c, d: deep_shap(c, d, "rescale"),
    "lrp_epsilon": lambda c, d: lrp(c, d, epsilon=0.0),
    "lrp_alpha2_beta1_absorb": lambda c, d: lrp(c, d, rule="alpha_beta", bias="absorb"),
    "lrp_alpha2_beta1_ignore": lambda c, d: lrp(c, d, rule="alpha_beta", bias="ignore"),
    "deep_taylor": deep_taylor,
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


def test_the_table_has_all_methods_of_the_closed_forms():
    assert set(RUN) == set(METHODS)
