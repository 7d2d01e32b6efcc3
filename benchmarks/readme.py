"""The README's tables of times, out of files in `results/`: `python benchmarks/readme.py`.

Each row names the file that has its figures, the benchmarks in it and the peers, so that new files
change nothing until a row names them. A test compares the README with what is printed here;
`--write` puts it there.
"""

from __future__ import annotations

import fnmatch
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
OPENS, CLOSES = "<!-- times: {} -->", "<!-- end of times -->"
FILE = "cpu-amd-epyc-{}.json"


@dataclass(frozen=True)
class Speed:
    """A row: what it says, and where its figures stand."""

    what: str
    instead: str
    day: str  # of the file
    benchmarks: str  # pattern of names after the file's
    peers: tuple[str, ...]


DEFAULTS, BEST = "captum, defaults", "captum, best batch"
PEERS = (
    Speed(
        "integrated gradients, 512 rows, 50 steps, one thread",
        "captum: defaults; best batch size",
        "2026-11-30",
        "test_integrated_gradients[[]1]",
        (DEFAULTS, BEST),
    ),
    Speed(
        "feature ablation, 784 features, one thread",
        "captum: defaults; best batch size",
        "2026-11-30",
        "test_feature_ablation[[]1]",
        (DEFAULTS, BEST),
    ),
    Speed(
        "Kernel SHAP, 16 rows of 100 features, 500 samples",
        "captum: defaults; best batch size; shap",
        "2026-11-24",
        "test_kernel_shap[[]least_squares]",
        (DEFAULTS, BEST, "shap"),
    ),
    Speed(
        "LIME, the same",
        "captum: defaults; best batch size",
        "2026-11-24",
        "test_lime",
        (DEFAULTS, BEST),
    ),
    Speed(
        "Deep SHAP, 100 baselines, perceptrons and a convolutional net",
        "captum",
        "2026-11-24",
        "test_deep_lift_shap[[]*",
        ("captum",),
    ),
    Speed(
        "gradient SHAP, two perceptrons and a convolutional net",
        "captum; shap",
        "2026-11-29",
        "test_gradient_shap[[]*",
        ("captum", "shap"),
    ),
    Speed("DeepLIFT, a VGG", "captum", "2026-11-24", "test_deep_lift[[]vgg-rescale]", ("captum",)),
    Speed(
        "DeepLIFT, a transformer",
        "captum",
        "2026-11-24",
        "test_deep_lift[[]transformer-rescale]",
        ("captum",),
    ),
    Speed(
        "one row through an MLP 10-32-3: integrated gradients",
        "a plain loop of torch",
        "2026-11-30",
        "test_small_calls[[]integrated gradients, MLP]",
        ("plain loop",),
    ),
    Speed(
        "the same: saliency",
        "a plain loop of torch",
        "2026-11-30",
        "test_small_calls[[]saliency, MLP]",
        ("plain loop",),
    ),
    Speed(
        "saliency of one image, 50 residual blocks",
        "a plain loop of torch",
        "2026-11-30",
        "test_small_calls[[]saliency, 50 residual blocks]",
        ("plain loop",),
    ),
    Speed(
        "Greedy PIG, 28 gradients an image",
        "a loop over captum's integrals, of equal area",
        "2026-11-24",
        "test_greedy_pig",
        ("captum, 64 rounds of 8 nodes",),
    ),
    Speed(
        "functional information, two threads",
        "one noisy image at a time",
        "2026-11-24",
        "test_functional_information_of_digits[[]2]",
        ("one sample at a time",),
    ),
    Speed(
        "information curve, 224 x 224",
        "the `saliency` package",
        "2026-11-24",
        "test_information_curve",
        ("saliency 0.2.1, one BLAS thread",),
    ),
)
PASS = ("one forward and backward",)
FLOORS = (
    Speed(
        "integrated gradients, 512 rows, 50 steps, one thread",
        "the model on as many rows",
        "2026-11-30",
        "test_integrated_gradients[[]1]",
        ("bare model",),
    ),
    Speed(
        "feature ablation, 784 features, one thread",
        "the model on as many rows",
        "2026-11-30",
        "test_feature_ablation[[]1]",
        ("bare model",),
    ),
    Speed(
        "DeepLIFT Rescale, three nets",
        "a forward and a backward pass",
        "2026-11-24",
        "test_deep_lift[[]*-rescale]",
        PASS,
    ),
    Speed(
        "DeepLIFT RevealCancel, three nets",
        "a forward and a backward pass",
        "2026-11-24",
        "test_deep_lift[[]*-reveal_cancel]",
        PASS,
    ),
    Speed(
        "LRP epsilon, three nets",
        "a forward and a backward pass",
        "2026-11-29",
        "test_lrp[[]*-epsilon]",
        PASS,
    ),
    Speed(
        "LRP alpha-beta, two nets",
        "a forward and a backward pass",
        "2026-11-29",
        "test_lrp[[]*-alpha_beta]",
        PASS,
    ),
)


@cache
def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a file by the benchmark's name."""
    found = json.loads(path.read_text())["rows"]
    return {row["benchmark"].partition("::")[2]: row for row in found}


def figures(row: Speed, folder: Path) -> list[list[float]]:
    """Return for each peer its time over ours, in each of the benchmarks."""
    path = folder / FILE.format(row.day)
    rows = [found for name, found in rows_of(path).items() if fnmatch.fnmatch(name, row.benchmarks)]
    if not rows:
        raise ValueError(f"{path.name} has no {row.benchmarks}")
    return [[found["peer_ms"][peer] / found["ms"] for found in rows] for peer in row.peers]


def number(value: float) -> str:
    """Return two digits, three from 100 on."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def span(values: list[float], form: str = "") -> str:
    """Return a number, or the least and the largest of several."""
    ends = dict.fromkeys(format(v, form) if form else number(v) for v in (min(values), max(values)))
    return " to ".join(ends)


def test_of(row: Speed) -> str:
    return f"`{row.benchmarks.partition('[')[0]}`"


def peer_table(folder: Path = RESULTS) -> list[str]:
    """Return how many times as long the alternatives take."""
    lines = ["| what, at which size | instead I would use | that takes | benchmark | measured |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for row in PEERS:
        found = figures(row, folder)
        taken = "; ".join(map(span, found))
        if any(min(values) < 1 for values in found):
            taken = f"**{taken}: we lose**"
        lines.append(f"| {row.what} | {row.instead} | {taken} | {test_of(row)} | {row.day} |")
    return lines


def floor_table(folder: Path = RESULTS) -> list[str]:
    """Return how many times as long as the model alone ours take."""
    lines = ["| what, at which size | against | ours takes | benchmark | measured |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for row in FLOORS:
        taken = span([1 / value for value in figures(row, folder)[0]], ".2f")
        lines.append(f"| {row.what} | {row.instead} | {taken} | {test_of(row)} | {row.day} |")
    return lines


TABLES = {"peers": peer_table, "floors": floor_table}


def renewed(text: str, folder: Path = RESULTS) -> str:
    """Return the README with its tables as the files have them."""
    for name, table in TABLES.items():
        before, _, rest = text.partition(OPENS.format(name) + "\n")
        _, found, after = rest.partition(CLOSES)
        if not found:
            raise ValueError(f"the README has no {OPENS.format(name)}")
        lines = "\n".join(table(folder))
        text = f"{before}{OPENS.format(name)}\n\n{lines}\n\n{CLOSES}{after}"
    return text


def main(given: list[str]) -> int:
    """Print the tables, or write them."""
    path = ROOT / "README.md"
    if given == ["--write"]:
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print("\n\n".join("\n".join(table()) for table in TABLES.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
