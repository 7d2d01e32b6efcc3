"""Why did the net say "malignant"? One row of a table, and what counts over all rows.

A small net is trained on the breast cancer data of scikit-learn. Run it with
``python examples/table.py``; it takes seconds.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import pyxai
from pyxai import metrics
from pyxai.imputers import Marginal

torch.manual_seed(0)
data = load_breast_cancer()
rows, test, labels, truth = train_test_split(
    torch.tensor(data.data, dtype=torch.float32), torch.tensor(data.target), random_state=0
)
mean, scale = rows.mean(0), rows.std(0)


class Net(torch.nn.Module):
    """Takes the table in its own units, so that explanations are in them too."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(30, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [batch, 30]
        return self.layers((x - mean) / scale)


net = Net()
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2, weight_decay=1e-3)
for _ in range(100):
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(net(rows), labels).backward()
    optimiser.step()
net.eval()
print(f"right: {(net(test).argmax(1) == truth).float().mean():.3f} of {len(test)} test rows")

# One row: what moves the logit of "malignant" (class 0) away from that of the mean patient?
names = list(data.feature_names)
row = test[truth == 0][:1]
print(
    pyxai.explain(
        net, row, method="integrated_gradients", target=0, baselines=mean, feature_names=names
    )
)

# Ten measurements come as mean, error and worst of a tumour: three columns, one player. Shapley
# values against real patients share what columns do together, which a path from the mean does not.
measurement = torch.arange(30) % 10
values = pyxai.explain(
    net,
    row,
    method="shapley_values",
    target=0,
    imputer=Marginal(rows[:50]),
    feature_mask=measurement,
)
by_measurement = sorted(
    (float(values.attributions[0, i]), names[i].removeprefix("mean ")) for i in range(10)
)
print("\nShapley values of measurements")
for value, name in reversed(by_measurement[-3:]):
    print(f"{value:8.2f}  {name}")

# All rows: which columns count, and does removing them in this order change the output sooner than
# removing them in any other?
everything = pyxai.explain(net, test, method="integrated_gradients", target=0, baselines=mean)
size = everything.attributions.abs().mean(0)
print("\nmean size over the test rows")
for i in size.topk(3).indices.tolist():
    print(f"{size[i]:8.2f}  {names[i]}")
order = {"integrated gradients": everything.attributions, "at random": torch.randn(test.shape)}
malignant = net(test).argmax(1) == 0
for name, attributions in order.items():
    curve = metrics.deletion(
        net, test[malignant], attributions[malignant], target=0, baselines=mean
    )
    print(f"deletion curve, {name}: {curve.auc.mean():.3f} (lower is better)")
