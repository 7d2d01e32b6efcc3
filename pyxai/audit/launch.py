"""Who makes the shards: this process, several, ranks of torchrun, actors of Ray, or a part."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed

from pyxai._checks import check_int, describe
from pyxai.audit.cluster import check_backend, pickled, run_on_ray
from pyxai.audit.job import Job, prepare
from pyxai.audit.results import Audit, load, merge
from pyxai.audit.shard import rehearse, run_shard, run_shards
from pyxai.runner import is_out_of_memory

__all__ = ["audit"]

Progress = Callable[[int, int], None]
_GRACE = 10.0  # seconds for workers to end by themselves: what one leaves, the next run makes
_JOB: list[Job] = []  # of a worker process


def audit(
    model: Callable[..., Any] | str,
    dataset: Any,
    methods: Any,
    metrics: Any = (),
    out: str | Path = "out/audit",
    *,
    target: Any = "prediction",
    label: str | None = None,
    baselines: Any = None,
    reduce: str | None = None,
    dtype: str = "float32",
    top_k: int | float | None = None,
    maps: bool = True,
    seed: int = 0,
    shard_size: int | None = None,
    batch_size: int | None = None,
    on_error: str = "record",
    backend: str | tuple[str, dict[str, float]] = "local",
    workers: int = 0,
    threads: int | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Explain every example of a data set by several methods, and measure how well.

    What is done is in files; called again with the same arguments it goes on where it was, and in
    the end the files are the same bytes as without a break.

    Parameters
    ----------
    model : callable or str
        A model, or ``"module:function"`` that makes one: each process calls it then.
    dataset : Dataset, DataLoader, Tensor, array, tuple of these, DataFrame, iterable, str or Path
        Examples are numbered in the order of the data set, also where a loader shuffles. An example
        is a tensor or a tuple of tensors, the inputs of the model; where the last of several is
        one number, it is the label. A path is a Parquet file, a folder of these, or a folder of
        pictures with a folder for each class. What is gone through must start anew each time.
    methods : str, class, Attribution, or sequence or dict of these
        Each of them, or a pair ``(method, options)``; a dict gives them names of its own.
    metrics : str, callable, or sequence or dict of these
        Names of `pyxai.metrics` (`METRICS` lists them), or functions ``(model, inputs,
        attributions, *, target)`` of one number for each example; also with options. Information
        curves have the option ``to_bytes``: the range of inputs that stands for 0 .. 255, a pair of
        numbers or of sequences with one for each channel, or a function to uint8 pictures.
        ``"principles"``, of at most 16 players or groups of a ``feature_mask``, has a column for
        each mark and measure.
    out : str or Path
        Folder. It is made; one that holds another audit is refused.
    target : "prediction", "label", int, tuple, None, or sequence of int
        Which output is explained: the largest (the only one, where there is one), that of the
        label, one for all, or one for each example of the data set.
    label : str, optional
        Column of a table or a Parquet file that is the label.
    baselines : float or Tensor, optional
        Of all methods that take it and have none among their options: one for all examples, shape
        [1, *features], or for methods that average over baselines a set [n_background, *features].
    reduce : "sum", "mean", "abs_sum", "abs_max" or "norm", optional
        What is kept of dimension 1 of attributions, the channels.
    dtype : "float64", "float32", "float16" or "bfloat16"
        Of the maps. An attribution out of its range is an error of that example.
    top_k : int or float, optional
        Keep so many values of a map, or that fraction: those of largest absolute value.
    maps : bool
        Whether maps are kept; metrics are measured on whole attributions in any case.
    seed : int
        Random numbers depend on it and on the number of an example alone.
    shard_size, batch_size : int, optional
        Examples in a shard, which is done as a whole, and in memory at a time. Default: by the
        size of inputs and maps.
    on_error : "record" or "raise"
        Whether an example that cannot be explained is a row with the reason, or an error.
    backend : "local", "ray", or a pair of "ray" and a dict
        Who makes the shards: processes of this machine, or actors of Ray, on the cluster that
        runs or, where there is none, on this machine; ``out`` must be a folder that all nodes see.
        The dict is what each actor holds: ``"num_cpus"``, ``"num_gpus"``, ``"memory"`` in bytes,
        others by their name in the cluster. By ``("ray", {"num_gpus": 1})`` the model is moved to
        the GPU of its actor. Default: as many CPUs as threads, a GPU if the model is on one.
    workers : int
        Processes or actors to start; 0: this one works itself, or as many actors as there is room
        for. Model and data set are pickled.
    threads : int, optional
        Of torch in each process. Default: what is set, divided among the workers; of an actor,
        its CPUs. Sums in another order differ in their last bits, so that equal bytes take equal
        ``threads``.
    shard : str, optional
        ``"i/n"``: do every n-th shard, from the i-th, 0 .. n - 1, as in an array of jobs. Default:
        all, or those of this rank where ``torchrun`` has started the process.
    progress : callable, optional
        ``progress(done, total)`` after each shard that this call has to do.

    Returns
    -------
    Audit
        The readers; see `load`. Complete unless other parts are still to be done.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit; before the first example is explained.
    OSError
        If the disk is full or the folder cannot be written to; what is done stays.
    RuntimeError
        If a worker process was ended, or one shard ended three actors; what is done stays.
    ImportError
        If Ray is asked for and is not installed.

    Notes
    -----
    Cost: that of the methods and metrics, and one row for each example. Memory does not grow with
    the number of examples.

    Examples
    --------
    >>> import tempfile, torch
    >>> from pyxai.audit import audit
    >>> model, rows = torch.nn.Linear(3, 2), torch.randn(5, 3)
    >>> found = audit(model, rows, ["saliency", "integrated_gradients"], out=tempfile.mkdtemp())
    >>> found.maps("saliency").shape
    torch.Size([5, 3])
    """
    check_int("workers", workers, minimum=0)
    if threads is not None:
        check_int("threads", threads, minimum=1)
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable or None, got {describe(progress)}")
    by_ray, held = check_backend(backend)
    part, whole, ranks = _part(shard)
    job = prepare(
        model,
        dataset,
        methods,
        metrics,
        out,
        target=target,
        label=label,
        baselines=baselines,
        reduce=reduce,
        dtype=dtype,
        top_k=top_k,
        maps=maps,
        seed=seed,
        shard_size=shard_size,
        batch_size=batch_size,
        on_error=on_error,
    )
    mine = [each for each in job.pending() if each % whole == part]
    if mine:
        _rehearsed(job)
    if by_ray:
        run_on_ray(job, mine, workers, threads, held, progress)
    elif workers:
        _with_workers(job, mine, workers, threads, progress)
    else:
        with _threads(threads):
            for done, _ in enumerate(run_shards(job, mine), 1):
                if progress is not None:
                    progress(done, len(mine))
    with _all_ranks(ranks):  # the first one merges when all are there, the others wait for it
        if (part == 0 or not ranks) and _is_done(job):
            merge(job.out)
    return load(job.out)


def _part(shard: Any) -> tuple[int, int, bool]:
    """Return which part of how many is asked for, and whether ranks of torchrun do the others."""
    if shard is None:
        if not distributed.is_torchelastic_launched():
            return 0, 1, False
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), True
    if not isinstance(shard, str):
        raise TypeError(f"shard must be a text such as '0/4', got {describe(shard)}")
    first, _, second = shard.partition("/")
    if not (first.isdecimal() and second.isdecimal() and int(first) < int(second)):
        raise ValueError(f"shard must be 'i/n' with i in 0 .. n - 1, got {shard!r}")
    return int(first), int(second), False


def _rehearsed(job: Job) -> None:
    """Try the call on a few examples; one that is refused leaves the folder to the next."""
    try:
        rehearse(job)
    except Exception as error:
        if not is_out_of_memory(error):  # which others may have enough of
            job.take_back()
        raise


def _is_done(job: Job) -> bool:
    return all(job.folder.mark(each).exists() for each in range(job.n_shards))


def _with_workers(
    job: Job, shards: list[int], workers: int, threads: int | None, progress: Progress | None
) -> None:
    threads = threads or max(1, torch.get_num_threads() // workers)
    if not shards:
        return
    with TemporaryDirectory(prefix="pyxai-audit-") as folder:
        # By a file: what is sent while a process starts is waited for, also where it ended before.
        sent = Path(folder) / "job"
        sent.write_bytes(pickled(job))
        _pooled(sent, shards, min(workers, len(shards)), threads, progress)


def _pooled(
    sent: Path, shards: list[int], workers: int, threads: int, progress: Progress | None
) -> None:
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(sent, threads),
    )
    try:
        waiting = [pool.submit(_work, each) for each in shards]
        for done, future in enumerate(as_completed(waiting), 1):
            future.result()
            if progress is not None:
                progress(done, len(shards))
    except BrokenProcessPool as error:
        raise RuntimeError(
            "workers must live until the end, got one that was ended (memory ran out, say), or "
            "could not read the model or the data set: give both from a module that can be "
            "imported, and start the program under if __name__ == '__main__'. Shards that are done "
            "stay, and a new run goes on there"
        ) from error
    finally:
        _ended(pool)


def _ended(pool: ProcessPoolExecutor) -> None:
    """End a pool, and workers that wait for another one that was killed as it took its work."""
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _GRACE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()


def _start(sent: Path, threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _JOB[:] = [pickle.loads(sent.read_bytes())]


def _end_with_parent() -> None:
    """End this process when the one that started it was killed: no more work will come."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(shard: int) -> None:
    run_shard(_JOB[0], shard)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _all_ranks(there_are: bool) -> Iterator[None]:
    """Wait for the other ranks before and after a block; by gloo, whatever else they use."""
    if not there_are:
        yield
        return
    made = not distributed.is_initialized()
    if made:
        distributed.init_process_group("gloo")
    try:
        group = None if made else distributed.new_group(backend="gloo")
        distributed.barrier(group)
        yield
        distributed.barrier(group)
    finally:
        if made:
            distributed.destroy_process_group()
