"""DeepLIFT through what divides by a deviation or a sum, where one end has none or a huge one."""

import pytest
import torch
import torch.nn.functional as F
from deep_nets import Function
from torch import nn

from pyxai.attribution import DeepLift

EPS = 1e-6


def mean_square(x):
    return x.square().mean(-1, keepdim=True) + EPS


NORMS = {
    "layer norm": lambda: nn.LayerNorm(6, eps=EPS),
    "group norm": lambda: nn.GroupNorm(2, 6, eps=EPS),
    "RMS norm": lambda: nn.RMSNorm(6, eps=EPS),
    "instance norm": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2, eps=EPS), nn.Flatten()
    ),
    "rsqrt": lambda: Function(lambda _, x: x * torch.rsqrt(mean_square(x))),
    "rsqrt first": lambda: Function(lambda _, x: 2 * torch.rsqrt(mean_square(x)) * x),
    "root": lambda: Function(lambda _, x: x / mean_square(x).sqrt()),
    "inverse root": lambda: Function(lambda _, x: x * (1 / mean_square(x).sqrt())),
    "power": lambda: Function(lambda _, x: x * mean_square(x) ** -0.5),
    "unit length": lambda: Function(lambda _, x: F.normalize(x)),
    "deviation": lambda: Function(lambda _, x: x / (x.std(1, keepdim=True) + EPS)),
}


def net(norm, dtype):
    torch.manual_seed(0)
    layers = [layer for _ in range(3) for layer in (nn.Linear(6, 6, bias=False), NORMS[norm]())]
    net = nn.Sequential(*layers, nn.GELU(), nn.Linear(6, 2))
    return net.to(dtype).eval(), torch.randn(2, 6).to(dtype)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-9), (torch.float32, 2e-6)])
@pytest.mark.parametrize("norm", NORMS)
def test_norms_whose_baseline_has_no_variance(norm, dtype, near):
    """Three in a row: one over the root of eps, cubed, is 1e9."""
    model, x = net(norm, dtype)  # one trace serves both rules
    change = (model(x) - model(torch.zeros_like(x)))[:, 0]
    for rule in ("rescale", "reveal_cancel"):
        found = DeepLift(model, rule=rule).attribute(x, target=0)
        torch.testing.assert_close(found.sum(1), change, rtol=0, atol=near)
        assert found.abs().max() < 10


def test_three_layer_norms():
    model, x = net("layer norm", torch.float32)
    found = DeepLift(model).attribute(x, target=1).sum(1)
    torch.testing.assert_close(found, torch.tensor([-0.0552, 0.4281]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
def test_norms_have_the_gradient_where_input_and_baseline_meet(norm):
    model, x = net(norm, torch.float64)
    step = 1e-6 * torch.randn_like(x)
    found = DeepLift(model).attribute(x + step, x - step, target=1)
    leaf = x.clone().requires_grad_()
    (grad,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
    torch.testing.assert_close(found / (2 * step), grad, rtol=1e-6, atol=1e-6)


NEAR = {1e3: 2e-4, 1e4: 3e-3}  # the model itself is off by as much in float32


@pytest.mark.parametrize("growth", NEAR)
@pytest.mark.parametrize("last", [nn.Softmax, nn.LogSoftmax])
def test_logits_that_grow_together(last, growth):
    """Softmax does not see what they share, though it is nearly all that changes."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 10)
    with torch.no_grad():
        layer.weight += growth
    model = nn.Sequential(layer, last(-1)).eval()
    found = DeepLift(model).attribute(torch.ones(1, 4), target=0)
    exact = model.double()
    x = torch.ones(1, 4, dtype=torch.float64)
    change = float((exact(x) - exact(0 * x)).detach()[0, 0])
    assert abs(float(found.sum()) - change) < NEAR[growth]
    assert abs(float(DeepLift(exact).attribute(x, target=0).sum()) - change) < 1e-9


@pytest.mark.parametrize("function", [torch.softmax, torch.log_softmax, torch.logsumexp])
def test_what_all_logits_share_is_of_no_matter(function):
    """The multipliers are the same."""
    x = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    model = Function(lambda _, rows: function(rows, 1).reshape(len(rows), -1)[:, :1])
    multipliers = []
    for there, back in ((x, 0 * x), (x + 3, 0 * x - 40)):
        found = DeepLift(model).attribute(there, back, target=0)
        assert abs(float(found.sum() - (model(there) - model(back)))) < 1e-12
        multipliers.append(found / (there - back))
    torch.testing.assert_close(multipliers[1], multipliers[0], rtol=0, atol=1e-12)


def test_functions_with_poles_under_reveal_cancel():
    """Positive contributions alone, or negative ones, would leave where they have values."""
    functions = {
        "log": lambda _, x: torch.log(x[:, 0] - x[:, 1]),
        "root": lambda _, x: (x[:, 0] - x[:, 1]).sqrt(),
        "inverse root": lambda _, x: torch.rsqrt(x[:, 0] - x[:, 1]),
        "power": lambda _, x: (x[:, 0] - x[:, 1]) ** 1.5,
    }
    x, b = torch.tensor([[5.0, 4.0]]).double(), torch.tensor([[2.0, 0.5]]).double()
    for name, function in functions.items():
        model = Function(function)
        found = DeepLift(model, rule="reveal_cancel").attribute(x, b)
        assert abs(float(found.sum() - (model(x) - model(b)))) < 1e-12, name
