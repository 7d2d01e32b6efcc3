"""Which method should I believe on this model? Time and measures of each, side by side.

A small net on the wine data of scikit-learn. Run it with ``python examples/which_method.py``; it
takes seconds. Another model may turn the order around: that is why it is measured.
"""

from __future__ import annotations

import time

import torch
from sklearn.datasets import load_wine

import pyxai
from pyxai import metrics

METHODS = {
    "saliency": {},
    "input_x_gradient": {},
    "integrated_gradients": {},
    "deep_lift": {},
    "lrp": {},
    "feature_ablation": {},
    "kernel_shap": {"n_samples": 200, "seed": 0},
    "greedy_pig": {},
}

torch.manual_seed(0)
data = load_wine()
rows = torch.tensor(data.data, dtype=torch.float32)
rows = (rows - rows.mean(0)) / rows.std(0)  # so that 0 is the mean wine
labels = torch.tensor(data.target)
net = torch.nn.Sequential(torch.nn.Linear(13, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(80):
    optimiser.zero_grad()
    torch.nn.functional.cross_entropy(net(rows), labels).backward()
    optimiser.step()
net.eval()
target = net(rows).argmax(1)


print(f"{'method':22}{'seconds':>9}{'deletion':>10}{'insertion':>11}{'off by':>9}")
for method, options in METHODS.items():
    start = time.perf_counter()
    found = pyxai.explain(net, rows, method=method, target=target, **options)
    seconds = time.perf_counter() - start
    attributions = found.attributions
    removed = metrics.deletion(net, rows, attributions, target=target).auc.mean()
    shown = metrics.insertion(net, rows, attributions, target=target).auc.mean()
    delta = found.convergence_delta  # of methods that promise to add up to the output
    off = "" if delta is None else f"{delta.abs().max():9.0e}"
    print(f"{method:22}{seconds:9.3f}{removed:10.3f}{shown:11.3f}{off}")
print("deletion: lower is better; insertion: higher; the first time includes what is loaded once")
