"""Run an audit again and again, ended by the kernel at random moments; compare with a whole run.

A program of its own, as it forks: ``python audit_kills.py FOLDER SEEDS``. No method takes gradients
here, so autograd has no thread to be lost by a fork. An alarm whose default action is in place ends
a process as `kill -9` does: no handler, no `finally`.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from audit_cases import files_of, make_net, make_rows

from pyxai.audit import audit, prepare, run_shard

ASKED = (
    make_net(),
    make_rows(16),
    ["feature_ablation", ("shapley_value_sampling", {"n_samples": 4})],
    "deletion",
)


def run(out):
    audit(*ASKED, out, shard_size=2)


def in_child(out, seconds=None):
    """Tell whether a run in a process of its own came to its end."""
    child = os.fork()
    if child == 0:
        try:
            if seconds is not None:
                signal.setitimer(signal.ITIMER_REAL, seconds)
            run(out)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGALRM, status
        return False
    assert os.waitstatus_to_exitcode(status) == 0
    return True


def main(folder, seeds):
    run_shard(prepare(*ASKED, folder / "first"), 0)  # imports, so that children begin at once
    whole = folder / "whole"
    start = time.monotonic()
    assert in_child(whole)
    took = time.monotonic() - start
    expected = files_of(whole)
    report = {"kills": 0, "part_done": 0, "different": []}
    for seed in range(seeds):
        out, draw = folder / str(seed), random.Random(seed)
        for _ in range(2):
            if in_child(out, draw.uniform(0.02, 0.95) * took):
                break
            report["kills"] += 1
            report["part_done"] += 0 < len(list(out.glob("shards/*.json"))) < 8
        assert in_child(out)
        found = files_of(out)
        names = [n for n in {**found, **expected} if found.get(n) != expected.get(n)]
        if names:
            report["different"].append([seed, names])
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
