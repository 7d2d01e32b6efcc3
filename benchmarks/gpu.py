"""Build with CUDA, check and measure the kernels, run the tests with CUDA required: `make gpu`.

Works offline with whatever Python holds a CUDA build of torch, and ends within ten minutes: each
step has a share of the time, and what a step did not get to is reported by name. The most telling
steps come first. Writes benchmarks/results/<gpu>-<date>.json, anew after each step, so that a run
that is cut short leaves what it found. Exits 0 only if everything ran that could run, passed and
reached its target; 2 where there is no GPU.

PYXAI_GPU_SECONDS   the whole time box (default 560)
PYXAI_GPU_STEPS     which steps to run (default build,kernels,tests,methods,sanitizer)
PYXAI_GPU_DRY_RUN   1: try the script itself on a machine without a GPU, with the device faked, on
                    small sizes and one op; nothing is compiled, and the result stays in out/gpu
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
LOGS = ROOT / "out" / "gpu"
DRY_RUN = os.environ.get("PYXAI_GPU_DRY_RUN") == "1"
STEPS = ("build", "kernels", "tests", "methods", "sanitizer")
# Seconds that a step may take; what it leaves unused goes to the later ones.
SHARES = {"build": 180, "kernels": 70, "tests": 150, "methods": 50, "sanitizer": 100}
# Run first; pytest collects a file once, however often it is named.
TESTS_FIRST = ("tests/ops", "tests/contracts/test_other_device.py")
OLDEST_SETUPTOOLS = 77  # that reads the licence in pyproject.toml


class Clock:
    """The time box: how long a step may still take so that those after it get their share."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self.end - time.monotonic())

    def for_step(self, step: str, chosen: list[str]) -> float:
        later = sum(SHARES[name] for name in chosen[chosen.index(step) + 1 :])
        return max(min(SHARES[step], self.left()), self.left() - later)


def run_command(
    command: list[str],
    seconds: float,
    log: Path,
    environment: dict[str, str],
    folder: Path = ROOT,
) -> tuple[int | None, float]:
    """Run with all output in `log`; the exit code is None if the time ran out."""
    start = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            # The group, because a compiler or a test worker outlives the process that started it.
            os.killpg(process.pid, 9)
            process.wait()
            code = None
    return code, time.monotonic() - start


def tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def cuda_home() -> Path | None:
    """Folder of the CUDA toolkit: the one named, else the usual places, else that of `nvcc`."""
    places = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    places += sorted(map(str, Path("/usr/local").glob("cuda-*")), reverse=True)
    nvcc = shutil.which("nvcc")
    # `nvcc` can be a script that calls another one, so it comes last and must have headers beside.
    places += [str(Path(nvcc).resolve().parent.parent)] if nvcc else []
    for place in map(Path, filter(None, places)):
        if (place / "bin" / "nvcc").exists() and (place / "include" / "cuda_runtime.h").exists():
            return place
    return None


def bare_tree(folder: Path) -> Path:
    """Return a folder with the sources by link and without pyproject.toml.

    An older setuptools refuses the form of the licence there before anything is built; of all that
    the file says, the build of the module needs nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("setup.py", "csrc", "pyxai"):
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    return folder


def step_build(seconds: float, result: dict[str, object]) -> bool:
    """Compile in place, for the GPU at hand, with the torch at hand; nothing is downloaded."""
    import setuptools
    import torch

    result["setuptools"] = setuptools.__version__
    if int(setuptools.__version__.split(".")[0]) < OLDEST_SETUPTOOLS:
        print(
            f"setuptools is {setuptools.__version__}: building without pyproject.toml, whose "
            f"licence line needs {OLDEST_SETUPTOOLS}",
            flush=True,
        )
    log = LOGS / "build.log"
    tree = bare_tree(ROOT / "build" / "gpu_tree")
    if DRY_RUN:
        command = [sys.executable, "setup.py", "--quiet", "--name"]
        code, took = run_command(command, seconds, log, {"PYXAI_NATIVE": "0"}, tree)
        result["seconds"] = round(took, 1)
        return code == 0
    home = cuda_home()
    if home is None:
        result["error"] = "no CUDA toolkit found: set CUDA_HOME"
        return False
    major, minor = torch.cuda.get_device_capability(0)
    environment = {
        "CUDA_HOME": str(home),
        "PYXAI_CUDA": "1",
        "PYXAI_HOST_RUN": "0",
        "TORCH_CUDA_ARCH_LIST": f"{major}.{minor}",
        "MAX_JOBS": str(os.cpu_count() or 4),
    }
    command = [sys.executable, "setup.py", "build_ext", "--inplace", "--build-temp", "build/gpu"]
    code, took = run_command(command, seconds, log, environment, tree)
    result.update(seconds=round(took, 1), cuda_home=str(home), arch=f"{major}.{minor}")
    if code != 0:
        result["error"] = "ran out of time" if code is None else tail(log)
    return code == 0


def step_tests(seconds: float, result: dict[str, object]) -> bool:
    """The test suite with the cuda backend required; tests of absent packages are named."""
    from _gpu_tests import missing_modules

    missing = missing_modules(ROOT / "tests")
    record = LOGS / "tests.jsonl"
    record.unlink(missing_ok=True)
    environment = {
        "PYXAI_REQUIRE_BACKENDS": "cpu,host_run" if DRY_RUN else "cpu,cuda",
        "PYXAI_GPU_TEST_RECORD": str(record),
        "PYXAI_GPU_MISSING": ",".join(sorted(missing)),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "2",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "_gpu_tests", "-p", "no:cacheprovider"]
    if "xdist" not in missing and (os.cpu_count() or 1) >= 4:
        command += ["-n", str(min(6, (os.cpu_count() or 4) // 2))]
    command += ["tests/ops/test_player_sum.py"] if DRY_RUN else [*TESTS_FIRST, "tests"]
    log = LOGS / "tests.log"
    code, took = run_command(command, seconds, log, environment)
    outcomes: dict[str, str] = {}
    if record.exists():
        for line in record.read_text().splitlines():
            entry = json.loads(line)
            outcomes[entry["test"]] = entry["outcome"]
    names = {
        kind: sorted(test for test, outcome in outcomes.items() if outcome == kind)
        for kind in ("failed", "not run")
    }
    result.update(
        seconds=round(took, 1),
        passed=sum(outcome == "passed" for outcome in outcomes.values()),
        failed=names["failed"],
        not_run=names["not run"],
        missing_packages=sorted(missing),
        finished=code is not None,
    )
    if code is None or code not in (0, 5) or not outcomes:
        result["error"] = f"{'ran out of time' if code is None else ''}\n{tail(log)}".strip()
    return code == 0 and not names["failed"]


def step_sanitizer(seconds: float, result: dict[str, object]) -> bool:
    """compute-sanitizer on the cuda tests of every op: out-of-bounds accesses and races."""
    from _gpu_tests import missing_modules

    home = cuda_home()
    tool = shutil.which("compute-sanitizer") or (
        str(home / "bin" / "compute-sanitizer") if home else None
    )
    if tool is None or not Path(tool).exists():
        result["not_run"] = "compute-sanitizer is not installed"
        return True
    missing = missing_modules(ROOT / "tests")
    backend = "host_run" if DRY_RUN else "cuda"
    ops = (
        ["player_sum"]
        if DRY_RUN
        else sorted(path.stem for path in (ROOT / "csrc" / "cuda").glob("*.cu"))
    )
    files = {op: f"tests/ops/test_{op}.py" for op in ops}
    files = {op: path for op, path in files.items() if (ROOT / path).exists()}
    deadline = time.monotonic() + seconds

    def check(job: tuple[str, str]) -> tuple[str, str, str]:
        kind, op = job
        left = deadline - time.monotonic()
        if left < 10:
            return kind, op, "not run: no time left"
        log = LOGS / f"{kind}-{op}.log"
        environment = {
            "PYXAI_REQUIRE_BACKENDS": backend,
            # torch's cache would hide an access past the end of a tensor inside its big blocks.
            "PYTORCH_NO_CUDA_MEMORY_CACHING": "1",
            "PYXAI_GPU_MISSING": ",".join(sorted(missing)),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
            "PYXAI_GPU_EXAMPLES": "5",
            "OMP_NUM_THREADS": "2",
        }
        command = [tool, "--tool", kind, "--error-exitcode", "9", "--target-processes", "all"]
        if kind == "memcheck":
            # torch asks CUDA what may fail, such as for the attributes of a pointer of the host.
            command += ["--report-api-errors", "no"]
        command += [sys.executable, "-m", "pytest", "-q", "-x", "-p", "_gpu_tests"]
        command += ["-p", "no:cacheprovider", "-k", backend, files[op]]
        code, _ = run_command(command, left, log, environment)
        if code is None:
            return kind, op, "not finished: ran out of time"
        if code == 5:
            return kind, op, "not run: no test of this op names cuda"
        return kind, op, "passed" if code == 0 else f"failed (exit code {code})\n{tail(log, 12)}"

    kinds = ("memcheck", "racecheck")
    verdicts: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    result.update(verdicts, not_covered=sorted(set(ops) - set(files)))
    with ThreadPoolExecutor(max_workers=max(1, min(6, (os.cpu_count() or 2) // 2))) as pool:
        for kind, op, verdict in pool.map(check, [(kind, op) for kind in kinds for op in files]):
            verdicts[kind][op] = verdict
    return not any(
        verdict.startswith("failed") for each in verdicts.values() for verdict in each.values()
    )


def step_measure(name: str, seconds: float, result: dict[str, object]) -> bool:
    """Run benchmarks/_gpu_<name>.py in a process of its own; it prints one JSON object."""
    log, out = LOGS / f"{name}.log", LOGS / f"{name}.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / f"_gpu_{name}.py"), str(out), str(seconds * 0.85)]
    code, took = run_command(command, seconds, log, {"PYTHONPATH": str(ROOT)})
    result["seconds"] = round(took, 1)
    if out.exists():
        result.update(json.loads(out.read_text()))
    if code != 0:
        result["error"] = "ran out of time" if code is None else tail(log)
    return code == 0


def summary(results: dict[str, dict[str, object]]) -> str:
    """A short table for the end of the output."""
    lines = []
    for step, result in results.items():
        state = "passed" if result.get("passed_step") else "FAILED"
        detail = ""
        if step == "tests":
            detail = (
                f"{result.get('passed', 0)} passed, {len(result.get('failed', []))} failed, "
                f"{len(result.get('not_run', []))} not run (missing: "
                f"{', '.join(result.get('missing_packages', [])) or 'nothing'})"
            )
        lines.append(f"{step:10} {state}  {detail}")
        lines += [f"           failed  {test}" for test in result.get("failed", [])]
        if step == "tests":
            lines += [f"           not run {test}" for test in result.get("not_run", [])]
        for kind in ("memcheck", "racecheck"):
            for op, verdict in result.get(kind, {}).items():
                lines.append(f"           {kind:9} {op:28} {verdict.splitlines()[0]}")
        if isinstance(result.get("not_run"), str):
            lines.append(f"           {result['not_run']}")
        if "copy_gb_per_s" in result:
            lines.append(f"           copy bandwidth {result['copy_gb_per_s']:.0f} GB/s")
        lines += [f"           {row['line']}" for row in result.get("rows", [])]
        if "error" in result:
            lines += [f"           | {line}" for line in str(result["error"]).splitlines()]
    return "\n".join(lines)


def save(path: Path, environment: dict[str, object], results: dict[str, Any]) -> None:
    """Write what was found so far."""
    path.write_text(json.dumps({"environment": environment, "steps": results}, indent=1) + "\n")


def main() -> int:
    """Run the steps, write the result file, print the table."""
    try:
        import torch
    except ImportError:
        print("make gpu: this Python has no torch; set PYTHON= to one that has a CUDA build of it")
        return 2
    if not DRY_RUN and (torch.version.cuda is None or not torch.cuda.is_available()):
        print(
            f"make gpu: NOT RUN, no usable GPU: torch {torch.__version__}, "
            f"built for CUDA {torch.version.cuda}, "
            f"torch.cuda.is_available() is {torch.cuda.is_available()}"
        )
        return 2
    sys.path.insert(0, str(HERE))
    from _environment import RESULTS, describe, slug

    if DRY_RUN:
        print("make gpu: DRY RUN with a faked device; no number here is one of a GPU")
    chosen = [
        step
        for step in STEPS
        if step in os.environ.get("PYXAI_GPU_STEPS", ",".join(STEPS)).split(",")
    ]
    clock = Clock(float(os.environ.get("PYXAI_GPU_SECONDS", "560")))
    LOGS.mkdir(parents=True, exist_ok=True)
    environment = describe()
    runners = {"build": step_build, "tests": step_tests, "sanitizer": step_sanitizer}
    results: dict[str, dict[str, object]] = {}
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = "dry-run" if DRY_RUN else slug(torch.cuda.get_device_name(0))
    path = (LOGS if DRY_RUN else RESULTS) / f"{name}-{str(environment['date'])[:10]}.json"
    for step in chosen:
        result: dict[str, object] = {}
        results[step] = result
        seconds = clock.for_step(step, chosen)
        print(f"==== {step}: at most {seconds:.0f} s", flush=True)
        if seconds < 5:
            result.update(error="not run: the time box is used up", passed_step=False)
            save(path, environment, results)
            continue
        if step in runners:
            result["passed_step"] = runners[step](seconds, result)
        else:
            result["passed_step"] = step_measure(step, seconds, result)
        save(path, environment, results)
        print(summary({step: result}), flush=True)
        if step == "build" and not result["passed_step"]:
            break
    print(f"{environment['packages']}, commit {environment['commit']}")
    print(summary(results))
    print(f"wrote {path.relative_to(ROOT)}; logs are in {LOGS.relative_to(ROOT)}")
    return int(not all(result.get("passed_step") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
