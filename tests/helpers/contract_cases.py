"""What the contract tests run every registered method on: one line of options for each method.

A method that needs nothing beyond `pyxai.explain(model, inputs, target=...)` needs no line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

N_FEATURES, N_CLASSES = 6, 3


@dataclass(frozen=True)
class Example:
    """How to call a method in the contract tests.

    ``options`` go to `pyxai.explain`; one that is a function is called with the model first (for
    a layer, say). ``activation`` is that of the test nets. ``delta`` bounds the convergence delta
    of a complete method on a net with that activation, in output units. ``bounds`` are options
    that limit how much is done at once and must not change the result.
    """

    options: dict[str, Any] = field(default_factory=dict)
    activation: Callable[[], nn.Module] = nn.Tanh
    delta: float = 1e-9
    bounds: dict[str, int] = field(default_factory=dict)
    shape_of_inputs: bool = True
    image: bool = False  # inputs [batch, 1, 6, 6] and a small convolutional net


def first_layer(model: Any) -> nn.Module:
    """Return the layer that layer methods are tested on, also inside a wrapper."""
    if not isinstance(model, nn.Module):
        return nn.Identity()
    return next(each for each in model.modules() if isinstance(each, (nn.Conv2d, nn.Linear)))


EXAMPLES = {
    "blur_ig": Example({"n_steps": 9}, bounds={"internal_batch_size": 7}, image=True),
    "contextual_decomposition": Example(bounds={"internal_batch_size": 7}),
    "deconvolution": Example(activation=nn.ReLU),
    "deep_taylor": Example({"on_negative": "clamp"}, activation=nn.ReLU),
    "greedy_pig": Example({"output": "logit"}, bounds={"internal_batch_size": 7}),
    "guided_backprop": Example(activation=nn.ReLU),
    "guided_grad_cam": Example({"layer": first_layer}, activation=nn.ReLU, image=True),
    "expected_gradients": Example({"n_steps": 40}, bounds={"internal_batch_size": 7}),
    "feature_ablation": Example(bounds={"perturbations_per_eval": 2}),
    "feature_permutation": Example(bounds={"perturbations_per_eval": 2}),
    "functional_information": Example(
        {"n_samples": 6, "output": "exp"}, bounds={"internal_batch_size": 7}
    ),
    "grad_cam": Example(bounds={"internal_batch_size": 2}, shape_of_inputs=False, image=True),
    "gradient_shap": Example({"stdevs": 0.1}, bounds={"internal_batch_size": 7}),
    "guided_ig": Example({"n_steps": 40}, delta=0.1, bounds={"internal_batch_size": 3}),
    "idgi": Example({"n_steps": 10}, bounds={"internal_batch_size": 7}),
    "integrated_gradients": Example({"n_steps": 40}, bounds={"internal_batch_size": 7}),
    "kernel_shap": Example({"n_samples": 25}, bounds={"perturbations_per_eval": 2}),
    "layer_grad_cam": Example(
        {"layer": first_layer},
        bounds={"internal_batch_size": 2},
        shape_of_inputs=False,
        image=True,
    ),
    "lime": Example({"n_samples": 40}, bounds={"perturbations_per_eval": 2}),
    "noise_tunnel": Example({"nt_samples": 6, "stdevs": 0.25}, bounds={"nt_samples_batch_size": 4}),
    "occlusion": Example({"sliding_window_shapes": (2,)}, bounds={"perturbations_per_eval": 2}),
    "partition_shap": Example(  # divides all of the halves of 36 pixels
        {"max_evals": 1068}, bounds={"perturbations_per_eval": 200}, image=True
    ),
    "prediction_difference": Example(bounds={"perturbations_per_eval": 2}),
    "shapley_value_sampling": Example({"n_samples": 5}, bounds={"perturbations_per_eval": 2}),
    "shapley_values": Example(bounds={"perturbations_per_eval": 2}),
    "xrai": Example(
        {"segments": torch.arange(36).view(6, 6) // 4, "min_pixels": 1, "n_steps": 20},
        bounds={"internal_batch_size": 7},
        image=True,
    ),
}


# What methods of images take beside, to be called on tables where a test is of columns.
OF_TABLES: dict[str, dict[str, Any]] = {
    "partition_shap": {"hierarchy": [[[0, 1], 2], [3, [4, 5]]]},
}


def table_of(name: str) -> tuple[Example, dict[str, Any]]:
    """Return how to call a method on a table, if it can be, and options to add for that."""
    more = OF_TABLES.get(name, {})
    return replace(example_of(name), image=False) if more else example_of(name), more


def example_of(name: str) -> Example:
    """Return how to call a method; without a line in the table: with no options."""
    return EXAMPLES.get(name, Example())


def make_net(example: Example, seed: int = 0, n_classes: int = N_CLASSES) -> nn.Sequential:
    """Return a float64 net of one hidden layer in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if example.image:
            layers = [
                nn.Conv2d(1, 4, 3),
                example.activation(),
                nn.Flatten(),
                nn.Linear(64, n_classes),
            ]
        else:
            layers = [nn.Linear(N_FEATURES, 12), example.activation(), nn.Linear(12, n_classes)]
    return nn.Sequential(*layers).double().eval()


def make_inputs(example: Example, batch: int = 4, seed: int = 0) -> Tensor:
    """Return float64 inputs without zeros, [batch, 6] or [batch, 1, 6, 6]."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, 1, 6, 6) if example.image else (batch, N_FEATURES)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def make_background(example: Example, rows: int = 5) -> Tensor:
    """Return float64 rows for methods that need a set of baselines."""
    return make_inputs(example, rows, seed=1) * 0.5


def make_options(example: Example, model: nn.Module) -> dict[str, Any]:
    """Return the options for ``model``."""
    return {
        name: value(model)
        if callable(value) and not isinstance(value, (type, nn.Module))
        else value
        for name, value in example.options.items()
    }
