"""One good call of each public function and class that checks its arguments, as few as they need.

Methods are not among them: the registry has those (`contract_runs`).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from graph_references import TwoLayers, ring
from torch import nn

import pyxai
from pyxai import (
    covariance,
    datasets,
    decomposition,
    graphs,
    greedy,
    imputers,
    masks,
    metrics,
    ops,
    selection,
    taylor,
)
from pyxai.attribution import FunctionalInformation as Fisher
from pyxai.attribution import LayerGradCam

D = torch.float64


class Call(NamedTuple):
    """What to call, and with what; ``of`` has the signature where ``function`` only passes on."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    of: Callable[..., Any] | None = None

    def defaults(self) -> dict[str, Any]:
        """Return the arguments that are not given, with their defaults."""
        known = inspect.signature(self.of or self.function).parameters.values()
        return {
            each.name: each.default
            for each in known
            if each.default is not each.empty and each.name not in self.arguments
        }

    def __call__(self, **changes: Any) -> Any:
        """Call with copies, since an op may write into its tensors, and some arguments changed."""
        given = {**self.arguments, **changes}
        copies = {
            name: value.clone() if isinstance(value, torch.Tensor) else value
            for name, value in given.items()
        }
        return self.function(**copies)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


NET = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double().eval()
X = drawn(3, 4)
IMAGES = drawn(2, 1, 6, 6)
IMAGE_NET = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).double()
MODEL = {"model": NET, "inputs": X, "target": 0}
EXPLAINED = {**MODEL, "attributions": drawn(3, 4, seed=1)}
IDS_OF_TWO = torch.tensor([[0, 0, 3, 3]])
MASKS = torch.tensor([[1, 0, 1, 0], [0, 1, 1, 0]], dtype=torch.bool)
PACKED = ops.pack_masks(MASKS)
TABLE = drawn(2, 16)
IDS = torch.arange(2)
DRAWS = {"seed": 0, "example_ids": IDS}
GAME = pyxai.Game(NET, X, target=0)
DATA = (drawn(12, 4), torch.arange(12) % 3)
NODES, EDGES = drawn(5, 3), ring(5)
GRAPH = graphs.GraphGame(TwoLayers(), NODES, EDGES, weights_as="dense")
PIXELS = (255 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))).byte()


def fisher(method: str, **arguments: Any) -> Any:
    """Call a method of a fitted `FunctionalInformation`."""
    fitted = Fisher(NET, covariance=covariance.SampleCovariance(DATA[0]))
    return getattr(fitted, method)(X, **arguments)


def fit(**arguments: Any) -> Any:
    return Fisher(NET).fit([DATA], **arguments)


def rounds(**arguments: Any) -> Any:
    """Select by scores that do not depend on what is selected."""
    return greedy.greedy_rounds(lambda *_: drawn(2, 4, seed=3), **arguments)


def explained(method: str, **arguments: Any) -> Any:
    explainer = graphs.GraphExplainer(TwoLayers(), weights_as="dense", **arguments.pop("of", {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(explainer, method)(x=NODES, edge_index=EDGES, **arguments)


def saliency(inputs: torch.Tensor) -> torch.Tensor:
    return inputs.square()


def perturb(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return inputs * 0.1, inputs * 0.9


INFIDELITY = {"forward_func": NET, "perturb_func": perturb, "inputs": X, "target": 0}
WAYS = {"inputs": X, "baselines": torch.zeros_like(X)}
TRAINED = {"model": NET, "inputs": X, "groups": torch.eye(4, dtype=torch.bool)[None, :2]}
GRADS = drawn(5, 3, 4)
GRAPH_DATA = {"edge_index": EDGES, "n_nodes": 5}
WEIGHTS = torch.ones(EDGES.shape[1], dtype=D)
PAIRS = {"empty": drawn(2), "single": drawn(2, 4), "pairs": drawn(2, 6)}

CALLS = {
    # ops
    "greedy_select": Call(
        ops.greedy_select,
        {"scores": drawn(2, 4), "selected": torch.zeros(2, 1, dtype=torch.int32), "n_select": 2},
    ),
    "masked_affine": Call(
        ops.masked_affine,
        {"start": drawn(2, 3), "parts": drawn(1, 4, 3), "masks": PACKED, "scales": drawn(2, 4)},
    ),
    "masked_perturb": Call(
        ops.masked_perturb,
        {"inputs": X, "baselines": torch.zeros_like(X).unsqueeze(1), "masks": PACKED},
    ),
    "ordered_affine": Call(
        ops.ordered_affine,
        {"start": drawn(2, 3), "parts": drawn(1, 4, 3), "orders": torch.eye(4).int()},
    ),
    "pack_masks": Call(ops.pack_masks, {"masks": MASKS}),
    "unpack_masks": Call(ops.unpack_masks, {"masks": PACKED, "n_players": 4}),
    "moebius_transform": Call(ops.moebius_transform, {"values": TABLE}),
    "zeta_transform": Call(ops.zeta_transform, {"values": TABLE}),
    "interaction_indices_from_table": Call(
        ops.interaction_indices_from_table, {"values": TABLE, "order": 2}
    ),
    "pair_interactions_from_table": Call(ops.pair_interactions_from_table, {"values": TABLE}),
    "shapley_values_from_table": Call(ops.shapley_values_from_table, {"values": TABLE}),
    "pairwise_taylor_hessian": Call(
        ops.pairwise_taylor_hessian, {"hessian": drawn(2, 4, 4), "delta": drawn(2, 4)}
    ),
    "pairwise_taylor_products": Call(
        ops.pairwise_taylor_products, {"products": drawn(2, 4, 4), "delta": drawn(2, 4)}
    ),
    "pairwise_taylor_values": Call(ops.pairwise_taylor_values, PAIRS),
    "path_accumulate": Call(
        ops.path_accumulate, {"grads": GRADS, "weights": torch.rand(5, dtype=D), **WAYS}
    ),
    "path_moments": Call(ops.path_moments, {"grads": GRADS, "weights": torch.rand(5, dtype=D)}),
    "path_points": Call(ops.path_points, {**WAYS, "nodes": torch.rand(5, dtype=D)}),
    "player_sum": Call(
        ops.player_sum, {"values": X, "players": torch.tensor([0, 0, 1, 2]).int(), "n_players": 3}
    ),
    "philox_uniform": Call(ops.philox_uniform, {"shape": (4,), "n_samples": 3, **DRAWS}),
    "philox_normal": Call(ops.philox_normal, {"shape": (4,), "n_samples": 3, **DRAWS}),
    "philox_random": Call(ops.philox_random, {"shape": (4,), "n_samples": 3, **DRAWS}),
    "sample_coalitions": Call(ops.sample_coalitions, {"n_players": 5, "n_samples": 4, **DRAWS}),
    "sample_permutations": Call(
        ops.sample_permutations, {"n_players": 5, "n_permutations": 4, **DRAWS}
    ),
    "permutation_prefixes": Call(
        ops.permutation_prefixes, {"permutations": ops.sample_permutations(5, 4, **DRAWS)}
    ),
    "share_bias": Call(
        ops.share_bias,
        {"linear": drawn(2, 4), "bias": drawn(4), "total": drawn(1, 4)}
        | {"magnitude": torch.ones(1, 4, dtype=D), "rounding": 1e-11, "judged": drawn(2, 4)},
    ),
    "soft_perturb": Call(ops.soft_perturb, {**WAYS, "weights": torch.rand(5, 4, dtype=D)}),
    # covariance and imputers
    "DenseCovariance": Call(covariance.DenseCovariance, {"matrix": torch.eye(4, dtype=D)}),
    "DiagonalCovariance": Call(
        covariance.DiagonalCovariance, {"variances": torch.ones(4).double()}
    ),
    "BandedCovariance": Call(covariance.BandedCovariance, {"diagonals": torch.ones(1, 4).double()}),
    "LowRankCovariance": Call(
        covariance.LowRankCovariance, {"factor": drawn(2, 4), "extra": torch.ones(4).double()}
    ),
    "SampleCovariance": Call(covariance.SampleCovariance, {"rows": drawn(9, 4)}),
    "ToeplitzCovariance": Call(
        covariance.ToeplitzCovariance, {"autocovariance": torch.tensor([1.0, 0.5, 0.1]).double()}
    ),
    "BlockCovariance": Call(
        covariance.BlockCovariance, {"blocks": [covariance.DiagonalCovariance(torch.ones(2))]}
    ),
    "Constant": Call(imputers.Constant, {}),
    "Mean": Call(imputers.Mean, {"background": X}),
    "Marginal": Call(imputers.Marginal, {"background": X}),
    "Gaussian": Call(imputers.Gaussian, {"background": X, "shrinkage": 0.5}),
    "Gaussian of moments": Call(
        imputers.Gaussian, {"mean": torch.zeros(4), "covariance": torch.eye(4)}
    ),
    "Callback": Call(imputers.Callback, {"function": saliency}),
    "LearntConstant": Call(imputers.LearntConstant, {}),
    "Blur": Call(imputers.Blur, {}),
    "KMeans": Call(imputers.KMeans, {}),
    "GaussianMixture": Call(imputers.GaussianMixture, {}),
    "GaussianMixture.from_parameters": Call(
        imputers.GaussianMixture.from_parameters,
        {"weights": torch.ones(2), "means": X[:2], "covariances": torch.ones(2, 4)},
    ),
    "LogisticMixture": Call(imputers.LogisticMixture, {}),
    "PPCAMixture": Call(imputers.PPCAMixture, {}),
    "LatentMixture": Call(imputers.LatentMixture, {"encoder": saliency, "decoder": saliency}),
    "VAEAC": Call(imputers.VAEAC, {}),
    "MarkovChain": Call(imputers.MarkovChain, {}),
    "impute": Call(
        imputers.impute,
        {"imputer": imputers.Constant(), "inputs": (X,), "weights": (X > 0)[:, None]}
        | {"seed": 0, "example_ids": torch.arange(3)},
    ),
    "mask_ids": Call(imputers.mask_ids, {"example_ids": IDS, "n_masks": 3}),
    # data sets
    "S1": Call(datasets.S1, {"n_rows": 5}),
    "XOR": Call(datasets.XOR, {"n_rows": 5}),
    "switch": Call(datasets.switch, {"n_rows": 5}),
    "simulated_frequencies": Call(datasets.simulated_frequencies, {"n_rows": 5}),
    "switching_panels": Call(
        datasets.switching_panels, {"images": IMAGES, "labels": IDS, "others": IMAGES}
    ),
    "decoy_squares": Call(datasets.decoy_squares, {"images": IMAGES, "labels": IDS, "size": 2}),
    "decoy_colours": Call(datasets.decoy_colours, {"images": IMAGES, "labels": IDS}),
    "decoy_words": Call(
        datasets.decoy_words,
        {"tokens": torch.arange(6).view(2, 3), "labels": IDS, "words": torch.tensor([7, 8])},
    ),
    "mouth_box": Call(datasets.mouth_box, {"corners": torch.tensor([[[5.0, 6], [9, 7]]])}),
    # the game, and games on graphs
    "Game.values": Call(GAME.values, {"masks": MASKS}),
    "Game.gradients": Call(GAME.gradients, {"weights": torch.rand(2, 4, dtype=D)}),
    "Game.estimate": Call(GAME.estimate, {"n_masks": 3}),
    "sum_groups": Call(masks.sum_groups, {"attributions": X, "feature_mask": IDS_OF_TWO}),
    "superpixels": Call(masks.superpixels, {"images": torch.rand(1, 3, 12, 12), "n_segments": 4}),
    "weighted_adjacency": Call(graphs.weighted_adjacency, {**GRAPH_DATA, "weights": WEIGHTS}),
    "normalised_weights": Call(graphs.normalised_weights, {**GRAPH_DATA, "weights": WEIGHTS}),
    "graph_layout": Call(graphs.graph_layout, GRAPH_DATA),
    "graph_players": Call(graphs.graph_players, GRAPH_DATA),
    "GraphGame": Call(
        graphs.GraphGame,
        {"model": TwoLayers(), "x": NODES, "edge_index": EDGES, "weights_as": "dense"},
    ),
    "GraphExplainer": Call(graphs.GraphExplainer, {"model": TwoLayers()}),
    "select_players": Call(graphs.select_players, {"game": GRAPH}),
    "GraphExplainer.compress": Call(
        explained, {"method": "compress"}, graphs.GraphExplainer.compress
    ),
    "GraphExplainer.explain_node": Call(
        explained, {"method": "explain_node", "node": 1}, graphs.GraphExplainer.explain_node
    ),
    "graph_fidelity": Call(
        metrics.graph_fidelity, {"game": GRAPH, "attributions": drawn(GRAPH.n_players)}
    ),
    "greedy_rounds": Call(rounds, {"n_examples": 2, "n_players": 4}, greedy.greedy_rounds),
    "round_sizes": Call(greedy.round_sizes, {"rounds": "geometric", "n_players": 9}),
    "path_nodes": Call(greedy.path_nodes, {}),
    # metrics
    "insertion": Call(metrics.insertion, EXPLAINED),
    "deletion": Call(metrics.deletion, EXPLAINED),
    "softmax_auc": Call(metrics.softmax_auc, EXPLAINED),
    "kl_auc": Call(metrics.kl_auc, {k: v for k, v in EXPLAINED.items() if k != "target"}),
    "comprehensiveness": Call(metrics.comprehensiveness, EXPLAINED),
    "sufficiency": Call(metrics.sufficiency, EXPLAINED),
    "completeness": Call(metrics.completeness, EXPLAINED),
    "infidelity": Call(metrics.infidelity, {**INFIDELITY, "attributions": drawn(3, 4, seed=1)}),
    "sensitivity_max": Call(metrics.sensitivity_max, {"explanation_func": saliency, "inputs": X}),
    "default_perturb_func": Call(metrics.default_perturb_func, {"inputs": X}),
    "sparseness": Call(metrics.sparseness, {"attributions": drawn(3, 4, seed=1)}),
    "stability": Call(metrics.stability, {"attributions": X, "others": drawn(3, 4, seed=1)}),
    "point_game": Call(metrics.point_game, {"attributions": X, "truth": X > 0}),
    "selection_rates": Call(metrics.selection_rates, {"selected": X, "truth": X > 0, "k": 2}),
    "reality_checks": Call(metrics.reality_checks, {**MODEL, "method": "input_x_gradient"}),
    "Questionnaire": Call(
        metrics.Questionnaire, {**MODEL, "other": NET, "methods": {"saliency": {}}}
    ),
    "blurred_baseline": Call(metrics.blurred_baseline, {"images": PIXELS}),
    "random_pixel_masks": Call(metrics.random_pixel_masks, {"batch": 2, "height": 8, "width": 8}),
    # selection
    "greedy_feature_selection": Call(
        selection.greedy_feature_selection, {"model": NET, "data": DATA}
    ),
    "baseline_feature_selection": Call(
        selection.baseline_feature_selection,
        {"model": NET, "data": DATA, "order_by": "permutation"},
    ),
    "selection_curve": Call(
        selection.selection_curve, {"model": NET, "data": DATA, "order": [2, 0]}
    ),
    # effects
    "harsanyi_dividends": Call(taylor.harsanyi_dividends, MODEL),
    "interaction_indices": Call(taylor.interaction_indices, MODEL),
    "pairwise_terms": Call(taylor.pairwise_terms, MODEL),
    "integrated_hessians": Call(taylor.integrated_hessians, MODEL),
    "taylor_effects": Call(taylor.taylor_effects, MODEL),
    "taylor_jet": Call(taylor.taylor_jet, MODEL),
    "principles": Call(taylor.principles, {"method": "saliency", **MODEL, "baselines": 0.0}),
    "allocation_weights": Call(
        taylor.allocation_weights,
        {"method": "integrated_gradients", "kappa": torch.tensor([[1, 1], [2, 0]])},
    ),
    # losses
    "cdep_loss": Call(decomposition.cdep_loss, TRAINED),
    "rrr_loss": Call(decomposition.rrr_loss, TRAINED),
    "expected_gradients_loss": Call(
        decomposition.expected_gradients_loss, {**TRAINED, "background": DATA[0], "target": 0}
    ),
    # of methods, what `explain` does not reach
    "FunctionalInformation.fit": Call(fit, {}, Fisher.fit),
    "FunctionalInformation.entropy": Call(
        fisher, {"method": "entropy", "target": 0, "n_samples": 20}, Fisher.entropy
    ),
    "FunctionalInformation.local_conditional": Call(
        fisher,
        {"method": "local_conditional", "target": 0, "n_samples": 4},
        Fisher.local_conditional,
    ),
    "FunctionalInformation.scores": Call(
        fisher,
        {"method": "scores", "target": 0, "names": ["plain"], "n_samples": 4},
        Fisher.scores,
    ),
    "LayerAttribution.interpolate": Call(
        LayerGradCam.interpolate, {"layer_attribution": IMAGES, "interpolate_dims": (12, 12)}
    ),
}
