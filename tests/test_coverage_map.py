"""The map from lines to tests follows lines that move, and forgets tests that change."""

import importlib.util
import sys
from pathlib import Path

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
    (tmp_path / "pyxai" / "__init__.py").touch()
    (tmp_path / "pyxai" / "code.py").write_text(BEFORE)
    (tmp_path / "tests").mkdir()
    for name in ("first", "second"):
        write_test(tmp_path, name, "pass")
    return tmp_path


def write_test(tree, name, end):
    number = {"first": "one", "second": "two"}[name]
    lines = ["import sys", "from pyxai import code", "", f"def test_{number}():"]
    lines += [f"    code.{name}()", f"    {end}", ""]
    (tree / "tests" / f"test_{name}.py").write_text("\n".join(lines))


def complete(module, tree, jobs=1):
    """Run what the map of a tree lacks; whether the tests pass, and the map."""
    made = module.CoverageMap(tree, tree / "map")
    return module.complete(made, made.lacking(), jobs), made


def test_lines_are_followed_and_only_changed_tests_run_again(module, tree):
    _, made = complete(module, tree)
    assert made.tests("pyxai/code.py", 2, 2) == [ONE]
    assert made.tests("pyxai/code.py", 6, 6) == [TWO]
    assert made.tests("pyxai/code.py", 5, 5) == [TWO]  # a default: whoever runs the body

    (tree / "pyxai" / "code.py").write_text(AFTER)
    later = module.CoverageMap(tree, tree / "map")
    assert later.lacking() == []
    assert later.tests("pyxai/code.py", 5, 5) == [ONE]  # the line that is another now
    assert later.tests("pyxai/code.py", 9, 9) == [TWO]

    write_test(tree, "second", "assert 1")
    changed = module.CoverageMap(tree, tree / "map")
    assert changed.tests("pyxai/code.py", 9, 9) == []  # nobody knows what it runs
    assert changed.lacking() == ["tests/test_second.py"]
    _, again = complete(module, tree)
    assert len(again.runs) == 2
    for known in (again, module.CoverageMap(tree, tree / "map")):
        assert known.tests("pyxai/code.py", 9, 9) == [TWO]
        assert known.tests("pyxai/code.py", 5, 5) == [ONE]


def test_what_is_no_longer_used_is_swept(module, tree):
    complete(module, tree)
    for name in ("first", "second"):
        write_test(tree, name, "assert 1")
    (tree / "pyxai" / "code.py").write_text(AFTER)
    _, made = complete(module, tree)
    assert len(made.runs) == len(list((tree / "map" / "sources").iterdir())) == 1
    assert len(list((tree / "map").iterdir())) == 2


def test_what_broke_off_is_swept_and_what_another_process_makes_is_not(module, tree):
    (tree / "map" / "broken").mkdir(parents=True)
    made = module.CoverageMap(tree, tree / "map")
    sources = made.copy_sources()
    other = made.folder / "of another"
    other.mkdir()
    (other / "sources").symlink_to(sources)
    made.sweep()
    assert {path.name for path in made.folder.iterdir()} == {"sources", "of another"}
    assert list((made.folder / "sources").iterdir()) == [sources]


def test_a_run_that_breaks_off_leaves_the_one_before(module, tree):
    complete(module, tree)
    (tree / "pyxai" / "code.py").write_text(AFTER)
    again = module.CoverageMap(tree, tree / "map")
    again.start(["tests/test_first.py", "tests/test_second.py"], again.copy_sources())
    later = module.CoverageMap(tree, tree / "map")
    assert later.lacking() == []
    assert later.tests("pyxai/code.py", 9, 9) == [TWO]


def test_a_run_of_the_suite_tells_what_fails_without_coverage(module, tree, capsys):
    write_test(tree, "first", "assert sys.gettrace() is None")
    assert complete(module, tree)[0]
    assert "1 passed" in capsys.readouterr().out
    write_test(tree, "second", "assert code.second() == 3")
    passed, made = complete(module, tree)
    printed = capsys.readouterr().out
    assert not passed
    assert "E       assert 2 == 3" in printed
    assert "tests/test_second.py::test_two" in printed
    assert made.tests("pyxai/code.py", 6, 6) == [TWO]
    write_test(tree, "second", "import nothing_of_this_name")
    (tree / "tests" / "conftest.py").write_text("nonsense = 1 / 0\n")
    passed, made = complete(module, tree)
    assert not passed
    assert "ZeroDivisionError" in capsys.readouterr().out
    assert made.lacking() == ["tests/test_second.py"]  # what broke off is no part of the map


def test_pieces_are_of_one_folder_and_few_files(module):
    files = [f"tests/a/test_{number}.py" for number in range(10)] + ["tests/b/test_0.py"]
    assert [len(piece) for piece in module.pieces(files)] == [8, 2, 1]
    assert [file for piece in module.pieces(files) for file in piece] == files


def test_tests_named_like_the_file_come_first_and_contracts_last(module):
    words = {"pyxai", "covariance", "dense", "py"}
    named = [
        "tests/contracts/test_dense_covariance.py::test_a",
        "tests/covariance/test_dense.py::test_b",
        "tests/covariance/test_banded.py::test_c",
    ]
    counts = [module.common_words(name, words) for name in named]
    assert counts[1] > counts[2] > counts[0] == 0
