"""The map from lines to tests follows lines that move, and forgets tests that change."""

import importlib.util
import sys
from pathlib import Path

import coverage
import pytest

CI = Path(__file__).parent.parent / ".ci"
BEFORE = "def first():\n    return 1\n\n\ndef second():\n    return 2\n"
AFTER = "import math\n\n\ndef first():\n    return math.pi\n\n\ndef second():\n    return 2\n"
ONE, TWO = "tests/test_first.py::test_one", "tests/test_second.py::test_two"


@pytest.fixture
def module(monkeypatch):
    spec = importlib.util.spec_from_file_location("coverage_map", CI / "coverage_map.py")
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "coverage_map", made)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "pyxai").mkdir()
    (tmp_path / "pyxai" / "code.py").write_text(BEFORE)
    (tmp_path / "tests").mkdir()
    for name in ("first", "second"):
        (tmp_path / "tests" / f"test_{name}.py").write_text(f"# {name}\n")
    return tmp_path


def measured(ran):
    """Return what stands for a run of tests under coverage; ``ran`` collects the files."""

    def run(folder, files):
        ran.append(files)
        for number, name in enumerate(files):
            data = coverage.CoverageData(basename=str(folder / f"coverage.{number}"))
            test, line = (ONE, 2) if "first" in name else (TWO, 6)
            data.set_context(f"{test}|run")
            data.add_lines({"/elsewhere/pyxai/code.py": [line]})
            data.write()

    return run


def test_lines_are_followed_and_only_changed_tests_run_again(module, tree):
    ran = []
    made = module.CoverageMap(tree, tree / "map")
    made.complete(measured(ran))
    assert ran == [["tests/test_first.py", "tests/test_second.py"]]
    assert made.tests("pyxai/code.py", 2, 2) == [ONE]
    assert made.tests("pyxai/code.py", 6, 6) == [TWO]
    assert made.tests("pyxai/code.py", 5, 5) == [TWO]  # a default: whoever runs the body

    (tree / "pyxai" / "code.py").write_text(AFTER)
    later = module.CoverageMap(tree, tree / "map")
    later.complete(measured(ran))
    assert len(ran) == 1
    assert later.tests("pyxai/code.py", 5, 5) == [ONE]  # the line that is another now
    assert later.tests("pyxai/code.py", 9, 9) == [TWO]

    (tree / "tests" / "test_second.py").write_text("# another\n")
    changed = module.CoverageMap(tree, tree / "map")
    assert changed.tests("pyxai/code.py", 9, 9) == []  # nobody knows what it runs
    (tree / "pyxai" / "code.py").write_text(BEFORE)
    changed.complete(measured(ran))
    assert ran[1:] == [["tests/test_second.py"]]
    assert changed.tests("pyxai/code.py", 6, 6) == [TWO]


def test_tests_named_like_the_file_come_first_and_contracts_last(module):
    words = {"pyxai", "covariance", "dense", "py"}
    named = [
        "tests/contracts/test_dense_covariance.py::test_a",
        "tests/covariance/test_dense.py::test_b",
        "tests/covariance/test_banded.py::test_c",
    ]
    counts = [module.common_words(name, words) for name in named]
    assert counts[1] > counts[2] > counts[0] == 0
