"""Methods that look inside the net: DeepLIFT, relevance and decomposition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai import attribution
from pyxai.decomposition import ContextualDecomposition
from races.case import Call, Race, Task
from races.gradients import ALL, captum_in_float64, of_captum, of_ours, on, ours_in_float64
from races.peers import OneOutput, quiet, shap, zennit, zennit_rule
from races.references import bare_passes, gradients, in_float64


def deep_lift(task: Task) -> Race:
    zero = torch.zeros_like(task.inputs)
    options = {"baselines": zero}
    oracles = {
        "captum in float64": captum_in_float64("DeepLift", task, **options),
        "ours in float64": ours_in_float64("DeepLift", task, **options),
    }
    if not task.name.startswith(("tabular", "MLP")):  # where captum's sums are not complete
        oracles.pop("captum in float64")
    return Race(
        of_ours("DeepLift", task, **options),
        {"captum": of_captum("DeepLift", task, **options)},
        {"one forward and backward": lambda: gradients(task, task.inputs)},
        oracles,
        note="of traced graphs no rows are counted",
    )


def deep_lift_shap(task: Task) -> Race:
    options = {"baselines": task.background}
    peers = {"captum": of_captum("DeepLiftShap", task, **options)}
    if not task.extra:
        explainer = quiet(shap.DeepExplainer)(
            OneOutput(task.twin.model, task.target), task.background
        )

        def by_shap() -> Tensor:
            found = quiet(explainer.shap_values)(task.inputs, check_additivity=False)
            return torch.as_tensor(found).reshape(task.inputs.shape)

        peers["shap"] = by_shap
    weights = [each.weight for each in task.model.modules() if isinstance(each, nn.Linear)]
    floors: dict[str, Call] = {}
    if task.inputs.dim() == 2:
        seeds = torch.randn(len(task.inputs) * len(task.background), len(weights[-1]))

        def products() -> Tensor:
            found = seeds
            for weight in reversed(weights):
                found = found @ weight
            return found

        floors["products of the backward pass"] = products
    captum64 = {"captum in float64": captum_in_float64("DeepLiftShap", task, **options)}
    return Race(
        of_ours("DeepLiftShap", task, **options),
        peers,
        floors,
        {
            **(captum64 if task.inputs.dim() == 2 else {}),
            "ours in float64": ours_in_float64("DeepLiftShap", task, **options),
        },
    )


def relevance(rule: str) -> Callable[[Task], Race]:
    """LRP by one rule for all layers."""
    made = {"alpha_beta": {"alpha": 2.0, "beta": 1.0}}.get(rule, {})

    def theirs(task: Task) -> Any:
        rules = zennit.rules
        if rule == "epsilon":
            return rules.Epsilon(epsilon=1e-9)
        return rules.AlphaBeta(alpha=2, beta=1) if rule == "alpha_beta" else rules.ZPlus()

    def prepare(task: Task) -> Race:
        method = attribution.LRP(task.model, rule=rule, **made)
        peers: dict[str, Call] = {}
        oracles: dict[str, Call] = {}
        if rule == "epsilon" and not task.extra:
            peers["captum"] = of_captum("LRP", task)

        def ours_wide() -> Any:
            wide = in_float64(task)
            given = wide.call()
            return attribution.LRP(wide.model, rule=rule, **made).attribute(wide.inputs, **given)

        if zennit is not None and not task.extra:
            peers["zennit"] = lambda: zennit_rule(task.twin, theirs(task))
        oracles["ours in float64"] = ours_wide
        return Race(
            lambda: method.attribute(task.inputs, **task.call()),
            peers,
            {"one forward and backward": lambda: gradients(task, task.inputs)},
            oracles,
            tolerance=1e-3,
            note=BY_SIGN if rule == "alpha_beta" else "",
        )

    return prepare


BY_SIGN = "two forward and two backward products a layer: positive and negative parts apart"


def deep_taylor(task: Task) -> Race:
    peers = {}
    if zennit is not None:
        peers["zennit"] = lambda: zennit_rule(task.twin, zennit.rules.ZPlus())
    return Race(
        of_ours("DeepTaylor", task),
        peers,
        {"one forward and backward": lambda: gradients(task, task.inputs)},
        {"ours in float64": ours_in_float64("DeepTaylor", task)},
        tolerance=1e-3,
    )


def contextual_decomposition(task: Task) -> Race:
    options = {"feature_mask": task.few}
    count = 3 * (1 + int(task.few.max())) + 1 if task.few is not None else 0

    def run(given: Task) -> Any:
        return ContextualDecomposition(given.model).attribute(given.inputs, **given.call(**options))

    return Race(
        lambda: run(task),
        {},
        {"bare model on 3 rows a group": bare_passes(task, count, backward=False)},
        {"ours in float64": lambda: run(in_float64(task))},
        tolerance=1e-3,
    )


CASES = [
    *on("DeepLIFT", deep_lift, *ALL),
    *on("Deep SHAP", deep_lift_shap, "tabular MLP", "digits CNN"),
    *on("LRP epsilon", relevance("epsilon"), *ALL),
    *on("LRP alpha-beta", relevance("alpha_beta"), "tabular MLP", "digits CNN"),
    *on("Deep Taylor", deep_taylor, "digits CNN"),
    *on("contextual decomposition", contextual_decomposition, "tabular MLP", "digits CNN"),
]
