"""Run captum's own tests of attributions and metrics on pyxai's classes.

    python .ci/captum_tests.py SOURCE [pytest arguments]

SOURCE is a checkout of captum at the tag of the installed wheel; of it only ``tests/attr`` and
``tests/metrics`` are run. The names that pyxai has, classes of ``captum.attr`` and functions of
``captum.metrics``, are swapped for pyxai's where a test imports them from. Tests that use none of
them say nothing of pyxai and are only counted. Where a test expects an assertion to fail, a value
or type that pyxai refuses will do. What may fail stands in ``.ci/captum_tests.txt``,
each with its reason: the job fails if another test does, or if one of these passes.
"""

from __future__ import annotations

import collections
import fnmatch
import functools
import importlib
import inspect
import os
import sys
import unittest
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import captum.attr
import captum.metrics
import pytest

import pyxai.attribution
import pyxai.metrics
from pyxai.methods.base import Attribution

LISTED = Path(__file__).with_suffix(".txt")
FOLDERS = ("tests/attr", "tests/metrics")


class Swapped:
    """A plugin of pytest that tells which tests used pyxai, and what became of them."""

    def __init__(self) -> None:
        self.used = False
        self.outcomes: dict[str, str] = {}
        self.others: collections.Counter[str] = collections.Counter()
        self._defined: list[tuple[Any, str, Any]] = []

    def swap(self) -> None:
        """Put pyxai's names in place of captum's, where these are defined and exported."""
        for theirs, ours in ((captum.attr, pyxai.attribution), (captum.metrics, pyxai.metrics)):
            for name in set(theirs.__all__) & set(ours.__all__):
                found, put = getattr(theirs, name), getattr(ours, name)
                if not isinstance(put, type):
                    put = self._marking(put)
                setattr(theirs, name, put)
                module = importlib.import_module(found.__module__)
                self._defined.append((module, name, found))
                setattr(module, name, put)
        # captum refuses by assertions, pyxai by what Python has for wrong values and types.
        refuse = unittest.TestCase.assertRaises
        types = {AssertionError: (AssertionError, ValueError, TypeError)}
        unittest.TestCase.assertRaises = (  # type: ignore[method-assign, assignment]
            lambda case, expected, *args, **kwargs: refuse(
                case, types.get(expected, expected), *args, **kwargs
            )
        )
        Attribution.__init__ = self._marking(Attribution.__init__)  # type: ignore[method-assign]

    def _marking(self, function: Any) -> Any:
        @functools.wraps(function)
        def marking(*args: Any, **kwargs: Any) -> Any:
            self.used = True
            return function(*args, **kwargs)

        return marking

    def pytest_collection_finish(self) -> None:
        """Give captum's own classes, of layers and neurons, their names back: tests have theirs."""
        for module, name, found in self._defined:
            setattr(module, name, found)

    def pytest_runtest_setup(self) -> None:
        self.used = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        report = yield
        if report.when == "call":
            if self.used:
                self.outcomes[item.nodeid] = report.outcome
            else:
                self.others[report.outcome] += 1
        return report


def read_known(lines: Iterable[str]) -> dict[str, str]:
    """Return the reason of each test, or pattern of tests, that may fail.

    A reason is one or more lines that start with #, and stands before its tests.
    """
    known, reason, last = {}, "", ""
    for line in map(str.strip, lines):
        if line.startswith("#"):
            reason = f"{reason} {line[1:].strip()}" if last.startswith("#") else line[1:].strip()
        elif line:
            if not reason:
                raise ValueError(f"{LISTED.name} must give a reason before {line}")
            known[line] = reason
        last = line
    return known


def verdict(outcomes: dict[str, str], known: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the tests that failed and are not known to, and the known ones that passed."""
    failed = [test for test, outcome in outcomes.items() if outcome == "failed"]
    passed = [test for test, outcome in outcomes.items() if outcome == "passed"]
    unknown = [test for test in failed if not any(fnmatch.fnmatchcase(test, k) for k in known)]
    mended = [k for k in known if fnmatch.filter(passed, k) and not fnmatch.filter(failed, k)]
    return unknown, mended


def main(source: str, *arguments: str) -> int:
    """Run the tests; 0 if just those fail that may."""
    root = Path(source).resolve()
    folders = [folder for folder in FOLDERS if (root / folder).is_dir()]
    if not folders:
        print(f"{source} holds none of {', '.join(FOLDERS)}: give a checkout of captum")
        return 2
    known = read_known(LISTED.read_text().splitlines())
    plugin = Swapped()
    plugin.swap()
    os.chdir(root)
    warnings.simplefilter("ignore")
    options = [
        "-q",
        "--tb=line",
        "--show-capture=no",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        "-c",
        os.devnull,
    ]
    pytest.main([*options, f"--rootdir={root}", *(arguments or folders)], plugins=[plugin])
    unknown, mended = verdict(plugin.outcomes, known)
    counts = collections.Counter(plugin.outcomes.values())
    print(f"\non pyxai: {dict(counts)}; without it: {dict(plugin.others)}")
    for test in unknown:
        print(f"FAILED, and not on {LISTED.name}: {test}")
    for test in mended:
        print(f"passed, and on {LISTED.name}: {test}")
    if not plugin.outcomes:
        print("no test used pyxai")
    return int(bool(unknown or mended or not plugin.outcomes))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(inspect.cleandoc(__doc__ or ""))
    sys.exit(main(*sys.argv[1:]))
