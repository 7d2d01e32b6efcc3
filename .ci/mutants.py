"""Draw random mutants of the package, run the tests of each, and list those that no test noticed.

    python .ci/mutants.py [--mutants 100] [--seed N] [--only pyxai/metrics] [--kept] [--list]

Every mutant changes one place of one file, in a copy of the tree (build/mutants). A kind of change
is drawn first, then a place, so that rare kinds come as often as common ones. The tests of a mutant
are those that run the changed line, as .ci/coverage_map.py tells, which runs the test files that it
lacks first; with --kept they run for each mutant, after the others. Tests stop at the first failure
and at a time limit. At the end every test that killed a mutant runs on the unchanged tree: a kill
by a test that fails there does not count.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import os
import random
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from coverage_map import KEPT, ROOT, CoverageMap, common_words, complete, words_of
from forked_tests import run_tests
from mutations import Mutation, find_mutations

WORK = ROOT / "build" / "mutants"
LEFT_OUT = ("demo", "plot", "report")  # what they draw is looked at
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
OPEN = ("survived", "unfinished")
LATE = "Failed: Timeout (>"  # what pytest-timeout says
# They read what a module says of itself when it is imported, or its text.
PINS = [f"tests/contracts/test_{name}.py" for name in ("frozen", "signatures", "traits")]
READERS = {"optional": ["tests/test_extras.py"]}  # by what is called
STARTED = {"pyxai/__main__.py": ["tests/cli/test_cli.py"]}  # in a process that no map knows
NO_TESTS = 5  # what pytest exits with
NEAREST = 60  # tests that are collected first
FILES = 6  # and files of which nobody knows what they run


@dataclass(frozen=True)
class Outcome:
    mutation: Mutation
    verdict: str  # killed, or OPEN: unfinished where the time was up and no test had failed
    test: str
    seconds: float
    late: bool  # the test failed by taking too long, which a busy machine does as well


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


def tests_of(mutation: Mutation, chosen: CoverageMap) -> list[list[str]]:
    """Tests that run what is changed, in the order in which they are tried: few, then all."""
    end = mutation.line + mutation.old.count("\n")
    tests = chosen.tests(mutation.path, mutation.line, end)
    pins = PINS if mutation.kind in ("default", "flag") else []
    pins = pins + READERS.get(mutation.old.partition("(")[0], [])
    pins = pins + STARTED.get(mutation.path, [])
    words = words_of(mutation.path)
    files = sorted(chosen.lacking(), key=lambda file: -common_words(file, words))
    parts = [pins, tests[:NEAREST], files[:FILES], tests[NEAREST:], files[FILES:]]
    return [part for part in parts if part]


def copy_tree(target: Path) -> Path:
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    native = [str(path.relative_to(ROOT)) for path in (ROOT / "pyxai").glob("_C.*.so")]
    for name in [*filter(None, listed.split("\0")), *native]:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def judge(tree: Path, mutation: Mutation, tests: list[list[str]], limit: float) -> Outcome:
    path = tree / mutation.path
    source, start = path.read_bytes(), time.monotonic()
    status: int | None = NO_TESTS
    output = ""
    compiled = Path(importlib.util.cache_from_source(str(path)))
    try:
        path.write_bytes(mutation.apply(source))
        compiled.unlink(missing_ok=True)  # a change of equal length within a second looks the same
        for part in tests:
            (tree / "chosen").write_text("\n".join(part))
            left = limit - (time.monotonic() - start)
            status, output = run_tests(tree, ["@chosen"], left, COLUMNS="1000")
            if status not in (0, NO_TESTS):
                break
    finally:
        path.write_bytes(source)
        compiled.unlink(missing_ok=True)
    # Signals come from the system as well, out of memory say: they are no test's verdict.
    unknown = None if status is not None and status < 0 else status
    verdict = {0: "survived", NO_TESTS: "survived", None: "unfinished"}.get(unknown, "killed")
    failed = FAILURE.findall(output) if verdict == "killed" else []
    test = failed[0] if failed else f"exit status {status}" if verdict == "killed" else ""
    late = verdict == "killed" and LATE in output
    return Outcome(mutation, verdict, test, time.monotonic() - start, late)


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
    listed = {verdict: [one for one in counted if one.verdict == verdict] for verdict in OPEN}
    listed["killed by a test that took too long"] = [one for one in counted if one.late]
    for name, group in listed.items():
        print(f"\n{name}: {len(group)}", *(f"  {one.mutation}" for one in group), sep="\n")
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
    parser.add_argument("--kept", action="store_true", help="run nothing under coverage first")
    parser.add_argument("--list", action="store_true", help="print what is drawn, run nothing")
    options = parser.parse_args()
    drawn = draw(options.mutants, options.seed, options.only)[options.skip :]
    print(f"{len(drawn)} mutants, seed {options.seed}", flush=True)
    if options.list:
        print(*drawn, sep="\n")
        return
    shutil.rmtree(WORK, ignore_errors=True)
    chosen = CoverageMap(ROOT, KEPT)
    if not options.kept:
        complete(chosen, chosen.lacking(), options.jobs)
        if broken := chosen.lacking():
            raise SystemExit(f"mutants: tests under coverage broke off or changed: {broken}")
    trees: SimpleQueue[Path] = SimpleQueue()
    for number in range(options.jobs):
        trees.put(copy_tree(WORK / str(number)))
    outcomes: list[Outcome] = []
    end = time.monotonic() + 60 * options.minutes

    def one(mutation: Mutation) -> None:
        tree = trees.get()
        try:
            if time.monotonic() < end:
                found = judge(tree, mutation, tests_of(mutation, chosen), options.limit)
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
