"""Bad input of every public function that is not a method: the error names the argument."""

import pytest
import torch
from torch import nn

import pyxai
from pyxai import imputers, metrics, taylor

NET = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).eval()
X = torch.linspace(-1, 1, 12).view(3, 4)


def saliency(inputs):
    return inputs * 2


def perturb(inputs):
    return inputs * 0.1, inputs * 0.9


def all_values(model, inputs, **options):
    return pyxai.Game(model, inputs, **options).values(torch.ones(1, 4, dtype=torch.bool))


MODEL = {"model": NET, "inputs": X, "target": 0}
EXPLAINED = {**MODEL, "attributions": X.clone()}
CALLS = {
    "Game": (all_values, MODEL),
    "insertion": (metrics.insertion, EXPLAINED),
    "deletion": (metrics.deletion, EXPLAINED),
    "softmax_auc": (metrics.softmax_auc, EXPLAINED),
    "kl_auc": (metrics.kl_auc, {k: v for k, v in EXPLAINED.items() if k != "target"}),
    "comprehensiveness": (metrics.comprehensiveness, EXPLAINED),
    "sufficiency": (metrics.sufficiency, EXPLAINED),
    "completeness": (metrics.completeness, EXPLAINED),
    "infidelity": (
        metrics.infidelity,
        {
            "forward_func": NET,
            "perturb_func": perturb,
            "inputs": X,
            "attributions": X.clone(),
            "target": 0,
        },
    ),
    "sensitivity_max": (metrics.sensitivity_max, {"explanation_func": saliency, "inputs": X}),
    "sparseness": (metrics.sparseness, {"attributions": X.clone()}),
    "stability": (metrics.stability, {"attributions": X, "others": X.clone()}),
    "point_game": (metrics.point_game, {"attributions": X, "truth": X > 0}),
    "grid_point_game": (
        metrics.grid_point_game,
        {"attributions": X.view(3, 2, 2), "cells": 2, "cell": torch.tensor([0, 1, 3])},
    ),
    "harsanyi_dividends": (taylor.harsanyi_dividends, MODEL),
    "interaction_indices": (taylor.interaction_indices, MODEL),
    "pairwise_terms": (taylor.pairwise_terms, MODEL),
    "integrated_hessians": (taylor.integrated_hessians, MODEL),
    "taylor_effects": (taylor.taylor_effects, MODEL),
    "taylor_jet": (taylor.taylor_jet, MODEL),
    "principles": (
        taylor.principles,
        {"method": "saliency", **MODEL, "baselines": torch.zeros(4)},
    ),
    "Mean": (imputers.Mean, {"background": X}),
    "Marginal": (imputers.Marginal, {"background": X}),
    "Gaussian": (imputers.Gaussian, {"background": X, "shrinkage": 0.5}),
}
BROKEN = {
    "text": (lambda x: "x", TypeError),
    "NaN": (lambda x: x.clone().masked_fill(x > 0.9, torch.nan), ValueError),
    "infinity": (lambda x: x.clone().masked_fill(x > 0.9, torch.inf), ValueError),
    "no rows": (lambda x: x[:0], ValueError),
    "complex numbers": (lambda x: x.to(torch.cfloat), TypeError),
}
TENSORS = ("inputs", "attributions", "background", "others")


def cases():
    for name, (_, arguments) in CALLS.items():
        for argument in TENSORS:
            for kind in BROKEN if argument in arguments else ():
                if not (name == "Gaussian" and kind == "no rows"):
                    yield pytest.param(name, argument, kind, id=f"{name}-{argument}-{kind}")


def call(name, **changes):
    function, arguments = CALLS[name]
    return function(**{**arguments, **changes})


@pytest.mark.parametrize("name", CALLS)
def test_the_good_call_works(name):
    call(name)


@pytest.mark.parametrize(("name", "argument", "kind"), list(cases()))
def test_broken_tensors_are_named(name, argument, kind):
    breaks, error = BROKEN[kind]
    with pytest.raises(error, match=f"^{argument} must .*got|^{argument}: "):
        call(name, **{argument: breaks(CALLS[name][1][argument])})


@pytest.mark.parametrize(
    "name", [n for n in CALLS if "inputs" in CALLS[n][1] and "attributions" in CALLS[n][1]]
)
def test_attributions_of_another_shape_are_named(name):
    value = CALLS[name][1]["attributions"]
    with pytest.raises(ValueError, match=r"^(attributions|others|truth) must .*got"):
        call(name, attributions=torch.cat((value, value))[..., :1])


@pytest.mark.parametrize("name", [n for n in CALLS if "target" in CALLS[n][1]])
@pytest.mark.parametrize("target", [3, -1, [0, 1], "a"])
def test_bad_targets_are_named(name, target):
    with pytest.raises((ValueError, TypeError), match=r"^target must .*got"):
        call(name, target=target)


@pytest.mark.parametrize("name", [n for n in CALLS if "model" in CALLS[n][1]])
def test_models_that_cannot_be_called_are_named(name):
    with pytest.raises(TypeError, match=r"^model must be .*got 3"):
        call(name, model=3)


MASKED = ["Game", "harsanyi_dividends", "interaction_indices"]
MASKED += ["insertion", "deletion", "softmax_auc", "kl_auc", "comprehensiveness", "sufficiency"]
MASKED += ["pairwise_terms", "integrated_hessians", "taylor_effects", "taylor_jet"]


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.arange(4) - 1, "at least 0, got -1"),
        (torch.arange(4) / 2, "integers, got torch.float32 with fractions"),
        (torch.arange(5), r"shape \[3, 4\], got \[5\]"),
    ],
)
def test_bad_masks_are_named(name, mask, message):
    with pytest.raises((ValueError, TypeError), match=f"^feature_mask must .*{message}"):
        call(name, feature_mask=mask)


@pytest.mark.parametrize("name", MASKED)
def test_bad_baselines_are_named(name):
    for baselines in (torch.zeros(3), float("nan"), "x", X.to("meta")):
        with pytest.raises((ValueError, TypeError), match=r"^baselines must .*got"):
            call(name, baselines=baselines)


def test_zero_players():
    with pytest.raises(ValueError, match=r"^inputs must .*got shape \[3, 0\]"):
        pyxai.Game(NET, X[:, :0])
