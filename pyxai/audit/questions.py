"""What is asked of each example: attribution methods, and metrics of what they answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from pyxai import metrics
from pyxai._checks import check_choice, describe
from pyxai._signatures import option_parameters
from pyxai.explain import explain
from pyxai.explanation import Explanation
from pyxai.explanation.curve import Curve
from pyxai.methods import Attribution
from pyxai.registry import find

__all__ = ["COLUMNS", "METRICS", "MethodAsked", "MetricAsked", "methods_asked", "metrics_asked"]

METRICS = (
    "completeness",
    "comprehensiveness",
    "deletion",
    "infidelity",
    "insertion",
    "kl_auc",
    "sensitivity_max",
    "softmax_auc",
    "sparseness",
    "sufficiency",
)
# What an audit gives to every method itself.
_OWN = ("target", "seed", "example_ids")
COLUMNS = ("id", "method", "label", "target", "prediction", "output", "gap", "error", "seconds")


@dataclass(frozen=True)
class MethodAsked:
    """A method with its options, under a name of its own."""

    label: str
    method: Any
    options: dict[str, Any] = field(default_factory=dict)
    takes: frozenset[str] = frozenset()
    """Names of the arguments of its constructor and of `attribute`."""
    background: bool = False
    """Whether its baselines are rows that all examples share, rather than one that stands for
    what is absent."""

    def explain(
        self,
        model: Callable[..., Any],
        inputs: tuple[Tensor, ...],
        target: Any,
        baselines: Any,
        seed: int,
        ids: Tensor,
    ) -> Explanation:
        """Explain some examples, with random numbers by seed and number alone."""
        more = dict(self.options)
        for name, value in (("seed", seed), ("example_ids", ids), ("baselines", baselines)):
            if name in self.takes and name not in more and value is not None:
                more[name] = value
        given = inputs if len(inputs) > 1 else inputs[0]
        return explain(model, given, method=self.method, target=target, **more)

    def multiplies_by_inputs(self, model: Callable[..., Any]) -> bool:
        """Tell whether attributions are in output units, rather than per unit of input."""
        if isinstance(self.method, Attribution):
            return self.method.multiplies_by_inputs
        entry = find(self.method)
        factory = self.method if entry is None else entry.factory
        names = {parameter.name for parameter in option_parameters(factory)}
        own = {name: value for name, value in self.options.items() if name in names}
        return bool(factory(model, **own).multiplies_by_inputs)


@dataclass(frozen=True)
class MetricAsked:
    """A metric with its options, under a name of its own: one number for each example."""

    label: str
    metric: Any
    options: dict[str, Any] = field(default_factory=dict)

    def measure(
        self,
        model: Callable[..., Any],
        explanation: Explanation,
        method: MethodAsked,
        baselines: Any,
        seed: int,
        ids: Tensor,
    ) -> Tensor:
        """Return the metric of an explanation, float64 [batch]."""
        inputs, target = explanation.inputs, explanation.target
        arguments: dict[str, Any] = {"target": target, "seed": seed}
        if baselines is not None and not method.background:
            arguments["baselines"] = baselines
        if self.metric == "sensitivity_max":
            found = self._sensitivity(model, inputs, target, baselines, seed, ids, method)
        else:
            function = self._function()
            known = signature(function).parameters
            arguments = {name: value for name, value in arguments.items() if name in known}
            arguments |= self.options
            if self.metric == "infidelity":
                found = self._infidelity(function, model, explanation, method, seed, arguments)
            elif self.metric == "sparseness":
                found = function(explanation.attributions)
            else:
                found = function(model, inputs, explanation.attributions, **arguments)
        return self._checked(found, len(ids))

    def _function(self) -> Any:
        return getattr(metrics, self.metric) if isinstance(self.metric, str) else self.metric

    def _infidelity(
        self,
        function: Any,
        model: Any,
        explanation: Explanation,
        method: MethodAsked,
        seed: int,
        arguments: Any,
    ) -> Any:
        options = dict(arguments)
        radius = options.pop("perturb_radius", 0.02)
        in_output_units = method.multiplies_by_inputs(model)

        @metrics.infidelity_perturb_func_decorator(multiply_by_inputs=in_output_units)
        def moved(inputs: Any) -> Any:
            rows = metrics.default_perturb_func(inputs, radius, seed=seed)
            return rows if isinstance(inputs, tuple) else rows[0]

        return function(model, moved, explanation.inputs, explanation.attributions, **options)

    def _sensitivity(
        self,
        model: Any,
        inputs: Any,
        target: Any,
        baselines: Any,
        seed: int,
        ids: Tensor,
        method: MethodAsked,
    ) -> Any:

        def again(rows: Any, *, target: Any = None, example_ids: Any = None) -> Any:
            parts = rows if isinstance(rows, tuple) else (rows,)
            return method.explain(model, parts, target, baselines, seed, example_ids).attributions

        return metrics.sensitivity_max(
            again, inputs, target=target, example_ids=ids, **{"seed": seed, **self.options}
        )

    def _checked(self, found: Any, batch: int) -> Tensor:
        values = found.auc if isinstance(found, Curve) else found
        if not isinstance(values, Tensor) or values.shape != (batch,):
            raise TypeError(
                f"{self.label} must return one number for each of {batch} example(s), got "
                f"{describe(values)}"
            )
        return values.detach().to("cpu", torch.float64)


def methods_asked(methods: Any) -> tuple[MethodAsked, ...]:
    """Read the argument ``methods`` of an audit.

    Raises
    ------
    TypeError
        If one is neither a name, a class, an object, nor such a thing with options.
    ValueError
        If there is none, one is unknown, two have one label, or one cannot be asked by rows.
    """
    asked = tuple(_method(*each) for each in _listed("methods", methods))
    if not asked:
        raise ValueError("methods must name at least one method, got none")
    _check_labels("methods", asked, ())
    return asked


def metrics_asked(given: Any) -> tuple[MetricAsked, ...]:
    """Read the argument ``metrics`` of an audit; raises as `methods_asked`, but may be empty."""
    asked = tuple(_metric(*each) for each in _listed("metrics", given or ()))
    _check_labels("metrics", asked, COLUMNS)
    return asked


def _listed(name: str, given: Any) -> list[tuple[str | None, Any, dict[str, Any]]]:
    single = isinstance(given, (str, type)) or not isinstance(given, (Mapping, Sequence))
    if single or (len(given) == 2 and isinstance(given, tuple) and isinstance(given[1], dict)):
        given = (given,)
    pairs = given.items() if isinstance(given, Mapping) else ((None, each) for each in given)
    listed = []
    for label, each in pairs:
        what, options = each if isinstance(each, (tuple, list)) and len(each) == 2 else (each, {})
        if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
            raise TypeError(
                f"{name} must be names, or pairs of a name and a dict of options, got "
                f"{describe(each)}"
            )
        listed.append((label, what, dict(options)))
    return listed


def _method(label: str | None, method: Any, options: dict[str, Any]) -> MethodAsked:
    entry = find(method)  # an unknown name is refused here
    if entry is None and not (
        isinstance(method, Attribution)
        or (isinstance(method, type) and issubclass(method, Attribution))
    ):
        raise TypeError(
            f"methods must be names, Attribution classes or such objects, got {describe(method)}"
        )
    cls: Any = method if isinstance(method, type) else type(method)
    cls = cls if entry is None else entry.cls
    label = label or (cls.__name__ if entry is None else entry.name)
    if entry is not None and entry.whole_batch:
        raise ValueError(
            f"methods must explain each example by itself, got {label}, whose answers depend on "
            "the other rows of a batch"
        )
    for name in (*_OWN, "additional_forward_args"):
        if name in options:
            where = "the audit gives it" if name in _OWN else "a function around the model can"
            raise ValueError(f"options of {label} must not have {name}, got it; {where}")
    takes = {parameter.name for parameter in option_parameters(cls.attribute)}
    if not isinstance(method, Attribution):
        takes |= {p.name for p in option_parameters(cls if entry is None else entry.factory)}
    background = entry is not None and entry.baselines == "distribution"
    return MethodAsked(label, method, options, frozenset(takes), background)


def _metric(label: str | None, metric: Any, options: dict[str, Any]) -> MetricAsked:
    if isinstance(metric, str):
        check_choice("metrics", metric, METRICS)
    elif not callable(metric):
        raise TypeError(f"metrics must be names or functions, got {describe(metric)}")
    named = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
    return MetricAsked(label or named, metric, options)


def _check_labels(
    name: str, asked: Sequence[MethodAsked | MetricAsked], taken: Collection[str]
) -> None:
    labels = [each.label for each in asked]
    for label in labels:
        if not isinstance(label, str) or not label:
            raise TypeError(f"{name} must be named by texts, got {describe(label)}")
        if labels.count(label) > 1:
            raise ValueError(
                f"{name} must have names of their own, got {label!r} twice; give a dict of names"
            )
        if not all(char.isalnum() or char in "_-+ " for char in label):
            raise ValueError(f"{name} must be named by letters, numbers and _-+, got {label!r}")
        if label in taken:
            raise ValueError(f"{name} must have names that rows do not have yet, got {label!r}")
