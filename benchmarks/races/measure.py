"""One case: its memory, its errors, and then its times by turns."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from _timing import notes
from run import tidy
from torch import Tensor, nn

from pyxai._timing import Taken, best_size, extra_peak_bytes, interleave, time_call
from races.case import Call, Curves, Race, Task, Tuned, to_float64

OURS = "ours"
LONG_ENOUGH = 0.02  # seconds: of shorter calls several are timed as one
DRAWN = 0.2  # error of a sampler at most, whatever ours is
SAME_LAW = 10.0  # times the error of another sampler: more is another result, not another draw


@dataclass(frozen=True)
class Length:
    """How long to measure: rounds at most, and the seconds that they may take in all."""

    rounds: int
    seconds: float
    threads: int = 1


def measure(made: Race | Curves, length: Length) -> dict[str, Any]:
    """Return a row of the results."""
    if isinstance(made, Curves):
        torch.set_num_threads(length.threads)
        return {"against": made.against, "curves": points(made)}
    failed: dict[str, str] = {}
    calls = {OURS: made.ours, **tuned(made, length.threads, failed)}
    peaks = {
        name: in_a_child(lambda run=run: peak_of(run, length.threads))
        for name, run in calls.items()
    }
    torch.set_num_threads(length.threads)
    values = run_once(calls, failed)
    refused: dict[str, str] = {}
    given = {name: value for name, value in values.items() if name not in made.floors}
    errors, against = errors_of(made, given, refused)
    failed |= unequal(made, errors)
    runs = {name: run for name, run in calls.items() if name not in failed}
    rows = {name: rows_of(run, made.counted) for name, run in runs.items()}
    return {
        **times_of(runs, length),
        "floors": list(made.floors),
        "model rows": {name: count for name, count in rows.items() if count},
        "peak MB": {name: round(peak / 1e6, 1) for name, peak in peaks.items() if peak is not None},
        "error": {name: float(f"{error:.2e}") for name, error in errors.items()},
        "against": against,
        "oracles that refused": refused,
        "failed": failed,
        "note": made.note,
    }


def peak_of(run: Call, threads: int) -> int | None:
    """Return the peak of a second call, beyond what the first one leaves for good."""
    torch.set_num_threads(threads)
    run()
    gc.collect()
    free = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc gives back what is free
    if free is not None:
        free(0)
    return extra_peak_bytes(run)


def in_a_child(run: Callable[[], Any]) -> Any:
    """Return what ``run`` returns in a process of its own, whose memory nobody used before.

    What goes wrong there goes wrong here too, where it is told, so that None will do.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(run(), pipe)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        given = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(given) if given else None


def why(error: BaseException) -> str:
    """Return the first line of what an error says, with its type."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:160].rstrip(": ")


def tuned(made: Race, threads: int, failed: dict[str, str]) -> dict[str, Call]:
    """Return peers and floors as calls, each at its best size of a batch."""
    found: dict[str, Call] = {}
    for name, run in {**made.peers, **made.floors}.items():
        if not isinstance(run, Tuned):
            found[name] = run
            continue
        best = in_a_child(lambda run=run: best_of(run, threads))
        if isinstance(best, int):
            found[name] = run.make(best)
        else:
            failed[name] = best or "its process ended"
    return found


def best_of(run: Tuned, threads: int) -> int | str:
    """Return the size that takes least, by one round of long calls and several of short ones.

    Where a call raises, return why.
    """
    torch.set_num_threads(threads)
    if len(run.sizes) == 1:
        return run.sizes[0]
    try:
        seconds = time_call(run.make(run.sizes[-1]), torch.device("cpu")).processor
        return best_size(run.make, run.sizes, rounds=1 if seconds > 0.2 else 5)
    except Exception as error:
        return why(error)


def run_once(calls: Mapping[str, Call], failed: dict[str, str]) -> dict[str, Any]:
    """Return what each call returns; a peer that raises is noted, ours must not."""
    found = {}
    for name, run in calls.items():
        try:
            found[name] = run()
        except Exception as error:
            if name == OURS:
                raise
            failed[name] = why(error)
    return found


def errors_of(
    made: Race, values: Mapping[str, Any], refused: dict[str, str]
) -> tuple[dict[str, float], str]:
    """Return each side's error, relative to the largest value of the oracle, and its name."""
    for against, oracle in made.oracles.items():
        try:
            exact = to_float64(oracle())
        except Exception as error:
            refused[against] = why(error)
            continue
        largest = float(exact.abs().max())
        if largest == 0:
            refused[against] = "0 everywhere"
            continue
        return {name: miss(value, exact) / largest for name, value in values.items()}, against
    if made.oracles:
        raise ValueError(f"no oracle works: {refused}")
    return {}, ""


def miss(value: Any, exact: Tensor) -> float:
    found = to_float64(value)
    if found.numel() != exact.numel():
        return float("inf")
    return float((found.reshape(exact.shape) - exact).square().mean().sqrt())


def unequal(made: Race, errors: Mapping[str, float]) -> dict[str, str]:
    """Return the peers whose result is another one; ours must be equal."""
    if not errors:
        return {}
    own = errors[OURS]
    allowed = made.tolerance
    if made.sampled:
        allowed = max(allowed, SAME_LAW * min(errors.values()))
    if not own <= allowed:
        raise AssertionError(f"our error of {own:.1e} is above {allowed:.1e}")
    bound = max(made.tolerance, SAME_LAW * own, DRAWN) if made.sampled else made.tolerance
    return {
        name: f"not equal: its error is {error:.1e}, ours {own:.1e}"
        for name, error in errors.items()
        if not error <= bound
    }


def rows_of(run: Call, task: Task | None) -> int | None:
    """Return how many rows a call gives the net of a task."""
    if task is None:
        return None
    count, nets = 0, (task.model, task.twin.model)

    def note(called: nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal count
        if given and any(called is net for net in nets):
            count += len(given[0])

    with torch.nn.modules.module.register_module_forward_pre_hook(note):
        run()
    return count


def times_of(runs: Mapping[str, Call], length: Length) -> dict[str, Any]:
    """Return ratios and times of calls that take turns; short ones are repeated within a turn."""
    once = {name: time_call(run, torch.device("cpu")).wall for name, run in runs.items()}
    counts = {name: max(1, min(40, int(LONG_ENOUGH / taken))) for name, taken in once.items()}
    turn = sum(taken * counts[name] for name, taken in once.items())
    rounds = max(2, min(length.rounds, int(length.seconds / turn)))
    found = interleave(
        {name: repeated(run, counts[name]) for name, run in runs.items()}, rounds=rounds, warm_up=0
    )
    times = {
        name: [Taken(taken.wall / counts[name], taken.processor / counts[name]) for taken in row]
        for name, row in found.items()
    }
    row = tidy({"fullname": "", "extra_info": notes(times), "stats": {"median": 0.0}})
    row.pop("benchmark")
    return {**row, "rounds": rounds}


def repeated(run: Call, count: int) -> Call:
    return lambda: [run() for _ in range(count)]


def points(made: Curves) -> dict[str, Any]:
    """Return for each sampler its budgets, milliseconds and errors, or why there are none."""
    exact = to_float64(made.oracle())
    found: dict[str, Any] = {}
    for name, run in made.tools.items():
        try:
            run(made.budgets[0], 0)
            rows = [point(run, budget, made.repeats, exact) for budget in made.budgets]
        except Exception as error:
            if name == "pyxai":
                raise
            found[name] = {"failed": why(error), "points": []}
            continue
        found[name] = {"points": rows}
    return found


def point(run: Any, budget: int, repeats: int, exact: Tensor) -> dict[str, float]:
    seconds, squares = [], []
    for seed in range(repeats):
        start = time.process_time()
        scores = run(budget, seed)
        seconds.append(time.process_time() - start)
        squares.append(miss(scores, exact) ** 2)
    error = statistics.mean(squares) ** 0.5 / float(exact.abs().max())
    ms = 1e3 * statistics.median(seconds)
    return {"budget": budget, "ms": round(ms, 3), "error": float(f"{error:.3e}")}
