"""Attribution methods, under the names and with the signatures that captum's users know."""

from __future__ import annotations

from pyxai.attribution.base import Attribution, GradientAttribution, PerturbationAttribution
from pyxai.attribution.deep_lift import DeepLift
from pyxai.attribution.deep_lift_shap import DeepLiftShap
from pyxai.attribution.feature_ablation import FeatureAblation
from pyxai.attribution.functional_information import FunctionalInformation
from pyxai.attribution.input_x_gradient import InputXGradient
from pyxai.attribution.integrated_gradients import IntegratedGradients
from pyxai.attribution.noise_tunnel import NoiseTunnel
from pyxai.attribution.occlusion import Occlusion
from pyxai.attribution.saliency import Saliency

__all__ = [
    "Attribution",
    "DeepLift",
    "DeepLiftShap",
    "FeatureAblation",
    "FunctionalInformation",
    "GradientAttribution",
    "InputXGradient",
    "IntegratedGradients",
    "NoiseTunnel",
    "Occlusion",
    "PerturbationAttribution",
    "Saliency",
]
