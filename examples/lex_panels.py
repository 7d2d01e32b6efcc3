"""Which half of the picture is the digit in? Selection by constant and by multiple imputation.

Switching panels: two small pictures side by side, the label is that of one of them. Patches that
are selected in the other half are false discoveries. Run it with ``python examples/lex_panels.py``;
``lex_panels.md`` holds what it printed.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.datasets import switching_panels
from pyxai.imputers import Constant, GaussianMixture
from pyxai.lex import LEX, Patches, Regime, Subset, tabular_networks
from pyxai.metrics import selection_rates

SURROGATE = Regime(predictor="frozen", pretraining="random_masks", pretrain_epochs=40)


def pairs(background: Tensor) -> dict[str, dict[str, Any]]:
    """Return what the pairs differ in."""
    mixture = GaussianMixture(n_components=20).fit(background)
    return {
        "joint, 0": {"imputer": Constant(0.0)},
        "surrogate 0": {"imputer": Constant(0.0), "regime": SURROGATE},
        "joint, Gaussian mixture": {"imputer": mixture, "n_imputations": 5},
    }


def trained(
    options: dict[str, Any], x: Tensor, y: Tensor, *, k: int, epochs: int, seed: int
) -> LEX:
    """Train one pair of perceptrons on patches of 2 x 2 pixels."""
    predictor, selector = tabular_networks(x[0].numel(), 10, n_groups=32, seed=seed)
    networks = (nn.Sequential(nn.Flatten(), net) for net in (predictor, selector))
    lex = LEX(*networks, law=Subset(k), groups=Patches(2), **options)
    lex.fit((x, y), epochs=epochs, batch_size=100, lr=1e-3, seed=seed)
    return lex


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--k", type=int, default=6, help="patches of 32 to keep")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=150)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[tuple[float, float]]] = {}
    start = time.perf_counter()
    print(f"Panels of digits, {options.k} of 32 patches, {options.epochs} epochs of 1,437 rows\n")
    print("| removed features | seed | FDR | accuracy on the selection |")
    print("| --- | --- | --- | --- |")
    for seed in range(options.seeds):
        data = switching_panels(seed=seed)
        order = torch.randperm(1797, generator=torch.Generator().manual_seed(seed))
        x, y, truth = data.inputs[order], data.labels[order], data.truth[order]
        train, test = slice(0, 1437), slice(1437, None)
        for name, choice in pairs(x[train]).items():
            sizes = {"k": options.k, "epochs": options.epochs, "seed": seed}
            lex = trained(choice, x[train], y[train], **sizes)
            selected = lex.select(x[test])
            shown = lex.groups.on_features(selected.float(), x[test]) > 0.5
            fdr = float(selection_rates(shown, truth[test]).fdr.mean())
            right = lex.predict(x[test], selected).argmax(1) == y[test]
            found.setdefault(name, []).append((fdr, float(right.double().mean())))
            print(f"| {name} | {seed} | {fdr:.3f} | {found[name][-1][1]:.3f} |", flush=True)
    for name, values in found.items():
        means = torch.tensor(values).mean(0).tolist()
        print(f"| {name} | mean | {means[0]:.3f} | {means[1]:.3f} |")
    print(f"\n<!-- {time.perf_counter() - start:.0f} s -->")


if __name__ == "__main__":
    main()
