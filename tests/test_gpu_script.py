"""`make gpu` on a machine without a GPU, and how it treats packages that are not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

TESTS = """
import not_there.inside
import pytest
from not_there import Thing, given

@given(Thing(1), size=Thing.many)
def test_decorated(value):
    pass

def test_that_uses_it():
    assert not_there.inside.compute(3) == 4

@pytest.mark.parametrize("value", [Thing(2)])
def test_that_is_given_it(value):
    value.method()

def test_without_it():
    assert 1 + 1 == 2

def test_that_is_wrong():
    assert 1 + 1 == 3

def test_of_another_missing_module():
    import also_not_there
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_and_fails():
    command = [sys.executable, str(BENCHMARKS / "gpu.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "NOT RUN, no usable GPU" in done.stdout


def test_tests_of_missing_packages_are_named(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 300\n")
    record = tmp_path / "record.jsonl"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": str(BENCHMARKS),
        "PYXAI_GPU_MISSING": "not_there",
        "PYXAI_GPU_TEST_RECORD": str(record),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "_gpu_tests", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    outcomes = {entry["test"].partition("::")[2]: entry["outcome"] for entry in entries}
    assert outcomes == {
        "test_decorated": "not run",
        "test_that_uses_it": "not run",
        "test_that_is_given_it[not_there.Thing]": "not run",
        "test_without_it": "passed",
        "test_that_is_wrong": "failed",
        "test_of_another_missing_module": "failed",  # only what was found missing is excused
    }


def test_missing_modules_are_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from _gpu_tests import missing_modules

    (tmp_path / "helper.py").write_text("import json\n")
    (tmp_path / "test_a.py").write_text(
        "import torch, helper\ndef test():\n    from far_away.inner import x\n"
    )
    assert missing_modules(tmp_path) - {"pytest_timeout", "xdist"} == {"far_away"}


def test_every_step_gets_its_share_of_the_time(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    clock = gpu.Clock(560)
    chosen = list(gpu.STEPS)
    given = clock.for_step("build", chosen)
    assert gpu.SHARES["build"] <= given <= 560
    assert gpu.Clock(0).for_step("tests", chosen) == 0
    # The last step may use all that is left.
    assert clock.for_step("methods", chosen) == pytest.approx(clock.left(), abs=1)


def test_the_table_of_ratios_says_what_the_entries_say(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import run

    entry = {
        "fullname": "benchmarks/test_op.py::test_op[f32]",
        "stats": {"median": 0.5},
        "extra_info": {"ours / torch.mv": 1.07, "ms torch.mv": 3.0, "ms ours": 3.21, "GB/s": 9.5},
    }
    row = run.tidy(entry)
    assert row["ratios"] == {"torch.mv": 1.07}
    assert row["peer_ms"] == {"torch.mv": 3.0}
    assert row["ms"] == 3.21
    line = run.table([row]).splitlines()[1]
    assert line.split()[:5] == ["test_op[f32]", "3.21", "ms", "1.07", "torch.mv"]
    assert "9.5 GB/s" in line


def test_every_benchmark_can_be_collected():
    command = [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=BENCHMARKS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
