"""One good call of constructors of options and of methods of results, as few arguments as needed.

What `public_calls` has is tried on other devices and in other forms too; these are small.
"""

from __future__ import annotations

import torch
from public_calls import MODEL, NET, Call, D, X, drawn
from torch import nn

from pyxai import decomposition, imputers, lex, masks, metrics, ops, taylor, transforms
from pyxai.lex import presets
from pyxai.runner import Runner

__all__ = ["OPTION_CALLS"]

BANK = ops.filter_bank(torch.tensor([1.0, 1.0], dtype=D) / 2**0.5)
SIGNALS = drawn(2, 8)
COEFFICIENTS, SIZES = ops.dwt(SIGNALS, BANK, level=2), [8]
DIVIDENDS = taylor.harsanyi_dividends(**MODEL)
PAIRS = taylor.pairwise_terms(**MODEL)
SOFT = nn.Sequential(nn.Linear(8, 3), nn.LogSoftmax(1)).double()
RULE = {"predictor": SOFT, "selector": nn.Linear(4, 4).double()}
RUNNER = Runner(NET, target=0)


def small_lex():
    return lex.LEX(**RULE, imputer=imputers.Constant())


def rows(examples: slice, repeats: slice) -> tuple[torch.Tensor]:
    return (X[examples].repeat_interleave(repeats.stop - repeats.start, 0),)


OPTION_CALLS = {
    # lex
    "L1": Call(lex.L1, {"weight": 0.5}),
    "Rate": Call(lex.Rate, {"weight": 0.5, "rate": 0.25}),
    "Continuity": Call(lex.Continuity, {"weight": 0.5}),
    "Regime": Call(lex.Regime, {}),
    "Training": Call(lex.Training, {}),
    "MaxOfK": Call(lex.MaxOfK, {"k": 2}),
    "RelaxedSubset": Call(lex.RelaxedSubset, {"k": 2}),
    "Subset": Call(lex.Subset, {"k": 2}),
    "SoftmaxRate": Call(lex.SoftmaxRate, {"k": 1.5}),
    "FixedBernoulli": Call(lex.FixedBernoulli, {}),
    "Concrete": Call(lex.Concrete, {}),
    "StraightThrough": Call(lex.StraightThrough, {}),
    "REBAR": Call(lex.REBAR, {}),
    "REINFORCE": Call(lex.REINFORCE, {}),
    "RELAX": Call(lex.RELAX, {}),
    "Groups": Call(lex.Groups, {"ids": torch.tensor([0, 0, 1, 2])}),
    "Patches": Call(lex.Patches, {"kernel": 2}),
    "GaussianLikelihood": Call(lex.GaussianLikelihood, {}),
    "relaxed_top_k": Call(lex.relaxed_top_k, {"scores": drawn(2, 4), "k": 2}),
    "LEX": Call(lex.LEX, {**RULE, "imputer": imputers.Constant()}),
    "LEX.attribute": Call(small_lex().attribute, {"inputs": X}),
    "LEX.select": Call(small_lex().select, {"inputs": X}),
    "LEX.predict": Call(lex.LEX(NET, nn.Linear(4, 4).double()).predict, {"inputs": X}),
    "Trainer": Call(lex.Trainer, {"lex": small_lex()}),
    "tabular_networks": Call(lex.tabular_networks, {"n_features": 4, "n_outputs": 2}),
    "image_networks": Call(lex.image_networks, {"shape": (1, 8, 8), "n_outputs": 2}),
    "text_networks": Call(lex.text_networks, {"n_embedding": 4, "n_outputs": 2}),
    "UNetSelector": Call(lex.UNetSelector, {"channels": 1}),
    "invase_minus": Call(presets.invase_minus, {**RULE}),
    "realx": Call(presets.realx, {**RULE}),
    "rationale": Call(presets.rationale, {**RULE}),
    # transforms and wavelets
    "FourierTransform": Call(transforms.FourierTransform, {"sizes": (8,)}),
    "WaveletTransform": Call(transforms.WaveletTransform, {"sizes": (16,)}),
    "PCATransform": Call(transforms.PCATransform, {}),
    "NMFTransform": Call(transforms.NMFTransform, {}),
    "LDATransform": Call(transforms.LDATransform, {}),
    "AdaptiveWavelet": Call(transforms.AdaptiveWavelet, {}),
    "TransformedModel": Call(
        transforms.TransformedModel, {"model": NET, "transform": transforms.FourierTransform((4,))}
    ),
    "wavelet_functions": Call(transforms.wavelet_functions, {"scaling": BANK[0].flip(0)}),
    "wavelet_distance": Call(
        transforms.wavelet_distance, {"scaling": BANK[0].flip(0), "other": BANK[0]}
    ),
    "filter_bank": Call(ops.filter_bank, {"scaling": BANK[0]}),
    "dwt": Call(ops.dwt, {"signals": SIGNALS, "bank": BANK, "level": 2}),
    "idwt": Call(
        ops.idwt, {"coefficients": COEFFICIENTS, "bank": BANK, "sizes": SIZES, "level": 2}
    ),
    "idwt_transpose": Call(ops.idwt_transpose, {"signals": SIGNALS, "bank": BANK, "level": 2}),
    "shapley_kernel_size_weights": Call(ops.shapley_kernel_size_weights, {"n_players": 5}),
    # running a model
    "Runner": Call(Runner, {"forward_func": NET}),
    "Runner.values": Call(RUNNER.values, {"build": rows, "n_examples": 3, "n_repeats": 2}),
    "Runner.estimate": Call(RUNNER.estimate, {"build": rows, "n_examples": 3, "n_repeats": 2}),
    # of results
    "HarsanyiDividends.top": Call(DIVIDENDS.top, {}),
    "HarsanyiDividends.to_dict": Call(DIVIDENDS.to_dict, {}),
    "PairEffects.top": Call(PAIRS.top, {}),
    "Polynomial.random": Call(
        taylor.Polynomial.random,
        {"n_variables": 3, "degree": 2, "generator": torch.Generator().manual_seed(0)},
    ),
    "patches": Call(masks.patches, {"images": torch.rand(1, 3, 8, 8), "size": 2}),
    "grid_point_game": Call(
        metrics.grid_point_game,
        {"attributions": torch.rand(2, 8, 8), "cells": 2, "cell": torch.tensor([0, 3])},
    ),
    "ContextualDecomposition": Call(decomposition.ContextualDecomposition, {"model": NET}),
    "ACD": Call(decomposition.ACD, {"model": NET}),
    "ACD.agglomerate": Call(decomposition.ACD(NET).agglomerate, {"inputs": X, "target": 0}),
    "noise": Call(
        imputers.noise,
        {"shape": (4,), "n_draws": 2, "seed": 0, "example_ids": torch.arange(3)},
    ),
    "with_draws": Call(imputers.Marginal(X).with_draws, {"n_draws": 2}),
}
