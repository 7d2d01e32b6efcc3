"""Find the wavelet that made a model's labels: adaptive wavelet distillation from a noisy start.

Normal signals of 64 samples; the label is twice the sum of three coefficients of db5's third
finest level. A net learns it, and a filter that began at db5 with noise is trained on the net's
attributions. With their weight (interpretation) at 1 it should come back to db5.

    python examples/awd_recovery.py [--examples 55000] [--epochs 10] [--seed 1]

The results beside this file (awd_recovery.txt) are what it printed.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn

from pyxai.transforms import AdaptiveWavelet, WaveletTransform, wavelet_distance
from pyxai.transforms.filters import scaling_filters

DB5 = torch.tensor(scaling_filters()["db5"], dtype=torch.float64)
GAMMAS = (0.0, 0.05, 1.0)


def main() -> None:
    """Train the net, then a filter for each weight, and print how far each is from db5."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=55_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)  # small matrices
    torch.manual_seed(options.seed)
    signals, labels = data(options.examples)
    net = teacher(signals, labels, options.seed)
    fresh, wanted = data(5_000)
    error = (net(fresh)[:, 0] - wanted).square().mean() / wanted.var()
    print(f"{options.examples} signals, seed {options.seed}; net: R^2 {1 - float(error):.4f}")
    print(f"{'gamma':>6} {'distance before':>16} {'after':>7} {'seconds':>8}  constraints")
    for gamma in GAMMAS:
        awd = AdaptiveWavelet(
            "db5",
            level=4,
            noise=0.3,
            sparsity=1e-4,
            interpretation=gamma,
            epochs=options.epochs,
            seed=options.seed,
        )
        begin = time.perf_counter()
        awd.fit(signals, model=net, target=0)
        took = time.perf_counter() - begin
        last = {name: values[-1] for name, values in awd.history_.items()}
        kept = ("reconstruction", "low_sum", "mirror", "shifts")
        print(
            f"{gamma:6g} {wavelet_distance(awd.start_, DB5):16.2f} "
            f"{wavelet_distance(awd.filter_, DB5):7.3f} {took:8.1f}  "
            + ", ".join(f"{name} {last[name]:.1e}" for name in kept)
            + f"  ({awd.gradients_})"
        )


def data(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return signals [n, 64] and labels [n]."""
    signals = torch.randn(n, 64)
    made = WaveletTransform(64, "db5", level=4, mode="zero")
    third = made.unpack(made(signals))[2]  # approximation, level 4, level 3, ...
    return signals, 2 * third[:, 7:10].sum(1) + 0.1 * torch.randn(n)


def teacher(signals: torch.Tensor, labels: torch.Tensor, seed: int) -> nn.Module:
    """Train a net of two hidden layers."""
    net = nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)
    )
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    epochs = 20
    steps = epochs * -(-len(signals) // 100)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(signals)).split(100):
            optimizer.zero_grad()
            (net(signals[rows])[:, 0] - labels[rows]).square().mean().backward()
            optimizer.step()
            schedule.step()
    return net.eval().requires_grad_(False)


if __name__ == "__main__":
    main()
