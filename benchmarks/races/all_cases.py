"""All cases, in order of importance: what a run that is cut short has are the first of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from _peers import peer_pic
from torch import Tensor

from pyxai import attribution
from pyxai.metrics import InformationCurves, random_pixel_masks
from pyxai.metrics.information.information_curve import THRESHOLDS
from pyxai.metrics.information.partial_pictures import webp_bytes
from races import coalitions, curves, gradients, propagated
from races.case import Case, Race, Task
from races.peers import older_numpy
from races.references import bare_passes

FAMILIES = [*gradients.CASES, *coalitions.CASES, *propagated.CASES]


def of(method: str) -> Callable[[Task], Any]:
    """Return how the cases of a method are prepared."""
    return next(case.prepare for case in FAMILIES if case.method == method)


def sixteen_players(task: Task) -> Race:
    """Exact Shapley values of single features, against the bare evaluations."""
    method = attribution.ShapleyValues(task.model)

    def gain() -> Tensor:
        x = task.inputs.double()
        with torch.no_grad():
            return (task.model.double()(x) - task.model(torch.zeros_like(x)))[:, 0]

    def total() -> Tensor:
        return method.attribute(task.inputs).sum(1)

    def whole() -> Tensor:
        try:
            return gain()
        finally:
            task.model.float()

    return Race(
        total,
        {},
        {"bare evaluations": bare_passes(task, 2**16, backward=False)},
        {"the output less that of the baseline, in float64": whole},
    )


def information_curve(task: Task) -> Race:
    """Of a photograph, against the authors' package, and the encoder alone as the floor."""
    photograph = task.inputs[0].permute(1, 2, 0).numpy()
    side = photograph.shape[0]
    noise = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0)).double()
    maps = torch.nn.functional.avg_pool2d(noise, 31, 1, 15)[0]  # smooth, as saliency maps are
    masks = random_pixel_masks(1, side, side, seed=3)
    seen: list[Any] = []

    def ours() -> Tensor:
        made = InformationCurves(task.model, task.inputs, target=0, masks=masks, min_prediction=0.0)
        return made.curve(maps).auc

    def theirs() -> Tensor:
        arguments = (photograph, maps[0].numpy(), masks[0].numpy(), predict, THRESHOLDS)
        with older_numpy():
            found = peer_pic().compute_pic_metric(*arguments, min_pred_value=0.0)
        return torch.tensor([found.auc])

    def predict(batch: Any) -> Any:
        rows = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
        return task.model(rows).softmax(1)[:, 0].numpy()

    def encoder() -> None:
        if not seen:
            keep_what_is_encoded(ours, seen)
        for picture in seen:
            webp_bytes(picture)

    return Race(
        ours,
        {"PAIR saliency": theirs},
        {"the WebP encoder alone": encoder},
        {"ours": ours},
        tolerance=1e-3,
        note="file sizes are the metric's axis, so the encoder is its floor",
    )


def keep_what_is_encoded(run: Callable[[], Any], seen: list[Any]) -> None:
    """Run, and note each picture whose size is asked for."""
    from pyxai.metrics.information import information_curve as module

    def noting(picture: Any) -> int:
        seen.append(picture)
        return webp_bytes(picture)

    module.webp_bytes = noting
    try:
        run()
    finally:
        module.webp_bytes = webp_bytes


# Where a peer was ahead, or close, when this was begun.
WATCHED = [
    Case(method, net, prepare, watched=True)
    for method, net, prepare in (
        ("feature ablation", "MLP 784-256-128-10", of("feature ablation")),
        ("gradient SHAP", "MLP 784-512-512-10", of("gradient SHAP")),
        ("Deep SHAP", "MLP 784-512-512-10", of("Deep SHAP")),
        ("exact Shapley values", "MLP 16-64-64-1", sixteen_players),
        ("exact Shapley values", "MLP 16-256-256-1", sixteen_players),
        ("saliency", "MLP 10-32-3", of("saliency")),
        ("saliency", "50 residual blocks", of("saliency")),
        ("integrated gradients", "50 residual blocks", of("integrated gradients")),
        ("LRP alpha-beta", "small VGG", of("LRP alpha-beta")),
        ("functional information", "digits CNN", of("functional information")),
        ("information curve", "photograph", information_curve),
    )
]


def of_net(net: str) -> list[Case]:
    held = {case.name for case in WATCHED}
    return [case for case in FAMILIES if case.net == net and case.name not in held]


CASES = [
    *WATCHED,
    *of_net("tabular MLP"),
    *of_net("digits CNN"),
    *curves.CASES,
    *of_net("transformer"),
    *of_net("ResNet-18, 64 px"),
    *of_net("ResNet-18, 224 px"),
]
