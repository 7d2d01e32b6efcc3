"""Pytest plugin of `make gpu`: records every test, and names those whose packages are not there.

The GPU machine may lack packages that the tests use. That is no reason to fail, and none to stay
silent: a test that comes to need one is recorded as "not run" with its name.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.util
import inspect
import json
import os
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NoReturn

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
    if name in sys.stdlib_module_names or any(folder.rglob(f"{name}.py")):
        return True
    return name in ("pyxai", "tests", "benchmarks") or importlib.util.find_spec(name) is not None


def missing_modules(folder: Path) -> set[str]:
    """Modules that the tests name and this Python does not have."""
    named = set(PLUGINS)
    for path in folder.rglob("*.py"):
        named |= _imports(ast.parse(path.read_text()))
    return {name for name in named if not _present(name, folder)}


class Missing(types.ModuleType):
    """Stands for a module that is not installed, and for whatever one takes out of it.

    Test files can be imported with it, decorated and parametrised by it. A test that comes to use
    it raises `ModuleNotFoundError`, which is reported as "not run".
    """

    running = False  # whether a test runs, rather than a file is imported

    def __init__(self, name: str, *_: object) -> None:
        super().__init__(name)
        self.__path__: list[str] = []  # submodules are missing as well

    def _use(self) -> NoReturn:
        root = self.__name__.partition(".")[0]
        raise ModuleNotFoundError(f"No module named {root!r}", name=root)

    def __getattr__(self, name: str) -> Missing:
        if name.startswith("__"):
            raise AttributeError(name)
        if Missing.running:
            self._use()
        return Missing(f"{self.__name__}.{name}")

    def __call__(self, *arguments: object, **_: object) -> object:
        if Missing.running:
            self._use()
        if len(arguments) == 1 and inspect.isfunction(arguments[0]):
            # As a decorator: the function is a test that would need the package.
            def test() -> None:
                self._use()

            test.__name__ = arguments[0].__name__
            return test
        return self

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return ()


class MissingFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports `Missing` in place of the modules known not to be there."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in MISSING - set(PLUGINS):
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> Missing:
        return Missing(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


if MISSING:
    sys.meta_path.insert(0, MissingFinder())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """Tell `Missing` that a test runs."""
    Missing.running = True
    yield
    Missing.running = False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the settings of pyproject.toml that belong to plugins which are not installed."""
    if importlib.util.find_spec("pytest_timeout") is None:
        parser.addini("timeout", "ignored: pytest-timeout is not installed")


def pytest_configure(config: pytest.Config) -> None:
    """Let `@pytest.mark.timeout` stand without its plugin, and libraries of CUDA warn.

    Of their versions, plans and contexts they warn on one machine and not on the next. The line
    comes after those of pyproject.toml, so it wins.
    """
    libraries = "cuda|cublas|cudnn|cufft|cusolver|cusparse|magma|nvml|nvrtc"
    config.addinivalue_line("filterwarnings", f"default:(?i).*({libraries}):UserWarning")
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
