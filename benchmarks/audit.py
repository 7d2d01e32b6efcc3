"""What an audit costs beside the explanations themselves, and whether memory grows.

``python benchmarks/audit.py --rows 100000`` audits so many augmented digits by integrated gradients
of a net of one hidden layer (``--net conv``: of a convolutional one) and prints one line of JSON:
throughput, the overhead over a bare loop of `pyxai.explain` on the same batches (both in turn on
the same rows, the minimum of several), and by how much the process grew in the second half.
The first figure takes a quiet machine, the ratio less so.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _digits import trained as digits_net
from _environment import describe
from sklearn.datasets import load_digits
from torch import nn

import pyxai
from pyxai.audit import load, merge, prepare, run_shard

N_STEPS = 50


class Flat(nn.Module):
    """The convolutional net of the other measurements, on rows of 64 numbers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [rows, 10]."""
        return self.net(x.view(-1, 1, 8, 8))


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


def augmented(x: torch.Tensor, y: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return digits with noise, as many as asked for."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randint(len(x), (count,), generator=generator)
    noise = 0.05 * torch.randn(count, 64, generator=generator)
    return (x[rows] + noise).clamp(0, 1), y[rows]


def bare(model: nn.Module, rows: torch.Tensor, batch: int) -> None:
    """Explain and forget."""
    for part in rows.split(batch):
        with torch.no_grad():
            target = model(part).argmax(1)
        pyxai.explain(model, part, method="integrated_gradients", target=target, n_steps=N_STEPS)


def resident() -> int:
    """Return the bytes that the process holds, by Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def overhead(job: Any, model: nn.Module, rows: torch.Tensor, repeats: int) -> dict[str, float]:
    """Return the least seconds of a shard and of the bare loop over it, in turn."""
    first, last = job.range_of(0)
    part, clocks = rows[first:last], (time.perf_counter, time.process_time)
    shard, loop = [], []
    for _ in range(repeats):
        start = [clock() for clock in clocks]
        bare(model, part, job.plan["batch_size"])
        middle = [clock() for clock in clocks]
        run_shard(job, 0)
        loop.append([b - a for a, b in zip(start, middle, strict=True)])
        shard.append([clock() - b for clock, b in zip(clocks, middle, strict=True)])
    least = [[min(each) for each in zip(*times, strict=True)] for times in (loop, shard)]
    return {
        "bare_seconds_a_shard": least[0][0],
        "audit_seconds_a_shard": least[1][0],
        "overhead": least[1][0] / least[0][0] - 1,
        "overhead_of_cpu_seconds": least[1][1] / least[0][1] - 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--net", choices=("small", "conv"), default="small")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, x, y = trained(options.net)
    rows, labels = augmented(x, y, options.rows)
    with tempfile.TemporaryDirectory() as folder:
        asked = ("integrated_gradients", {"n_steps": N_STEPS})
        job = prepare(model, (rows, labels), asked, out=folder, dtype="float16")
        found = overhead(job, model, rows, options.repeats)
        grown, start = [], time.perf_counter()
        for shard in job.pending():
            run_shard(job, shard)
            grown.append(resident())
        found["seconds_of_shards"] = time.perf_counter() - start
        start = time.perf_counter()
        merge(folder)
        found["seconds_of_merge"] = time.perf_counter() - start
        done = job.n_shards - 1
        found["rows_a_second"] = done * job.plan["shard_size"] / found["seconds_of_shards"]
        found["grown_bytes_second_half"] = grown[-1] - grown[len(grown) // 2]
        found["errors"] = int(load(folder).table(["error"]).column("error").length()) - int(
            load(folder).table(["error"]).column("error").null_count
        )
        found["bytes_on_disk"] = sum(p.stat().st_size for p in Path(folder).rglob("*.*"))
    print(
        json.dumps(
            {
                "net": options.net,
                "rows": options.rows,
                "shards": job.n_shards,
                **found,
                **describe(),
            }
        )
    )


if __name__ == "__main__":
    main()
