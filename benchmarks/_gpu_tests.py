"""Pytest plugin of `make gpu`: records every test, and names those whose packages are not there.

The GPU machine may lack packages that the tests use. That is no reason to fail, and none to stay
silent: such tests are recorded as "not run" with their names.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

MISSING = frozenset(filter(None, os.environ.get("PYXAI_GPU_MISSING", "").split(",")))
RECORD = os.environ.get("PYXAI_GPU_TEST_RECORD")
# Used by the configuration or the command line rather than by an import.
PLUGINS = ("pytest_timeout", "xdist")


def _imports(node: ast.AST) -> set[str]:
    """Top-level names of the modules that the code below `node` imports."""
    found = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            found.update(alias.name.split(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.level == 0 and child.module:
            found.add(child.module.split(".")[0])
    return found


def _present(name: str, folder: Path) -> bool:
    if name in sys.stdlib_module_names or (folder / f"{name}.py").exists():
        return True
    return name in ("pyxai", "tests", "benchmarks") or importlib.util.find_spec(name) is not None


def missing_modules(folder: Path) -> set[str]:
    """Modules that the tests name and this Python does not have."""
    named = set(PLUGINS)
    for path in folder.rglob("*.py"):
        named |= _imports(ast.parse(path.read_text()))
    return {name for name in named if not _present(name, folder)}


def unreadable_files(folder: Path, missing: set[str]) -> dict[str, list[str]]:
    """Test files that cannot be imported without what is missing, with the tests in them.

    An import inside a function only stops that test, which this plugin sees when it runs. A helper
    module that needs something missing takes the files that import it along.
    """
    heads = {}
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text())
        top = [
            node
            for node in tree.body
            if isinstance(node, (ast.Import, ast.ImportFrom, ast.If, ast.Try))
        ]
        heads[path] = set().union(*(_imports(node) for node in top)) if top else set()
    broken = {path for path, names in heads.items() if names & missing}
    while True:
        stems = {path.stem for path in broken}
        more = {path for path, names in heads.items() if names & stems} - broken
        if not more:
            break
        broken |= more
    return {
        str(path.relative_to(folder.parent)): _tests_in(path)
        for path in sorted(broken)
        if path.name.startswith("test_")
    }


def _tests_in(path: Path) -> list[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, functions) and node.name.startswith("test")
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the settings of pyproject.toml that belong to plugins which are not installed."""
    if importlib.util.find_spec("pytest_timeout") is None:
        parser.addini("timeout", "ignored: pytest-timeout is not installed")


def pytest_configure(config: pytest.Config) -> None:
    """Let `@pytest.mark.timeout` stand without its plugin."""
    if importlib.util.find_spec("pytest_timeout") is None:
        config.addinivalue_line("markers", "timeout: ignored, pytest-timeout is not installed")
    if importlib.util.find_spec("hypothesis") is not None:
        settings = importlib.import_module("hypothesis").settings
        examples = int(os.environ.get("PYXAI_GPU_EXAMPLES", settings.default.max_examples))
        # No deadline: the first call on a GPU loads the kernels.
        settings.register_profile("gpu", deadline=None, max_examples=examples)
        settings.load_profile("gpu")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Turn "this package is not installed" into "not run", for the packages known to be missing."""
    outcome = yield
    report = outcome.get_result()
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in MISSING:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"not run: needs {error.name}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Append one line per test at once, so that a run cut short is still on record."""
    if RECORD is None or os.environ.get("PYTEST_XDIST_WORKER"):
        return
    if report.when != "call" and report.outcome == "passed":
        return
    outcome = {"passed": "passed", "failed": "failed", "skipped": "not run"}[report.outcome]
    with Path(RECORD).open("a") as file:
        file.write(json.dumps({"test": report.nodeid, "outcome": outcome}) + "\n")
