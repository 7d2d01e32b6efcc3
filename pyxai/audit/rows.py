"""The rows of a shard while they are made: a column is an array, so that a row costs no object."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pyxai.audit.storage import pyarrow

__all__ = ["NOTHING", "Answers", "Rows"]

NOTHING = np.iinfo(np.int64).min  # stands for an index where there is none


class Answers(NamedTuple):
    """What a method said of each example."""

    gap: Any
    """float64 [rows], NaN where there is none."""
    relative_gap: Any
    """float64 [rows], without sign and unit, NaN where there is none."""
    metrics: dict[str, Any]
    """float64 [rows] each, NaN where there is no answer."""
    error: list[str | None]
    """Why there is no answer."""


class Rows:
    """What is known of each example: by the model, and by each method.

    Attributes
    ----------
    label, output : array, shape [rows]
        float64, NaN where there is none.
    target, prediction : array, shape [rows]
        int64, `NOTHING` where there is none.
    error : list of str or None
        Why an example has no answer by any method.
    answers : dict of str to Answers
        By method.
    """

    def __init__(self, count: int, methods: list[str], metrics: list[str]) -> None:
        self.label, self.output = np.full(count, np.nan), np.full(count, np.nan)
        self.target, self.prediction = np.full(count, NOTHING), np.full(count, NOTHING)
        self.error: list[str | None] = [None] * count
        self.answers = {
            method: Answers(
                np.full(count, np.nan),
                np.full(count, np.nan),
                {metric: np.full(count, np.nan) for metric in metrics},
                [None] * count,
            )
            for method in methods
        }

    def table(self, start: int) -> Any:
        """Return one row for each example and method, examples from ``start`` on, by pyarrow."""
        arrow, answers, count = pyarrow(), list(self.answers.values()), len(self.error)

        def of_examples(values: Any) -> Any:
            return np.repeat(values, len(answers))

        def indices(values: Any) -> Any:
            every = of_examples(values)
            return arrow.array(every, mask=every == NOTHING)

        def numbers(values: Any) -> Any:
            return arrow.array(values, from_pandas=True)  # NaN is null

        def of_methods(columns: list[Any]) -> Any:
            return numbers(np.stack(columns, 1).reshape(-1))

        errors = [self.error, *(each.error for each in answers)]
        reasons: list[str | None] = [None] * (count * len(answers))
        if any(any(each) for each in errors):
            reasons = [
                reason or whole for whole, *rest in zip(*errors, strict=True) for reason in rest
            ]
        columns = {
            "id": arrow.array(of_examples(np.arange(start, start + count))),
            "method": arrow.array(list(self.answers) * count, arrow.string()),
            "label": numbers(of_examples(self.label)),
            "target": indices(self.target),
            "prediction": indices(self.prediction),
            "output": numbers(of_examples(self.output)),
            "gap": of_methods([each.gap for each in answers]),
            "relative_gap": of_methods([each.relative_gap for each in answers]),
            "error": arrow.array(reasons, arrow.string()),
        }
        for name in answers[0].metrics:
            columns[name] = of_methods([each.metrics[name] for each in answers])
        return arrow.table(columns)
