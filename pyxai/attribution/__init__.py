"""Attribution methods, under the names and with the signatures that captum's users know."""

from __future__ import annotations

from pyxai.attribution.base import Attribution, GradientAttribution, PerturbationAttribution
from pyxai.attribution.blur_ig import BlurIG
from pyxai.attribution.deconvolution import Deconvolution
from pyxai.attribution.deep_lift import DeepLift
from pyxai.attribution.deep_lift_shap import DeepLiftShap
from pyxai.attribution.deep_taylor import DeepTaylor
from pyxai.attribution.expected_gradients import ExpectedGradients
from pyxai.attribution.feature_ablation import FeatureAblation
from pyxai.attribution.feature_permutation import FeaturePermutation
from pyxai.attribution.functional_information import FunctionalInformation
from pyxai.attribution.grad_cam import GradCam, LayerAttribution, LayerGradCam
from pyxai.attribution.gradient_shap import GradientShap
from pyxai.attribution.greedy_pig import GreedyPIG
from pyxai.attribution.guided_backprop import GuidedBackprop
from pyxai.attribution.guided_grad_cam import GuidedGradCam
from pyxai.attribution.guided_ig import GuidedIG
from pyxai.attribution.idgi import IDGI
from pyxai.attribution.input_x_gradient import InputXGradient
from pyxai.attribution.integrated_gradients import IntegratedGradients
from pyxai.attribution.kernel_shap import KernelShap
from pyxai.attribution.lime import Lime
from pyxai.attribution.lrp import LRP
from pyxai.attribution.noise_tunnel import NoiseTunnel
from pyxai.attribution.occlusion import Occlusion
from pyxai.attribution.prediction_difference import PredictionDifference
from pyxai.attribution.saliency import Saliency
from pyxai.attribution.shapley_value_sampling import ShapleyValueSampling
from pyxai.attribution.shapley_values import ShapleyValues
from pyxai.attribution.xrai import XRAI

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
