"""Run scripts as a reader does, who has imported nothing: in processes that only torch is in.

They are forked from one that has imported it, since that takes most of the time of a short script.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from readme_blocks import ROOT

# Reads what to run from its input, a line each, and answers with the exit status.
SERVER = """
import json, os, runpy, sys, traceback
import torch

def run(script, folder, output):
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
    os.dup2(1, 2)
    os.chdir(folder)
    sys.argv, sys.path[0] = [script], os.path.dirname(script)
    runpy.run_path(script, run_name="__main__")

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run(*json.loads(line))
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class FreshRuns:
    """Runs scripts, with warnings as errors; to be closed."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SERVER],
            env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, script: Path, folder: Path) -> tuple[int, str]:
        """Run a script in a folder; return its exit status, and what it printed and said."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        output = folder / ".printed"
        self._server.stdin.write(json.dumps([str(script), str(folder), str(output)]) + "\n")
        self._server.stdin.flush()
        status = int(self._server.stdout.readline())
        text = output.read_text(encoding="utf-8")
        output.unlink()
        return status, text

    def close(self) -> None:
        """End the process."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()
