"""Attribution methods, under the names and with the signatures that captum's users know."""

from __future__ import annotations

from pyxai.attribution.base import Attribution, GradientAttribution, PerturbationAttribution
from pyxai.attribution.deep_lift import DeepLift
from pyxai.attribution.deep_lift_shap import DeepLiftShap
from pyxai.attribution.deep_taylor import DeepTaylor
from pyxai.attribution.feature_ablation import FeatureAblation
from pyxai.attribution.functional_information import FunctionalInformation
from pyxai.attribution.guided_backprop import Deconvolution, GuidedBackprop
from pyxai.attribution.input_x_gradient import InputXGradient
from pyxai.attribution.integrated_gradients import IntegratedGradients
from pyxai.attribution.lrp import LRP
from pyxai.attribution.noise_tunnel import NoiseTunnel
from pyxai.attribution.occlusion import Occlusion
from pyxai.attribution.saliency import Saliency

__all__ = [
    "LRP",
    "Attribution",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "DeepTaylor",
    "FeatureAblation",
    "FunctionalInformation",
    "GradientAttribution",
    "GuidedBackprop",
    "InputXGradient",
    "IntegratedGradients",
    "NoiseTunnel",
    "Occlusion",
    "PerturbationAttribution",
    "Saliency",
]
