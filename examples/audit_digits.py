"""Explain a whole test set, kill it or not, and read what came out.

Two methods and two metrics on the digits of scikit-learn. Run it with
``python examples/audit_digits.py``; it takes seconds and writes the folder ``audit-of-digits``.
Run it again: nothing is computed twice.
"""

from __future__ import annotations

import torch

from pyxai.audit import audit
from pyxai.datasets import digits

if __name__ == "__main__":  # with `workers=2` processes import this file
    torch.manual_seed(0)
    images, labels = digits()
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(images[:1500]), labels[:1500]).backward()
        optimiser.step()

    found = audit(
        net.eval(),
        (images[1500:], labels[1500:]),
        methods=["integrated_gradients", ("saliency", {"abs": False})],
        metrics=["deletion", "sparseness"],
        out="audit-of-digits",
    )
    rows = found.rows()  # a DataFrame: a row for each image and method
    print(rows.groupby("method")[["deletion", "sparseness"]].mean().round(3))
    wrong = rows[(rows.method == "integrated_gradients") & (rows.prediction != rows.label)]
    print(f"{len(wrong)} of {len(images) - 1500} are wrong: {wrong.id.tolist()[:10]}")
    print(found.extremes("deletion", "integrated_gradients", 3))
