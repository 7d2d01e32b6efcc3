"""Run the benchmarks, print one table of ratios, write the numbers: `make bench-claims`.

Arguments go to pytest (`make bench-claims PYTEST_ARGS="-k path"`). Every benchmark asserts that
results are equal before it times them; one that fails makes the whole run fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from _environment import RESULTS, ROOT, describe, slug


def measure(arguments: list[str]) -> tuple[int, list[dict[str, object]]]:
    """Run pytest on the benchmarks; return its exit status and one entry per benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.json"
        command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "--benchmark-only"]
        command += ["--benchmark-disable-gc", f"--benchmark-json={raw}", *arguments]
        command += ["--benchmark-quiet", "-p", "no:cacheprovider"]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        entries = (
            json.loads(raw.read_text())["benchmarks"] if raw.exists() and raw.stat().st_size else []
        )
    return status, [tidy(entry) for entry in entries]


def tidy(entry: dict[str, dict[str, float]]) -> dict[str, object]:
    """Keep what a reader compares: the ratios, the milliseconds behind them, the bandwidth."""
    info = dict(entry["extra_info"])
    ours = info.pop("ms ours", 1e3 * entry["stats"]["median"])
    row: dict[str, object] = {
        "benchmark": str(entry["fullname"]).removeprefix("benchmarks/"),
        "ms": ours,
        "ratios": {
            k.removeprefix("ours / "): v for k, v in info.items() if k.startswith("ours / ")
        },
        "peer_ms": {k.removeprefix("ms "): v for k, v in info.items() if k.startswith("ms ")},
    }
    row.update({k: v for k, v in info.items() if not k.startswith(("ours / ", "ms "))})
    return row


def table(rows: list[dict[str, object]]) -> str:
    """One line per benchmark and peer: how many times the peer's time ours takes."""
    lines = [f"{'benchmark':64} {'ours':>10}  {'ours / peer':>11}  peer"]
    for row in rows:
        name = str(row["benchmark"]).partition("::")[2] or str(row["benchmark"])
        extra = f"  ({row['GB/s']} GB/s)" if "GB/s" in row else ""
        ratios = row["ratios"] or {"": None}
        for number, (peer, ratio) in enumerate(ratios.items()):
            head = f"{name:64} {row['ms']:7.2f} ms" if number == 0 else " " * 75
            value = "" if ratio is None else f"{ratio:11.2f}"
            lines.append(f"{head}  {value:>11}  {peer}{extra if number == 0 else ''}".rstrip())
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure, print, write; return the exit status."""
    status, rows = measure(arguments)
    environment = describe()
    environment["selection"] = arguments
    print(table(rows))
    where = environment["gpu"]["name"] if environment["gpu"] else f"cpu-{environment['cpu']}"
    print(
        f"commit {environment['commit']}, torch {environment['packages']['torch']}, "
        f"{where}, {environment['threads']} threads"
    )
    if rows:
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{slug(str(where))}-{str(environment['date'])[:10]}.json"
        path.write_text(json.dumps({"environment": environment, "rows": rows}, indent=1) + "\n")
        print(f"wrote {path.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
