"""The code of the README and of the documentation runs, block after block, as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from readme_blocks import ROOT, pages, python_blocks

from pyxai import registry


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path, tmp_path):
    # In a process of its own, because a reader has imported nothing else; warnings are errors.
    lines: list[str] = []
    for number, code in python_blocks(path):
        lines += [""] * (number - 1 - len(lines)) + code.splitlines()
    script = tmp_path / "page.py"
    script.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"line numbers are those of {path}\n{done.stderr}"


def test_the_readme_has_code():
    assert python_blocks(ROOT / "README.md")


def table_of_methods() -> list[str]:
    """Return the rows that the README has: as sorted here, a family after the other."""
    entries = sorted(map(registry.get, registry.names()), key=lambda each: (each.family, each.name))
    cells = [
        (f"`{each.name}`", each.summary, each.cost, "yes" if each.complete else "no", each.use)
        for each in entries
    ]
    return [f"| {' | '.join(row)} |" for row in cells]


def test_the_table_of_methods_is_the_registry():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("<!-- methods")[1].split("<!-- end of methods")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows == table_of_methods(), "python tests/test_readme.py prints the rows"


def test_links_between_pages_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path} links to {target}"


def test_pages_name_tests_that_exist():
    for path in (ROOT / "docs").rglob("*.md"):
        file, text = "", path.read_text(encoding="utf-8")
        for named, test in re.findall(r"`(?:tests/)?(test_\w+\.py)?((?:::\w+)+)`", text):
            file = named or file  # `::test_x` means: in the file named before
            name = test.split("::")[-1]
            assert f"def {name}(" in next((ROOT / "tests").rglob(file)).read_text(), f"{file}{test}"


if __name__ == "__main__":
    print("\n".join(table_of_methods()))
