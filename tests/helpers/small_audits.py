"""Small audits for the tests of their pages."""

from __future__ import annotations

import torch
from torch import nn

from pyxai.audit import audit


def digits_audit(out, **options):
    """Audit twelve pictures, one of which holds a NaN, by three methods; return it and the data."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    images = torch.rand(12, 1, 8, 8, generator=generator)
    images[5, 0, 0, 0] = torch.nan
    data = images, torch.arange(12) % 3
    methods = [("integrated_gradients", {"n_steps": 4}), "input_x_gradient", "saliency"]
    more = {"metrics": ["sparseness"], "shard_size": 4, **options}
    return audit(net, data, methods, out=out, **more), data
