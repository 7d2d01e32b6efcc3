"""Explain a task's test rows with every method, and measure what each explanation is worth."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pyxai import registry
from pyxai.demo.tasks import Task
from pyxai.explain import explain
from pyxai.explanation import Explanation
from pyxai.game import Game

__all__ = ["Measured", "Result", "measure"]

DIGITS, TUMOURS = "handwritten digits", "breast tumours"


def _blocks(count: int) -> Tensor:
    """Return numbered squares, ``count`` each way, that tile an 8 x 8 image, [1, 1, 8, 8]."""
    place = torch.arange(8) * count // 8
    return (place[:, None] * count + place)[None, None]


# What a method needs beyond the model, the rows and the target, and budgets that keep it short.
OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    (DIGITS, "expected_gradients"): {"n_steps": 10},
    (DIGITS, "guided_ig"): {"n_steps": 60},
    (DIGITS, "kernel_shap"): {"n_samples": 256},
    (DIGITS, "lime"): {"n_samples": 256},
    (DIGITS, "occlusion"): {"sliding_window_shapes": (1, 3, 3)},
    (DIGITS, "prediction_difference"): {"feature_mask": _blocks(4)},
    (DIGITS, "shapley_value_sampling"): {"n_samples": 8},
    (DIGITS, "partition_shap"): {"feature_mask": _blocks(4)},
    # Exact values ask the model for every coalition: 2^9 of them.
    (DIGITS, "shapley_values"): {"feature_mask": _blocks(3)},
    # Segments found in 64 pixels would be no better, and take the time of large images.
    (DIGITS, "xrai"): {"segments": _blocks(4)[0, 0], "min_pixels": 1},
    (TUMOURS, "expected_gradients"): {"n_steps": 10},
    (TUMOURS, "kernel_shap"): {"n_samples": 256},
    (TUMOURS, "lime"): {"n_samples": 256},
    # Ten properties, each measured three ways: mean, error and worst stand together, and so do
    # properties of size, of outline and of texture.
    (TUMOURS, "partition_shap"): {
        "hierarchy": [
            [[[n, n + 10, n + 20] for n in group] for group in ([0, 2, 3], [5, 6, 7])],
            [[n, n + 10, n + 20] for n in (1, 4, 8, 9)],
        ]
    },
    # Ten properties, each measured three ways: mean, error and worst are one player.
    (TUMOURS, "shapley_values"): {"feature_mask": torch.arange(30)[None] % 10},
}
# Methods that make no sense for a task, with the reason that the report gives.
LEFT_OUT: dict[tuple[str, str], str] = {
    (DIGITS, "layer_grad_cam"): "shown as Grad-CAM, brought to the size of the input",
    (DIGITS, "guided_grad_cam"): "the product of two maps that are shown, for a layer of choice",
    (TUMOURS, "blur_ig"): "the columns of a table cannot be blurred",
    (TUMOURS, "guided_grad_cam"): "the model has no feature maps",
    (TUMOURS, "layer_grad_cam"): "the model has no feature maps",
    (TUMOURS, "grad_cam"): "the model has no feature maps",
    (TUMOURS, "occlusion"): "the columns of a table have no neighbourhood",
    (TUMOURS, "xrai"): "the columns of a table have no neighbourhood",
}
_GROUPS = {"feature_mask", "segments", "sliding_window_shapes"}  # options that make players
LONG = 0.3  # seconds: longer calls are not repeated
BACKGROUND = 16  # rows that stand for the data where a method compares with a set


@dataclass(frozen=True)
class Result:
    """One method on one task.

    Attributes
    ----------
    name : str
        Name in the registry.
    explanation : Explanation
        Of all rows measured.
    seconds : float
        Wall-clock time of the call; the best of three where it is short.
    rows : int
        Rows that the model was run on for it; 0 where the method walks a traced graph instead.
    gap : Tensor, shape [batch]
        ``sum(attributions) - (f(inputs) - f(baseline))``, in logits, from outputs computed here;
        the mean over the baselines for a method that takes a background set.
    drops : Tensor, shape [batch, n_removed + 1]
        How far the logit fell after removing 0, 1, 2, ... features, highest attribution first.
    """

    name: str
    explanation: Explanation
    seconds: float
    rows: int
    gap: Tensor
    drops: Tensor

    @property
    def complete(self) -> bool:
        """Whether the method promises that its attributions sum to the difference of outputs."""
        return registry.get(self.name).complete

    @property
    def single(self) -> bool:
        """Whether it values single features by what removing them to the baseline does.

        Others compare with rows of the data, or value groups, windows or places of a layer.
        """
        explanation, method = self.explanation, registry.get(self.name)
        compares = explanation.shared_baselines or method.whole_batch
        return not (compares or method.family == "layers" or _GROUPS & set(explanation.options))

    @property
    def flat(self) -> Tensor:
        """Attributions, shape [batch, features]."""
        attributions = self.explanation.attributions
        assert isinstance(attributions, Tensor)
        return attributions.detach().flatten(1).float()


@dataclass
class Measured:
    """All methods on one task.

    Attributes
    ----------
    task : Task
        Model and test rows.
    target : Tensor, shape [batch]
        Class explained for each row: the predicted one.
    difference : Tensor, shape [batch]
        ``f(inputs) - f(baseline)`` in logits.
    results : list of Result
        One for each method that applies.
    left_out : dict
        Method name to the reason why it is not among the results.
    random_drops, plain_drops : Tensor, shape [batch, n_removed + 1]
        The removal test for a random order, averaged over several, and for the order of
        ``|input - baseline|``, which asks no model at all.
    """

    task: Task
    target: Tensor
    difference: Tensor
    results: list[Result] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    random_drops: Tensor = field(default_factory=lambda: torch.empty(0))
    plain_drops: Tensor = field(default_factory=lambda: torch.empty(0))

    def __getitem__(self, name: str) -> Result:
        """Return the result of a method."""
        return next(result for result in self.results if result.name == name)

    @property
    def agreement(self) -> Tensor:
        """Mean rank correlation of the attributions of each two methods, [n_methods, n_methods]."""
        ranks = torch.stack([_ranks(result.flat) for result in self.results])
        ranks = ranks - ranks.mean(-1, keepdim=True)
        ranks = ranks / ranks.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return torch.einsum("abf,cbf->acb", ranks, ranks).mean(-1)


def measure(task: Task, *, n_rows: int, n_removed: int) -> Measured:
    """Explain the first ``n_rows`` test rows of ``task`` with every registered method.

    Parameters
    ----------
    task : Task
        A trained model and its test rows.
    n_rows : int
        How many rows to explain.
    n_removed : int
        How many features the removal test takes away.

    Returns
    -------
    Measured
        A method that cannot run is in ``left_out`` with what it said.
    """
    inputs = task.inputs[:n_rows]
    target = task.predictions[:n_rows]
    game = Game(task.model, inputs, baselines=0.0, target=target)
    n_players = game.n_players
    ends = game.values(torch.tensor([[True] * n_players, [False] * n_players]))
    measured = Measured(task, target, ends[:, 0] - ends[:, 1])
    measured.plain_drops = _removal(game, inputs.flatten(1).abs(), n_removed)
    generator = torch.Generator().manual_seed(0)
    orders = [torch.rand(inputs.flatten(1).shape, generator=generator) for _ in range(5)]
    measured.random_drops = torch.stack([_removal(game, o, n_removed) for o in orders]).mean(0)
    for name in registry.names():
        reason = LEFT_OUT.get((task.name, name))
        if reason is not None:
            measured.left_out[name] = reason
            continue
        try:
            explanation, seconds, rows = _explain(task, inputs, target, name)
        except (TypeError, ValueError, RuntimeError) as error:
            measured.left_out[name] = f"{type(error).__name__}: {error}"
            continue
        assert isinstance(explanation.attributions, Tensor)
        flat = explanation.attributions.detach().flatten(1)
        measured.results.append(
            Result(
                name=name,
                explanation=explanation,
                seconds=seconds,
                rows=0 if registry.get(name).needs == "module" else rows,
                gap=flat.sum(1) - _difference(measured, explanation),
                drops=_removal(game, flat, n_removed),
            )
        )
    return measured


def _difference(measured: Measured, explanation: Explanation) -> Tensor:
    """Return what attributions should sum to: over a background set, the mean difference."""
    if not explanation.shared_baselines:
        return measured.difference
    model, inputs = measured.task.model, measured.task.inputs[: len(measured.target)]
    ends = model(inputs).gather(1, measured.target[:, None])[:, 0]
    expected: Tensor = ends - model(explanation.baselines).mean(0)[measured.target]
    return expected


def _explain(
    task: Task, inputs: Tensor, target: Tensor, name: str
) -> tuple[Explanation, float, int]:
    """Call the method once for the rows that it runs, and a short one again for its best time."""
    traits = registry.get(name)
    options = dict(OPTIONS.get((task.name, name), {}))
    if traits.baselines == "required":
        options.setdefault("baselines", torch.zeros_like(inputs))
    elif traits.baselines == "distribution":
        options.setdefault("baselines", task.inputs[len(inputs) : len(inputs) + BACKGROUND])
    if traits.stochastic:
        options.setdefault("seed", 0)
    rows = 0

    def count(_: Any, arguments: tuple[Any, ...]) -> None:
        nonlocal rows
        rows += len(arguments[0])

    handle = task.model.register_forward_pre_hook(count)
    try:
        start = time.perf_counter()
        explanation = explain(task.model, inputs, method=name, target=target, **options)
        best = time.perf_counter() - start
    finally:
        handle.remove()
    explanation = replace(explanation, feature_names=task.feature_names)
    if "feature_mask" in options:
        explanation = replace(
            explanation, attributions=_shared_out(explanation, options["feature_mask"])
        )
    for _ in range(2 if best < LONG else 0):
        start = time.perf_counter()
        explain(task.model, inputs, method=name, target=target, **options)
        best = min(best, time.perf_counter() - start)
    return explanation, best, rows


def _shared_out(explanation: Explanation, mask: Tensor) -> Tensor:
    """Give each feature of a group its part of the group's value, so that sums stay right."""
    attributions = explanation.attributions
    assert isinstance(attributions, Tensor)
    return attributions / mask.flatten().bincount()[mask]


def _removal(game: Game, scores: Tensor, n_removed: int) -> Tensor:
    """Fall of the output after removing the highest scores, [batch, n_removed + 1]."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    place = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1]).expand_as(order)
    )
    steps = torch.arange(n_removed + 1)
    masks = place[:, None, :] >= steps[None, :, None]
    values: Tensor = game.values(masks).detach()
    return values[:, :1] - values


def _ranks(values: Tensor) -> Tensor:
    """Ranks within each row, ties averaged, [batch, features]."""
    ordered = values.sort(dim=1).values.contiguous()
    low = torch.searchsorted(ordered, values.contiguous())
    high = torch.searchsorted(ordered, values.contiguous(), right=True)
    return (low + high).double() / 2
