"""Which attribution methods there are, by name, and what each of them promises.

A method is added by one `register` call at the end of this file. The contract tests run over
everything that is registered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyxai.attribution import (
    IDGI,
    LRP,
    XRAI,
    BlurIG,
    Deconvolution,
    DeepLift,
    DeepLiftShap,
    DeepTaylor,
    ExpectedGradients,
    FeatureAblation,
    FeaturePermutation,
    FunctionalInformation,
    GradCam,
    GradientShap,
    GreedyPIG,
    GuidedBackprop,
    GuidedGradCam,
    GuidedIG,
    InputXGradient,
    IntegratedGradients,
    KernelShap,
    LayerGradCam,
    Lime,
    NoiseTunnel,
    Occlusion,
    PredictionDifference,
    Saliency,
    ShapleyValues,
    ShapleyValueSampling,
)
from pyxai.methods.store import AXIOMS, Method, find, get, names, register

__all__ = ["AXIOMS", "Method", "find", "get", "names", "register"]


def _noise_tunnel(model: Callable[..., Any], attribution_method: Any = "saliency") -> NoiseTunnel:
    """Wrap a method given by name, by class or ready made."""
    if isinstance(attribution_method, str):
        attribution_method = get(attribution_method).factory(model)
    elif isinstance(attribution_method, type):
        attribution_method = attribution_method(model)
    return NoiseTunnel(attribution_method)


_SINGLE = ("null_player", "symmetry", "implementation_invariance")
_LINEAR = (*_SINGLE, "linearity")

register("saliency", Saliency, axioms=_SINGLE)
register("input_x_gradient", InputXGradient, baselines="optional", axioms=_LINEAR)
register(
    "integrated_gradients",
    IntegratedGradients,
    complete=True,
    baselines="optional",
    axioms=AXIOMS,
)
register("feature_ablation", FeatureAblation, baselines="optional", axioms=_LINEAR)
register(
    "occlusion",
    Occlusion,
    baselines="optional",
    axioms=("linearity", "implementation_invariance"),
)
register(
    "functional_information",
    FunctionalInformation,
    stochastic=True,
    axioms=("null_player", "implementation_invariance"),
)
register("greedy_pig", GreedyPIG, baselines="optional", axioms=("implementation_invariance",))
register(
    "guided_ig",
    GuidedIG,
    complete=True,
    baselines="optional",
    axioms=("null_player", "implementation_invariance"),
)
register("idgi", IDGI, complete=True, baselines="optional", axioms=("completeness", *_SINGLE))
register("blur_ig", BlurIG)
register("noise_tunnel", NoiseTunnel, stochastic=True, factory=_noise_tunnel)
_COMPLETE = ("completeness", "null_player", "linearity")
register(
    "deep_lift", DeepLift, complete=True, baselines="optional", axioms=_COMPLETE, needs="module"
)
register(
    "deep_lift_shap",
    DeepLiftShap,
    complete=True,
    baselines="distribution",
    axioms=_COMPLETE,
    needs="module",
)
register("lrp", LRP, axioms=("null_player", "symmetry"), needs="module")
# Rows without a positive output get nothing, so that no axiom holds for every input.
register("deep_taylor", DeepTaylor, needs="module")
register("guided_backprop", GuidedBackprop, axioms=("null_player", "symmetry"), needs="module")
register("deconvolution", Deconvolution, axioms=("null_player", "symmetry"), needs="module")
_SAMPLED = ("null_player", "linearity", "implementation_invariance")
register("shapley_values", ShapleyValues, complete=True, baselines="optional", axioms=AXIOMS)
register(
    "shapley_value_sampling",
    ShapleyValueSampling,
    complete=True,
    baselines="optional",
    stochastic=True,
    axioms=("completeness", *_SAMPLED),
)
register(
    "kernel_shap",
    KernelShap,
    complete=True,
    baselines="optional",
    stochastic=True,
    axioms=("completeness", "linearity", "implementation_invariance"),
)
register(
    "lime",
    Lime,
    baselines="optional",
    stochastic=True,
    axioms=("implementation_invariance",),
)
register(
    "expected_gradients",
    ExpectedGradients,
    complete=True,
    baselines="distribution",
    axioms=AXIOMS,
)
register(
    "gradient_shap",
    GradientShap,
    baselines="distribution",
    stochastic=True,
    axioms=_SAMPLED,
)
register(
    "prediction_difference",
    PredictionDifference,
    baselines="distribution",
    axioms=_LINEAR,
)
register("layer_grad_cam", LayerGradCam)
register("grad_cam", GradCam, needs="module")
register(
    "feature_permutation",
    FeaturePermutation,
    stochastic=True,
    whole_batch=True,
    axioms=("null_player", "linearity", "implementation_invariance"),
)
register("guided_grad_cam", GuidedGradCam, needs="module")
# Pixels are gathered by segments, so a pixel gets what its region does.
register("xrai", XRAI, baselines="optional")
