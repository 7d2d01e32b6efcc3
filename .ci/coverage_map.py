"""Which tests run a line of the package, kept between draws of mutants.

Each run of tests under coverage is kept in a folder with the sources that it ran on. Later only
test files that are new or changed run again; lines that moved since are followed by a comparison
of the sources, so that a map stays of use while the package changes.
"""

from __future__ import annotations

import ast
import difflib
import functools
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.etree import ElementTree

import coverage


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
        self.runs = [Run(each.parent) for each in sorted(folder.glob("*/digests.json"))]

    def complete(self, run: Callable[[Path, list[str]], None]) -> None:
        """Let ``run(folder, test files)`` measure the test files that no run has as they are."""
        missing = [name for name in self.now if not any(self.knows(one, name) for one in self.runs)]
        if not missing:
            return
        print(f"running {len(missing)} test files under coverage", flush=True)
        name = hashlib.sha256(json.dumps([self.now[each] for each in missing]).encode())
        made = self.folder / f"{len(self.runs):03}-{name.hexdigest()[:12]}"
        shutil.rmtree(made, ignore_errors=True)
        for path in (self.root / "pyxai").rglob("*.py"):
            copy = made / "sources" / path.relative_to(self.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        run(made, missing)
        combined = coverage.CoverageData(basename=str(made / "coverage"))
        for each in made.glob("coverage.*"):
            data = coverage.CoverageData(basename=str(each))
            data.read()
            combined.update(data)
        combined.write()
        (made / "digests.json").write_text(json.dumps({one: self.now[one] for one in missing}))
        self.runs.append(Run(made))

    def knows(self, run: Run, test: str) -> bool:
        file = test.split("::")[0]
        return file in self.now and run.digests.get(file) == self.now[file]

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
                if self.knows(run, name):
                    file, *rest = name.split("::")
                    seconds[name] = run.seconds.get(".".join([dotted(Path(file)), *rest]), 1.0)
        words = set(re.split(r"[_./]+", path))
        return sorted(seconds, key=lambda name: (-common_words(name, words), seconds[name]))


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef)


def extent(node: ast.FunctionDef) -> tuple[int, int]:
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return first, (node.end_lineno or node.lineno) + 1


def common_words(test: str, words: set[str]) -> int:
    """How many words of a source file the name of a test's file has, contracts apart."""
    path = test.split("::")[0]
    return 0 if "/contracts/" in path else len(words & set(re.split(r"[_./]+", path)))
