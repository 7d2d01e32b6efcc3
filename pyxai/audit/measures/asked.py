"""The metrics that an audit knows, and the reading of those that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, describe
from pyxai.audit.measures.answers import ADAPTERS, Answer, measure_directly, takes
from pyxai.audit.questions import MethodAsked, check_labels, listed
from pyxai.explanation import Explanation
from pyxai.explanation.curve import Curve

__all__ = ["BETTER", "COLUMNS", "METRICS", "MetricAsked", "check_measurable", "metrics_asked"]

# Of each metric the endings of its columns, and what is better there: "higher", "lower", or the
# nearest to "zero" of numbers with a sign.
_BETTER = {
    "accuracy_information_curve": {"": "higher"},
    "completeness": {"": "zero"},
    "comprehensiveness": {"": "higher"},
    "deletion": {"": "lower"},
    "infidelity": {"": "lower"},
    "insertion": {"": "higher"},
    "kl_auc": {"": "lower"},
    "principles": {
        **dict.fromkeys(("P1", "P2", "P3"), "higher"),
        **dict.fromkeys(("e1", "u", "c", "c_sum", "epsilon"), "lower"),
    },
    "sensitivity_max": {"": "lower"},
    "softmax_auc": {"": "higher"},
    "softmax_information_curve": {"": "higher"},
    "sparseness": {"": "higher"},
    "sufficiency": {"": "lower"},
}
METRICS = tuple(_BETTER)
# They look at the attributions alone, whatever these are about.
_OF_ANYTHING = frozenset({"sensitivity_max", "sparseness"})


def _column(label: str, end: str) -> str:
    return f"{label}_{end}" if end else label


BETTER = {
    "gap": "zero",
    "relative_gap": "lower",
    **{
        _column(name, end): better for name, ends in _BETTER.items() for end, better in ends.items()
    },
}
COLUMNS = (
    *("id", "method", "label", "target", "prediction", "output", "gap", "relative_gap", "error"),
    "seconds",
)


@dataclass(frozen=True)
class MetricAsked:
    """A metric with its options, under a name of its own: numbers for each example.

    Attributes
    ----------
    columns : dict of str to str or None
        Names of the numbers, one that is the label or several that begin with it, and what is
        better: ``"higher"``, ``"lower"``, nearest to ``"zero"``, or nobody knows.
    """

    label: str
    metric: Any
    options: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str | None] = field(default_factory=dict)

    def measure(
        self,
        model: Callable[..., Any],
        explanation: Explanation,
        method: MethodAsked,
        baselines: Any,
        seed: int,
        ids: Tensor,
    ) -> dict[str, Tensor]:
        """Return the metric of an explanation by column, float64 [batch] each."""
        answer = Answer(model, explanation, method, baselines, seed, ids)
        adapter = ADAPTERS.get(self.metric) if isinstance(self.metric, str) else None
        if adapter is None:
            found = measure_directly(self.metric, answer, dict(self.options))
        else:
            found = adapter(answer, dict(self.options))
        if not isinstance(found, dict):
            found = {"": found}
        return {
            _column(self.label, end): self._checked(each, len(ids)) for end, each in found.items()
        }

    def _checked(self, found: Any, batch: int) -> Tensor:
        values = found.auc if isinstance(found, Curve) else found
        if not isinstance(values, Tensor) or values.shape != (batch,):
            raise TypeError(
                f"{self.label} must return one number for each of {batch} example(s), got "
                f"{describe(values)}"
            )
        return values.detach().to("cpu", torch.float64)


def check_measurable(methods: tuple[MethodAsked, ...], asked: tuple[MetricAsked, ...]) -> None:
    """Raise if a metric changes inputs and watches an output, where a method says nothing of them.

    A map of a layer may happen to have the shape of the inputs, and the numbers would look right.
    """
    for metric in asked:
        if not isinstance(metric.metric, str) or metric.metric in _OF_ANYTHING:
            continue
        for method in methods:
            if method.of != "inputs":
                raise ValueError(
                    f"metrics must be among {', '.join(sorted(_OF_ANYTHING))} or functions of your "
                    f"own for {method.label}, which is of a {method.of}, got {metric.label}, which "
                    "measures what inputs do to an output; audit it apart"
                )


def metrics_asked(given: Any) -> tuple[MetricAsked, ...]:
    """Read the argument ``metrics`` of an audit; it may be empty.

    Raises
    ------
    TypeError
        If one is neither a name, a function, nor such a thing with options.
    ValueError
        If one is unknown, or two have one name or a column of one name.
    """
    asked = tuple(_metric(*each) for each in listed("metrics", given or ()))
    check_labels("metrics", [each.label for each in asked], COLUMNS)
    check_labels("metrics", [name for each in asked for name in each.columns], COLUMNS)
    return asked


def _metric(label: str | None, metric: Any, options: dict[str, Any]) -> MetricAsked:
    if isinstance(metric, str):
        check_choice("metrics", metric, METRICS)
    elif not callable(metric):
        raise TypeError(f"metrics must be names or functions, got {describe(metric)}")
    named: str = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
    label = label or named
    ends = _BETTER[metric] if isinstance(metric, str) else {"": None}
    columns = {_column(label, end): better for end, better in ends.items()}
    if isinstance(metric, str):
        _check_options(metric, options)
    return MetricAsked(label, metric, options, columns)


def _check_options(name: str, options: dict[str, Any]) -> None:
    """Refuse an option that a metric of ours has not, before a model runs."""
    known = takes(name)
    for option in options:
        if option not in known:
            among = f"among {', '.join(known)}" if known else "none"
            raise TypeError(f"options of {name} must be {among}, got {option!r}")
