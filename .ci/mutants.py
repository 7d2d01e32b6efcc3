"""Draw random mutants of the package, run the tests of each, and list those that no test noticed.

    python .ci/mutants.py [--mutants 100] [--seed N] [--only pyxai/metrics] [--list]

Every mutant changes one place of one file, in a copy of the tree (build/mutants). A kind of change
is drawn first, then a place, so that rare kinds come as often as common ones. The tests of a mutant
are those that run the changed line, as one run of the suite under coverage tells (kept in build/
for these sources); they stop at the first failure and at a time limit. At the end every test that
killed a mutant runs on the unchanged tree: a kill by a test that fails there does not count.
"""

from __future__ import annotations

import argparse
import ast
import collections
import functools
import hashlib
import importlib.util
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

import coverage
from mutations import Mutation, find_mutations

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutants"
LEFT_OUT = ("demo", "plot", "report")  # what they draw is looked at
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
# They read what a module says of itself when it is imported.
PINS = ["tests/contracts/test_signatures.py", "tests/contracts/test_traits.py"]
NO_TESTS = 5  # what pytest exits with
PYTEST = (
    *("-m", "pytest", "-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider"),
    *("-o", "addopts=--import-mode=importlib", "--timeout=120"),
)


@dataclass(frozen=True)
class Outcome:
    mutation: Mutation
    verdict: str  # killed, survived, or unfinished: the time was up and no test had failed
    test: str
    seconds: float


def draw(count: int, seed: int, only: str) -> list[Mutation]:
    generator = random.Random(seed)
    places = collections.defaultdict(list)
    for path in sorted((ROOT / "pyxai").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name.startswith(only) and path.relative_to(ROOT / "pyxai").parts[0] not in LEFT_OUT:
            for mutation in find_mutations(name, path.read_bytes()):
                places[mutation.kind].append(mutation)
    kinds = sorted(places)
    for kind in kinds:
        generator.shuffle(places[kind])
    drawn: list[Mutation] = []
    while len(drawn) < count and any(places.values()):
        kind = generator.choice([kind for kind in kinds if places[kind]])
        mutation = places[kind].pop()
        if mutation.parses((ROOT / mutation.path).read_bytes()):
            drawn.append(mutation)
    return drawn


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


class Map:
    """Which tests run a line, and how long each takes, by one run of the suite under coverage."""

    def __init__(self, folder: Path) -> None:
        self.data = coverage.CoverageData(basename=str(folder / "coverage"))
        self.data.read()
        self.files = {self._relative(path): path for path in self.data.measured_files()}
        self.seconds: dict[str, float] = {}
        for report in folder.glob("*.xml"):
            for case in ElementTree.parse(report).iter("testcase"):
                name = f"{case.get('classname')}.{case.get('name')}"
                self.seconds[name] = float(case.get("time", 0))

    @staticmethod
    def _relative(path: str) -> str:
        return path[path.rindex("/pyxai/") + 1 :]

    @functools.cache  # noqa: B019
    def lines(self, path: str) -> dict[int, set[str]]:
        """Names of the tests that run each line of a source file."""
        found = self.data.contexts_by_lineno(self.files[path]) if path in self.files else {}
        return {
            line: {name.split("|")[0] for name in names if name} for line, names in found.items()
        }

    def tests(self, mutation: Mutation) -> list[str]:
        """Tests that run what is changed: those named like its file first, then the quickest."""
        lines = self.lines(mutation.path)
        tree = ast.parse((ROOT / mutation.path).read_text())
        inside = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        inside = [node for node in inside if mutation.line in range(*extent(node))]
        if inside and mutation.line >= inside[-1].body[0].lineno:
            end = mutation.line + mutation.old.count("\n") + 1
            wanted: Iterable[int] = range(mutation.line, end)
        elif inside:  # a default or a decorator runs at import: who calls the function?
            wanted = range(inside[-1].body[0].lineno, extent(inside[-1])[1])
        else:
            wanted = lines
        names = set().union(*(lines.get(line, ()) for line in wanted))
        words = set(re.split(r"[_./]+", mutation.path))
        pins = PINS if mutation.kind in ("default", "flag") else []
        order = sorted(names, key=lambda name: (-common_words(name, words), self._seconds(name)))
        return pins + order

    def _seconds(self, name: str) -> float:
        path, *rest = name.split("::")
        return self.seconds.get(".".join([dotted(Path(path)), *rest]), 1.0)


def extent(node: ast.FunctionDef) -> tuple[int, int]:
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return first, (node.end_lineno or node.lineno) + 1


def common_words(test: str, words: set[str]) -> int:
    """How many words of a source file the name of a test's file has, contracts apart."""
    path = test.split("::")[0]
    return 0 if "/contracts/" in path else len(words & set(re.split(r"[_./]+", path)))


def make_map(jobs: int) -> Map:
    """Run all tests under coverage in a copy of the tree, once for these sources."""
    digest = hashlib.sha256()
    for path in sorted([*(ROOT / "pyxai").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]):
        digest.update(path.read_bytes())
    folder = ROOT / "build" / f"mutants-map-{digest.hexdigest()[:16]}"
    if not (folder / "coverage").exists():
        print("running all tests under coverage, to know which run which line", flush=True)
        tree = copy_tree(WORK / "map")
        parts = [["tests/contracts"], ["tests", "--ignore=tests/contracts"]]
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(min(jobs, len(parts))) as pool:
            list(pool.map(lambda part: run_covered(tree, folder, *part), parts))
        combined = coverage.CoverageData(basename=str(folder / "coverage"))
        for each in folder.glob("coverage.part-*"):
            data = coverage.CoverageData(basename=str(each))
            data.read()
            combined.update(data)
        combined.write()
    return Map(folder)


def run_covered(tree: Path, folder: Path, tests: str, *options: str) -> None:
    name = f"part-{len(options)}"
    options = ("--maxfail=1000", "--timeout=1000", f"--junitxml={folder / name}.xml", *options)
    options = ("--cov=pyxai", "--cov-context=test", "--cov-report=", *options)
    file = str(folder / f"coverage.{name}")
    run_tests(tree, [tests], 10_000, *options, COVERAGE_FILE=file)


def copy_tree(target: Path) -> Path:
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    native = [str(path.relative_to(ROOT)) for path in (ROOT / "pyxai").glob("_C.*.so")]
    for name in [*filter(None, listed.split("\0")), *native]:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def run_tests(
    tree: Path, tests: list[str], limit: float, *options: str, **environment: str
) -> tuple[int | None, str]:
    """Exit status, None when the time was up, and output."""
    process = subprocess.Popen(
        [sys.executable, *PYTEST, *options, *tests],
        cwd=tree,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output
    return process.returncode, output


def judge(tree: Path, mutation: Mutation, tests: list[str], limit: float) -> Outcome:
    path = tree / mutation.path
    source, start = path.read_bytes(), time.monotonic()
    status: int | None = NO_TESTS
    output = ""
    compiled = Path(importlib.util.cache_from_source(str(path)))
    try:
        path.write_bytes(mutation.apply(source))
        compiled.unlink(missing_ok=True)  # a change of equal length within a second looks the same
        if tests:
            (tree / "chosen").write_text("\n".join(tests))
            status, output = run_tests(tree, ["@chosen"], limit)
    finally:
        path.write_bytes(source)
        compiled.unlink(missing_ok=True)
    verdict = {0: "survived", NO_TESTS: "survived", None: "unfinished"}.get(status, "killed")
    failed = FAILURE.findall(output) if verdict == "killed" else []
    test = failed[0] if failed else f"exit status {status}" if verdict == "killed" else ""
    return Outcome(mutation, verdict, test, time.monotonic() - start)


def false_alarms(tree: Path, outcomes: list[Outcome], limit: float) -> set[str]:
    """Tests among the killers that fail on the unchanged tree."""
    tests = sorted({one.test for one in outcomes if "::" in one.test})
    if not tests:
        return set()
    status, output = run_tests(tree, tests, limit, "--maxfail=1000")
    if status is None:
        raise SystemExit("mutants: the time was up while the killers ran on the unchanged tree")
    return set(FAILURE.findall(output)) & set(tests)


def report(outcomes: list[Outcome], alarms: set[str]) -> None:
    counted = [one for one in outcomes if one.test not in alarms]
    print(f"\n{'kind':12} killed of")
    for kind in [*sorted({one.mutation.kind for one in counted}), ""]:
        group = [one for one in counted if kind in ("", one.mutation.kind)]
        killed = sum(one.verdict == "killed" for one in group)
        print(f"{kind or 'all':12} {killed:6} {len(group):2}  {killed / len(group):.0%}")
    for verdict in ("survived", "unfinished"):
        group = [one for one in counted if one.verdict == verdict]
        print(f"\n{verdict}: {len(group)}", *(f"  {one.mutation}" for one in group), sep="\n")
    for test in sorted(alarms):
        print(f"not counted: {test} fails without any change too")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=100, help="how many are drawn")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--skip", type=int, default=0, help="how many of them were tried before")
    parser.add_argument("--only", default="pyxai/", help="paths that begin with this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="mutants at a time")
    parser.add_argument("--limit", type=float, default=600, help="seconds of tests for each mutant")
    parser.add_argument("--minutes", type=float, default=120, help="no mutant is begun after them")
    parser.add_argument("--list", action="store_true", help="print what is drawn, run nothing")
    options = parser.parse_args()
    drawn = draw(options.mutants, options.seed, options.only)[options.skip :]
    print(f"{len(drawn)} mutants, seed {options.seed}", flush=True)
    if options.list:
        print(*drawn, sep="\n")
        return
    shutil.rmtree(WORK, ignore_errors=True)
    chosen = make_map(options.jobs)
    trees: SimpleQueue[Path] = SimpleQueue()
    for number in range(options.jobs):
        trees.put(copy_tree(WORK / str(number)))
    outcomes: list[Outcome] = []
    end = time.monotonic() + 60 * options.minutes

    def one(mutation: Mutation) -> None:
        tree = trees.get()
        try:
            if time.monotonic() < end:
                found = judge(tree, mutation, chosen.tests(mutation), options.limit)
                outcomes.append(found)
                place = f"[{len(outcomes)}/{len(drawn)}] {found.verdict}, {found.seconds:.0f} s"
                print(f"{place}, {mutation}  {found.test}", flush=True)
        finally:
            trees.put(tree)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, drawn))
    report(outcomes, false_alarms(trees.get(), outcomes, 10 * options.limit))


if __name__ == "__main__":
    main()
