"""What an audit costs beside the explanations themselves, and whether memory grows.

``python benchmarks/audit.py`` audits 100 000 augmented digits by integrated gradients: of a net of
one hidden layer, once as tensors that are there and once as a data set that shifts and noises each
digit when it is asked for; and, where only the overhead is taken, of a convolutional net. It prints
a line for each and writes them to `benchmarks/results/`.

Overhead is that over a bare loop that reads the same batches and explains them by `pyxai.explain`:
of `run_shard` for one shard after the other, and of `audit`, which writes one while it explains the
next. All three take turns on the same shards; of each the least seconds count, by the clock and of
the processor. A busy machine takes ``chrt -r 1 python benchmarks/audit.py``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _digits import trained as digits_net
from _environment import RESULTS, describe, slug
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset

import pyxai
from pyxai.audit import load, merge, prepare, run_shard
from pyxai.audit.shard import run_shards

N_STEPS = 50
CASES = ("small tensors", "small data-set", "conv data-set")
SHARDS = 8  # that the overhead is taken over
CONV_SHARD = 128  # rows, of some milliseconds each


class Flat(nn.Module):
    """The convolutional net of the other measurements, on rows of 64 numbers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [rows, 10]."""
        return self.net(x.view(-1, 1, 8, 8))


class Augmented(Dataset):
    """Digits that are shifted by up to a pixel and noised, by their number, when asked for."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, count: int) -> None:
        self.x, self.y, self.count = x.view(-1, 8, 8), y.tolist(), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        which = number % len(self.x)
        draws = torch.Generator().manual_seed(number)
        down, right = torch.randint(-1, 2, (2,), generator=draws).tolist()
        moved = self.x[which].roll((down, right), (0, 1)).view(64)
        return (moved + 0.05 * torch.randn(64, generator=draws)).clamp_(0, 1), self.y[which]


def trained(net: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Return a net and the digits that it has learned, of a quick one."""
    torch.manual_seed(0)
    digits = load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 16
    y = torch.tensor(digits.target)
    if net == "conv":
        return Flat(digits_net(n_images=1).model).eval(), x, y
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.eval(), x, y


def bare(model: nn.Module, data: Any, first: int, last: int, batch: int) -> None:
    """Read, explain and forget."""
    for start in range(first, last, batch):
        stop = min(start + batch, last)
        if isinstance(data, Dataset):
            part = torch.stack([data[number][0] for number in range(start, stop)])
        else:
            part = data[0][start:stop]
        with torch.no_grad():
            target = model(part).argmax(1)
        pyxai.explain(model, part, method="integrated_gradients", target=target, n_steps=N_STEPS)


def resident() -> int:
    """Return the bytes that the process holds, by Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def overhead(job: Any, model: nn.Module, data: Any, repeats: int) -> dict[str, Any]:
    """Return the least seconds of some shards in three ways, and what two add to the first."""
    shards = range(min(SHARDS, job.n_shards))
    first, last = job.range_of(0)[0], job.range_of(shards[-1])[1]
    ways: dict[str, Callable[[], Any]] = {
        "bare": lambda: bare(model, data, first, last, job.plan["batch_size"]),
        "run_shard": lambda: [run_shard(job, shard) for shard in shards],
        "audit": lambda: list(run_shards(job, shards)),
    }
    clocks = (time.perf_counter, time.process_time)
    least: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, work in ways.items():
            start = [clock() for clock in clocks]
            work()
            spent = [clock() - begun for clock, begun in zip(clocks, start, strict=True)]
            least[name] = list(map(min, spent, least.get(name, spent)))
    base = least["bare"]
    found: dict[str, Any] = {"rows_of_overhead": last - first}
    for name, (wall, processor) in least.items():
        found[name] = {"seconds": wall, "cpu_seconds": processor}
        if name != "bare":
            found[name]["overhead"] = wall / base[0] - 1
            found[name]["overhead_of_cpu_seconds"] = processor / base[1] - 1
    return found


def whole_run(job: Any) -> dict[str, Any]:
    """Do all shards and merge; return how quick that was, and what memory did."""
    grown, start = [resident()], time.perf_counter()
    grown += [resident() for _ in run_shards(job, job.pending())]
    seconds = time.perf_counter() - start
    merge(job.out)
    errors = load(job.out).table(["error"]).column("error")
    return {
        "seconds": seconds,
        "rows_a_second": job.plan["n_examples"] / seconds,
        "seconds_of_merge": time.perf_counter() - start - seconds,
        "grown_bytes_second_half": grown[-1] - grown[len(grown) // 2],
        "grown_bytes": grown[-1] - grown[0],
        "errors": len(errors) - errors.null_count,
        "bytes_on_disk": sum(path.stat().st_size for path in job.out.rglob("*.*")),
    }


def measure(case: str, rows: int, repeats: int) -> dict[str, Any]:
    """Return what one case costs; one that reads row by row is slow, and repeated less."""
    net, kind = case.split()
    model, x, y = trained(net)
    conv = net == "conv"
    data: Any = Augmented(x, y, SHARDS * CONV_SHARD if conv else rows)
    if kind == "tensors":
        pairs = [data[number] for number in range(rows)]
        data = torch.stack([x for x, _ in pairs]), torch.tensor([label for _, label in pairs])
    asked = ("integrated_gradients", {"n_steps": N_STEPS})
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        options = {"dtype": "float16", "shard_size": CONV_SHARD if conv else None}
        job = prepare(model, data, asked, out=first, **options)
        found = overhead(job, model, data, repeats if kind == "tensors" else 3)
        if not conv:
            found["whole"] = whole_run(prepare(model, data, asked, out=second, **options))
    count = job.plan["n_examples"]
    return {"case": case, "rows": count, "shards": job.n_shards, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--case", choices=CASES, action="append")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for case in options.case or CASES:
        rows.append(measure(case, options.rows, options.repeats))
        print(json.dumps(rows[-1]), flush=True)
    environment = describe()
    name = slug(f"audit-cpu-{environment['cpu']}")
    path = RESULTS / f"{name}-{str(environment['date'])[:10]}.json"
    path.write_text(json.dumps({"environment": environment, "rows": rows}, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
