"""The public benchmark's harness: equal results first, faults as rows, and runs that go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PATHS = [ROOT, ROOT / "benchmarks", ROOT / "tests" / "helpers"]

# In a process of its own, which makes others of it: those must find no threads.
RUN = """
import os, sys, time
from pathlib import Path
import torch
from torch import nn
from races.case import Case, Curves, Race, Task, Tuned
from races.measure import Length
from races.record import Plan, run

def make(quick):
    torch.manual_seed(0)
    return Task("tiny", nn.Linear(3, 2), torch.ones(2, 3), 0, torch.zeros(1, 3), quick=quick)

def race(task, ours=None, **more):
    def right():
        return task.model(task.inputs).detach() if ours is None else ours(task)
    def copied():
        return task.twin.model(task.inputs).detach()
    def refuses():
        raise TypeError("no such net\\nand more")
    def wrong():
        return copied() + 1.0
    held = torch.zeros(0)
    def of_memory():
        nonlocal held
        held = torch.ones(8_000_000)
        return copied()
    peers = {
        "equal": copied,
        "refuses": refuses,
        "wrong": wrong,
        "other shape": lambda: copied()[:1],
        "tuned": Tuned(lambda size: copied, (1, 2)),
        "not tuned": Tuned(lambda size: refuses, (1, 2)),
        "large": of_memory,
    }
    def none():
        raise ValueError("not this one")
    oracles = {"none": none, "float64": lambda: copied().double()}
    return Race(right, peers, {"floor": copied}, oracles, counted=task, **more)

def late(task):
    time.sleep(60)

def dies(task):
    os._exit(3)

def curves(task):
    def fails(budget, seed):
        raise ValueError("not today")
    tools = {"pyxai": lambda n, seed: torch.ones(2) + 1 / n, "fails": fails}
    return Curves(tools, lambda: torch.ones(2), "one", (2, 4), 2)

CASES = [
    Case("good", "tiny", race, watched=True),
    Case("ours wrong", "tiny", lambda task: race(task, lambda t: t.model(t.inputs) + 1.0)),
    Case("ours fails", "tiny", lambda task: race(task, lambda t: t.missing)),
    Case("dies", "tiny", dies),
    Case("late", "tiny", late),
    Case("sampled", "tiny", lambda task: race(
        task, lambda t: t.model(t.inputs) + 0.3, sampled=True)),
    Case("curves", "tiny", curves),
]
folder = Path(sys.argv[1])

def step(name, file, methods, quick=True, seconds_a_case=200.0, seconds=1000.0):
    print("==", name)
    plan = Plan(folder / file, quick, Length(2, 0.1), seconds_a_case, seconds)
    run([case for case in CASES if case.method in methods], {"tiny": make}, plan)

step("first", "found.json", ("good", "ours wrong", "ours fails", "dies", "sampled", "curves"))
(folder / "held.json").write_text((folder / "found.json").read_text())
step("later", "found.json", ("good", "late"), seconds_a_case=2.0)
step("none", "none.json", ("good",), seconds=0.0)
try:
    step("other", "found.json", ("good",), quick=False)
except ValueError as error:
    print(error)
"""


def python(*arguments):
    paths = os.pathsep.join(map(str, PATHS))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What is printed and written by runs of one file: the first, and one that goes on with it."""
    folder = tmp_path_factory.mktemp("public")
    script = folder / "script.py"
    script.write_text(RUN)
    done = python(script, folder)
    assert done.returncode == 0, done.stderr
    said = dict(part.split("\n", 1) for part in done.stdout.split("== ")[1:])
    held, found = (json.loads((folder / name).read_text()) for name in ("held.json", "found.json"))
    return said, held, found


def row_of(record, method):
    [row] = [row for row in record["rows"] if row["benchmark"] == f"{method} / tiny"]
    return row


def test_a_row_has_times_rows_memory_and_errors(runs):
    row = row_of(runs[1], "good")
    timed = {"equal", "tuned", "large", "floor"}
    assert set(row["ratios"]) == timed
    assert all(row[f"processor time, ours / {name}"] > 0 for name in timed)
    assert row["model rows"] == {"ours": 2, **dict.fromkeys(timed, 2)}
    assert row["against"] == "float64"
    assert row["oracles that refused"] == {"none": "ValueError: not this one"}
    assert row["error"]["equal"] == 0
    assert row["floors"] == ["floor"]
    assert {"date", "commit", "load average", "seconds"} <= set(row)
    if row["peak MB"]:  # where Linux tells
        assert row["peak MB"]["large"] > 25 > row["peak MB"]["equal"]


def test_a_peer_that_fails_or_finds_something_else_is_not_timed(runs):
    failed = row_of(runs[1], "good")["failed"]
    assert failed["refuses"] == "TypeError: no such net"
    assert failed["wrong"].startswith("not equal: its error is")
    assert failed["other shape"].startswith("not equal: its error is inf")
    assert failed["not tuned"] == "TypeError: no such net"
    assert set(failed) == {"refuses", "not tuned", "wrong", "other shape"}


def test_what_ours_finds_has_to_be_right(runs):
    assert "our error of" in row_of(runs[1], "ours wrong")["failed"]["case"]
    assert row_of(runs[1], "ours fails")["failed"]["case"].startswith("AttributeError")
    # A peer that is ten times nearer has drawn from another law, or ours has.
    assert "our error of" in row_of(runs[1], "sampled")["failed"]["case"]


def test_a_process_that_ends_or_hangs_ends_no_run(runs):
    assert row_of(runs[1], "dies")["failed"]["case"] == "the process ended with 3"
    assert row_of(runs[2], "late")["failed"]["case"] == "took more than 2 s"


def test_samplers_are_followed_over_budgets(runs):
    row = row_of(runs[1], "curves")
    points = row["curves"]["pyxai"]["points"]
    assert [(point["budget"], point["error"]) for point in points] == [(2, 0.5), (4, 0.25)]
    assert row["curves"]["fails"] == {"failed": "ValueError: not today", "points": []}


def test_a_run_goes_on_where_it_was(runs):
    said, held, found = runs
    assert "good / tiny" in said["first"]
    assert "good / tiny" not in said["later"]
    assert found["rows"][:-1] == held["rows"]
    assert "out of time, not run: good / tiny" in said["none"]
    assert "must hold results of {'quick': False, 'threads': 1}" in said["other"]


def test_the_page_and_the_pictures_say_what_the_file_says(runs, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from races import pictures, tables

    record = runs[2]
    row = row_of(record, "good")
    row["processor time, ours / equal"], row["processor time, ours / tuned"] = 0.05, 1.25
    row["note"] = "because"
    text = tables.page(record, "found.json")
    assert "| good | equal | 20 | 2; 2 |" in text
    assert "|  | tuned | **0.80** |" in text
    lost = text.split("## Where a peer takes less time")[1].split("## ")[0]
    assert "good / tiny: tuned takes 0.80 times ours; because" in lost
    assert "good / tiny: equal" not in lost
    assert "- good / tiny: equal takes 20 times ours" in text
    assert "**not won**; floor, the floor, takes" in text
    assert "|  | refuses | failed: TypeError: no such net |" in text
    assert "| dies |  | failed: the process ended with 3 |" in text
    assert "| pyxai | 2" not in text
    assert "0.250 |" in text
    assert "floor (floor)" in text
    paths = pictures.write(record, tmp_path)
    assert [path.name for path in paths] == ["benchmark-times.png", "benchmark-errors.png"]
    assert all(path.stat().st_size > 5000 for path in paths)


def test_cases_are_of_nets_that_exist_and_have_names_of_their_own():
    code = (
        "import json; from races.all_cases import CASES; from races.nets import NETS; "
        "print(json.dumps([[case.name, case.net in NETS] for case in CASES]))"
    )
    done = python("-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(known for _, known in found)
    assert len({name for name, _ in found}) == len(found) > 60
