"""Which tests run a line of the package, kept between draws of mutants.

    python .ci/coverage_map.py [--all] [--jobs 2] [tests/metrics ...]

Test files run under coverage, a few at a time, and what each piece ran is kept in a folder with
the sources that it ran on. Only test files that are new or changed run again; lines that moved
since are followed by a comparison of the sources, so that a map stays of use while the package
changes. ``--all`` runs every file: it is a run of the whole suite that leaves a map behind. What
fails runs again without coverage, and what fails then too is printed as pytest prints it.
"""

from __future__ import annotations

import argparse
import ast
import collections
import difflib
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import coverage

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "mutants-map"
PIECE = 8  # test files that run in one process: what is finished is kept
ENDED = (0, 1, 5)  # exit statuses of pytest that ran to its end: passed, failed, no tests


def dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Run:
    """One run of tests: in ``folder`` the data of coverage, reports, sources and digests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digests: dict[str, str] = json.loads((folder / "digests.json").read_text())
        self.data = coverage.CoverageData(basename=str(folder / "coverage"))
        self.data.read()
        self.files = {path[path.rindex("/pyxai/") + 1 :]: path for path in self._measured()}
        self.seconds: dict[str, float] = {}
        for report in folder.glob("*.xml"):
            for case in ElementTree.parse(report).iter("testcase"):
                name = f"{case.get('classname')}.{case.get('name')}"
                self.seconds[name] = float(case.get("time", 0))

    def _measured(self) -> list[str]:
        return [path for path in self.data.measured_files() if "/pyxai/" in path]

    @functools.cache  # noqa: B019
    def lines(self, path: str) -> dict[int, set[str]]:
        """Names of the tests that ran each line of a source file as it was then."""
        found = self.data.contexts_by_lineno(self.files[path]) if path in self.files else {}
        return {
            line: {name.split("|")[0] for name in names if name} for line, names in found.items()
        }

    @functools.cache  # noqa: B019
    def moved(self, path: str, now: str) -> dict[int, range]:
        """Where each line of a source file as it is ``now`` was then."""
        old = self.folder / "sources" / path
        before = old.read_text().splitlines() if old.exists() else []
        blocks = difflib.SequenceMatcher(None, before, now.splitlines(), autojunk=False)
        places = {}
        for _, first, last, start, end in blocks.get_opcodes():
            same = last - first == end - start
            for line in range(start, end):
                at = first + line - start
                places[line + 1] = range(at + 1, at + 2) if same else range(first, last + 2)
        return places


class CoverageMap:
    """Which tests run what a mutant changes: of all runs that are kept in a folder."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self.now = {
            str(path.relative_to(root)): digest(path)
            for path in sorted((root / "tests").rglob("test_*.py"))
        }
        folder.mkdir(parents=True, exist_ok=True)
        finished = sorted(folder.glob("*/digests.json"), key=lambda path: path.stat().st_mtime_ns)
        self.runs = [Run(each.parent) for each in finished]
        known = {run.folder for run in self.runs} | {folder / "sources"}
        self.broken = [path for path in folder.glob("*") if path not in known]

    def newest(self, file: str) -> Run | None:
        """Return the last run of a test file as it is now."""
        known = [run for run in self.runs if run.digests.get(file) == self.now.get(file, "")]
        return known[-1] if known else None

    def lacking(self) -> list[str]:
        """Test files that no run has as they are."""
        return [file for file in self.now if self.newest(file) is None]

    def copy_sources(self) -> Path:
        """Copy the sources as they are, unless there is such a copy."""
        sources = sorted((self.root / "pyxai").rglob("*.py"))
        named = json.dumps([[str(path), digest(path)] for path in sources]).encode()
        made = self.folder / "sources" / hashlib.sha256(named).hexdigest()[:16]
        if not made.exists():
            half = made.with_suffix(".half")
            for path in sources:
                copy = half / path.relative_to(self.root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
            half.rename(made)
        return made

    def start(self, files: list[str], sources: Path) -> Path:
        """Make the folder for a run of test files on sources that were copied."""
        named = json.dumps([sources.name, *([each, self.now[each]] for each in files)]).encode()
        made = self.folder / hashlib.sha256(named).hexdigest()[:16]
        shutil.rmtree(made, ignore_errors=True)
        self.runs = [run for run in self.runs if run.folder != made]
        self.broken = [path for path in self.broken if path != made]
        made.mkdir()
        (made / "sources").symlink_to(os.path.relpath(sources, made))
        return made

    def keep(self, made: Path, files: list[str]) -> None:
        """Take a run into the map, but for test files that changed meanwhile."""
        same = {one: self.now[one] for one in files if digest(self.root / one) == self.now[one]}
        (made / "digests.json").write_text(json.dumps(same))
        self.runs.append(Run(made))

    def sweep(self) -> None:
        """Delete runs of which nothing is used any more, those that broke off, and their sources.

        What another process has made meanwhile stays.
        """
        used = {run.folder for file in self.now if (run := self.newest(file))}
        for folder in [run.folder for run in self.runs if run.folder not in used] + self.broken:
            shutil.rmtree(folder, ignore_errors=True)
        self.runs = [run for run in self.runs if run.folder in used]
        sources = {path.resolve() for path in self.folder.glob("*/sources")}
        for folder in self.folder.glob("sources/*"):
            if folder.resolve() not in sources:
                shutil.rmtree(folder)

    def tests(self, path: str, line: int, end: int) -> list[str]:
        """Tests that run lines of a file: those named like the file first, then the quickest."""
        source = (self.root / path).read_text()
        functions = [node for node in ast.walk(ast.parse(source)) if is_function(node)]
        inside = [node for node in functions if line in range(*extent(node))]
        wanted: Iterable[int] | None = None
        if inside and line >= inside[-1].body[0].lineno:
            wanted = range(line, end + 1)
        elif inside:  # a default or a decorator runs at import: who calls the function?
            wanted = range(inside[-1].body[0].lineno, extent(inside[-1])[1])
        seconds: dict[str, float] = {}
        for run in self.runs:
            lines, moved = run.lines(path), run.moved(path, source)
            then = lines if wanted is None else {old for now in wanted for old in moved[now]}
            for name in set().union(*(lines.get(each, ()) for each in then)):
                file, *rest = name.split("::")
                if self.newest(file) is run:
                    seconds[name] = run.seconds.get(".".join([dotted(Path(file)), *rest]), 1.0)
        words = words_of(path)
        return sorted(seconds, key=lambda name: (-common_words(name, words), seconds[name]))


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef)


def extent(node: ast.FunctionDef) -> tuple[int, int]:
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return first, (node.end_lineno or node.lineno) + 1


def words_of(path: str) -> set[str]:
    return set(re.split(r"[_./]+", path))


def common_words(test: str, words: set[str]) -> int:
    """How many words of a source file the name of a test's file has, contracts apart."""
    path = test.split("::")[0]
    return 0 if "/contracts/" in path else len(words & words_of(path))


def pieces(files: list[str]) -> list[list[str]]:
    """Divide test files into those that run in one process: of one folder, and few."""
    folders = collections.defaultdict(list)
    for file in files:
        folders[str(Path(file).parent)].append(file)
    return [
        group[first : first + PIECE]
        for group in folders.values()
        for first in range(0, len(group), PIECE)
    ]


def run_piece(
    chosen: CoverageMap, files: list[str], sources: Path, threads: int
) -> tuple[bool, str]:
    """Run test files under coverage into the map; whether they pass, and what pytest printed."""
    made = chosen.start(files, sources)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    environment["COVERAGE_FILE"] = str(made / "coverage")
    command = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={made / 'cache'}"]
    covered = ["--cov=pyxai", "--cov-context=test", "--cov-report=", "--timeout=1000"]
    covered += [f"--junitxml={made / 'report.xml'}"]

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *options, *files],
            cwd=chosen.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    done = run(*covered)
    if done.returncode in ENDED:
        chosen.keep(made, files)
    if done.returncode == 1:  # a tracer is in the way of some
        done = run("--last-failed")
    shutil.rmtree(made / "cache", ignore_errors=True)
    return done.returncode in (0, 5), done.stdout


def complete(chosen: CoverageMap, files: list[str], jobs: int) -> bool:
    """Run test files under coverage into the map; whether all of them pass."""
    parts, sources = pieces(files), chosen.copy_sources()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    passed: list[bool] = []

    def one(part: list[str]) -> None:
        good, output = run_piece(chosen, part, sources, threads)
        passed.append(good)
        last = output.rstrip().rpartition("\n")[2].strip("= ")
        place = f"[{len(passed)}/{len(parts)}] {Path(part[0]).parent}, {len(part)} files: {last}"
        print(place if good else f"{output}\n{place}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, parts))
    chosen.sweep()
    return all(passed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="also what the map has already")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("paths", nargs="*", default=["tests/"], help="files that begin with these")
    options = parser.parse_args()
    chosen = CoverageMap(ROOT, KEPT)
    files = list(chosen.now) if options.all else chosen.lacking()
    files = [file for file in files if file.startswith(tuple(options.paths))]
    sys.exit(0 if complete(chosen, files, options.jobs) else 1)


if __name__ == "__main__":
    main()
