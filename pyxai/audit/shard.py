"""Make one shard: explain its examples, measure the explanations, write the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import is_finite
from pyxai.audit.data import Batch
from pyxai.audit.data.source import reason_of
from pyxai.audit.job import Job
from pyxai.audit.maps import MapShard
from pyxai.audit.questions import MethodAsked, outputs_at_baselines, outputs_seen
from pyxai.audit.rows import NOTHING, Rows
from pyxai.explanation import Explanation
from pyxai.runner import Runner, is_out_of_memory

__all__ = ["rehearse", "run_shard", "run_shards"]


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
    _explain(job, shard)()
    return job.folder.mark(shard)


def run_shards(job: Job, shards: Iterable[int]) -> Iterator[int]:
    """Make shards one after the other, and give the number of each when it is done.

    The files of one are written while the examples of the next are explained, by one thread, so
    that they come in the order of the shards, the mark of each last. Two shards are in memory then.
    Whatever ends this, the shard that is being written is written to its end.
    """
    with ThreadPoolExecutor(1, "pyxai-audit") as writer:
        written: Future[int] | None = None
        for shard in shards:
            write = _explain(job, shard)
            if written is not None:
                yield written.result()
            written = writer.submit(write)
        if written is not None:
            yield written.result()


def _explain(job: Job, shard: int) -> Callable[[], int]:
    """Explain the examples of a shard and return what writes its files."""
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

    def write() -> int:
        job.folder.write_shard(shard, work.rows.table(start), maps, header, mark)
        return shard

    return write


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
            tried.append(work.rows)
    good = [rows for rows in tried if rows.error[0] is None]
    if tried and not good:
        raise ValueError(f"model must explain examples, got: {tried[0].error[0]}")
    for method in job.methods:
        reasons = [rows.answers[method.label].error[0] for rows in good]
        if reasons and all(reasons):
            raise ValueError(f"{method.label} must explain examples, got: {reasons[0]}")


class _Work:
    """The rows and maps of a shard while they are made."""

    def __init__(self, job: Job, start: int, stop: int) -> None:
        self.job, self.start = job, start
        self.rows = Rows(
            stop - start,
            [method.label for method in job.methods],
            [column for metric in job.metrics for column in metric.columns],
        )
        self.maps = None if job.form is None else MapShard(stop - start, job.form)
        self.at_baselines: dict[str, Tensor | None] = {}  # the outputs, by method

    def batch(self, first: int, last: int) -> dict[str, float]:
        """Explain examples ``first`` .. ``last - 1``; return the seconds of each method."""
        batch = self.job.source.read(first, last, self.job.seed)
        for number, reason in batch.bad.items():
            if self.job.raises:
                raise ValueError(f"dataset must have good examples, got {number}: {reason}")
            self.rows.error[number - self.start] = reason
        batch = self._each(batch, self._predict, self.rows.error)
        spent = {}
        for method in self.job.methods:
            began = time.perf_counter()
            answer = partial(self._answer, method=method)
            self._each(batch, answer, self.rows.answers[method.label].error)
            spent[method.label] = time.perf_counter() - began
        return spent

    def _each(self, batch: Batch, work: Callable[[Batch], None], errors: list[str | None]) -> Batch:
        """Do work for all examples together, or one by one where that fails; return the good."""
        if not batch.ids or self._done(batch, work, None):
            return batch
        rows = range(len(batch.ids))
        return batch.take([row for row in rows if self._done(batch.take([row]), work, errors)])

    def _done(
        self, batch: Batch, work: Callable[[Batch], None], errors: list[str | None] | None
    ) -> bool:
        """Do work and tell whether it went well; without ``errors`` it is tried again."""
        try:
            work(batch)
        except Exception as error:  # of the user's model: any
            if is_out_of_memory(error):
                raise
            if errors is not None:
                if self.job.raises:
                    raise
                errors[batch.ids[0] - self.start] = reason_of(error)
            return False
        return True

    def _predict(self, batch: Batch) -> None:
        """Note outputs, predictions and targets."""
        seen = outputs_seen(self.job.target)
        outputs = Runner(self.job.model, target=seen).outputs(batch.inputs).cpu()
        if len(outputs) != len(batch.ids):
            raise ValueError(
                f"model must return one row for each of {len(batch.ids)} example(s), got "
                f"{len(outputs)}"
            )
        if not is_finite(outputs):
            raise ValueError("model must return finite outputs, got NaN or infinity")
        rows = self._places(batch)
        self.rows.label[rows] = batch.labels
        if outputs.dim() == 2 and outputs.shape[1] > 1:
            self.rows.prediction[rows] = outputs.argmax(1).numpy()
        targets = self._targets(batch, self.rows.prediction[rows])
        self.rows.target[rows] = targets
        self.rows.output[rows] = _explained(outputs, targets, self.job.target)

    def _targets(self, batch: Batch, predicted: Any) -> Any:
        """Return the index of the explained output of each example, or that there is none."""
        target = self.job.target
        if isinstance(target, Tensor):
            return target[batch.ids].numpy()
        if target == "prediction":
            return predicted
        if target == "label":
            odd = ~(batch.labels % 1 == 0)
            if odd.any():
                raise ValueError(
                    f"label must be a whole number to be explained, got {batch.labels[odd][0]}"
                )
            return batch.labels.astype(np.int64)
        return np.full(len(batch.ids), target if isinstance(target, int) else NOTHING)

    def _answer(self, batch: Batch, method: MethodAsked) -> None:
        """Explain examples by a method and note what comes out."""
        job, rows = self.job, self._places(batch)
        device = batch.inputs[0].device
        ids = torch.tensor(batch.ids, dtype=torch.int64, device=device)
        targets = self.rows.target[rows]
        target: Any = job.target if isinstance(job.target, tuple) else None
        if targets[0] != NOTHING:
            target = torch.from_numpy(np.array(targets)).to(device)
        found = method.explain(job.model, batch.inputs, target, job.baselines, job.seed, ids)
        parts = found.attributions
        parts = parts if isinstance(parts, tuple) else (parts,)
        if not all(map(is_finite, parts)):
            raise ValueError("attributions must be finite, got NaN or infinity")
        base = method.options.get("baselines", job.baselines)
        values = {
            column: numbers.numpy()
            for metric in job.metrics
            for column, numbers in metric.measure(
                job.model, found, method, base, job.seed, ids
            ).items()
        }
        gap = _gaps(found.convergence_delta, len(batch.ids))
        change = self._change(rows, method, found) if np.isfinite(gap).any() else np.nan
        self._keep(rows, method, parts)
        # Last, so that a row has all of an answer or nothing.
        answer = self.rows.answers[method.label]
        answer.gap[rows], answer.relative_gap[rows] = gap, _relative(gap, change)
        for name, each in values.items():
            answer.metrics[name][rows] = each

    def _change(self, rows: Any, method: MethodAsked, found: Explanation) -> Any:
        """Return how much the output changes from the baselines, NaN where that says nothing."""
        if method.label not in self.at_baselines:
            self.at_baselines[method.label] = outputs_at_baselines(
                self.job.model, method, found, self.job.target
            )
        start = self.at_baselines[method.label]
        if start is None:
            return np.nan
        targets = self.rows.target[rows]
        start = start.expand(len(targets), *start.shape[1:])
        return self.rows.output[rows] - np.asarray(_explained(start, targets, self.job.target))

    def _keep(self, rows: Any, method: MethodAsked, parts: tuple[Tensor, ...]) -> None:
        """Set the maps."""
        if self.maps is None:
            return
        kept = [self.maps.form.kept(part) for part in parts]
        for number, (tensors, shape) in enumerate(kept):
            name = method.label if len(parts) == 1 else f"{method.label}.{number}"
            self.maps.set(name, rows, tensors, shape)

    def _places(self, batch: Batch) -> Any:
        """Return the rows of examples, as a slice where they stand side by side."""
        first, last = batch.ids[0] - self.start, batch.ids[-1] - self.start
        if last - first + 1 == len(batch.ids):
            return slice(first, last + 1)
        return np.array(batch.ids) - self.start


def _explained(outputs: Tensor, targets: Any, asked: Any) -> Any:
    """Return the output that is explained, NaN where it is not one number."""
    if targets[0] != NOTHING and outputs.dim() == 2:
        odd = (targets < -outputs.shape[1]) | (targets >= outputs.shape[1])
        if odd.any():
            raise ValueError(f"target must be less than {outputs.shape[1]}, got {targets[odd][0]}")
        return outputs.gather(1, torch.from_numpy(targets % outputs.shape[1])[:, None])[:, 0]
    if isinstance(asked, tuple) and outputs.dim() == 2:
        return outputs[:, asked[0]]
    return outputs.reshape(-1) if outputs.numel() == len(outputs) else np.nan


def _relative(gap: Any, change: Any) -> Any:
    """Return gaps as shares of the changes of the output, NaN where nothing changes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.abs(np.asarray(gap) / np.asarray(change))
    return np.where(np.isfinite(share), share, np.nan)


def _gaps(delta: Tensor | None, rows: int) -> Any:
    """Return the completeness gap of each example; of several draws, that of their mean."""
    if delta is None or delta.numel() % rows or not delta.numel():
        return np.nan
    return delta.detach().double().cpu().reshape(rows, -1).mean(1).numpy()
