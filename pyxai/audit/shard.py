"""Make one shard: explain its examples, measure the explanations, write the files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from pyxai.audit.data import Batch
from pyxai.audit.data.source import reason_of
from pyxai.audit.job import Job
from pyxai.audit.maps import MapShard
from pyxai.audit.questions import MethodAsked
from pyxai.audit.storage import pyarrow
from pyxai.runner import EveryOutput, Runner, is_out_of_memory

__all__ = ["rehearse", "run_shard"]

T = TypeVar("T")


@dataclass
class _Row:
    """What is known of one example: of the model, and of each method."""

    label: float | None = None
    target: int | None = None
    prediction: int | None = None
    output: float | None = None
    error: str | None = None
    answers: list[dict[str, Any]] = field(default_factory=list)


def run_shard(job: Job, shard: int) -> Path:
    """Make one shard of an audit and write its files, also if they are there already.

    What is written depends on the plan and on the number alone, so that it does not matter who
    makes it, when, and how often.

    Parameters
    ----------
    job : Job
        What `prepare` returned, here or in another process.
    shard : int
        0 .. ``job.n_shards - 1``.

    Returns
    -------
    Path
        The mark that the shard is done.

    Raises
    ------
    ValueError
        If there is no such shard.
    OSError
        If the disk is full, say; the shard is not done then, and nothing half is left.
    Exception
        What the model raised for an example, where the audit was planned with
        ``on_error="raise"``.

    Notes
    -----
    Examples that cannot be read, hold a NaN, or make the model or the method fail are recorded
    with the reason. Running out of memory is no fault of an example and ends the run.
    """
    start, stop = job.range_of(shard)
    work = _Work(job, start, stop)
    seconds: dict[str, list[float]] = {each.label: [] for each in job.methods}
    for first in range(start, stop, job.plan["batch_size"]):
        last = min(first + job.plan["batch_size"], stop)
        for label, spent in work.batch(first, last).items():
            seconds[label].append(spent / (last - first))
    mark = {"plan": job.digest, "shard": shard, "rows": [start, stop], "seconds": seconds}
    maps = None if work.maps is None else work.maps.tensors
    header = None if work.maps is None else {"shapes": work.maps.shapes, "first": start}
    job.folder.write_shard(shard, work.table(), maps, header, mark)
    return job.folder.mark(shard)


def rehearse(job: Job, count: int = 3) -> None:
    """Ask everything of a few examples from all over the data set.

    Raises
    ------
    ValueError
        If a method or a metric fails for each of them: the call is wrong then, not the data.
    """
    tried = []
    for number in job.source.probes(count):
        if job.source.read(number, number + 1, job.seed).ids:
            work = _Work(job, number, number + 1)
            work.batch(number, number + 1)
            tried.append(work.rows[0])
    good = [row for row in tried if row.error is None]
    if tried and not good:
        raise ValueError(f"model must explain examples, got: {tried[0].error}")
    for place, method in enumerate(job.methods):
        reasons = [row.answers[place].get("error") for row in good]
        if reasons and all(reasons):
            raise ValueError(f"{method.label} must explain examples, got: {reasons[0]}")


class _Work:
    """The rows and maps of a shard while they are made."""

    def __init__(self, job: Job, start: int, stop: int) -> None:
        self.job, self.start = job, start
        self.rows = [_Row(answers=[{} for _ in job.methods]) for _ in range(start, stop)]
        self.maps = None if job.form is None else MapShard(stop - start, job.form)

    def batch(self, first: int, last: int) -> dict[str, float]:
        """Explain examples ``first`` .. ``last - 1``; return the seconds of each method."""
        batch = self.job.source.read(first, last, self.job.seed)
        for number, reason in batch.bad.items():
            if self.job.raises:
                raise ValueError(f"dataset must have good examples, got {number}: {reason}")
            self.rows[number - self.start].error = reason
        batch = self._each(batch, self._predict, self._failed)
        spent = {}
        for place, method in enumerate(self.job.methods):
            began = time.perf_counter()

            def answer(part: Batch, place: int = place, method: MethodAsked = method) -> None:
                self._answer(part, place, method)

            def failed(row: _Row, reason: str, place: int = place) -> None:
                row.answers[place] = {"error": reason}

            self._each(batch, answer, failed)
            spent[method.label] = time.perf_counter() - began
        return spent

    def _each(
        self, batch: Batch, work: Callable[[Batch], None], failed: Callable[[_Row, str], None]
    ) -> Batch:
        """Do work for all examples together, or one by one where that fails; return the good."""
        if not batch.ids or self._done(batch, work, None):
            return batch
        rows = range(len(batch.ids))
        good = [row for row in rows if self._done(batch.take([row]), work, failed)]
        return batch.take(good)

    def _done(
        self,
        batch: Batch,
        work: Callable[[Batch], None],
        failed: Callable[[_Row, str], None] | None,
    ) -> bool:
        """Do work and tell whether it went well; without ``failed`` it is tried again."""
        try:
            work(batch)
        except Exception as error:  # of the user's model: any
            if is_out_of_memory(error):
                raise
            if failed is not None:
                if self.job.raises:
                    raise
                failed(self.rows[batch.ids[0] - self.start], reason_of(error))
            return False
        return True

    @staticmethod
    def _failed(row: _Row, reason: str) -> None:
        row.error = reason

    def _predict(self, batch: Batch) -> None:
        """Note outputs, predictions and targets."""
        outputs = Runner(self.job.model, target=EveryOutput()).outputs(batch.inputs).cpu()
        if len(outputs) != len(batch.ids):
            raise ValueError(
                f"model must return one row for each of {len(batch.ids)} example(s), got "
                f"{len(outputs)}"
            )
        if not bool(torch.isfinite(outputs).all()):
            raise ValueError("model must return finite outputs, got NaN or infinity")
        several = outputs.dim() == 2 and outputs.shape[1] > 1
        predicted = outputs.argmax(1).tolist() if several else [None] * len(batch.ids)
        for place, number in enumerate(batch.ids):
            row, label = self.rows[number - self.start], batch.labels[place]
            row.label, row.prediction = label, predicted[place]
            row.target = self._target(number, label, row.prediction)
            row.output = _explained(outputs[place], row.target, self.job.target)

    def _target(self, number: int, label: float | None, predicted: int | None) -> int | None:
        target = self.job.target
        if isinstance(target, Tensor):
            return int(target[number])
        if target == "prediction":
            return predicted
        if target == "label":
            if label is None or not float(label).is_integer():
                raise ValueError(f"label must be a whole number to be explained, got {label}")
            return int(label)
        return target if isinstance(target, int) else None

    def _answer(self, batch: Batch, place: int, method: MethodAsked) -> None:
        """Explain examples by a method and note what comes out."""
        job = self.job
        rows = [self.rows[number - self.start] for number in batch.ids]
        device = batch.inputs[0].device
        ids = torch.tensor(batch.ids, dtype=torch.int64, device=device)
        targets = [row.target for row in rows]
        target: Any = job.target if isinstance(job.target, tuple) else None
        if targets[0] is not None:
            target = torch.tensor(targets, dtype=torch.int64, device=device)
        found = method.explain(job.model, batch.inputs, target, job.baselines, job.seed, ids)
        parts = found.attributions
        parts = parts if isinstance(parts, tuple) else (parts,)
        if not all(bool(torch.isfinite(part).all()) for part in parts):
            raise ValueError("attributions must be finite, got NaN or infinity")
        answers = [{"gap": gap} for gap in _gaps(found.convergence_delta, len(rows))]
        base = method.options.get("baselines", job.baselines)
        for metric in job.metrics:
            values = metric.measure(job.model, found, method, base, job.seed, ids)
            for answer, value in zip(answers, values.tolist(), strict=True):
                answer[metric.label] = value
        self._keep(batch, method, parts)
        for row, answer in zip(rows, answers, strict=True):
            row.answers[place] = answer

    def _keep(self, batch: Batch, method: MethodAsked, parts: tuple[Tensor, ...]) -> None:
        """Set the maps: last, so that a row has all of an answer or nothing."""
        if self.maps is None:
            return
        places = [number - self.start for number in batch.ids]
        kept = [self.maps.form.kept(part) for part in parts]
        for number, (tensors, shape) in enumerate(kept):
            name = method.label if len(parts) == 1 else f"{method.label}.{number}"
            self.maps.set(name, places, tensors, shape)

    def table(self) -> Any:
        """Return the rows, one for each example and method, as a pyarrow table."""
        arrow = pyarrow()
        columns: dict[str, list[Any]] = {name: [] for name, _ in self._columns(arrow)}
        for number, row in enumerate(self.rows, self.start):
            for method, answer in zip(self.job.methods, row.answers, strict=True):
                known = {**vars(row), **answer, "id": number, "method": method.label}
                known["error"] = answer.get("error", row.error)
                for name, values in columns.items():
                    values.append(known.get(name))
        return arrow.table(columns, schema=arrow.schema(self._columns(arrow)))

    def _columns(self, arrow: Any) -> list[tuple[str, Any]]:
        return [
            ("id", arrow.int64()),
            ("method", arrow.string()),
            ("label", arrow.float64()),
            ("target", arrow.int64()),
            ("prediction", arrow.int64()),
            ("output", arrow.float64()),
            ("gap", arrow.float64()),
            ("error", arrow.string()),
            *((metric.label, arrow.float64()) for metric in self.job.metrics),
        ]


def _explained(outputs: Tensor, target: int | None, asked: Any) -> float | None:
    """Return the output that is explained, where it is one number."""
    if target is not None and outputs.dim() == 1:
        if not -len(outputs) <= target < len(outputs):
            raise ValueError(f"target must be less than {len(outputs)}, got {target}")
        return float(outputs[target])
    if isinstance(asked, tuple) and outputs.dim() == len(asked):
        return float(outputs[asked])
    return float(outputs) if outputs.numel() == 1 else None


def _gaps(delta: Tensor | None, rows: int) -> list[float | None]:
    """Return the completeness gap of each example; of several draws, that of their mean."""
    if delta is None or delta.numel() % rows or not delta.numel():
        return [None] * rows
    gaps: list[float | None] = delta.detach().double().cpu().reshape(rows, -1).mean(1).tolist()
    return gaps
