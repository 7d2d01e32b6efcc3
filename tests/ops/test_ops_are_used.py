"""Every native op is reached from public calls: a kernel that no method runs is decoration."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from torch import nn

import pyxai
from pyxai import _C, taylor
from pyxai.attribution import (
    BlurIG,
    ExpectedGradients,
    FeatureAblation,
    FunctionalInformation,
    GradientShap,
    GreedyPIG,
    IntegratedGradients,
    KernelShap,
    Lime,
    NoiseTunnel,
    Saliency,
    ShapleyValues,
    ShapleyValueSampling,
)
from pyxai.decomposition import ContextualDecomposition
from pyxai.metrics import insertion
from pyxai.transforms import AdaptiveWavelet, WaveletTransform, trim

STUB = ast.parse((Path(pyxai.__file__).parent / "_C.pyi").read_text())
OPS = {node.name for node in STUB.body if isinstance(node, ast.FunctionDef)} - {
    "loop_threads",  # a question about the build
    "host_run_reverse_threads",
    "host_run_selftest",
}
N = 6


def net():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(N, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model.eval().requires_grad_(False)


X = torch.linspace(-1, 1, 2 * N, dtype=torch.float64).view(2, N)
BACKGROUND = torch.linspace(-2, 1, 3 * N, dtype=torch.float64).view(3, N)
WIDE = torch.linspace(-1, 1, 24, dtype=torch.float64).view(1, 24)


def wide(x):
    return (x[:, ::2] * x[:, 1::2]).sum(1)


def image(x):
    return x.square().flatten(1).sum(1)


# What is called, and the ops that its hot loop must run through.
CALLS = {
    "FeatureAblation": (
        lambda: FeatureAblation(net()).attribute(X, target=0, feature_mask=torch.arange(N) // 2),
        {"masked_perturb"},
    ),
    "FeatureAblation of a wide layer": (
        lambda: FeatureAblation(nn.Linear(1024, 128)).attribute(torch.ones(1, 1024), target=0),
        {"masked_affine"},
    ),
    "KernelShap of a wide layer": (
        lambda: KernelShap(nn.Linear(1024, 128)).attribute(
            torch.ones(1, 1024), target=0, n_samples=600, feature_mask=torch.arange(1024) // 128
        ),
        {"masked_affine"},
    ),
    "ShapleyValueSampling of a wide layer": (
        lambda: ShapleyValueSampling(nn.Linear(1024, 128)).attribute(
            torch.ones(1, 1024), target=0, n_samples=2
        ),
        {"ordered_affine"},
    ),
    "insertion behind a wide layer": (
        lambda: insertion(nn.Linear(1024, 128), torch.ones(2, 1024), torch.ones(2, 1024), target=0),
        {"ordered_affine"},
    ),
    "Game.gradients": (
        lambda: pyxai.Game(net(), X, target=0).gradients(torch.full((1, N), 0.5).double()),
        {"soft_perturb", "soft_perturb_backward"},
    ),
    "IntegratedGradients": (
        lambda: IntegratedGradients(net()).attribute(X, target=0),
        {"path_points", "path_accumulate"},
    ),
    "BlurIG": (
        lambda: BlurIG(image).attribute(X.view(2, 1, 2, 3), n_steps=3),
        {"path_moments"},
    ),
    "ExpectedGradients": (
        lambda: ExpectedGradients(net()).attribute(X, BACKGROUND, target=0, n_samples=4),
        {"philox_random", "path_points", "path_moments"},
    ),
    "GradientShap": (
        lambda: GradientShap(net()).attribute(X, BACKGROUND, target=0, stdevs=0.1),
        {"philox_random", "path_points", "path_moments"},
    ),
    "NoiseTunnel": (
        lambda: NoiseTunnel(Saliency(net())).attribute(X, target=0, nt_type="vargrad"),
        {"philox_random", "path_moments"},
    ),
    "FunctionalInformation": (
        lambda: FunctionalInformation(net()).attribute(X, target=0, return_error=True),
        {"philox_random", "path_moments"},
    ),
    "GreedyPIG": (
        lambda: GreedyPIG(net()).attribute(X, target=0),
        {"path_points", "player_sum", "greedy_select"},
    ),
    "KernelShap": (
        lambda: KernelShap(wide).attribute(WIDE, n_samples=200),
        {"sample_coalitions", "masked_perturb"},
    ),
    "Lime": (
        lambda: Lime(net()).attribute(X, target=0),
        {"sample_coalitions", "masked_perturb"},
    ),
    "ShapleyValueSampling": (
        lambda: ShapleyValueSampling(net()).attribute(X, target=0),
        {"sample_permutations", "permutation_prefixes", "masked_perturb"},
    ),
    "ShapleyValues": (
        lambda: ShapleyValues(net()).attribute(X, target=0),
        {"table_sums", "masked_perturb"},
    ),
    "harsanyi_dividends": (
        lambda: taylor.harsanyi_dividends(net(), X, target=0),
        {"moebius_transform", "masked_perturb"},
    ),
    "pairwise_terms, values": (
        lambda: taylor.pairwise_terms(net(), X, target=0),
        {"pairwise_taylor_values", "masked_perturb"},
    ),
    "pairwise_terms, taylor": (
        lambda: taylor.pairwise_terms(net(), X, target=0, kind="taylor"),
        {"pairwise_taylor_hessian"},
    ),
    "integrated_hessians": (
        lambda: taylor.integrated_hessians(net(), X, target=0),
        {"pairwise_taylor_hessian"},
    ),
    "ContextualDecomposition": (
        lambda: ContextualDecomposition(net()).scores(X, torch.eye(N).view(1, N, N)),
        {"share_bias"},
    ),
    "trim": (
        lambda: trim(net(), X, transform=WaveletTransform(N, "db2"), method="saliency", target=0),
        {"dwt", "idwt"},
    ),
    "AdaptiveWavelet": (
        lambda: AdaptiveWavelet("haar", level=1, epochs=1).fit(X, model=net(), target=0),
        {"dwt", "idwt", "dwt_filter_gradient"},
    ),
}


@pytest.fixture
def reached(monkeypatch):
    """Names of the native ops that have been called."""
    names = set()

    def counted(name, op):
        def call(**arguments):
            names.add(name)
            return op(**arguments)

        return call

    for name in OPS:
        monkeypatch.setattr(_C, name, counted(name, getattr(_C, name)))
    return names


@pytest.mark.parametrize("name", CALLS)
def test_a_public_call_runs_through_its_ops(reached, name):
    call, expected = CALLS[name]
    call()
    assert expected <= reached, f"{name} does not reach {sorted(expected - reached)}"


def test_every_op_is_reached(reached):
    for call, _ in CALLS.values():
        call()
    assert reached == OPS, f"no public call reaches {sorted(OPS - reached)}"
