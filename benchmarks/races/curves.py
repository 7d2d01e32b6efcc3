"""Samplers at several budgets: the time each takes, and the error that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from races.case import Case, Curves, Sampler, Task, to_float64
from races.coalitions import by_player
from races.gradients import of_captum, of_ours
from races.peers import OneOutput, quiet, shap, shap_kernel, shap_masked, shapiq, shapiq_sampled
from races.references import integrated, shapley

Make = Callable[[Task], Mapping[str, Sampler]]


def seeded(task: Task, name: str, option: str, **more: Any) -> Sampler:
    """Return captum's sampler; it draws from the global state."""

    def run(budget: int, seed: int) -> Tensor:
        torch.manual_seed(seed)
        found = of_captum(name, task, **{option: budget}, **more)()
        return to_float64(found)

    return run


def kernel_shap(task: Task) -> Mapping[str, Sampler]:
    def ours(budget: int, seed: int) -> Tensor:
        return by_player("KernelShap", task, seed, n_samples=budget)()

    def captum(budget: int, seed: int) -> Tensor:
        more = {"feature_mask": task.few, "perturbations_per_eval": budget}
        return task.by_player(seeded(task, "KernelShap", "n_samples", **more)(budget, seed))

    tools: dict[str, Sampler] = {
        "pyxai": ours,
        "captum, best batch": captum,
        "shap": lambda budget, seed: shap_kernel(task, budget, seed),
    }
    if shapiq is not None:
        tools["shapiq"] = lambda budget, seed: shapiq_sampled("KernelSHAP", task, budget, seed)
    return tools


def sampling(task: Task) -> Mapping[str, Sampler]:
    """Orders of players; a budget of evaluations gives as many orders as it pays for."""
    n = 1 + int(task.few.max()) if task.few is not None else 0

    def orders(budget: int) -> int:
        return max(1, (budget - 2) // (n - 1))

    def ours(budget: int, seed: int) -> Tensor:
        return by_player("ShapleyValueSampling", task, seed, n_samples=orders(budget))()

    def captum(budget: int, seed: int) -> Tensor:
        more = {"feature_mask": task.few, "perturbations_per_eval": 8}
        run = seeded(task, "ShapleyValueSampling", "n_samples", **more)
        return task.by_player(run(orders(budget), seed))

    tools: dict[str, Sampler] = {
        "pyxai": ours,
        "captum, best batch": captum,
        "shap": lambda budget, seed: shap_masked("PermutationExplainer", task, budget, seed),
    }
    if shapiq is not None:
        tools["shapiq"] = lambda budget, seed: shapiq_sampled(
            "PermutationSamplingSV", task, budget, seed
        )
    return tools


def gradient_shap(task: Task) -> Mapping[str, Sampler]:
    explainer = quiet(shap.GradientExplainer)(
        OneOutput(task.twin.model, task.target), task.background
    )

    def by_shap(budget: int, seed: int) -> Tensor:
        explainer.explainer.batch_size = budget
        found = quiet(explainer.shap_values)(task.inputs, nsamples=budget, rseed=seed)
        return torch.as_tensor(found).reshape(task.inputs.shape).double()

    def ours(budget: int, seed: int) -> Tensor:
        given = {"baselines": task.background, "n_samples": budget, "seed": seed}
        return to_float64(of_ours("GradientShap", task, **given)())

    return {
        "pyxai": ours,
        "captum": seeded(task, "GradientShap", "n_samples", baselines=task.background),
        "shap": by_shap,
    }


def over(make: Make, oracle: Callable[[Task], Tensor], against: str, *budgets: int) -> Any:
    def prepare(task: Task) -> Curves:
        task = task.head(2, 8)
        chosen = budgets[: task.pick(4, None)]
        repeats = int(task.pick(3, 20))
        return Curves(make(task), lambda: oracle(task), against, chosen, repeats)

    return prepare


EXACT = "the definition in float64"
COALITIONS = (64, 128, 256, 480, 900)
KERNEL = over(kernel_shap, shapley, EXACT, *COALITIONS)
ORDERS = over(sampling, shapley, EXACT, *COALITIONS)
SHAP = over(
    gradient_shap,
    lambda task: integrated(task, 16, task.background),
    "the expectation in float64",
    *(8, 32, 128, 512, 2048),
)
CASES = [
    Case(f"error against time, {name}", net, prepare)
    for net in ("tabular MLP", "digits CNN")
    for name, prepare in (
        ("Kernel SHAP", KERNEL),
        ("Shapley value sampling", ORDERS),
        ("gradient SHAP", SHAP),
    )
]
