"""The size that rounding is judged by is that of the terms of a sum, which have no sign."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from pyxai.decomposition import ContextualDecomposition
from pyxai.propagation.decomposed.split import Split

D = torch.float64


class Op(nn.Module):
    """One function of the inputs."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x).flatten(1)


def signed(module):
    """Give a module weights and biases of both signs."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(torch.randn(value.shape, generator=generator, dtype=value.dtype))
        for name, value in module.named_buffers():
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
                value.copy_(drawn.abs() + 0.5 if "var" in name else drawn)
    return module


CONSTANT = torch.tensor([0.5, -2.0, 1.0, -0.25], dtype=D)
OPS = {
    "linear": (nn.Linear(4, 3), (4,)),
    "convolution": (nn.Conv1d(2, 3, 2), (2, 5)),
    "batch norm": (nn.BatchNorm1d(4), (4,)),
    "batch norm of channels": (nn.BatchNorm1d(2), (2, 5)),
    "layer norm": (nn.LayerNorm(4), (4,)),
    "group norm": (nn.GroupNorm(2, 4), (4, 3)),
    "instance norm": (nn.InstanceNorm1d(2, affine=True), (2, 5)),
    "instance norm as it was seen": (
        nn.InstanceNorm1d(2, affine=True, track_running_stats=True),
        (2, 5),
    ),
    "plus a constant": (Op(lambda x: x + CONSTANT), (4,)),
    "minus a constant": (Op(lambda x: x - CONSTANT), (4,)),
    "a constant minus": (Op(lambda x: CONSTANT - x), (4,)),
    "a function that is negative at 0": (Op(functional.logsigmoid), (4,)),
    "a function that is positive at 0": (Op(torch.cos), (4,)),
    "a product beside constants": (Op(lambda x: torch.baddbmm(CONSTANT.view(2, 2), x, -x)), (2, 2)),
}
EVEN_OR_ODD = {*OPS} - {"a function that is negative at 0"}


def met(net, x, **options):
    """Decompose, and return what each constant was shared by."""
    found, plain = [], Split.shared

    def shared(self, call, linear, constant):
        if constant is not None:
            found.append((linear, constant))
        return plain(self, call, linear, constant)

    groups = torch.zeros(1, *x.shape[1:], dtype=torch.bool)
    groups.view(-1)[::2] = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Split, "shared", shared)
        rows = groups[None].expand(len(x), -1, *x.shape[1:])
        ContextualDecomposition(net, **options).scores(x, rows)
    return found


CASES = [(name, "after") for name in OPS] + [(name, "before") for name in OPS if "norm" in name]


@pytest.mark.parametrize(("name", "norm_bias"), CASES)
def test_sizes_have_no_sign_and_hold_the_sum(name, norm_bias):
    module, shape = OPS[name]
    net = signed(nn.Sequential(module, nn.Flatten())).double().eval()
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1), dtype=D)
    options = {} if norm_bias == "after" else {"norm_bias": "before"}
    plain, turned = (met(net, each, **options) for each in (x, -x))
    assert plain
    for (_, one), (_, other) in zip(plain, turned, strict=True):
        for by in (one, one.judged):
            if by is not None and by.magnitude is not None:
                slack = 1e-12 * by.magnitude.abs().max()
                assert (by.magnitude >= by.total.abs() - slack).all()
                assert (by.magnitude > 0).all()
        if one.magnitude is not None and name in EVEN_OR_ODD:
            torch.testing.assert_close(one.magnitude, other.magnitude)
