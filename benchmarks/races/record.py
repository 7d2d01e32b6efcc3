"""All cases, each in a process of its own, and a file that is written as each of them ends."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from _environment import commit, describe, version

from races.case import Case, Task
from races.measure import Length, measure, why

SPENT = "processor time, ours / "
PACKAGES = ("captum", "shap", "shapiq", "zennit", "saliency")
Nets = dict[str, Callable[[bool], Task]]


@dataclass(frozen=True)
class Plan:
    """What a run is to do, and by when."""

    path: Path
    quick: bool
    length: Length
    seconds_a_case: float
    seconds: float  # of all cases


def run(cases: Sequence[Case], nets: Nets, plan: Plan) -> list[dict[str, Any]]:
    """Measure the cases that the file does not hold yet; return all rows of the file.

    A case that fails or takes too long leaves a row that says so, and is not tried again.
    """
    start = time.monotonic()
    record = open_record(plan)
    held = {row["benchmark"] for row in record["rows"]}
    waiting = [case for case in cases if case.name not in held]
    for number, case in enumerate(waiting):
        left = plan.seconds - (time.monotonic() - start)
        if left <= 0:
            print(f"out of time, not run: {', '.join(each.name for each in waiting[number:])}")
            break
        began = time.monotonic()
        row = in_a_process(case, nets, plan, min(left, plan.seconds_a_case))
        more = {"watched": True} if case.watched else {}
        record["rows"].append({"benchmark": case.name, **more, **where(began), **row})
        write(plan.path, record)
        print(line_of(record["rows"][-1]), flush=True)
    return list(record["rows"])


def open_record(plan: Plan) -> dict[str, Any]:
    """Return what the file holds, or a new record; a file of other settings is not added to."""
    settings = {"quick": plan.quick, "threads": plan.length.threads}
    if not plan.path.exists():
        peers = {name: version(name) for name in PACKAGES}
        return {"environment": {**describe(), **settings, "peers": peers}, "rows": []}
    record: dict[str, Any] = json.loads(plan.path.read_text())
    found = {name: record["environment"].get(name) for name in settings}
    if found != settings:
        raise ValueError(f"{plan.path} must hold results of {settings}, got {found}")
    return record


def write(path: Path, record: dict[str, Any]) -> None:
    """Replace the file by a whole one, so that a run may be killed at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as file:
        json.dump(record, file, indent=1)
        file.write("\n")
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def where(began: float) -> dict[str, Any]:
    """Return when and on what a row was measured: the load counts the other work too."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return {
        "date": now,
        "commit": commit(),
        "load average": round(os.getloadavg()[0], 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def in_a_process(case: Case, nets: Nets, plan: Plan, seconds: float) -> dict[str, Any]:
    """Return the row of a case, or why there is none."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=of_case, args=(case, nets, plan, theirs))
    child.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            return {"failed": {"case": f"took more than {seconds:.0f} s"}}
        row: dict[str, Any] = ours.recv()
        return row
    except EOFError:
        child.join()
        return {"failed": {"case": f"the process ended with {child.exitcode}"}}
    finally:
        stop(child)


def stop(child: Any) -> None:
    """End a case's process and those that it made, which are of its group."""
    if child.is_alive():
        child.join(1.0)
    if child.is_alive():
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            child.kill()
    child.join()


def of_case(case: Case, nets: Nets, plan: Plan, pipe: Connection) -> None:
    """Measure one case and send its row."""
    os.setsid()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # more of them once no process is forked any more
    try:
        row = measure(case.prepare(nets[case.net](plan.quick)), plan.length)
    except Exception as error:
        row = {"failed": {"case": why(error)}}
    pipe.send(row)
    pipe.close()


def line_of(row: dict[str, Any]) -> str:
    """Return what is printed of a row."""
    ratios = ", ".join(
        f"{name.removeprefix(SPENT)} {ratio}" for name, ratio in row.items() if SPENT in name
    )
    failed = "; ".join(f"{name} failed: {text}" for name, text in row.get("failed", {}).items())
    curves = ", ".join(row.get("curves", {}))
    said = " | ".join(filter(None, [f"ours / {ratios}" if ratios else "", curves, failed]))
    return f"{row['benchmark']:48} {row['seconds']:6.1f} s  {said}"
