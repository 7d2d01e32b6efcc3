"""Run an audit again and again, ended by the kernel each time; compare with a whole run.

A program of its own, as it forks: ``python audit_kills.py FOLDER HOW SEEDS``. No method takes
gradients here, so autograd has no thread to be lost by a fork. HOW is one of

- ``moments``: an alarm at a random moment. One whose default action is in place ends a process as
  `kill -9` does: no handler, no `finally`;
- ``steps``: SIGKILL before and after each operation on files of the folder in turn;
- ``workers``: SIGKILL of one of two workers at a random moment, in each fourth run of the process
  that has started them, after which none may be left.
"""

import itertools
import json
import multiprocessing
import os
import random
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from audit_cases import files_of, make_net, make_rows

from pyxai.audit import audit, launch, prepare, run_shard

ASKED = (
    make_net(),
    make_rows(16),
    ["feature_ablation", ("shapley_value_sampling", {"n_samples": 4})],
    "deletion",
)
SHARDS = {"moments": 8, "steps": 2, "workers": 8}


how = sys.argv[2]


def run(out, workers=0):
    audit(*ASKED, out, shard_size=16 // SHARDS[how], workers=workers, threads=1)


def in_child(work, deadly=signal.SIGKILL):
    """Tell whether work in a process of its own came to its end, or was killed."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == deadly, status
        return False
    assert os.waitstatus_to_exitcode(status) == 0
    return True


class Report:
    """What came of all kills."""

    def __init__(self, folder):
        self.whole = folder / "whole"
        start = time.monotonic()
        assert in_child(lambda: run(self.whole))
        self.took = time.monotonic() - start
        self.expected = files_of(self.whole)
        self.found = {"kills": 0, "part_done": 0, "left": 0, "different": []}

    def killed(self, out):
        """Note a kill, and whether it came while shards were made."""
        self.found["kills"] += 1
        self.found["part_done"] += 0 < len(list(out.glob("shards/*.json"))) < SHARDS[how]

    def resumed(self, out, name):
        """Go on to the end and compare."""
        assert in_child(lambda: run(out))
        found = files_of(out)
        names = [n for n in {**found, **self.expected} if found.get(n) != self.expected.get(n)]
        if names:
            self.found["different"].append([name, names])


def moments(folder, seeds, report):
    def alarmed(out, seconds):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        run(out)

    for seed in range(seeds):
        out, draw = folder / str(seed), random.Random(seed)
        for _ in range(2):
            seconds = draw.uniform(0.02, 0.95) * report.took
            if in_child(lambda out=out, at=seconds: alarmed(out, at), signal.SIGALRM):
                break
            report.killed(out)
        report.resumed(out, seed)


def steps(folder, _, report):
    step = 0
    real = os.fsync

    def deadly_at(out, last):
        def met(*_):
            nonlocal step
            step += 1
            if step == last:
                os.kill(os.getpid(), signal.SIGKILL)

        def heard(event, arguments):
            writes = event == "open" and str(arguments[0]).startswith(str(out)) and arguments[1]
            if (writes and arguments[1][0] in "wx") or event in ("os.rename", "os.remove"):
                met()

        os.fsync = lambda descriptor: (met(), real(descriptor), met())
        sys.addaudithook(heard)
        run(out)

    for last in itertools.count(1):
        out = folder / str(last)
        if in_child(lambda out=out, last=last: deadly_at(out, last)):
            break
        report.killed(out)
        report.resumed(out, last)


def workers(folder, seeds, report):
    # Workers that are forked are there at once.
    launch.multiprocessing.get_context = lambda _: multiprocessing.context.ForkContext()

    def kill_one(draw, seconds, pid):
        while not (alive := multiprocessing.active_children()):
            time.sleep(0.001)
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # it was quicker
            os.kill(pid or draw.choice(alive).pid, signal.SIGKILL)

    def beset(out, draw, parent):
        seconds = draw.uniform(0, 0.7) * report.took
        arguments = draw, seconds, os.getpid() if parent else None
        threading.Thread(target=kill_one, args=arguments, daemon=True).start()
        try:
            run(out, workers=2)
        except RuntimeError as error:
            if "workers must live until the end" not in str(error):
                raise
            os.kill(os.getpid(), signal.SIGKILL)  # as a sign; all that is to be seen is in files

    for seed in range(seeds):
        out, draw = folder / str(seed), random.Random(seed)
        reader, writer = os.pipe()  # it ends when all have ended that hold its other end
        if not in_child(lambda out=out, draw=draw, parent=seed % 4 == 3: beset(out, draw, parent)):
            report.killed(out)
        os.close(writer)
        report.found["left"] += not select.select([reader], [], [], 30)[0]
        os.close(reader)
        report.resumed(out, seed)


def main(folder, seeds):
    run_shard(prepare(*ASKED, folder / "first"), 0)  # imports, so that children begin at once
    report = Report(folder)
    {"moments": moments, "steps": steps, "workers": workers}[how](folder, seeds, report)
    print(json.dumps(report.found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[3]))
