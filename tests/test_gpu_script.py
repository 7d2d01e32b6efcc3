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


SANITIZER = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift 2; done
exec "$@"
"""


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory):
    """What the script leaves behind where the device is faked, and how it ended."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    folder = tmp_path_factory.mktemp("bin")
    tool = folder / "compute-sanitizer"
    tool.write_text(SANITIZER)
    tool.chmod(0o755)
    log = BENCHMARKS.parent / "out" / "gpu"
    for old in log.glob("dry-run-*.json"):
        old.unlink()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYXAI_GPU_DRY_RUN": "1",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "gpu.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    (path,) = log.glob("dry-run-*.json")
    return done, json.loads(path.read_text())["steps"]


def test_every_step_of_the_script_runs_on_a_faked_device(dry_run):
    done, steps = dry_run
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert list(steps) == ["build", "kernels", "tests", "methods", "sanitizer"]
    assert all(step["passed_step"] for step in steps.values())
    assert "no number here is one of a GPU" in done.stdout


def test_what_the_dry_run_found_is_written(dry_run):
    _, steps = dry_run
    assert all(row["ok"] for step in ("kernels", "methods") for row in steps[step]["rows"])
    assert {row["case"].split()[0] for row in steps["kernels"]["rows"]} >= {"path_points", "dwt"}
    assert steps["tests"]["passed"] > 20
    assert not steps["tests"]["failed"]
    for kind in ("memcheck", "racecheck"):
        assert steps["sanitizer"][kind] == {"player_sum": "passed"}


def test_a_kernel_below_its_target_fails(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _gpu_kernels as kernels

    bound = kernels.Case(lambda: None, 1)
    free = kernels.Case(lambda: None, 1, memory_bound=False)
    assert kernels.reaches_target(bound, 0.85, 1.0)
    assert not kernels.reaches_target(bound, 0.84, 1.0)
    assert kernels.reaches_target(free, 0.01, 1.0)
    # One case after another, and what was found so far is there when the next one breaks.
    seen = []

    def build(name):
        return lambda *_: seen.append(json.loads(out.read_text())["rows"]) or bound

    out = tmp_path / "kernels.json"
    monkeypatch.setattr(kernels, "CASES", {"a": build("a"), "b": build("b")})
    monkeypatch.setattr(kernels, "copy_bandwidth", lambda: 1.0)
    monkeypatch.setattr(kernels, "equal_to_cpu", lambda _: True)
    monkeypatch.setattr(kernels, "seconds_per_call", lambda _: 2.0)  # half of what a copy takes
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert kernels.main(out, 60.0) == 1
    assert [len(rows) for rows in seen] == [0, 1]
    assert [row["ok"] for row in json.loads(out.read_text())["rows"]] == [False, False]
    assert "below target" in seen[1][0]["line"]
    monkeypatch.setattr(kernels, "seconds_per_call", lambda _: 1.0)
    assert kernels.main(out, 60.0) == 0


def test_the_module_is_built_without_a_pyproject_in_the_way(monkeypatch, tmp_path):
    """An older setuptools refuses its licence line, whatever is built."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    tree = gpu.bare_tree(gpu.bare_tree(tmp_path / "tree"))
    assert sorted(path.name for path in tree.iterdir()) == ["csrc", "pyxai", "setup.py"]
    assert (tree / "csrc" / "bindings.cpp").exists()
    assert not (tree / "pyproject.toml").exists()


WARNINGS = """
import warnings
import pytest

@pytest.mark.parametrize("text", [
    "Attempting to run cuBLAS, but there was no current CUDA context!",
    "Plan failed with a cudnnException: CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR",
    "Can't initialize NVML",
])
def test_of_libraries(text):
    warnings.warn(text, UserWarning)

def test_of_ours():
    warnings.warn("a model draws random numbers", UserWarning)
"""


def test_warnings_of_libraries_do_not_fail_a_test(tmp_path):
    (tmp_path / "test_it.py").write_text(WARNINGS)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntimeout = 300\nfilterwarnings = error\n")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": str(BENCHMARKS),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "_gpu_tests", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert "1 failed, 3 passed" in done.stdout
    assert "FAILED test_it.py::test_of_ours" in done.stdout


def test_benign_errors_of_the_interface_are_not_counted_by_memcheck(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    commands = []

    def run_command(command, seconds, log, environment):
        commands.append(command)
        return 0, 0.0

    monkeypatch.setattr(gpu, "run_command", run_command)
    monkeypatch.setattr(gpu.shutil, "which", lambda name: sys.executable)
    result = {}
    assert gpu.step_sanitizer(100.0, result)
    api = [command[command.index("--tool") + 1] for command in commands if "no" in command]
    assert set(api) == {"memcheck"}
    assert len(api) * 2 == len(commands)
    assert len(result["memcheck"]) == len(result["racecheck"]) == len(api) > 10


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
    assert clock.for_step("sanitizer", chosen) == pytest.approx(clock.left(), abs=1)


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
