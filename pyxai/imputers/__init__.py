"""Ways to remove features: what the features of absent players are replaced by.

May import the runner, `pyxai.covariance` and what is below them. Start with `base`, which says what
every imputer keeps; `blend` makes rows of draws.
"""

from __future__ import annotations

from pyxai.imputers.base import IMPUTER_STREAM, Draws, Imputer
from pyxai.imputers.blend import impute
from pyxai.imputers.callback import Callback
from pyxai.imputers.constant import Constant
from pyxai.imputers.gaussian import Gaussian
from pyxai.imputers.marginal import Marginal
from pyxai.imputers.mean import Mean
from pyxai.imputers.randomness import mask_ids, noise

__all__ = [
    "IMPUTER_STREAM",
    "Callback",
    "Constant",
    "Draws",
    "Gaussian",
    "Imputer",
    "Marginal",
    "Mean",
    "impute",
    "mask_ids",
    "noise",
]
