"""Run pytest in a process that is forked from one which has imported torch: it starts at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
# What most tests import and nobody changes; what pytest must rewrite it imports itself.
FORKS.set_forkserver_preload(["torch", "torch.export", "captum.attr", "scipy.stats", "sklearn"])
PYTEST = (
    *("-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider"),
    *("-o", "addopts=--import-mode=importlib", "--timeout=120"),
)


def run_tests(
    tree: Path, tests: list[str], limit: float, *options: str, **environment: str
) -> tuple[int | None, str]:
    """Exit status, None when the time was up, and output."""
    with tempfile.NamedTemporaryFile() as output:
        arguments = [*PYTEST, *options, *tests]
        given = (str(tree), arguments, environment, output.name)
        process = FORKS.Process(target=_run, args=given)
        process.start()
        process.join(limit)
        if process.is_alive():
            with suppress(ProcessLookupError):  # it has no group yet
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.join()
            status = None
        else:
            status = process.exitcode
        return status, Path(output.name).read_text(errors="replace")


def _run(tree: str, arguments: list[str], environment: dict[str, str], output: str) -> None:
    os.setsid()  # what the tests start ends with them
    os.chdir(tree)
    sys.path[:0] = [tree]
    os.environ.update({"OMP_NUM_THREADS": "1", **environment})
    file = os.open(output, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(file, standard)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    import pytest
    import torch

    torch.set_num_threads(1)  # OMP_NUM_THREADS was read before the fork
    status = pytest.main(arguments)
    sys.stdout.flush()
    os._exit(int(status))
