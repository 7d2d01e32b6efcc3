"""Methods on the GPU against the bare model on the same rows; called by gpu.py as OUT SECONDS."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from _gpu_kernels import DRY_RUN, on_device, patches, seconds_per_call
from torch import Tensor, nn

from pyxai.attribution import FeatureAblation, GreedyPIG, IntegratedGradients
from pyxai.greedy import round_sizes

Pair = tuple[Callable[[], object], Callable[[], object]]


def placed(net: nn.Module) -> nn.Module:
    """Put a net where it is measured."""
    net = net.eval().requires_grad_(False)
    return import_module("faked_device").moved(net) if DRY_RUN else net.cuda()


def images(count: int) -> Tensor:
    side = 32 if DRY_RUN else 224
    return torch.randn(2 if DRY_RUN else count, 3, side, side, device="cuda")


def rows_of(count: int, features: int) -> Tensor:
    return torch.randn(2 if DRY_RUN else count, features, device="cuda")


def mlp(*widths: int) -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return placed(nn.Sequential(*layers[:-1]))


def conv_net() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(64, 128, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(128, 256, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, 1000),
    )
    return placed(net)


def gradients_of(model: nn.Module, rows: Tensor) -> Callable[[], object]:
    """The bare work of a gradient method: forward and backward of so many rows."""

    def call() -> object:
        leaf = rows.detach().requires_grad_(True)
        return torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)[0]

    return call


def outputs_of(model: nn.Module, rows: Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return model(rows)

    return call


def path_case(model: nn.Module, inputs: Tensor, n_steps: int) -> Pair:
    rows = inputs.repeat(n_steps, *[1] * (inputs.dim() - 1))
    own = IntegratedGradients(model)
    return lambda: own.attribute(inputs, target=0, n_steps=n_steps), gradients_of(model, rows)


def ablation_case(model: nn.Module, inputs: Tensor) -> Pair:
    rows = inputs.repeat(inputs[0].numel() + 1, *[1] * (inputs.dim() - 1))
    own = FeatureAblation(model)
    return lambda: own.attribute(inputs, target=0), outputs_of(model, rows)


def greedy_case(model: nn.Module, inputs: Tensor) -> Pair:
    """Patches of 16 x 16 pixels; the floor is as many gradients, all in one pass."""
    mask, n_patches = patches("cuda", tuple(inputs.shape[1:]), 16)
    n_gradients = 4 * len(round_sizes("geometric", n_patches))
    rows = inputs.repeat(n_gradients, *[1] * (inputs.dim() - 1))
    own = GreedyPIG(model)
    return (
        lambda: own.attribute(inputs, target=0, feature_mask=mask[None], n_steps=4),
        gradients_of(model, rows),
    )


CASES: dict[str, Callable[[], Pair]] = {
    "IntegratedGradients, MLP 30-128-128-2, 512 rows, 50 steps": lambda: path_case(
        mlp(30, 128, 128, 2), rows_of(512, 30), 50
    ),
    "IntegratedGradients, conv net, 8 images, 32 steps": lambda: path_case(
        conv_net(), images(8), 32
    ),
    "GreedyPIG, conv net, 8 images, 196 patches, 4 nodes": lambda: greedy_case(
        conv_net(), images(8)
    ),
    "FeatureAblation, MLP 784-256-10, 64 rows": lambda: ablation_case(
        mlp(784, 256, 10), rows_of(64, 784)
    ),
}


def main(path: Path, seconds: float) -> int:
    """Measure all cases that fit into the time, write them, and return the exit status."""
    deadline = time.monotonic() + seconds
    rows: list[dict[str, object]] = []
    for name, build in CASES.items():
        path.write_text(json.dumps({"rows": rows}))  # so far
        row: dict[str, object] = {"case": name}
        rows.append(row)
        if time.monotonic() > deadline:
            row.update(line=f"{name:60} not run: no time left", ok=False)
            continue
        try:
            own, floor = build()
            took, bare = seconds_per_call(own, 10), seconds_per_call(floor, 10)
        except Exception as error:  # one broken case must not hide the others
            row.update(line=f"{name:60} FAILED: {type(error).__name__}: {error}", ok=False)
            continue
        row.update(
            ok=True,
            seconds=took,
            bare_model_seconds=bare,
            ratio=took / bare,
            line=f"{name:60} {took * 1e3:8.2f} ms, {took / bare:5.2f} x the bare model",
        )
        torch.cuda.empty_cache()
    path.write_text(json.dumps({"rows": rows}))
    return int(not all(row["ok"] for row in rows))


if __name__ == "__main__":
    with on_device():
        sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
