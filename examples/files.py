"""Make files to try the command line on: two small models, a table and a picture.

``python examples/files.py`` trains them on data of scikit-learn, in seconds, and writes
``tumours.pt2``, ``patients.csv``, ``typical.csv`` (the mean patient), ``digits.pt2`` and
``digit.png``.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_breast_cancer

from pyxai.datasets import digits


def train(net: torch.nn.Module, rows: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(rows), labels).backward()
        optimiser.step()


def save(net: torch.nn.Module, rows: torch.Tensor, path: str) -> None:
    batch = torch.export.Dim("batch")  # any number of rows, not that of the example
    program = torch.export.export(net.eval(), (rows[:2],), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)


class Standardised(torch.nn.Module):
    """Takes a table in its own units."""

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", rows.mean(0))
        self.register_buffer("scale", rows.std(0))
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(rows.shape[1], 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers((x - self.mean) / self.scale)


torch.manual_seed(0)
data = load_breast_cancer()
columns = list(range(8))  # the means, of which names are short
rows = torch.tensor(data.data[:, columns], dtype=torch.float32)
benign = torch.tensor(data.target)
net = Standardised(rows)
train(net, rows, benign, 100)
save(net, rows, "tumours.pt2")
header = ",".join(data.feature_names[column] for column in columns)
for name, values in (("patients.csv", rows[:3]), ("typical.csv", rows.mean(0, keepdim=True))):
    np.savetxt(name, values.numpy(), "%.4g", delimiter=",", header=header, comments="")

images, labels = digits()  # [1797, 1, 8, 8] in [0, 1]
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 10)
)
train(net, images, labels, 40)
save(net, images, "digits.pt2")
Image.fromarray((images[0, 0] * 255).byte().numpy()).save("digit.png")
