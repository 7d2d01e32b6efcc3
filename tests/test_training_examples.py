"""The scripts that train with penalties run, small; their tables are what the README says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("script", ["cdep_colour", "cdep_decoy"])
def test_a_tiny_version_trains_with_every_penalty(script):
    size = ["--size", "40", "--epochs", "1", "--rates", "none=0,CDEP=1,RRR=1,EG=1"]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{script}.py"), *size],
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["none", "CDEP", "RRR", "EG"]
    assert all(0 <= float(number) <= 100 for row in rows for number in row[3:])


def best(script, column):
    """Return the best accuracy of each method in the table that lies beside a script."""
    lines = (EXAMPLES / f"{script}.txt").read_text(encoding="utf-8").splitlines()[2:]
    found = {}
    for name, *numbers in map(str.split, lines):
        found[name] = max(found.get(name, 0.0), float(numbers[column]))
    return found


def test_the_colour_table_shows_what_is_claimed():
    found = best("cdep_colour", 3)
    assert found["none"] <= 1
    assert found["RRR"] <= 5
    assert found["CDEP"] >= 15
    assert round(found["CDEP"]) == 29


def test_the_decoy_table_is_reported_as_it_came_out():
    found = best("cdep_decoy", 2)
    assert found["none"] < found["CDEP"] < min(found["RRR"], found["EG"])
