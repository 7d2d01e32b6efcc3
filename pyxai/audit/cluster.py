"""Ray makes the shards: actors that each hold the model, wherever a cluster has room for them."""

from __future__ import annotations

import importlib
import os
import pickle
import platform
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from pyxai._checks import check_choice, check_number
from pyxai._errors import warn
from pyxai._extras import optional
from pyxai.audit.identity import digest_of_data, digest_of_plan
from pyxai.audit.job import Job, read_plan
from pyxai.audit.shard import rehearse, run_shard

__all__ = ["check_backend", "pickled", "run_on_ray"]

_TRIES = 3  # of a shard whose actor died each time: it is what kills them, then
_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU"}  # of Ray's options, and of what a node has


def check_backend(backend: Any) -> tuple[bool, dict[str, float]]:
    """Return whether Ray makes the shards, and what each actor is to hold."""
    name, held = backend if isinstance(backend, tuple) and len(backend) == 2 else (backend, {})
    check_choice("backend", name, ("local", "ray"))
    if not isinstance(held, Mapping) or (held and name == "local"):
        raise ValueError(
            "backend must be 'local', 'ray' or a pair such as ('ray', {'num_gpus': 1}), got "
            f"{backend!r}"
        )
    for each, amount in held.items():
        if check_number(f"{each} of backend", amount) < 0:
            raise ValueError(f"{each} of backend must be at least 0, got {amount}")
    return name == "ray", dict(held)


def run_on_ray(
    job: Job,
    shards: list[int],
    workers: int,
    threads: int | None,
    held: dict[str, float],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Make shards by actors of Ray, on the cluster that is running or on one of this machine.

    Parameters
    ----------
    job : Job
    shards : list of int
    workers : int
        How many actors; 0: as many as there is room for now.
    threads : int or None
        Of torch in each; None: its CPUs.
    held : dict
        What each holds; of CPUs its threads, and a GPU where the model is on one, unless said.
    progress : callable or None
        As for `audit`.

    Raises
    ------
    RuntimeError
        If the actor of a shard died each time that it was tried.
    ValueError
        If no node has what each holds, and none can come.
    Exception
        What a shard raised.
    """
    ray = _ray()
    need = {"num_cpus": threads or 1, "num_gpus": float(job.device.type == "cuda"), **held}
    threads = threads or max(1, int(need["num_cpus"]))
    if not shards:
        return
    # Bytes, which each actor reads into arrays of its own: those of the object store are shared
    # and cannot be written to.
    sent = pickled(job, ray.cloudpickle.dumps)
    with _cluster(ray) as own:
        _check_room(ray, need, own)
        workers = min(workers or _room(ray, need), len(shards))
        first = ray.put(sent), job.digest, threads, need["num_gpus"] > 0, os.getcwd(), sys.path
        crew = _Crew(ray, _options(need), first, shards)
        with crew:
            for _ in range(workers):
                crew.hire()
            for done, _ in enumerate(crew.finished(), 1):
                if progress is not None:
                    progress(done, len(shards))


def pickled(job: Job, dumps: Callable[[Job], bytes] = pickle.dumps) -> bytes:
    """Return a job as bytes for other processes.

    Raises
    ------
    TypeError
        If the model or the data set cannot be sent.
    """
    try:
        return dumps(job)
    except Exception as error:  # pickle has no error of its own for all that it meets
        raise TypeError(
            "model and dataset must be picklable to be sent to workers, got "
            f"{type(error).__name__}: {error}; give 'module:function' that makes the model, and a "
            "data set whose class is in a module"
        ) from error


class _Actor:
    """What Ray runs in a process of its own."""

    def start(
        self, sent: bytes, digest: str, threads: int, gpu: bool, folder: str, path: list[str]
    ) -> None:
        """Take the job; here and not when it is made, so that errors keep their type."""
        sys.path += [each for each in path if each not in sys.path]
        with suppress(OSError):  # relative paths mean what they do where the audit was started
            os.chdir(folder)
        torch.set_num_threads(threads)
        self.job: Job = pickle.loads(sent)
        plan = self.job.folder.plan
        if not _is_plan(plan, digest):
            raise ValueError(
                "out must be a folder that all nodes of the cluster share, got "
                f"{str(plan.parent)!r}, which is another one on node {platform.node()}"
            )
        if digest_of_data(self.job.source, self.job.seed) != self.job.plan["dataset"]:
            raise ValueError(
                "dataset must be the same on all nodes of the cluster, got another one on node "
                f"{platform.node()}"
            )
        if self.job.settle(torch.device("cuda") if gpu and torch.cuda.is_available() else None):
            rehearse(self.job)  # what the options hold may have stayed where it was

    def make(self, shard: int) -> None:
        """Make a shard."""
        run_shard(self.job, shard)


class _Crew:
    """The actors that are alive, and the shards that are still to be made."""

    def __init__(
        self, ray: Any, options: dict[str, Any], first: tuple[Any, ...], shards: list[int]
    ) -> None:
        self.ray, self.first = ray, first
        self.kind = ray.remote(_Actor).options(**options)
        self.left = deque(shards)
        self.busy: dict[Any, tuple[Any, int | None]] = {}  # what is waited for: actor and shard
        self.deaths: Counter[int | None] = Counter()
        errors = ("RayActorError", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError")
        self.death = tuple(getattr(ray.exceptions, name) for name in errors)

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *error: object) -> None:
        for actor, _ in self.busy.values():
            self._dismiss(actor)

    def hire(self) -> None:
        """Ask for one more actor; it gets a shard when it has started."""
        actor = self.kind.remote()
        self.busy[actor.start.remote(*self.first)] = actor, None

    def finished(self) -> Iterator[int]:
        """Give the shards as they are done."""
        while self.busy:
            (ready, *_), _ = self.ray.wait(list(self.busy), num_returns=1)
            actor, shard = self.busy.pop(ready)
            try:
                self.ray.get(ready)
            except self.death as error:
                self._bury(actor, shard, error)
                continue
            except self.ray.exceptions.RayTaskError as error:
                self._dismiss(actor)
                raise error.cause from error  # as it was raised there, of its own type
            self.deaths[None] = 0
            if self.left:
                following = self.left.popleft()
                self.busy[actor.make.remote(following)] = actor, following
            else:
                self._dismiss(actor)  # others may need its room
            if shard is not None:
                yield shard

    def _bury(self, actor: Any, shard: int | None, error: Exception) -> None:
        """Put the shard of an actor that died back, and take another actor."""
        self._dismiss(actor)  # where it can only not be reached
        self.deaths[shard] += 1
        if self.deaths[shard] == _TRIES:
            what = "none started" if shard is None else f"each that was given shard {shard} died"
            raise RuntimeError(
                f"workers must live until the end, got {_TRIES} of Ray's of which {what} (memory "
                "ran out, say). Shards that are done stay, and a new run goes on there"
            ) from error
        if shard is not None:
            self.left.appendleft(shard)
        self.hire()

    def _dismiss(self, actor: Any) -> None:
        self.ray.kill(actor)


def _is_plan(path: Path, digest: str) -> bool:
    """Tell whether the folder that this node sees holds the plan of the audit."""
    try:
        return digest_of_plan(read_plan(path)) == digest
    except (OSError, ValueError):
        return False


def _ray() -> Any:
    with optional("audits by Ray need", "ray>=2.9", "ray"):
        return importlib.import_module("ray")


@contextmanager
def _cluster(ray: Any) -> Iterator[bool]:
    """Use the cluster that is there, or have one for a block; tell whether it is of our own."""
    if ray.is_initialized():
        yield False
        return
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None  # Ray sets its own
    own = False
    try:
        try:  # what `ray start` has made on this machine, or RAY_ADDRESS names
            ray.init("auto", logging_level="ERROR")
        except ConnectionError:
            own = True
            ray.init("local", include_dashboard=False, logging_level="ERROR")
        yield own
    finally:
        ray.shutdown()
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _options(need: dict[str, float]) -> dict[str, Any]:
    """Return resources as Ray takes them: those that it does not know have a dict of their own."""
    known = {name: need[name] for name in need if name in (*_NAMES, "memory")}
    return {**known, "resources": {name: need[name] for name in need if name not in known}}


def _check_room(ray: Any, need: dict[str, float], own: bool) -> None:
    """Raise, or warn of a wait for nodes that are to come, if no node has all that is needed."""
    nodes = [each["Resources"] for each in ray.nodes() if each["Alive"]]
    if any(_fits(node, need) for node in nodes):
        return
    most = {
        name: max((node.get(_NAMES.get(name, name), 0) for node in nodes), default=0)
        for name in need
    }
    said = f"backend must ask for what a node has, got {need}, where a node has at most {most}"
    if own:
        raise ValueError(said)
    warn(f"{said}; the audit waits for another node")


def _fits(node: dict[str, float], need: dict[str, float]) -> bool:
    return all(node.get(_NAMES.get(name, name), 0) >= amount for name, amount in need.items())


def _room(ray: Any, need: dict[str, float]) -> int:
    """Return for how many actors there is room now, at least one."""
    free = ray.available_resources()
    asked = {**need, "num_cpus": need["num_cpus"] or 1}
    return max(
        1,
        min(
            int(free.get(_NAMES.get(name, name), 0) // amount)
            for name, amount in asked.items()
            if amount
        ),
    )
