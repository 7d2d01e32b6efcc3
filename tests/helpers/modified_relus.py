"""A net with a ReLU in each of its spellings, and what a modified ReLU makes of its gradient."""

import torch
from torch import nn

from pyxai.attribution import Saliency


def functional_net():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.first, self.second, self.third = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)
            self.act = nn.ReLU()

        def forward(self, x):
            h = self.act(self.first(x))
            h = self.act(self.second(h)) + h.clamp(min=-9)
            return self.third(torch.relu_(h - 0.1))

    return Net().double().eval()


def with_hooks(net, x, target, guided):
    """Gradient of `functional_net` with autograd functions in place of its ReLUs."""

    class Relu(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            ctx.save_for_backward(value)
            return value.clamp(min=0)

        @staticmethod
        def backward(ctx, grad):
            (value,) = ctx.saved_tensors
            grad = grad.clamp(min=0)
            return grad * (value > 0) if guided else grad

    x = x.clone().requires_grad_()
    h = Relu.apply(net.first(x))
    h = Relu.apply(net.second(h)) + h
    out = net.third(Relu.apply(h - 0.1))
    return torch.autograd.grad(out[:, target].sum(), x)[0]


def assert_modified(method, guided):
    """Compare with the hooked net, and see that the plain gradient is another."""
    net = functional_net()
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = method(net).attribute(x, target=1)
    torch.testing.assert_close(found, with_hooks(net, x, 1, guided))
    assert not torch.allclose(found, Saliency(net).attribute(x, target=1, abs=False))
