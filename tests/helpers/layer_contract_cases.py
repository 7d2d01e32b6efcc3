"""What the contracts of layers and neurons run: a small net, and one line of options for each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyxai import registry

N_CLASSES, N_UNITS = 3, 5
# LayerGradCam is among the methods of inputs, as its maps lie over an image; it is a layer's too.
LAYERS = (*registry.names("layer"), "layer_grad_cam")
NEURONS = registry.names("neuron")
EVERY = (*LAYERS, *NEURONS)
# For those that have many steps, or a bound that must not change the result.
OPTIONS: dict[str, dict[str, Any]] = {
    "internal_influence": {"n_steps": 7, "internal_batch_size": 5},
    "layer_conductance": {"n_steps": 7, "internal_batch_size": 5},
    "layer_feature_ablation": {"perturbations_per_eval": 2},
    "layer_gradient_shap": {"stdevs": 0.1, "internal_batch_size": 3},
    "layer_gradient_x_activation": {"internal_batch_size": 2},
    "layer_integrated_gradients": {"n_steps": 7, "internal_batch_size": 5},
    "neuron_conductance": {"n_steps": 7, "internal_batch_size": 5},
    "neuron_feature_ablation": {"perturbations_per_eval": 2},
    "neuron_gradient_shap": {"stdevs": 0.1},
    "neuron_integrated_gradients": {"n_steps": 7},
}


def net(inplace: bool = False) -> nn.Sequential:
    """Return a float64 net whose layer "2" has five units that all of the model passes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, N_UNITS), nn.ReLU(inplace)]
        layers.append(nn.Linear(N_UNITS, N_CLASSES))
    return nn.Sequential(*layers).double().eval()


def rows(count: int = 5) -> Tensor:
    """Return float64 inputs, [count, 4]."""
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def takes(name: str, option: str) -> bool:
    """Tell whether `attribute` of a method has an option."""
    return option in registry.get(name).cls(net(), "2").option_names()


def options_of(name: str) -> dict[str, Any]:
    """Return the options of a method: its line, and what it needs by what the registry says."""
    given = dict(OPTIONS.get(name, {}))
    if registry.get(name).baselines == "distribution":
        given["baselines"] = rows(3) / 2
    if name in NEURONS:
        given["neuron_selector"] = 3  # which the explained output reacts to
    if takes(name, "target"):
        given["target"] = 1
    return given
