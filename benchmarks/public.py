"""Every family of methods against its peers, by `make bench`: RESULTS.md, numbers and pictures.

`python benchmarks/public.py --quick` takes minutes, by smaller batches, fewer steps and rounds; the
full run takes hours. Cases run in order of importance, each in a process of its own, and the file
of results is written as each ends: a run that is killed, or ends by `--limit`, goes on where it
was. Peers that are not installed are left out, and named in the results.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

# This checkout is what is measured, whatever is installed.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from _environment import RESULTS, ROOT, cpu_name, slug
from races.measure import Length
from races.pictures import write
from races.record import Plan, run
from races.tables import page


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: minutes")
    parser.add_argument("--limit", type=float, default=240.0, help="minutes that all may take")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--out", type=Path, help="JSON file; default: by machine and date")
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "RESULTS.md")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs", help="folder of pictures")
    return parser.parse_args(given)


def default_path(quick: bool) -> Path:
    day = datetime.datetime.now(datetime.timezone.utc).date()
    kind = "public-quick" if quick else "public"
    return RESULTS / f"{kind}-{slug('cpu-' + cpu_name())}-{day}.json"


def main(given: list[str] | None = None) -> int:
    """Measure what is not measured yet, and write the page."""
    options = arguments(given)
    warnings.simplefilter("ignore")  # those of peers are their own affair
    torch.set_num_threads(1)
    from races.all_cases import CASES
    from races.nets import DIGITS, NETS
    from races.peers import load_once

    path = options.out or default_path(options.quick)
    length = (
        Length(15, 2.0, options.threads) if options.quick else Length(31, 60.0, options.threads)
    )
    plan = Plan(path, options.quick, length, 180.0 if options.quick else 1800.0, 60 * options.limit)
    cases = [case for case in CASES if options.only in case.name]
    if not cases:
        raise SystemExit(f"--only must be part of a case's name, got {options.only!r}")
    load_once()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[DIGITS] = str(Path(folder) / "digits.pt")
        rows = run(cases, NETS, plan)
    record = json.loads(path.read_text())
    options.page.write_text(page(record, path.name), encoding="utf-8")
    pictures = write(record, options.pictures)
    print(f"wrote {', '.join(map(str, [path, options.page, *pictures]))}")
    return int(any("case" in row.get("failed", {}) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
