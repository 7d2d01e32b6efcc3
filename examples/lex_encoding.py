"""Does a selector write the label into the mask? The encoding gate on S3 with k = 2.

A selector and a predictor are trained together, with zeros or with several draws for what is
removed; then three judges look at the selected features. Run it with ``python
examples/lex_encoding.py``; ``lex_encoding.md`` holds what it printed.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from pyxai.datasets import S3
from pyxai.imputers import Constant
from pyxai.lex import LEX, SelectionReport, Subset, report, tabular_networks

IMPUTERS: dict[str, Any] = {
    "zeros": lambda data: {"imputer": Constant(0.0)},
    "multiple imputation": lambda data: {"imputer": data.conditional, "n_imputations": 5},
}


def run(name: str, *, k: int, seed: int, steps: int, batch: int, epochs: int) -> SelectionReport:
    """Train one pair on data that are seen once, and report on others."""
    data, test = S3(steps * batch, seed=10 + seed), S3(10_000, seed=1000 + seed)
    x, y = data.inputs, data.labels
    lex = LEX(*tabular_networks(11, 2, seed=seed), law=Subset(k), **IMPUTERS[name](data))
    lex.fit((x, y), epochs=1, batch_size=batch, lr=1e-3, seed=seed)
    train, unseen = (x[:20_000], y[:20_000]), (test.inputs, test.labels)
    return report(lex, train, unseen, truth=test.truth, epochs=epochs, seed=seed)


def row(name: str, seed: int, found: SelectionReport) -> str:
    joint, fresh = found.joint, found.eval_x
    return (
        f"| {name} | {seed} | {joint.accuracy:.3f} → {fresh.accuracy:.3f} "
        f"| {joint.nll:.3f} → {fresh.nll:.3f} | {found.mask_only.accuracy:.3f} "
        f"| {found.tpr:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=10, help="of the judges")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = {"steps": options.steps, "batch": options.batch, "epochs": options.epochs}
    print(f"S3, k = {options.k}, {options.steps} steps of {options.batch} fresh rows\n")
    print("| removed features | seed | accuracy joint → EVAL-X | NLL | mask only | TPR |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in IMPUTERS:
        found, start = [], time.perf_counter()
        for seed in range(options.seeds):
            found.append(run(name, k=options.k, seed=seed, **sizes))
            print(row(name, seed, found[-1]), flush=True)
        gap = sum(each.joint.accuracy - each.eval_x.accuracy for each in found) / len(found)
        mask = sum(each.mask_only.accuracy for each in found) / len(found)
        took = time.perf_counter() - start
        print(f"| {name} | mean | gap {gap:.3f} | | {mask:.3f} | |  <!-- {took:.0f} s -->")


if __name__ == "__main__":
    main()
