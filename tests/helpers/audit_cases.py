"""Models and data sets of the tests of audits, in a module so that other processes find them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

HELPERS = Path(__file__).parent


def make_net(seed=0, features=6, classes=3):
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, classes)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net


def make_rows(count=23, features=6, seed=1):
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed))


def make_labels(count=23):
    return torch.arange(count) % 3


class Rows(Dataset):
    """Rows with labels; some cannot be read."""

    def __init__(self, rows, labels=None, unreadable=()):
        self.rows, self.labels, self.unreadable = rows, labels, unreadable

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        if number in self.unreadable:
            raise OSError(f"cannot read file {number}")
        row = self.rows[number]
        return row if self.labels is None else (row, int(self.labels[number]))


class Augmented(Rows):
    """Rows with noise from the global random state, as transforms draw it."""

    def __getitem__(self, number):
        return super().__getitem__(number) + 0.1 * torch.randn(self.rows.shape[1])


class Stream(IterableDataset):
    """Rows that can only be gone through."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


class Fails(nn.Module):
    """A net that cannot take rows whose first feature is above a bound."""

    def __init__(self, bound):
        super().__init__()
        self.net, self.bound = make_net(), bound

    def forward(self, x):
        if bool((x[:, 0] > self.bound).any()):
            raise RuntimeError("the first feature is too large")
        return self.net(x)


class KillsWorkers(Rows):
    """Rows, one of which ends the worker that reads it while a file is there."""

    def __init__(self, rows, flag, deadly):
        super().__init__(rows)
        self.flag, self.deadly = flag, deadly

    def __getitem__(self, number):
        in_worker = multiprocessing.parent_process() is not None
        if in_worker and number == self.deadly and self.flag.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(number)


class DiesOnce(Rows):
    """Rows, one of which ends the process that reads it, the first so many times."""

    def __init__(self, rows, folder, deadly, times):
        super().__init__(rows)
        self.folder, self.deadly, self.times, self.owner = folder, deadly, times, os.getpid()

    def __getitem__(self, number):
        if number == self.deadly and os.getpid() != self.owner:
            died = len(list(self.folder.iterdir()))
            if died < self.times:
                (self.folder / str(died)).touch()
                os._exit(1)
        return super().__getitem__(number)


class Meet(Rows):
    """Rows that other processes read only when so many of them are there; their GPUs are noted."""

    def __init__(self, rows, folder, count):
        super().__init__(rows)
        self.folder, self.count, self.owner = folder, count, os.getpid()

    def __getitem__(self, number):
        if os.getpid() != self.owner:
            (self.folder / f"{os.getpid()}:{os.environ.get('CUDA_VISIBLE_DEVICES')}").touch()
            end = time.monotonic() + 120
            while len(list(self.folder.iterdir())) < self.count:
                if time.monotonic() > end:
                    raise TimeoutError("the others did not come")
                time.sleep(0.05)
        return super().__getitem__(number)


def files_of(out):
    """Bytes of all files that must be the same whoever made them; marks hold seconds."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and not (path.parent.name == "shards" and path.suffix == ".json"):
            found[str(path.relative_to(out))] = path.read_bytes()
    return found


def program(*arguments, command=(sys.executable,)):
    """Run a helper that is a program with one thread, and return what it prints."""
    path = os.pathsep.join([str(HELPERS.parents[1]), str(HELPERS)])
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
