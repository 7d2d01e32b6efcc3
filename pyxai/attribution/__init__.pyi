"""Where each class is defined: what type checkers read, and what is imported on first use."""

from pyxai.attribution.ablation.dataloader_attribution import (
    DataLoaderAttribution as DataLoaderAttribution,
)
from pyxai.attribution.ablation.feature_ablation import FeatureAblation as FeatureAblation
from pyxai.attribution.ablation.feature_permutation import FeaturePermutation as FeaturePermutation
from pyxai.attribution.ablation.occlusion import Occlusion as Occlusion
from pyxai.attribution.ablation.prediction_difference import (
    PredictionDifference as PredictionDifference,
)
from pyxai.attribution.coalitions.kernel_shap import KernelShap as KernelShap
from pyxai.attribution.coalitions.lime import Lime as Lime
from pyxai.attribution.coalitions.lime_base import LimeBase as LimeBase
from pyxai.attribution.coalitions.partition_shap import PartitionShap as PartitionShap
from pyxai.attribution.coalitions.shapley_value_sampling import (
    ShapleyValueSampling as ShapleyValueSampling,
)
from pyxai.attribution.coalitions.shapley_values import ShapleyValues as ShapleyValues
from pyxai.attribution.gradients.deconvolution import Deconvolution as Deconvolution
from pyxai.attribution.gradients.guided_backprop import GuidedBackprop as GuidedBackprop
from pyxai.attribution.gradients.input_x_gradient import InputXGradient as InputXGradient
from pyxai.attribution.gradients.saliency import Saliency as Saliency
from pyxai.attribution.layers.embeddings import (
    InterpretableEmbeddingBase as InterpretableEmbeddingBase,
)
from pyxai.attribution.layers.embeddings import TokenReferenceBase as TokenReferenceBase
from pyxai.attribution.layers.embeddings import (
    configure_interpretable_embedding_layer as configure_interpretable_embedding_layer,
)
from pyxai.attribution.layers.embeddings import (
    remove_interpretable_embedding_layer as remove_interpretable_embedding_layer,
)
from pyxai.attribution.layers.grad_cam import GradCam as GradCam
from pyxai.attribution.layers.grad_cam import LayerGradCam as LayerGradCam
from pyxai.attribution.layers.guided_grad_cam import GuidedGradCam as GuidedGradCam
from pyxai.attribution.layers.internal_influence import InternalInfluence as InternalInfluence
from pyxai.attribution.layers.layer_activation import LayerActivation as LayerActivation
from pyxai.attribution.layers.layer_conductance import LayerConductance as LayerConductance
from pyxai.attribution.layers.layer_deep_lift import LayerDeepLift as LayerDeepLift
from pyxai.attribution.layers.layer_deep_lift_shap import LayerDeepLiftShap as LayerDeepLiftShap
from pyxai.attribution.layers.layer_feature_ablation import (
    LayerFeatureAblation as LayerFeatureAblation,
)
from pyxai.attribution.layers.layer_feature_permutation import (
    LayerFeaturePermutation as LayerFeaturePermutation,
)
from pyxai.attribution.layers.layer_gradient_shap import LayerGradientShap as LayerGradientShap
from pyxai.attribution.layers.layer_gradient_x_activation import (
    LayerGradientXActivation as LayerGradientXActivation,
)
from pyxai.attribution.layers.layer_integrated_gradients import (
    LayerIntegratedGradients as LayerIntegratedGradients,
)
from pyxai.attribution.layers.layer_lrp import LayerLRP as LayerLRP
from pyxai.attribution.layers.neurons.neuron_conductance import (
    NeuronConductance as NeuronConductance,
)
from pyxai.attribution.layers.neurons.neuron_deconvolution import (
    NeuronDeconvolution as NeuronDeconvolution,
)
from pyxai.attribution.layers.neurons.neuron_deep_lift import NeuronDeepLift as NeuronDeepLift
from pyxai.attribution.layers.neurons.neuron_deep_lift_shap import (
    NeuronDeepLiftShap as NeuronDeepLiftShap,
)
from pyxai.attribution.layers.neurons.neuron_feature_ablation import (
    NeuronFeatureAblation as NeuronFeatureAblation,
)
from pyxai.attribution.layers.neurons.neuron_gradient import NeuronGradient as NeuronGradient
from pyxai.attribution.layers.neurons.neuron_gradient_shap import (
    NeuronGradientShap as NeuronGradientShap,
)
from pyxai.attribution.layers.neurons.neuron_guided_backprop import (
    NeuronGuidedBackprop as NeuronGuidedBackprop,
)
from pyxai.attribution.layers.neurons.neuron_integrated_gradients import (
    NeuronIntegratedGradients as NeuronIntegratedGradients,
)
from pyxai.attribution.paths.blur_ig import BlurIG as BlurIG
from pyxai.attribution.paths.greedy_pig import GreedyPIG as GreedyPIG
from pyxai.attribution.paths.guided_ig import GuidedIG as GuidedIG
from pyxai.attribution.paths.idgi import IDGI as IDGI
from pyxai.attribution.paths.integrated_gradients import IntegratedGradients as IntegratedGradients
from pyxai.attribution.paths.xrai import XRAI as XRAI
from pyxai.attribution.propagated.deep_lift import DeepLift as DeepLift
from pyxai.attribution.propagated.deep_lift_shap import DeepLiftShap as DeepLiftShap
from pyxai.attribution.propagated.deep_taylor import DeepTaylor as DeepTaylor
from pyxai.attribution.propagated.lrp import LRP as LRP
from pyxai.attribution.sampled.expected_gradients import ExpectedGradients as ExpectedGradients
from pyxai.attribution.sampled.functional_information import (
    FunctionalInformation as FunctionalInformation,
)
from pyxai.attribution.sampled.gradient_shap import GradientShap as GradientShap
from pyxai.attribution.sampled.noise_tunnel import NoiseTunnel as NoiseTunnel
from pyxai.methods.base import Attribution as Attribution
from pyxai.methods.base import GradientAttribution as GradientAttribution
from pyxai.methods.base import PerturbationAttribution as PerturbationAttribution
from pyxai.methods.layer import LayerAttribution as LayerAttribution
from pyxai.methods.neuron import NeuronAttribution as NeuronAttribution
