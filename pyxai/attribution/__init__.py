"""Attribution methods, under the names and with the signatures that captum's users know."""

from __future__ import annotations

from pyxai.attribution.ablation.feature_ablation import FeatureAblation
from pyxai.attribution.ablation.feature_permutation import FeaturePermutation
from pyxai.attribution.ablation.occlusion import Occlusion
from pyxai.attribution.ablation.prediction_difference import PredictionDifference
from pyxai.attribution.coalitions.kernel_shap import KernelShap
from pyxai.attribution.coalitions.lime import Lime
from pyxai.attribution.coalitions.shapley_value_sampling import ShapleyValueSampling
from pyxai.attribution.coalitions.shapley_values import ShapleyValues
from pyxai.attribution.gradients.deconvolution import Deconvolution
from pyxai.attribution.gradients.guided_backprop import GuidedBackprop
from pyxai.attribution.gradients.input_x_gradient import InputXGradient
from pyxai.attribution.gradients.saliency import Saliency
from pyxai.attribution.layers.grad_cam import GradCam, LayerAttribution, LayerGradCam
from pyxai.attribution.layers.guided_grad_cam import GuidedGradCam
from pyxai.attribution.paths.blur_ig import BlurIG
from pyxai.attribution.paths.greedy_pig import GreedyPIG
from pyxai.attribution.paths.guided_ig import GuidedIG
from pyxai.attribution.paths.idgi import IDGI
from pyxai.attribution.paths.integrated_gradients import IntegratedGradients
from pyxai.attribution.paths.xrai import XRAI
from pyxai.attribution.propagated.deep_lift import DeepLift
from pyxai.attribution.propagated.deep_lift_shap import DeepLiftShap
from pyxai.attribution.propagated.deep_taylor import DeepTaylor
from pyxai.attribution.propagated.lrp import LRP
from pyxai.attribution.sampled.expected_gradients import ExpectedGradients
from pyxai.attribution.sampled.functional_information import FunctionalInformation
from pyxai.attribution.sampled.gradient_shap import GradientShap
from pyxai.attribution.sampled.noise_tunnel import NoiseTunnel
from pyxai.methods.base import Attribution, GradientAttribution, PerturbationAttribution

__all__ = [
    "IDGI",
    "LRP",
    "XRAI",
    "Attribution",
    "BlurIG",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "DeepTaylor",
    "ExpectedGradients",
    "FeatureAblation",
    "FeaturePermutation",
    "FunctionalInformation",
    "GradCam",
    "GradientAttribution",
    "GradientShap",
    "GreedyPIG",
    "GuidedBackprop",
    "GuidedGradCam",
    "GuidedIG",
    "InputXGradient",
    "IntegratedGradients",
    "KernelShap",
    "LayerAttribution",
    "LayerGradCam",
    "Lime",
    "NoiseTunnel",
    "Occlusion",
    "PerturbationAttribution",
    "PredictionDifference",
    "Saliency",
    "ShapleyValueSampling",
    "ShapleyValues",
]
