"""Explanation as statistical inference: the features that a prediction needs.

A selector, an imputer and a predictor under one likelihood, the laws of masks and estimators of
their gradients, training, and reports that show what a selector does. May import `pyxai.methods`,
`pyxai.imputers` and what is below. Start with `model`.
"""

from __future__ import annotations

from pyxai.lex.control_variates import REBAR, RELAX
from pyxai.lex.estimators import (
    REINFORCE,
    Enumeration,
    Estimate,
    Estimator,
    LeaveOneOut,
    Pathwise,
    Question,
)
from pyxai.lex.likelihoods import Bound, CategoricalLikelihood, GaussianLikelihood, Likelihood
from pyxai.lex.masks.groups import Groups, Patches
from pyxai.lex.masks.laws import (
    Bernoulli,
    Concrete,
    FixedBernoulli,
    MaskLaw,
    Oracle,
    SoftmaxRate,
    StraightThrough,
)
from pyxai.lex.masks.relaxed_top_k import relaxed_top_k
from pyxai.lex.masks.subsets import MaxOfK, RelaxedSubset, Subset
from pyxai.lex.model import LEX, Losses
from pyxai.lex.networks import UNetSelector, image_networks, tabular_networks, text_networks
from pyxai.lex.objective import Batch
from pyxai.lex.presets import invase, invase_minus, l2x, lex, rationale, realx
from pyxai.lex.regimes import Regime
from pyxai.lex.regularisers import L1, Continuity, Rate, Regulariser
from pyxai.lex.reports import Quality, SelectionReport, report
from pyxai.lex.trainer import Trainer, Training, TrainingResult, accumulate

__all__ = [
    "L1",
    "LEX",
    "REBAR",
    "REINFORCE",
    "RELAX",
    "Batch",
    "Bernoulli",
    "Bound",
    "CategoricalLikelihood",
    "Concrete",
    "Continuity",
    "Enumeration",
    "Estimate",
    "Estimator",
    "FixedBernoulli",
    "GaussianLikelihood",
    "Groups",
    "LeaveOneOut",
    "Likelihood",
    "Losses",
    "MaskLaw",
    "MaxOfK",
    "Oracle",
    "Patches",
    "Pathwise",
    "Quality",
    "Question",
    "Rate",
    "Regime",
    "Regulariser",
    "RelaxedSubset",
    "SelectionReport",
    "SoftmaxRate",
    "StraightThrough",
    "Subset",
    "Trainer",
    "Training",
    "TrainingResult",
    "UNetSelector",
    "accumulate",
    "image_networks",
    "invase",
    "invase_minus",
    "l2x",
    "lex",
    "rationale",
    "realx",
    "relaxed_top_k",
    "report",
    "tabular_networks",
    "text_networks",
]
