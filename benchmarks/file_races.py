"""Files under stress: races of savers and loaders, fuzzed headers, savers that are killed.

``python benchmarks/file_races.py [--loads 10000] [--headers 100000] [--kills 200]`` prints what was
done and how often a file was mixed, refused or left half; all of these must be 0. Too long for the
tests, which have the same with small numbers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pyxai import Explanation
from pyxai.report import Report

SIZES = (10, 1000, 20_000)


def save(path: Path, value: int) -> None:
    """Write an explanation whose numbers, options and shape all say one value."""
    values = torch.full((2, SIZES[value % 3]), float(value))
    Explanation(values, values, options={"value": float(value)}).save(path)


def is_whole(found: Explanation) -> bool:
    """Tell whether all parts of what was loaded are of one saving."""
    value = found.options["value"]
    same = bool((found.attributions == value).all() and (found.inputs == value).all())
    return same and found.attributions.shape[1] == SIZES[int(value) % 3]


def savers(path: Path, seed: int, ready: Any, end: Any) -> None:
    """Save from two threads until told to stop."""
    ready.wait()

    def run(number: int) -> None:
        count = 0
        while not end.is_set():
            save(path, (seed * 7 + number * 3 + count) % 30)
            count += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def races(folder: Path, loads: int, processes: int = 4, threads: int = 8) -> dict[str, int]:
    """Load in threads what processes save to the same path."""
    path, context = folder / "e", multiprocessing.get_context("spawn")
    save(path, 0)
    ready, end = context.Barrier(processes + 1), context.Event()
    children = [
        context.Process(target=savers, args=(path, seed, ready, end)) for seed in range(processes)
    ]
    counts = {"loads": 0, "mixed": 0, "failed": 0}
    lock = threading.Lock()

    def run() -> None:
        for _ in range(loads // threads):
            try:
                mixed = not is_whole(Explanation.load(path))
                failed = False
            except Exception:
                mixed, failed = False, True
            with lock:
                counts["loads"] += 1
                counts["mixed"] += mixed
                counts["failed"] += failed

    for child in children:
        child.start()
    ready.wait()
    readers = [threading.Thread(target=run) for _ in range(threads)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    end.set()
    for child in children:
        child.join()
    counts["left over"] = len(os.listdir(folder)) - 1
    return counts


def fuzz(folder: Path, headers: int, seed: int = 0) -> dict[str, int]:
    """Load files whose header was changed at random places; only ``ValueError`` is allowed."""
    generator, path = random.Random(seed), folder / "e"
    x = torch.ones(2, 3)
    made = Explanation(
        x, x, baselines=0.0, target=[0, 1], options={"a": x, "b": {"c": (1, None)}}, error=x
    )
    made.save(path)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    whole = json.loads(data[8 : 8 + length])
    header = json.loads(whole["__metadata__"]["pyxai.explanation"])
    tensors = {name: x.clone() for name in whole if name != "__metadata__"}
    counts = {"headers": 0, "read": 0, "refused": 0, "other errors": 0}
    for _ in range(headers):
        changed = change(json.loads(json.dumps(header)), generator)
        metadata = {"pyxai.explanation": json.dumps(changed)}
        save_file(tensors, path, metadata=metadata)
        counts["headers"] += 1
        try:
            found = Explanation.load(path)
            str(found), found.top(), found[0]
            counts["read"] += 1
        except ValueError:
            counts["refused"] += 1
        except Exception as error:
            counts["other errors"] += 1
            print(type(error).__name__, error, changed)
    return counts


JUNK = (None, True, 5, -1.5, "x", [], {}, [1, 2], {"tensor": "none"}, {"dict": [[1]]}, float("nan"))


def change(value: Any, generator: random.Random) -> Any:
    """Replace, drop or double something at a random place of a JSON value."""
    if not isinstance(value, (dict, list)) or not value or generator.random() < 0.15:
        return generator.choice(JUNK)
    if isinstance(value, dict):
        key = generator.choice(list(value))
        part = value.pop(key)
        how = generator.random()
        if how < 0.1:
            return value
        name = generator.choice(["tensor", "dict", "list", "text", "x"]) if how < 0.2 else key
        return {**value, name: change(part, generator) if how > 0.15 else part}
    at = generator.randrange(len(value))
    how = generator.random()
    if how < 0.1:
        return value[:at] + value[at + 1 :]
    if how < 0.2:
        return [*value, value[at]]
    return [*value[:at], change(value[at], generator), *value[at + 1 :]]


def write_forever(folder: Path) -> None:
    """Save explanations and write reports until killed."""
    number = 0
    while True:
        number += 1
        save(folder / "e", number % 30)
        report = Report(f"title {number}")
        report.section("s").text("x" * 300_000)
        report.write(folder / "r.html")


def kills(folder: Path, count: int) -> dict[str, int]:
    """Kill a writer at random moments; the files must be whole, old or new."""
    generator, context = random.Random(0), multiprocessing.get_context("fork")
    save(folder / "e", 0)
    Report("title").write(folder / "r.html")
    counts = {"kills": 0, "half": 0}
    for _ in range(count):
        child = context.Process(target=write_forever, args=(folder,))
        child.start()
        time.sleep(0.02 + 0.03 * generator.random())
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        counts["kills"] += 1
        page = (folder / "r.html").read_text(encoding="utf-8")
        try:
            whole = is_whole(Explanation.load(folder / "e")) and page.endswith("</html>\n")
        except ValueError:
            whole = False
        counts["half"] += not whole
    save(folder / "e", 0)
    Report("title").write(folder / "r.html")
    counts["left over"] = len(os.listdir(folder)) - 2
    return counts


def main() -> None:
    """Run all and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("loads", 10_000), ("headers", 100_000), ("kills", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    for what, number in ((kills, options.kills), (races, options.loads), (fuzz, options.headers)):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            counts = what(Path(folder), number)
            seconds = time.perf_counter() - start
            said = ", ".join(f"{value} {name}" for name, value in counts.items())
            print(f"{what.__name__}: {said} ({seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
