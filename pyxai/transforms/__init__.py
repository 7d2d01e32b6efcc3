"""Explanations in other coordinates than the model's inputs: frequencies, wavelets, learned parts.

`trim` explains a model by the coefficients of a transform, with any attribution method::

    found = trim(model, signals, transform=FourierTransform(100), method="integrated_gradients")
    found.magnitude(), found.group_scores()

A `TransformedModel` is the model as a function of coefficients; with the residual of each example
it gives the model's own outputs, also where the transform is lossy. An `AdaptiveWavelet` learns the
transform in which a model has the shortest account.

May import `pyxai.explain`, `pyxai.methods` and what is below them; no other room of methods.
Start with `trim`.
"""

from __future__ import annotations

from pyxai.transforms.adaptive.distilled import DistilledLinearModel
from pyxai.transforms.adaptive.functions import (
    WaveletFunctions,
    wavelet_distance,
    wavelet_functions,
)
from pyxai.transforms.adaptive.losses import (
    coefficient_l1,
    reconstruction_loss,
    wavelet_constraints,
)
from pyxai.transforms.adaptive.wavelet import AWD, AdaptiveWavelet
from pyxai.transforms.fourier import FourierTransform
from pyxai.transforms.lda import LDATransform
from pyxai.transforms.model import TransformedModel
from pyxai.transforms.nmf import NMFTransform
from pyxai.transforms.pca import PCATransform
from pyxai.transforms.result import TransformedExplanation
from pyxai.transforms.transform import FunctionTransform, Transform
from pyxai.transforms.trim import trim
from pyxai.transforms.wavelet import WaveletTransform

__all__ = [
    "AWD",
    "AdaptiveWavelet",
    "DistilledLinearModel",
    "FourierTransform",
    "FunctionTransform",
    "LDATransform",
    "NMFTransform",
    "PCATransform",
    "Transform",
    "TransformedExplanation",
    "TransformedModel",
    "WaveletFunctions",
    "WaveletTransform",
    "coefficient_l1",
    "reconstruction_loss",
    "trim",
    "wavelet_constraints",
    "wavelet_distance",
    "wavelet_functions",
]
