"""How a metric is asked about what a method said: with the arguments of the audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from pyxai import metrics
from pyxai.audit.measures.pictures import byte_pictures
from pyxai.audit.questions import MethodAsked
from pyxai.explanation import Explanation
from pyxai.metrics.attributions import shares_of_players
from pyxai.taylor import principles_table

__all__ = ["ADAPTERS", "Answer", "measure_directly", "takes"]


@dataclass(frozen=True)
class Answer:
    """What a method said of some examples, and all that was asked."""

    model: Callable[..., Any]
    explanation: Explanation
    method: MethodAsked
    baselines: Any
    """Those of the method, else of the audit."""
    seed: int
    ids: Tensor

    @property
    def reference(self) -> Any:
        """What stands for absent features; None where the baselines are a set of rows."""
        return None if self.method.background else self.baselines

    def again(self, rows: Any, target: Any, ids: Tensor) -> Any:
        """Return what the method says of other rows."""
        parts = rows if isinstance(rows, tuple) else (rows,)
        found = self.method.explain(self.model, parts, target, self.baselines, self.seed, ids)
        return found.attributions


def measure_directly(metric: Any, answer: Answer, options: dict[str, Any]) -> Any:
    """Call a metric with what it takes of the audit's arguments."""
    function = getattr(metrics, metric) if isinstance(metric, str) else metric
    said = answer.explanation
    arguments = {**_known(function, answer), **options}
    return function(answer.model, said.inputs, said.attributions, **arguments)


def _known(function: Callable[..., Any], answer: Answer) -> dict[str, Any]:
    """Return the audit's arguments that a metric takes."""
    offered = {"target": answer.explanation.target, "seed": answer.seed}
    if answer.reference is not None:
        offered["baselines"] = answer.reference
    if function in (metrics.completeness, metrics.infidelity):  # that add up: a group counts once
        offered["feature_mask"] = answer.explanation.options.get("feature_mask")
    names = signature(function).parameters
    return {name: value for name, value in offered.items() if name in names}


def _sparseness(answer: Answer, options: dict[str, Any]) -> Any:
    return metrics.sparseness(answer.explanation.attributions, **options)


def _infidelity(answer: Answer, options: dict[str, Any]) -> Any:
    radius = options.pop("perturb_radius", 0.02)
    in_output_units = answer.method.multiplies_by_inputs(answer.model)

    @metrics.infidelity_perturb_func_decorator(multiply_by_inputs=in_output_units)
    def moved(inputs: Any) -> Any:
        rows = metrics.default_perturb_func(inputs, radius, seed=answer.seed)
        return rows if isinstance(inputs, tuple) else rows[0]

    said = answer.explanation
    arguments = {**_known(metrics.infidelity, answer), **options}
    return metrics.infidelity(answer.model, moved, said.inputs, said.attributions, **arguments)


def _sensitivity(answer: Answer, options: dict[str, Any]) -> Any:
    def again(rows: Any, *, target: Any = None, example_ids: Any = None) -> Any:
        return answer.again(rows, target, example_ids)

    said = answer.explanation
    arguments = {"seed": answer.seed, **options}
    return metrics.sensitivity_max(
        again, said.inputs, target=said.target, example_ids=answer.ids, **arguments
    )


def _information(name: str) -> Callable[[Answer, dict[str, Any]], Any]:
    """Return how an information curve is asked: of pictures as bytes."""

    def measure(answer: Answer, options: dict[str, Any]) -> Any:
        said = answer.explanation
        pictures, preprocess = byte_pictures(said.inputs, options.pop("to_bytes", (0.0, 1.0)))
        # One output is that of the class 1, whatever number it has.
        target = 0 if said.target is None else said.target
        given: dict[str, Any] = {"seed": answer.seed, "workers": torch.get_num_threads()}
        if preprocess is not None:
            given["preprocess"] = preprocess
        function = getattr(metrics, name)
        return function(
            answer.model, pictures, said.attributions, target=target, **{**given, **options}
        )

    return measure


def _principles(answer: Answer, options: dict[str, Any]) -> dict[str, Tensor]:
    """Return marks and measures of the three principles, row by row: targets differ."""
    rows = [_principles_of(answer, row, dict(options)) for row in range(len(answer.ids))]
    keys = ("P1", "P2", "P3", "e1", "u", "c", "c_sum", "epsilon")
    return {
        key: torch.tensor([float(row[key]) for row in rows], dtype=torch.float64) for key in keys
    }


def _principles_of(answer: Answer, row: int, options: dict[str, Any]) -> dict[str, Any]:
    said, mask = answer.explanation, answer.method.options.get("feature_mask")
    inputs, target = said.inputs, said.target
    if isinstance(inputs, tuple):
        raise ValueError(f"inputs must be one tensor for principles, got {len(inputs)} tensors")
    if isinstance(target, Tensor):
        target = int(target[row]) if target.dim() else int(target)

    def method(masked: Tensor) -> Any:
        # All of them are the same example, so a method that draws draws the same for each.
        found = answer.again(masked, target, answer.ids[row].expand(len(masked)))
        return found if mask is None else shares_of_players(found, (masked,), mask)[0]

    name = said.method  # by which the table knows methods of first order
    given = {"baselines": answer.reference, "target": target, "feature_mask": mask, **options}
    table = principles_table({name: method}, answer.model, inputs[row : row + 1], **given)
    return table[name].to_dict()


ADAPTERS: dict[str, Callable[[Answer, dict[str, Any]], Any]] = {
    "accuracy_information_curve": _information("accuracy_information_curve"),
    "infidelity": _infidelity,
    "principles": _principles,
    "sensitivity_max": _sensitivity,
    "softmax_information_curve": _information("softmax_information_curve"),
    "sparseness": _sparseness,
}

# What the audit gives to a metric itself, and the options of ours that its function has not.
_GIVEN = frozenset(
    [
        "model",
        "forward_func",
        "explanation_func",
        "methods",
        "perturb_func",
        "inputs",
        "images",
        "attributions",
        "kwargs",
    ]
)
_MORE = {
    "accuracy_information_curve": ("to_bytes",),
    "infidelity": ("perturb_radius",),
    "sensitivity_max": ("perturb_func",),
    "softmax_information_curve": ("to_bytes",),
}


def takes(name: str) -> tuple[str, ...]:
    """Return the names of the options that a metric may be given in an audit."""
    function = principles_table if name == "principles" else getattr(metrics, name)
    own = [each for each in signature(function).parameters if each not in _GIVEN]
    return (*own, *_MORE.get(name, ()))
