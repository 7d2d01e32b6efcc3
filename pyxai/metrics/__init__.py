"""How good is an explanation: every metric takes any attribution tensor, one value per example.

May import every method and what is below. Start with `completeness`; curves over features are in
`curves`, those over the information in an image in `information`, checks of a method in `checks`.
"""

from __future__ import annotations

from pyxai.explanation.curve import Curve
from pyxai.metrics.checks.questionnaire import Questionnaire
from pyxai.metrics.checks.reality_checks import reality_checks
from pyxai.metrics.checks.result import RealityCheck, RealityChecks
from pyxai.metrics.completeness import completeness
from pyxai.metrics.curves.class_areas import kl_auc, softmax_auc
from pyxai.metrics.curves.erasure import comprehensiveness, sufficiency
from pyxai.metrics.curves.insertion_deletion import deletion, insertion
from pyxai.metrics.graph_fidelity import graph_fidelity
from pyxai.metrics.infidelity import infidelity, infidelity_perturb_func_decorator
from pyxai.metrics.information.blurred_baseline import blurred_baseline
from pyxai.metrics.information.information_curve import (
    InformationCurve,
    InformationCurves,
    accuracy_information_curve,
    softmax_information_curve,
)
from pyxai.metrics.information.partial_pictures import random_pixel_masks
from pyxai.metrics.point_game import grid_point_game, point_game
from pyxai.metrics.selection_rates import SelectionRates, selection_rates
from pyxai.metrics.sensitivity import default_perturb_func, sensitivity_max
from pyxai.metrics.sparseness import sparseness
from pyxai.metrics.stability import stability

__all__ = [
    "Curve",
    "InformationCurve",
    "InformationCurves",
    "Questionnaire",
    "RealityCheck",
    "RealityChecks",
    "SelectionRates",
    "accuracy_information_curve",
    "blurred_baseline",
    "completeness",
    "comprehensiveness",
    "default_perturb_func",
    "deletion",
    "graph_fidelity",
    "grid_point_game",
    "infidelity",
    "infidelity_perturb_func_decorator",
    "insertion",
    "kl_auc",
    "point_game",
    "random_pixel_masks",
    "reality_checks",
    "selection_rates",
    "sensitivity_max",
    "softmax_auc",
    "softmax_information_curve",
    "sparseness",
    "stability",
    "sufficiency",
]
