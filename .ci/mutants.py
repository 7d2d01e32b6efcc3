"""Draw random mutants of the package, run the tests of each, and list those that no test noticed.

    python .ci/mutants.py [--mutants 100] [--seed N] [--only pyxai/metrics] [--list]

Every mutant changes one place of one file, in a copy of the tree (build/mutants). A kind of change
is drawn first, then a place, so that rare kinds come as often as common ones. The tests of a file
are those of its folder, the contracts, and those that import its module or its room; they stop at
the first failure and at a time limit. At the end every test that killed a mutant runs on the
unchanged tree: a kill by a test that fails there does not count.
"""

from __future__ import annotations

import argparse
import ast
import collections
import functools
import importlib.util
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from mutations import Mutation, find_mutations

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutants"
LEFT_OUT = ("demo", "plot", "report")  # what they draw is looked at
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
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


def tests_of(path: str) -> list[list[str]]:
    """Arguments of pytest for a source file, in groups: the nearest tests come first."""
    source, tests = Path(path), ROOT / "tests"
    module = dotted(source)
    room = ".".join(module.split(".")[:2])
    words = set(re.split(r"[_.]+", module))
    own = tests.joinpath(*source.parts[1:-1])
    while not own.is_dir():
        own = own.parent
    folders = {own}
    if own == tests:  # none of its own: those of its users
        users = [user for user in (ROOT / "pyxai").rglob("*.py") if module in imported(user)]
        folders = {tests / user.parent.relative_to(ROOT / "pyxai") for user in users}
    groups: list[list[tuple[int, str]]] = [[], [], []]
    for test in tests.rglob("test_*.py"):
        ranks = (
            (len(folders) <= 3 and test.parent in folders) or module in imported(test),
            test.parent == tests / "contracts" and under_contract(room),
            test.parent in folders
            or (room != "pyxai.attribution" and room in imported(test)),  # all use some method
        )
        if any(ranks):
            common = len(words & set(test.stem.split("_")))
            groups[ranks.index(True)].append((-common, str(test.relative_to(ROOT))))
    near, contracts, others = ([name for _, name in sorted(group)] for group in groups)
    return [group for group in (near, [*contracts, *methods_of(module)], others) if group]


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def under_contract(room: str) -> bool:
    """Whether what the contract tests ask, the methods above all, uses a room."""
    asked = [*(ROOT / "tests").rglob("*contract*.py"), *(ROOT / "pyxai/attribution").rglob("*.py")]
    return room == "pyxai.attribution" or any(
        f"{name}.".startswith(f"{room}.") for path in asked for name in imported(path)
    )


def methods_of(module: str) -> list[str]:
    """Option that selects the contract tests of one method, or of one family; [] for all."""
    family = module.rpartition(".")[0]
    for place in (module, family):
        names = [name for where, *both in registered() for name in both if where.startswith(place)]
        if names and place.startswith("pyxai.attribution."):
            return ["-k", " or ".join(names)]
    return []


@functools.cache
def registered() -> tuple[tuple[str, ...], ...]:
    """Module, name and class of every method."""
    code = "from pyxai import registry as r; print(*((r.get(n).cls.__module__, n, "
    code += "r.get(n).cls.__name__) for n in r.names()), sep='\\n')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(ast.literal_eval(line) for line in done.stdout.splitlines())


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Modules that a file imports, and what it takes out of them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def copy_tree(target: Path) -> Path:
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    native = [str(path.relative_to(ROOT)) for path in (ROOT / "pyxai").glob("_C.*.so")]
    for name in [*filter(None, listed.split("\0")), *native]:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def run_tests(tree: Path, tests: list[str], limit: float, *options: str) -> tuple[int | None, str]:
    """Exit status, None when the time was up, and output."""
    process = subprocess.Popen(
        [sys.executable, *PYTEST, *options, *tests],
        cwd=tree,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
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


def judge(tree: Path, mutation: Mutation, limit: float) -> Outcome:
    path = tree / mutation.path
    source, start = path.read_bytes(), time.monotonic()
    status, output = None, ""
    compiled = Path(importlib.util.cache_from_source(str(path)))
    try:
        path.write_bytes(mutation.apply(source))
        compiled.unlink(missing_ok=True)  # a change of equal length within a second looks the same
        for tests in tests_of(mutation.path):
            status, output = run_tests(tree, tests, limit - (time.monotonic() - start))
            if status not in (0, NO_TESTS):
                break
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
    parser.add_argument("--only", default="pyxai/", help="paths that begin with this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="mutants at a time")
    parser.add_argument("--limit", type=float, default=600, help="seconds of tests for each mutant")
    parser.add_argument("--minutes", type=float, default=120, help="no mutant is begun after them")
    parser.add_argument("--list", action="store_true", help="print what is drawn, run nothing")
    options = parser.parse_args()
    drawn = draw(options.mutants, options.seed, options.only)
    print(f"{len(drawn)} mutants, seed {options.seed}", flush=True)
    if options.list:
        print(*drawn, sep="\n")
        return
    shutil.rmtree(WORK, ignore_errors=True)
    trees: SimpleQueue[Path] = SimpleQueue()
    for number in range(options.jobs):
        trees.put(copy_tree(WORK / str(number)))
    outcomes: list[Outcome] = []
    end = time.monotonic() + 60 * options.minutes

    def one(mutation: Mutation) -> None:
        tree = trees.get()
        try:
            if time.monotonic() < end:
                found = judge(tree, mutation, options.limit)
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
