"""The op gives what the passes of torch give, which serve gradients and half precision."""

import pytest
import torch
from torch import nn

from pyxai.decomposition import ContextualDecomposition
from pyxai.propagation.decomposed import split


class OverTime(nn.Module):
    """A linear layer with rows on the second axis, large enough for several passes of the cache."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 128), nn.Linear(128, 2)

    def forward(self, x):
        return self.outer(self.inner(x.transpose(0, 1)).relu()).mean(0)


def images():
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Sigmoid(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))


def masks_for(x, n):
    generator = torch.Generator().manual_seed(1)
    masks = torch.rand(len(x), n, *x.shape[1:], generator=generator) < 0.5
    masks[:, 0], masks[:, 1] = False, True
    return masks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("preset", ["default", "acd", "cd", "cdt", "scd"])
@pytest.mark.parametrize("n_examples", [1, 2])
def test_equals_the_passes_of_torch(monkeypatch, dtype, preset, n_examples):
    torch.manual_seed(0)
    net = images().to(dtype).eval()
    x = torch.randn(n_examples, 1, 6, 6, dtype=dtype)
    x[..., :3] = 0  # ties
    masks = masks_for(x, 5)
    cd = ContextualDecomposition(net, preset=preset)
    found = cd.scores(x, masks)
    monkeypatch.setattr(split, "_has_kernel", lambda linear: False)
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(found, cd.scores(x, masks), rtol=tolerance, atol=tolerance)


def test_rows_on_another_axis():
    torch.manual_seed(0)
    net = OverTime().eval()
    x = torch.randn(1, 60, 3)
    masks = masks_for(x, 40)  # 60 x 40 x 128 elements
    scores = ContextualDecomposition(net).scores(x, masks)
    few = torch.cat([ContextualDecomposition(net).scores(x, masks[:, [g]]) for g in range(3)], 1)
    torch.testing.assert_close(scores[:, :3], few, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores[0, 1], net(x)[0].detach(), rtol=1e-5, atol=1e-5)
