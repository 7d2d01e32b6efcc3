"""The scripts whose tables are committed still run, and print tables of the form that is there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = {
    "lex_encoding": ["--seeds", "1", "--steps", "2", "--batch", "50", "--epochs", "1"],
    "lex_selection": ["--seeds", "1", "--steps", "2", "--batch", "50"],
    "lex_panels": ["--seeds", "1", "--epochs", "1"],
}


@pytest.mark.parametrize("name", SMALL)
def test_examples_run(name):
    done = subprocess.run(
        [sys.executable, "-W", "error", f"examples/{name}.py", *SMALL[name]],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    heads = [re.findall(r"^\|.*\|$", text, re.MULTILINE)[0] for text in (done.stdout, table(name))]
    assert heads[0] == heads[1]
    kinds = [
        re.findall(r"^\| ([a-zA-Z0, ]+) \| mean", text, re.MULTILINE)
        for text in (done.stdout, table(name))
    ]
    assert kinds[0] == kinds[1]
    assert len(kinds[0]) >= 2


def table(name):
    return (ROOT / "examples" / f"{name}.md").read_text(encoding="utf-8")
