"""What single checks refuse that no call of another test gets wrong: each is reached here."""

from types import SimpleNamespace

import pandas
import pytest
import torch

from pyxai import Explanation, metrics, registry
from pyxai.adapters.columns import Columns
from pyxai.adapters.labels import class_names
from pyxai.attribution import LRP, PartitionShap
from pyxai.attribution.sampled.functional_information.arguments import grouping
from pyxai.covariance import DenseCovariance, DiagonalCovariance
from pyxai.datasets import decoy_squares
from pyxai.imputers import (
    Blur,
    Callback,
    Gaussian,
    GaussianMixture,
    LatentMixture,
    LearntConstant,
    LogisticMixture,
    MarkovChain,
    PPCAMixture,
)
from pyxai.lex import REINFORCE, relaxed_top_k
from pyxai.lex.masks.laws import top_k
from pyxai.metrics.information.partial_pictures import random_pixel_masks
from pyxai.ops import unpack_masks
from pyxai.propagation.relevance.rules import AlphaBetaRule
from pyxai.selection.curve import _check_order, _check_sizes
from pyxai.selection.losses import RowGains
from pyxai.taylor import Polynomial, allocation_weights, attribution_from_effects
from pyxai.transforms import AdaptiveWavelet

ONES, WHOLE = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.int64)
MASK = torch.ones(2, 1, 3, dtype=torch.bool)
IMAGES = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
NORMAL = Gaussian(mean=torch.zeros(3), covariance=torch.eye(3))


def drawn(function, value=ONES):
    return Callback(function).draw((value,), (MASK,), seed=0, example_ids=torch.arange(2))


def explained(attributions, inputs=ONES, **fields):
    return Explanation(attributions, inputs, method="by_hand", **fields)


def partition_shap(hierarchy):
    return PartitionShap(lambda x: x.sum(1)).attribute(ONES, hierarchy=hierarchy)


CASES = {
    "names of classes that are a text": (
        *(lambda: class_names("yes", None), TypeError),
        "labels must be a list of names or a mapping to them, got 'yes'",
    ),
    "two classes of one name": (
        *(lambda: class_names(["yes", "yes"], None), ValueError),
        "labels must have a name of its own for each class",
    ),
    "two columns of one name": (
        *(
            lambda: Columns.of_table("X", pandas.DataFrame([[1, 2]], columns=["a", "a"])),
            ValueError,
        ),
        r"X must have columns of different names, got \['a', 'a'\]",
    ),
    "a vector for a matrix": (
        *(lambda: DenseCovariance(torch.ones(3)), ValueError),
        r"must be a matrix with entries, got shape \[3\]",
    ),
    "a matrix for a vector": (
        *(lambda: DiagonalCovariance(ONES), ValueError),
        r"variances must be a vector, got shape \[2, 3\]",
    ),
    "images without channels": (
        *(lambda: decoy_squares(torch.rand(2, 4, 4), torch.tensor([0, 1])), ValueError),
        r"images must have shape \[rows, channels, height, width\], got \[2, 4, 4\]",
    ),
    "attributions of nothing": (
        *(lambda: explained((), ()), ValueError),
        "attributions must have at least one tensor, got none",
    ),
    "attributions of no layer": (
        *(lambda: explained((), options={"layer": "0"}), ValueError),
        "attributions must have at least one tensor, got none",
    ),
    "attributions without a batch": (
        *(lambda: explained(torch.ones(())), ValueError),
        r"attributions must have a batch dimension, got shape \[\]",
    ),
    "attributions of other examples": (
        *(lambda: explained((ONES, ONES[:1]), (ONES, ONES)), ValueError),
        "attributions must have the same number of rows each, got 2, 1",
    ),
    "one value to display": (
        *(lambda: explained(ONES, display_values="red"), TypeError),
        "display_values must be a table of values, got 'red'",
    ),
    "a function with too many tensors": (
        *(lambda: drawn(lambda *given, **more: (ONES, ONES)), ValueError),
        r"function must return 1 tensor\(s\), one per input, got 2",
    ),
    "a function without tensors": (
        *(lambda: drawn(lambda *given, **more: [3]), TypeError),
        "function must return tensors, got 3",
    ),
    "a value for another input": (
        *(lambda: LearntConstant((0.0, 1.0)).check((ONES,)), ValueError),
        r"value must have 1 entries, one per input tensor, got a tuple of 2 item\(s\)",
    ),
    "a learnt value of whole numbers": (
        *(lambda: LearntConstant(0.0).check((WHOLE,)), TypeError),
        "inputs must be floating point for a value that is learnt, got torch.int64",
    ),
    "normal draws of whole numbers": (
        *(lambda: NORMAL.check((WHOLE,)),),
        *(TypeError, "inputs must be floating point for normal draws, got torch.int64"),
    ),
    "whole numbers to be blurred": (
        *(lambda: Blur(1.0).check((IMAGES,)), TypeError),
        "inputs must be floating point to be blurred, got torch.uint8",
    ),
    "a chain of two tensors": (
        *(lambda: MarkovChain().fit((WHOLE, WHOLE)), ValueError),
        "data must be one tensor of tokens, got 2 tensors",
    ),
    "a chain asked for two tensors": (
        *(lambda: MarkovChain().fit(WHOLE).check((WHOLE, WHOLE)), ValueError),
        "inputs must be one tensor of tokens, got 2 tensors",
    ),
    "a floor below zero": (
        *(lambda: GaussianMixture(2, floor=-1.0), ValueError),
        r"floor must be at least 0, got -1\.0",
    ),
    "variances below zero": (
        *(lambda: GaussianMixture.from_parameters(torch.ones(2), ONES, -ONES), ValueError),
        "covariances must be positive, got -1",
    ),
    "factors with a floor of zero": (
        *(lambda: PPCAMixture(2, floor=0.0), ValueError),
        r"floor must be positive, got 0\.0",
    ),
    "factors that give rows": (
        *(lambda: PPCAMixture(2, values="rows"), ValueError),
        "values must be one of 'draws', 'mean', got 'rows'",
    ),
    "a mixture that does not learn": (
        *(lambda: LogisticMixture(2, lr=0.0), ValueError),
        r"lr must be positive, got 0\.0",
    ),
    "codes of two tensors": (
        *(lambda: LatentMixture(lambda x: x, lambda z: z, 1).fit((ONES, ONES)), ValueError),
        "data must be one tensor, got 2 tensors",
    ),
    "codes before they are fitted": (
        *(lambda: LatentMixture(lambda x: x, lambda z: z, 1).check((ONES,)), ValueError),
        r"imputer must be fitted, got a LatentMixture before fit\(\)",
    ),
    "an encoder without tensors": (
        *(lambda: LatentMixture(lambda x: 3, lambda z: z, 1).fit(ONES), TypeError),
        "encoder must return a tensor, got 3",
    ),
    "a momentum above one": (
        *(lambda: REINFORCE("moving", momentum=1.5), ValueError),
        r"momentum must be from 0 to 1, got 1\.5",
    ),
    "more than all groups": (
        *(lambda: top_k(ONES, 4), ValueError),
        "k must be from 1 to 3, the number of groups, got 4",
    ),
    "whole numbers as scores": (
        *(lambda: relaxed_top_k(WHOLE, 1), TypeError),
        "scores must be floating point with groups last, got torch.int64",
    ),
    "a temperature of zero": (
        *(lambda: relaxed_top_k(ONES, 1, temperature=0.0), ValueError),
        r"temperature must be above 0, got 0\.0",
    ),
    "more than all features": (
        *(lambda: metrics.stability(ONES, ONES, top=1.5), ValueError),
        r"top must be in \(0, 1\], got 1\.5",
    ),
    "a truth of another size": (
        *(lambda: metrics.point_game(ONES, torch.ones(2, 4, dtype=torch.bool)), ValueError),
        r"truth must broadcast to \[2, 3\], got \[2, 4\]",
    ),
    "a grid without positions": (
        *(lambda: metrics.grid_point_game(ONES, 2, torch.tensor([0, 1])), ValueError),
        r"attributions must have shape \[batch, channels, height, width\] or .*, got \[2, 3\]",
    ),
    "more than a whole mask": (
        *(lambda: random_pixel_masks(1, 4, 4, fraction=1.5), ValueError),
        r"fraction must be in \[0, 1\], got 1\.5",
    ),
    "pictures without a batch": (
        *(lambda: metrics.blurred_baseline(IMAGES[0, 0]), ValueError),
        r"images must have shape .*, got \[4, 4\]",
    ),
    "names for features in an order": (
        *(lambda: _check_order(["a", "b"], 3), TypeError),
        "order must be a list of feature numbers, got",
    ),
    "sizes that fall": (
        *(lambda: _check_sizes([2, 1], 3), ValueError),
        r"sizes must be at least two ascending numbers of at most 3, got \[2, 1\]",
    ),
    "a loss that is a number": (
        *(lambda: RowGains(torch.sin, 3), TypeError),
        "loss must be a name or a function, got 3",
    ),
    "a method that is a number": (
        *(lambda: registry.get(3), TypeError),
        "method must be a name, got 3",
    ),
    "words for other players": (
        *(lambda: unpack_masks(torch.zeros(1, 2, dtype=torch.int32), 3), ValueError),
        r"masks must have 1 word\(s\) for 3 players, got 2",
    ),
    "a beta below zero": (
        *(lambda: AlphaBetaRule(alpha=0.5, beta=-0.5), ValueError),
        r"beta must not be negative, got -0\.5",
    ),
    "an output for other examples": (
        *(lambda: LRP(torch.nn.Linear(3, 1)).compute_convergence_delta(ONES, torch.ones(3)),),
        *(ValueError, "output must have 2 values, one per example, got 3"),
    ),
    "groups of channels that are grouped": (
        *(lambda: grouping(torch.ones(1, 2, 4, 4), torch.zeros(1, 1, 1, 1), True), ValueError),
        "feature_mask must be None with parity=True, which groups channels",
    ),
    "trees for other examples": (
        *(lambda: partition_shap([TREE] * 3),),
        *(ValueError, "hierarchy must have one tree, or one for each of 2 examples, got 3"),
    ),
    "a tree from its root": (
        *(lambda: partition_shap(ROOT_FIRST),),
        *(ValueError, "hierarchy must have children before their parents, got others"),
    ),
    "effects of nothing": (
        *(lambda: attribution_from_effects("shapley_value", []), ValueError),
        "effects must hold at least one table, got an empty sequence",
    ),
    "a quadrature without nodes": (
        *(lambda: allocation_weights("path_quadrature", [1, 1]), ValueError),
        "nodes and node_weights must be given for 'path_quadrature', got None",
    ),
    "a quadrature of other weights": (
        *(lambda: allocation_weights("path_quadrature", [1, 1], nodes=[0.5], node_weights=[]),),
        *(ValueError, r"node_weights must have shape \[1\], got \[0\]"),
    ),
    "an exponent below zero": (
        *(lambda: Polynomial({(1, -1): 1.0}), ValueError),
        "coefficients must have exponents of at least 0, got a negative one",
    ),
    "more than all terms": (
        *(lambda: Polynomial.random(2, 2, generator=torch.Generator(), density=1.5), ValueError),
        r"density must be from 0 to 1, got 1\.5",
    ),
    "a baseline of another length": (
        *(lambda: Polynomial({(1, 1): 1.0}).shift([0.0]), ValueError),
        "baseline must have 2 entries, got 1",
    ),
    "signals that are words": (
        *(lambda: AdaptiveWavelet().fit(["a"]), TypeError),
        "X must be numbers, got",
    ),
    "signals that are flags": (
        *(lambda: AdaptiveWavelet().fit(torch.ones(2, 8, dtype=torch.bool)), TypeError),
        "X must be real numbers, got torch.bool",
    ),
}
LEAF = SimpleNamespace(children=())
TREE = SimpleNamespace(nodes=[LEAF, LEAF, LEAF, SimpleNamespace(children=(0, 1, 2))])
ROOT_FIRST = SimpleNamespace(nodes=[SimpleNamespace(children=(1, 2, 3)), LEAF, LEAF, LEAF])


@pytest.mark.parametrize("name", CASES)
def test_a_check_refuses_what_it_is_for(name):
    call, error, message = CASES[name]
    with pytest.raises(error, match=message):
        call()
