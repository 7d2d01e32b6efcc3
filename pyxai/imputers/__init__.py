"""Ways to remove features: what the features of absent players are replaced by.

May import the runner, `pyxai.covariance` and what is below them. Start with `base`, which says what
every imputer keeps; `blend` makes rows of draws.
"""

from __future__ import annotations

from pyxai.imputers.base import IMPUTER_STREAM, Draws, Imputer
from pyxai.imputers.blend import impute
from pyxai.imputers.blur import Blur
from pyxai.imputers.callback import Callback
from pyxai.imputers.constant import Constant, LearntConstant
from pyxai.imputers.gaussian import Gaussian
from pyxai.imputers.marginal import Marginal
from pyxai.imputers.markov_chain import MarkovChain
from pyxai.imputers.mean import Mean
from pyxai.imputers.mixtures.gaussian_mixture import GaussianMixture
from pyxai.imputers.mixtures.kmeans import KMeans
from pyxai.imputers.mixtures.latent_mixture import LatentMixture
from pyxai.imputers.mixtures.logistic_mixture import LogisticMixture
from pyxai.imputers.mixtures.ppca_mixture import PPCAMixture
from pyxai.imputers.randomness import mask_ids, noise
from pyxai.imputers.vaeac.imputer import VAEAC
from pyxai.imputers.vaeac.networks import Networks

__all__ = [
    "IMPUTER_STREAM",
    "VAEAC",
    "Blur",
    "Callback",
    "Constant",
    "Draws",
    "Gaussian",
    "GaussianMixture",
    "Imputer",
    "KMeans",
    "LatentMixture",
    "LearntConstant",
    "LogisticMixture",
    "Marginal",
    "MarkovChain",
    "Mean",
    "Networks",
    "PPCAMixture",
    "impute",
    "mask_ids",
    "noise",
]
