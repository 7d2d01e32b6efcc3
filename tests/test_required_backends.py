"""A run that names no backend, or one that is not built, fails: no test is skipped for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("", "PYXAI_REQUIRE_BACKENDS must name backends, such as cpu,host_run, got ''"),
        (",", "PYXAI_REQUIRE_BACKENDS must name backends, such as cpu,host_run, got ','"),
        ("cpu,abacus", "required backends ['abacus'] are missing"),
    ],
)
def test_backends_must_be_named_and_built(names, message):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--collect-only",
            __file__,
        ],
        cwd=Path(__file__).parent.parent,
        env={**environment, "PYXAI_REQUIRE_BACKENDS": names},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in done.stderr
