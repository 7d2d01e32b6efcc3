"""Methods that take features away: one at a time, in coalitions, and what these do together."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import torch
from captum import attr as captum
from torch import Tensor

from pyxai import attribution
from pyxai.taylor import interaction_indices
from races.case import Call, Race, Task, Tuned, to_float64
from races.gradients import ALL, of_captum, of_ours, on, ours_in_float64
from races.peers import (
    games,
    of_games,
    quiet,
    shap,
    shap_kernel,
    shap_masked,
    shapiq,
    shapiq_exact,
    shapiq_sampled,
)
from races.references import ablated, bare_passes, in_float64, shapley

EVALS = (4, 16, 64)


def captum_by_batch(name: str, task: Task, sizes: tuple[int, ...] = EVALS, **options: Any) -> Any:
    """Return captum with the batch that it comes with, and with its best."""
    return {
        "captum, defaults": of_captum(name, task, **options),
        "captum, best batch": Tuned(
            lambda size: of_captum(name, task, perturbations_per_eval=size, **options), sizes
        ),
    }


def owners(task: Task, mask: Tensor | None) -> Tensor:
    """Return the player of each feature, [1, *features]; without a mask each is its own."""
    if mask is not None:
        return mask.expand_as(task.inputs[:1])
    return torch.arange(task.inputs[0].numel()).view_as(task.inputs[:1])


def feature_ablation(task: Task) -> Race:
    owner = owners(task, task.parts)
    n = 1 + int(owner.max())
    options = {} if task.parts is None else {"feature_mask": task.parts}

    def direct() -> Tensor:
        falls = ablated(task, [owner == player for player in range(n)])
        return falls.T[:, owner[0].flatten()].view_as(task.inputs)

    floors = {"bare model": bare_passes(task, n + 1, backward=False)}
    if isinstance(task.model, torch.nn.Sequential) and task.name.startswith("MLP"):
        hidden = task.model[0](task.inputs).detach()
        rest = Task("rest", task.model[1:], hidden, task.target, hidden)
        floors["the layers after the first"] = bare_passes(rest, n, backward=False)
    return Race(
        of_ours("FeatureAblation", task, **options),
        captum_by_batch("FeatureAblation", task, (*EVALS, 112), **options),
        floors,
        {"one feature at a time in float64": direct},
        counted=task,
    )


def occlusion(task: Task) -> Race:
    side = task.inputs.shape[-1]
    patch = 2 if side == 8 else side // (8 if side <= 64 else 7)
    channels = task.inputs.shape[1]
    shape = (channels, patch, patch)
    options = {"sliding_window_shapes": shape, "strides": shape}
    across = side // patch
    cell = torch.arange(side) // patch
    owner = (cell[:, None] * across + cell).expand_as(task.inputs[:1])

    def direct() -> Tensor:
        falls = ablated(task, [owner == place for place in range(across * across)])
        return falls.T[:, owner[0].flatten()].view_as(task.inputs)

    return Race(
        of_ours("Occlusion", task, **options),
        captum_by_batch("Occlusion", task, **options),
        {"bare model": bare_passes(task, across * across + 1, backward=False)},
        {"one patch at a time in float64": direct},
        counted=task,
    )


def rolled(x: Tensor, mask: Tensor) -> Tensor:
    """Permute the rows in the same way for everybody."""
    return torch.where(mask.bool(), x.roll(1, 0), x)


def feature_permutation(task: Task) -> Race:
    ours = attribution.FeaturePermutation(task.model, perm_func=rolled)
    theirs = captum.FeaturePermutation(task.twin.model, rolled)
    n = task.inputs[0].numel()

    def permuted() -> Tensor:
        wide, falls = in_float64(task), []
        with torch.no_grad():
            whole = wide.output(wide.inputs)
            for feature in range(n):
                rows = wide.inputs.clone()
                rows[:, feature] = rows[:, feature].roll(1, 0)
                falls.append(whole - wide.output(rows))
        return torch.stack(falls, 1)

    def by_captum(size: int) -> Call:
        return lambda: theirs.attribute(
            task.inputs, target=task.target, perturbations_per_eval=size
        )

    return Race(
        lambda: ours.attribute(task.inputs, target=task.target),
        {"captum, defaults": by_captum(1), "captum, best batch": Tuned(by_captum, EVALS)},
        {"bare model": bare_passes(task, n + 1, backward=False)},
        {"one feature at a time in float64": permuted},
        counted=task,
    )


def prediction_difference(task: Task) -> Race:
    options = {"baselines": task.background}
    count = (1 + task.inputs[0].numel()) * len(task.background)
    return Race(
        of_ours("PredictionDifference", task, **options),
        {},
        {"bare model": bare_passes(task, count, backward=False)},
        {"ours in float64": ours_in_float64("PredictionDifference", task, **options)},
        counted=task,
    )


def by_player(name: str, task: Task, seed: int | None = None, **options: Any) -> Call:
    """Return a call of ours that gives one score to each of the few players."""
    run = of_ours(
        name, task, feature_mask=task.few, **({} if seed is None else {"seed": seed}), **options
    )
    return lambda: task.by_player(to_float64(run()))


def captum_by_player(name: str, task: Task, sizes: tuple[int, ...], **options: Any) -> Any:
    calls = captum_by_batch(name, task, sizes, feature_mask=task.few, **options)

    def short(run: Call) -> Call:
        return lambda: task.by_player(to_float64(run()))

    (first_name, first), (best_name, best) = calls.items()
    return {first_name: short(first), best_name: Tuned(lambda n: short(best.make(n)), best.sizes)}


def shapley_values(task: Task) -> Race:
    task = task.head(2, 8)
    n = 1 + int(task.few.max()) if task.few is not None else 0
    peers: dict[str, Call] = {"shap": lambda: shap_masked("ExactExplainer", task, None)}
    if shapiq is not None:
        peers["shapiq"] = lambda: shapiq_exact(task)
    return Race(
        by_player("ShapleyValues", task),
        peers,
        {"bare model": bare_passes(task, 2**n, backward=False)},
        {"the definition in float64": lambda: shapley(task)},
        counted=task,
    )


def sampling(task: Task) -> Race:
    task = task.head(2, 8)
    n = 1 + int(task.few.max()) if task.few is not None else 0
    n_samples = int(task.pick(6, 24))
    budget = n_samples * (n - 1) + 2
    calls: Any = captum_by_player("ShapleyValueSampling", task, (4, 8), n_samples=n_samples)
    calls["shap"] = lambda: shap_masked("PermutationExplainer", task, max(budget, 2 * n + 1))
    if shapiq is not None:
        calls["shapiq"] = lambda: shapiq_sampled("PermutationSamplingSV", task, budget)
    return Race(
        by_player("ShapleyValueSampling", task, n_samples=n_samples),
        calls,
        {"bare model": bare_passes(task, budget, backward=False)},
        {"the definition in float64": lambda: shapley(task)},
        sampled=True,
        counted=task,
    )


def kernel_shap(task: Task) -> Race:
    task = task.head(2, 8)
    n = 1 + int(task.few.max()) if task.few is not None else 0
    budget = min(int(task.pick(100, 500)), 2 ** (n - 1))
    calls: Any = captum_by_player("KernelShap", task, (budget,), n_samples=budget)
    calls["shap"] = lambda: shap_kernel(task, budget)
    if shapiq is not None:
        calls["shapiq"] = lambda: shapiq_sampled("KernelSHAP", task, budget)
    return Race(
        by_player("KernelShap", task, n_samples=budget),
        calls,
        {"bare model": bare_passes(task, budget, backward=False)},
        {"the definition in float64": lambda: shapley(task)},
        sampled=True,
        counted=task,
    )


def lime(task: Task) -> Race:
    task = task.head(2, 8)
    budget = int(task.pick(100, 500))
    options = {"n_samples": int(task.pick(4000, 20_000))}
    return Race(
        by_player("Lime", task, n_samples=budget),
        captum_by_player("Lime", task, (budget,), n_samples=budget),
        {"bare model": bare_passes(task, budget, backward=False)},
        {"ours, of many samples": by_player("Lime", task, seed=1, **options)},
        sampled=True,
        counted=task,
    )


def halves(players: list[int]) -> Any:
    """Return a hierarchy of players as nested lists."""
    if len(players) <= 2:
        return players if len(players) > 1 else players[0]
    middle = len(players) // 2
    return [halves(players[:middle]), halves(players[middle:])]


def linkage(tree: Any, n: int) -> np.ndarray[Any, Any]:
    """Return the same hierarchy in SciPy's form, which shap wants."""
    joined: list[list[float]] = []

    def add(node: Any) -> tuple[int, int]:
        if not isinstance(node, list):
            return node, 1
        (a, size_a), (b, size_b) = map(add, node)
        joined.append([a, b, 1, size_a + size_b])
        return n + len(joined) - 1, size_a + size_b

    add(tree)
    return np.array(joined, dtype=np.float64)


def partition_shap(task: Task) -> Race:
    task = task.head(2, 8)
    n = 1 + int(task.few.max()) if task.few is not None else 0
    tree = halves(list(range(n)))
    options = {"hierarchy": tree, "max_evals": 4096}

    class Masker(shap.maskers.Masker):  # type: ignore[misc, name-defined]
        """Hand the mask itself to the game."""

        shape = (1, n)
        fixed_background = True
        clustering = linkage(tree, n)

        def __call__(self, mask: Any, x: Any) -> Any:
            return (np.asarray(mask, dtype=np.float32)[None],)

    def theirs(size: Any) -> Call:
        def run(game: Any, n: int) -> Any:
            explainer = shap.explainers.PartitionExplainer(game, Masker())
            given = {"max_evals": 4096, "batch_size": size, "silent": True}
            return explainer(np.ones((1, n)), **given).values[0]

        return lambda: quiet(of_games)(task, run)

    return Race(
        by_player("PartitionShap", task, **options),
        {"shap, defaults": theirs("auto"), "shap, best batch": theirs(512)},
        {},
        {"ours in float64": lambda: by_player("PartitionShap", in_float64(task), **options)()},
        counted=task,
    )


def interactions(task: Task) -> Race:
    """The Shapley interaction index of all pairs."""
    task = task.head(2, 8)

    def ours() -> Tensor:
        found = interaction_indices(
            task.model,
            task.inputs,
            order=2,
            feature_mask=task.few,
            target=task.target,
            **({"additional_forward_args": task.extra} if task.extra else {}),
        )
        return off_diagonal(to_float64(found.matrix()))

    peers: dict[str, Call] = {}
    if shapiq is not None:
        peers["shapiq"] = lambda: off_diagonal(shapiq_exact(task, "SII", 2))
    n = 1 + int(task.few.max()) if task.few is not None else 0
    return Race(
        ours,
        peers,
        {"bare model": bare_passes(task, 2**n, backward=False)},
        {"the definition in float64": lambda: second_differences(task, n)},
        counted=task,
    )


def off_diagonal(matrix: Tensor) -> Tensor:
    upper = torch.triu_indices(matrix.shape[-1], matrix.shape[-1], 1)
    return matrix[:, upper[0], upper[1]]


def second_differences(task: Task, n: int) -> Tensor:
    """Return mean second differences of the pairs, weighted as Shapley values are."""
    masks = np.array([[(k >> i) & 1 for i in range(n)] for k in range(2**n)])
    sizes = masks.sum(1)
    weight = np.array([factorial(k) * factorial(max(n - k - 2, 0)) for k in range(n + 1)])
    weight = weight / factorial(n - 1)
    rows = []
    for game in games(in_float64(task)):
        v, row = game(masks), []
        for i in range(n):
            for j in range(i + 1, n):
                k = np.flatnonzero((masks[:, i] == 0) & (masks[:, j] == 0))
                both = v[k + 2**i + 2**j] - v[k + 2**i] - v[k + 2**j] + v[k]
                row.append(float((weight[sizes[k]] * both).sum()))
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


FEW = ("tabular MLP", "digits CNN", "ResNet-18, 64 px", "transformer")
CASES = [
    *on("feature ablation", feature_ablation, *ALL),
    *on("occlusion", occlusion, "digits CNN", "ResNet-18, 64 px", "ResNet-18, 224 px"),
    *on("exact Shapley values", shapley_values, *FEW),
    *on("Shapley value sampling", sampling, *FEW),
    *on("Kernel SHAP", kernel_shap, *FEW),
    *on("LIME", lime, "digits CNN"),  # whose penalty leaves nothing of the small MLP's outputs
    *on("partition SHAP", partition_shap, "tabular MLP", "digits CNN"),
    *on("feature permutation", feature_permutation, "tabular MLP"),
    *on("prediction difference", prediction_difference, "tabular MLP", "digits CNN"),
    *on("Shapley interactions", interactions, "tabular MLP", "digits CNN"),
]
