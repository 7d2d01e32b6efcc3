"""The site's reference holds what is public, and what pages say of tests is so.

`make docs` builds the site, with warnings as errors.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from public_objects import documented_objects, namespaces

ROOT = Path(__file__).parent.parent
DIFFERENCES = ROOT / "docs" / "differences-from-captum.md"


def load(path):
    """Import a file of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference_pages = load(ROOT / "docs" / "reference_pages.py")


def test_every_room_has_a_page():
    rooms = set(reference_pages.rooms())
    assert set(namespaces()) - rooms == reference_pages.LEFT_OUT
    assert rooms <= set(namespaces())


def test_every_public_name_is_in_the_reference():
    held = reference_pages.public_names()
    rooms = {name: importlib.import_module(name.rpartition(".")[0]) for name in held}
    described = {id(getattr(room, name.rpartition(".")[2])) for name, room in rooms.items()}
    left_out = tuple(f"{room}." for room in reference_pages.LEFT_OUT)
    objects = [
        (name, value)
        for name, value in documented_objects()
        if "." not in value.__qualname__ and not name.startswith(left_out)  # members: their class
    ]
    assert not [name for name, value in objects if id(value) not in described]
    assert {"pyxai.explain", "pyxai.Game", "pyxai.attribution.LRP", "pyxai.ops.player_sum"} <= held


def test_pages_of_the_reference_describe_each_name_once(tmp_path):
    reference_pages.write(tmp_path)
    text = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.rst"))
    described = re.findall(r"^\.\. auto(?:class|function):: (\S+)$", text, re.MULTILINE)
    assert len(described) == len(set(described))
    data = set(re.findall(r"^\.\. py:data:: (\S+)$", text, re.MULTILINE))
    names = {
        name if name in described else name.rpartition(".")[2]
        for name in reference_pages.public_names()
    }
    assert names == {*described, *data}
    index = (tmp_path / "index.rst").read_text(encoding="utf-8").split()
    assert set(reference_pages.rooms()) <= set(index)


def test_pages_that_nothing_asks_for_any_more_are_removed(tmp_path):
    (tmp_path / "pyxai.gone.rst").write_text("")
    reference_pages.write(tmp_path)
    assert not (tmp_path / "pyxai.gone.rst").exists()
    assert (tmp_path / "pyxai.attribution.rst").exists()


def rows_of_tables(path):
    """Return the rows of the tables of a page, without their heads."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rules = [n for n, line in enumerate(lines) if re.fullmatch(r"\|[-| ]+\|", line)]
    heads = {n - 1 for n in rules} | set(rules)
    return [line for n, line in enumerate(lines) if line.startswith("|") and n not in heads]


DIFFERENT = rows_of_tables(DIFFERENCES)


@pytest.mark.parametrize("row", DIFFERENT, ids=range(len(DIFFERENT)))
def test_each_difference_from_captum_names_a_test_that_exists(row):
    named = re.findall(r"`(test_\w+\.py)?((?:::\w+)*)`", row.rsplit(" | ", 1)[1])
    named = [(file, test) for file, test in named if file or test]
    assert named, row
    file = ""
    for given, test in named:
        file = given or file
        [path] = (ROOT / "tests").rglob(file)
        for part in test.split("::")[1:]:
            assert re.search(rf"\b(def|class) {part}\b", path.read_text()), f"{file}{test}"


def test_there_are_differences():
    assert len(DIFFERENT) > 50
