"""Which pair finds the features that matter? Joint multiple imputation against surrogate zeros.

S3 with k = 5, where the truth is the unique optimum. "Joint": selector and predictor are trained
together, with draws for what is removed. "Surrogate 0": the predictor is trained on random masks
with zeros first and then frozen, as REAL-X has it. Run it with
``python examples/lex_selection.py``; ``lex_selection.md`` holds what it printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from typing import Any

import torch

from pyxai.datasets import S3
from pyxai.imputers import Constant
from pyxai.lex import LEX, Regime, Subset, tabular_networks
from pyxai.metrics import selection_rates

SURROGATE = Regime(predictor="frozen", pretraining="random_masks", pretrain_epochs=1)
PAIRS: dict[str, Any] = {
    "joint, multiple imputation": lambda data: {"imputer": data.conditional, "n_imputations": 5},
    "surrogate 0": lambda data: {"imputer": Constant(0.0), "regime": SURROGATE},
}


def run(name: str, *, k: int, seed: int, steps: int, batch: int) -> tuple[float, float, float]:
    """Return TPR, how often feature 11 is kept, and accuracy, on rows that were not seen."""
    data, test = S3(steps * batch, seed=10 + seed), S3(10_000, seed=1000 + seed)
    lex = LEX(*tabular_networks(11, 2, seed=seed), law=Subset(k), **PAIRS[name](data))
    rows = data.inputs, data.labels
    lex.fit(rows, epochs=1, batch_size=batch, lr=1e-3, seed=seed)
    selected = lex.select(test.inputs)
    tpr = float(selection_rates(selected, test.truth).tpr.mean())
    right = lex.predict(test.inputs, selected, n_imputations=10).argmax(1) == test.labels
    return tpr, float(selected[:, 10].double().mean()), float(right.double().mean())


def shown(values: Iterable[float]) -> str:
    return " | ".join(f"{value:.3f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"S3, k = {options.k}, {options.steps} steps of {options.batch} fresh rows\n")
    print("| pair | seed | TPR | feature 11 kept | accuracy |")
    print("| --- | --- | --- | --- | --- |")
    sizes = {"k": options.k, "steps": options.steps, "batch": options.batch}
    for name in PAIRS:
        found, start = [], time.perf_counter()
        for seed in range(options.seeds):
            found.append(run(name, seed=seed, **sizes))
            print(f"| {name} | {seed} | {shown(found[-1])} |", flush=True)
        means = torch.tensor(found).mean(0).tolist()
        took = time.perf_counter() - start
        print(f"| {name} | mean | {shown(means)} | <!-- {took:.0f} s -->")


if __name__ == "__main__":
    main()
