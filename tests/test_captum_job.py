"""The job that runs captum's tests on pyxai's classes tells what it must."""

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SOME = """
import unittest

import torch
from captum.attr import CommonStats, NoiseTunnel
from captum.attr._core.saliency import Saliency
from captum.metrics import sensitivity_max

x, net = torch.tensor([[1.0, -2.0]]), torch.nn.Linear(2, 1)


class Test(unittest.TestCase):
    def test_passes(self):
        assert Saliency(net).attribute(x).shape == x.shape
        assert "pyxai" in Saliency.__module__ and "pyxai" in NoiseTunnel.__module__

    def test_fails(self):
        assert (Saliency(net).attribute(x) < 0).all()

    def test_metrics_are_swapped(self):
        sensitivity_max(lambda z: (z,), x)

    def test_refuses(self):
        with self.assertRaises(AssertionError):
            Saliency(net).attribute(x, target=7)

    def test_of_captum_alone(self):
        assert callable(CommonStats)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("captum")
    (folder / "tests" / "attr").mkdir(parents=True)
    for each in (folder / "tests", folder / "tests" / "attr"):
        (each / "__init__.py").touch()
    (folder / "tests" / "attr" / "test_some.py").write_text(SOME)
    return folder


def run(tmp_path, checkout, known):
    script = tmp_path / "captum_tests.py"
    shutil.copy(ROOT / ".ci" / "captum_tests.py", script)
    script.with_suffix(".txt").write_text(known)
    return subprocess.run(
        [sys.executable, script, checkout],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


NAME = "tests/attr/test_some.py::Test::test_"


@pytest.mark.parametrize(
    ("known", "code", "said"),
    [
        (f"# It wants\n# negative sizes.\n{NAME}fails\n", 0, "'passed': 3"),
        ("# Nothing.\n", 1, f"FAILED, and not on captum_tests.txt: {NAME}fails"),
        (
            f"# Once.\n{NAME}fails\n{NAME}pass*\n",
            1,
            f"passed, and on captum_tests.txt: {NAME}pass*",
        ),
        (f"{NAME}fails\n", 1, "captum_tests.txt must give a reason before"),
    ],
)
def test_the_job_fails_where_the_list_is_not_what_fails(tmp_path, checkout, known, code, said):
    found = run(tmp_path, checkout, known)
    assert found.returncode == code, found.stderr
    assert said in found.stdout + found.stderr
    if code == 0:
        assert "on pyxai: {'failed': 1, 'passed': 3}; without it: {'passed': 1}" in found.stdout


def test_a_folder_that_is_no_checkout_is_named(tmp_path):
    found = run(tmp_path, tmp_path, "")
    assert found.returncode == 2
    assert "give a checkout of captum" in found.stdout


def test_what_may_fail_has_a_reason_and_a_place():
    lines = (ROOT / ".ci" / "captum_tests.txt").read_text().splitlines()
    tests = [line for line in lines if line and not line.startswith("#")]
    assert tests == list(dict.fromkeys(tests))
    assert all(line.startswith(("tests/attr/", "tests/metrics/")) for line in tests)
    for before, line in itertools.pairwise(lines):
        if line and not line.startswith("#"):
            assert before, line  # a reason, or a test of the same reason
