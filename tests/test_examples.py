"""The short examples run as a reader runs them, and show what their first lines promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fresh_runs import FreshRuns

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that runs an example in a folder of its own: what it printed, and there."""
    runs = FreshRuns()

    def run(name):
        folder = tmp_path_factory.mktemp(name)
        status, text = runs(EXAMPLES / f"{name}.py", folder)
        assert status == 0, text
        return text, folder

    yield run
    runs.close()


def test_a_table(run):
    text, _ = run("table")
    assert float(re.search(r"right: ([\d.]+)", text)[1]) > 0.9
    assert "worst" in text  # names of columns
    found, chance = (float(each) for each in re.findall(r"deletion curve.*: ([-\d.]+)", text))
    assert found < chance


def test_an_image(run):
    text, folder = run("image")
    assert float(re.search(r"right: ([\d.]+)", text)[1]) > 0.8
    quarters = re.search(r"by quarters: (.*)", text)[1]
    assert sorted(re.findall(r"(\w+ \w+) [-+]\d", quarters)) == [
        *("lower left", "lower right", "upper left", "upper right")
    ]
    assert (folder / "image.png").read_bytes()[:4] == b"\x89PNG"


def test_a_phrase(run):
    text, _ = run("phrase")
    assert float(re.search(r"right: ([\d.]+)", text)[1]) > 0.95
    alone = {word: float(score) for score, word in re.findall(r"^ +(-?[\d.]+)  (\w+)$", text, re.M)}
    together = float(re.search(r"([-+][\d.]+) +not bad", text)[1])
    assert together > alone["not"] + alone["bad"]


def test_a_language_model(run):
    text, _ = run("language")
    assert "the model writes: 'skate on the ice'" in text
    shares = re.search(r"skate +in oslo ([-+][\d.]+), cold ([-+][\d.]+), today ([-+][\d.]+)", text)
    place, weather, day = (float(share) for share in shares.groups())
    assert abs(weather - 1.0986) < 0.1  # log 3: it chooses one of three things
    assert max(abs(place), abs(day)) < 0.1


def test_an_audit(run):
    text, folder = run("audit_digits")
    assert (folder / "audit-of-digits" / "audit.json").exists()
    assert re.search(r"\d+ of 297 are wrong", text)


def test_which_method(run):
    text, _ = run("which_method")
    lines = text.splitlines()[1:-1]
    deletion = {line.split()[0]: float(line.split()[2]) for line in lines}
    assert len(deletion) == 8
    assert deletion["integrated_gradients"] < deletion["saliency"]


def test_files_for_the_command_line(run):
    _, folder = run("files")
    wanted = ["digit.png", "digits.pt2", "patients.csv", "tumours.pt2", "typical.csv"]
    assert sorted(path.name for path in folder.iterdir()) == wanted


def test_every_example_has_a_place_in_the_documentation():
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    scripts = {path.name for path in EXAMPLES.glob("*.py")} - {"penalised_training.py"}
    assert scripts == set(re.findall(r"`examples/(\w+\.py)`", page))
