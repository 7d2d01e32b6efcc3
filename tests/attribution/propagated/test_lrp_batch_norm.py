"""A batch norm is part of the layer before it: as LRP on the net that is folded by hand."""

import copy

import pytest
import torch
from torch import nn

from pyxai.attribution import LRP, DeepTaylor
from pyxai.propagation.relevance import (
    AlphaBetaRule,
    EpsilonRule,
    FlatRule,
    GammaRule,
    WSquareRule,
    ZBoxRule,
    ZPlusRule,
)

RULES = [
    EpsilonRule(),
    EpsilonRule(0.1),
    EpsilonRule(0.1, "ignore"),
    EpsilonRule(0.0, "ignore"),
    AlphaBetaRule(2, 1),
    AlphaBetaRule(1.4, 0.4, "ignore"),
    ZPlusRule(),
    GammaRule(0.3),
    WSquareRule(),
    FlatRule(),
    ZBoxRule(-9.0, 9.0),
]


class Flipped(nn.Module):
    """Channels last for the layer, in the middle for the norm."""

    def __init__(self, layer, norm):
        super().__init__()
        self.layer, self.norm = layer, norm

    def forward(self, x):
        return self.norm(self.layer(x).transpose(1, 2)).flatten(1)


def batch_norm(kind, channels):
    norm = kind(channels).eval()
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 3)
        norm.weight.normal_()  # of either sign
        norm.bias.normal_()
    return norm


def scale_and_shift(norm):
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def folded(layer, norm):
    """Return the layer that gives what both give together."""
    layer, (scale, shift) = copy.deepcopy(layer), scale_and_shift(norm)
    with torch.no_grad():
        if isinstance(layer, nn.ConvTranspose2d):  # [in, out / groups, ...]
            count, outputs = layer.weight.shape[:2]
            per = scale.view(layer.groups, 1, outputs).expand(-1, count // layer.groups, -1)
            layer.weight *= per.reshape(count, outputs, 1, 1)
        else:
            layer.weight *= scale.view(-1, *[1] * (layer.weight.dim() - 1))
        bias = 0 if layer.bias is None else layer.bias * scale
        layer.bias = nn.Parameter(bias + shift)
    return layer


LAYERS = {
    "linear": (lambda: nn.Linear(4, 3), nn.BatchNorm1d, (4,)),
    "linear without bias": (lambda: nn.Linear(4, 3, bias=False), nn.BatchNorm1d, (4,)),
    "conv1d": (lambda: nn.Conv1d(2, 3, 2), nn.BatchNorm1d, (2, 5)),
    "conv2d": (lambda: nn.Conv2d(2, 3, 2, padding=1, bias=False), nn.BatchNorm2d, (2, 3, 3)),
    "conv3d": (lambda: nn.Conv3d(1, 3, 2), nn.BatchNorm3d, (1, 2, 3, 3)),
    "groups": (lambda: nn.Conv2d(4, 6, 2, groups=2), nn.BatchNorm2d, (4, 3, 3)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 2, groups=2), nn.BatchNorm2d, (4, 2, 2)),
}


def nets(name):
    torch.manual_seed(1)
    make, kind, shape = LAYERS[name]
    layer = make()
    channels = getattr(layer, "out_channels", None) or layer.out_features
    norm = batch_norm(kind, channels)
    width = nn.Sequential(layer, nn.Flatten())(torch.zeros(1, *shape)).shape[1]
    rest = [nn.ReLU(), nn.Flatten(), nn.Linear(width, 3)]
    x = torch.randn(2, *shape, dtype=torch.float64).clamp(-8, 8)
    whole = nn.Sequential(layer, norm, *rest).double().eval()
    return whole, nn.Sequential(folded(layer, norm), *rest).double().eval(), x


def same(first, second, x, near=1e-10, **options):
    found, expected = (LRP(net, **options).attribute(x, target=1) for net in (first, second))
    torch.testing.assert_close(found, expected, rtol=near, atol=near)


@pytest.mark.parametrize("name", LAYERS)
def test_every_rule_is_that_of_the_net_folded_by_hand(name):
    net, by_hand, x = nets(name)
    torch.testing.assert_close(net(x), by_hand(x))
    for rule in RULES:
        later = {"composite": {"first": rule}} if isinstance(rule, ZBoxRule) else {"rule": rule}
        same(net, by_hand, x, **later)


def test_composites_deep_taylor_and_the_options_of_the_method():
    net, by_hand, x = nets("conv2d")
    same(net, by_hand, x, epsilon=0.1)
    same(net, by_hand, x, bias="ignore")
    same(net, by_hand, x, rule="alpha_beta", alpha=1.5, beta=0.5, bias="ignore")
    composite = {nn.Conv2d: "z_plus", "first": WSquareRule(), nn.Linear: EpsilonRule(0.25)}
    same(net, by_hand, x, composite=composite)
    same(net, by_hand, x, composite={"0": GammaRule(1.0)}, epsilon=0.1)
    for options in ({}, {"input_rule": "w_square"}):
        deep = [DeepTaylor(each, on_negative="clamp", **options) for each in (net, by_hand)]
        found = [each.attribute(x, target=0) for each in deep]
        torch.testing.assert_close(*found)


@pytest.mark.parametrize("rule", RULES[:-1], ids=str)
def test_channels_on_another_axis(rule):
    """Behind a transposed layer it is still one layer."""
    torch.manual_seed(0)
    layer, norm = nn.Linear(4, 3), batch_norm(nn.BatchNorm1d, 3)
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    net = Flipped(layer, norm).double()
    same(net, Flipped(folded(layer, norm), nn.Identity()).double(), x, rule=rule)


@pytest.mark.parametrize("rule", RULES[:-1], ids=str)
def test_one_scale_for_each_token(rule):
    """The channels of the norm are the tokens, and each has a layer of its own by hand."""
    torch.manual_seed(0)
    layer, norm = nn.Linear(4, 3).double(), batch_norm(nn.BatchNorm1d, 3).double()
    scale, shift = scale_and_shift(norm)
    x = torch.randn(2, 3, 4, dtype=torch.float64)

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(3))
            for each, s, c in zip(self.layers, scale, shift, strict=True):
                each.weight.data *= s
                each.bias.data = each.bias.data * s + c

        def forward(self, x):
            parts = [each(part) for each, part in zip(self.layers, x.unbind(1), strict=True)]
            return torch.stack(parts, 1).flatten(1)

    same(nn.Sequential(layer, norm, nn.Flatten()), Tokens(), x, rule=rule)


def test_dropout_between_and_statistics_of_an_instance_norm():
    net, by_hand, x = nets("conv2d")
    between = nn.Sequential(net[0], nn.Dropout(0.5), *net[1:]).eval()
    same(between, by_hand, x, rule=GammaRule(0.3))
    norm = nn.InstanceNorm2d(3, affine=True, track_running_stats=True).double()
    norm.load_state_dict(net[1].state_dict())
    norm = nn.Sequential(net[0], norm, *net[2:]).eval()
    same(norm, by_hand, x, rule=GammaRule(0.3))
    same(norm, by_hand, x, epsilon=0.1)


def test_without_a_layer_before_it_the_norm_shares_alone():
    """Each channel is one map: all relevance but what the shift absorbs goes to its input."""
    torch.manual_seed(0)
    norm = batch_norm(nn.BatchNorm1d, 3).double()
    x = torch.randn(2, 3, dtype=torch.float64)
    scale, _ = scale_and_shift(norm)
    found = LRP(nn.Sequential(norm), epsilon=0.0).attribute(x, target=1)
    torch.testing.assert_close(found[:, 1], (x * scale)[:, 1].detach())
