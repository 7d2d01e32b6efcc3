"""Relevance rules against closed forms, Jacobians, and the conservation that they promise."""

import copy
import math

import pytest
import torch
from closed_forms import CASES
from relu_nets import convnet, images
from torch import nn

from pyxai import PyxaiWarning, UnsupportedOperationError
from pyxai.attribution import (
    LRP,
    DeepLift,
    DeepTaylor,
    InputXGradient,
)
from pyxai.propagation.relevance import (
    AlphaBetaRule,
    EpsilonRule,
    FlatRule,
    GammaRule,
    IdentityRule,
    WSquareRule,
    ZBoxRule,
    ZPlusRule,
)
from pyxai.propagation.relevance.rules import LinearOp


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (EpsilonRule(), {"epsilon": 1e-9, "bias": "absorb"}),
        (
            AlphaBetaRule(),
            {"alpha": 2.0, "beta": 1.0, "bias": "absorb", "renormalize_empty": False},
        ),
        (GammaRule(), {"gamma": 0.25}),
    ],
)
def test_what_a_rule_is_without_arguments(rule, wanted):
    found = {name: value for name, value in vars(rule).items() if name in wanted}
    assert found == wanted


@pytest.mark.parametrize(
    "rule", [AlphaBetaRule(2.0, 1.0), AlphaBetaRule(1.0, 0.0), GammaRule(0.5), ZPlusRule()]
)
def test_inputs_without_a_sign_take_the_short_way(rule):
    generator = torch.Generator().manual_seed(0)
    weight, h = torch.randn(5, 7, generator=generator, dtype=torch.float64), torch.rand(3, 7)
    h, relevance = h.double(), torch.randn(3, 5, generator=generator, dtype=torch.float64)
    products = []

    def product(matrix, values):
        products.append(values)
        return values @ matrix.T

    def found(nonnegative):
        products.clear()
        backward = lambda w, s: product(w.T, s)  # noqa: E731
        op = LinearOp(h, weight, torch.linspace(-1, 1, 5).double(), product, backward, nonnegative)
        return rule.propagate(op, relevance), len(products)

    (short, few), (long, many) = found(True), found(False)
    torch.testing.assert_close(short, long, rtol=1e-12, atol=1e-12)
    assert few == many // 2


def test_z_plus_on_a_negative_output():
    """T1's output is -4; the z+ rule alone gives all of it to the positive contributions."""
    case = CASES["T1"]
    found = LRP(case.net(), rule="z_plus").attribute(case.inputs())
    expected = case.expected("deep_taylor")
    torch.testing.assert_close(found, expected)


def layer(seed=0, bias=True, kind="linear"):
    torch.manual_seed(seed)
    if kind == "linear":
        return nn.Linear(6, 4, bias=bias).double()
    return nn.Conv1d(2, 3, 2, padding=1, bias=bias).double()


def ratio(part, whole):
    return part / whole if whole != 0 else torch.zeros_like(part)


def jacobian_rule(rule, weight, bias, h, relevance):
    """Each rule from the matrix of contributions, output by output."""
    total = torch.zeros_like(h)
    for j in range(len(weight)):
        u = weight[j] * h
        c = bias[j].item()
        up, un = u.clamp(min=0), u.clamp(max=0)
        if isinstance(rule, EpsilonRule):
            z = u.sum() + (c if rule.bias == "absorb" else 0)
            share = u / (z + math.copysign(rule.epsilon, z))
        elif isinstance(rule, AlphaBetaRule):
            keep = 1 if rule.bias == "absorb" else 0
            share = rule.alpha * ratio(up, up.sum() + keep * max(c, 0))
            share = share - rule.beta * ratio(un, un.sum() + keep * min(c, 0))
        elif isinstance(rule, ZPlusRule):
            share = ratio(up, up.sum())
        elif isinstance(rule, GammaRule):
            z = u.sum() + c
            favoured, part = (up, max(c, 0)) if z >= 0 else (un, min(c, 0))
            share = (u + rule.gamma * favoured) / (z + rule.gamma * (favoured.sum() + part))
        elif isinstance(rule, WSquareRule):
            share = weight[j] ** 2 / (weight[j] ** 2).sum()
        elif isinstance(rule, FlatRule):
            share = (weight[j] != 0).double() / (weight[j] != 0).sum()
        else:
            low, high = rule.low, rule.high
            parts = u - weight[j].clamp(min=0) * low - weight[j].clamp(max=0) * high
            share = parts / parts.sum()
        total += share * relevance[j]
    return total


RULES = [
    EpsilonRule(0.0),
    EpsilonRule(0.1),
    EpsilonRule(0.0, "ignore"),
    AlphaBetaRule(2, 1),
    AlphaBetaRule(2.2, 1.2),
    AlphaBetaRule(1.4, 0.4, "ignore"),
    ZPlusRule(),
    GammaRule(0.3),
    WSquareRule(),
    FlatRule(),
    ZBoxRule(-3.0, 4.0),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_rules_follow_their_definition(rule, kind):
    net = layer(kind=kind)
    shape = (3, 6) if kind == "linear" else (3, 2, 4)
    h = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    h = h.clamp(-2.9, 3.9)
    outputs = net(h).flatten(1)
    zero = net(torch.zeros_like(h[:1])).flatten(1)[0].detach()
    model = nn.Sequential(net, nn.Flatten())
    for target in range(outputs.shape[1]):
        found = LRP(model, rule=rule).attribute(h, target=target)
        for row in range(3):
            jacobian = torch.autograd.functional.jacobian(
                lambda x: net(x[None]).flatten(), h[row]
            ).flatten(1)
            relevance = torch.zeros(outputs.shape[1], dtype=torch.float64)
            relevance[target] = outputs[row, target].detach()
            expected = jacobian_rule(rule, jacobian, zero, h[row].flatten(), relevance)
            torch.testing.assert_close(found[row].flatten(), expected)


@pytest.mark.parametrize("rule", ["epsilon", "gamma", "z_plus"])
def test_relevance_is_conserved_without_biases(rule):
    method = LRP(convnet(), rule=rule, epsilon=0.0)
    found, delta = method.attribute(images(), target=1, return_convergence_delta=True)
    assert delta.abs().max() < 1e-12
    assert found.flatten(1).sum(1).abs().min() > 1e-4


def test_epsilon_rule_is_input_x_gradient_on_relu_nets_with_biases():
    net = convnet(batch_norm=True, bias=True)
    found = LRP(net, epsilon=0.0).attribute(images(), target=2)
    expected = InputXGradient(net).attribute(images(), target=2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rule", RULES[3:8], ids=str)
def test_batch_norm_is_part_of_the_layer_before_it(rule):
    net = convnet(batch_norm=True, bias=True)
    folded = copy.deepcopy(net)
    fused = nn.utils.fusion.fuse_conv_bn_eval(folded[0], folded[1])
    folded = nn.Sequential(fused, *folded[2:]).eval()
    found = LRP(net, rule=rule).attribute(images(), target=0)
    torch.testing.assert_close(found, LRP(folded, rule=rule).attribute(images(), target=0))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2, bias=False).double()
        with torch.no_grad():
            self.layer.weight.copy_(torch.eye(2))

    def forward(self, x):
        return (x + self.layer(x)).sum(1)


def test_residual_sum_is_conserved():
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    found = LRP(Residual(), epsilon=0.0).attribute(x)
    torch.testing.assert_close(found, torch.tensor([[2.0, 4.0]], dtype=torch.float64))


def test_alpha1_beta0_takes_inputs_of_either_sign():
    """relu(x1 - x2) at (2, -1): both terms are positive contributions."""
    net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU()).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, -1.0]]))
    x = torch.tensor([[2.0, -1.0]], dtype=torch.float64)
    found = LRP(net, rule="alpha_beta", alpha=1, beta=0).attribute(x)
    torch.testing.assert_close(found, torch.tensor([[2.0, 1.0]], dtype=torch.float64))


def test_empty_sign_groups():
    net = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 1.0]]))
    x = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    dropped = LRP(net, rule=AlphaBetaRule(2, 1)).attribute(x)
    torch.testing.assert_close(dropped, 2 * x)
    whole = LRP(net, rule=AlphaBetaRule(2, 1, renormalize_empty=True)).attribute(x)
    torch.testing.assert_close(whole, x)


def test_negative_bias_of_the_size_of_the_sum():
    """W = (1, -1), b = -1, x = (1, 1): no denominator mixes the signs."""
    net = nn.Linear(2, 1).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, -1.0]]))
        net.bias.fill_(-1.0)
    x = torch.ones(1, 2, dtype=torch.float64)
    found = LRP(net, rule="alpha_beta").attribute(x)
    # R = -1: 2 * 1/1 * -1 to the first, -1 * (-1/-2) * -1 to the second
    torch.testing.assert_close(found, torch.tensor([[-2.0, 0.5]], dtype=torch.float64))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.block(x).mean(1))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def without_biases(net):
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "bias" in name:
                parameter.zero_()
    return net.double().eval()


@pytest.mark.parametrize(("make", "width"), [(Attention, 8), (Recurrent, 4)])
def test_attention_and_recurrence_conserve_without_biases(make, width):
    net = without_biases(make())
    x = torch.randn(3, 6, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, delta = LRP(net, epsilon=0.0).attribute(x, target=1, return_convergence_delta=True)
    assert delta.abs().max() < 1e-9 * net(x)[:, 1].abs().max().clamp(min=1)
    for i in range(3):
        alone = LRP(net, epsilon=0.0).attribute(x[i : i + 1], target=1)
        torch.testing.assert_close(alone, found[i : i + 1])


REFUSED_BY_CAPTUM = {
    "sigmoid": lambda: [nn.Flatten(), nn.Identity(), nn.Linear(6, 4), nn.Sigmoid()],
    "layer norm": lambda: [nn.Flatten(), nn.Linear(6, 4), nn.LayerNorm(4), nn.GELU()],
    "batch norm": lambda: [nn.Flatten(), nn.Linear(6, 4), nn.BatchNorm1d(4), nn.LeakyReLU()],
    "softmax": lambda: [nn.Flatten(), nn.Linear(6, 4), nn.Softmax(1)],
    "conv 1d": lambda: [
        nn.Conv1d(2, 3, 2),
        nn.LeakyReLU(),
        nn.ConvTranspose1d(3, 2, 2),
        nn.Flatten(),
        nn.Linear(6, 4),
    ],
    "transposed conv 2d": lambda: [
        nn.Unflatten(2, (3, 1)),
        nn.ConvTranspose2d(2, 2, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 4),
    ],
    "conv 3d": lambda: [
        nn.Unflatten(2, (3, 1, 1)),
        nn.Conv3d(2, 3, 1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(9, 4),
    ],
}


@pytest.mark.parametrize("name", REFUSED_BY_CAPTUM)
@pytest.mark.parametrize("rule", ["epsilon", "alpha_beta", "gamma"])
def test_layers_that_captum_refuses(name, rule):
    torch.manual_seed(0)
    net = nn.Sequential(*REFUSED_BY_CAPTUM[name](), nn.Linear(4, 2)).double().eval()
    x = torch.rand(3, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    found = LRP(net, rule=rule).attribute(x, target=0)
    assert torch.isfinite(found).all()
    assert found.abs().sum() > 0
    # Without biases nothing is lost, but by a softmax, which keeps what no first order explains.
    if rule == "epsilon" and name != "softmax":
        conserving = LRP(without_biases(net), epsilon=0.0)
        relevance, delta = conserving.attribute(x, target=0, return_convergence_delta=True)
        assert relevance.abs().sum() > 0
        assert delta.abs().max() < 1e-10


class TestComposite:
    x = images()

    def test_first_layer(self):
        net = convnet()
        found = LRP(net, rule="z_plus", composite={"first": ZBoxRule(0.0, 1.0)})
        by_name = LRP(net, rule="z_plus", composite={"0": ZBoxRule(0.0, 1.0)})
        by_module = LRP(net, rule="z_plus", composite={net[0]: ZBoxRule(0.0, 1.0)})
        result = found.attribute(self.x, target=0)
        torch.testing.assert_close(by_name.attribute(self.x, target=0), result)
        torch.testing.assert_close(by_module.attribute(self.x, target=0), result)
        plain = LRP(net, rule="z_plus").attribute(self.x, target=0)
        assert not torch.allclose(plain, result)

    def test_types(self):
        net = convnet()
        mixed = LRP(net, composite={nn.Conv2d: GammaRule(0.3), nn.Linear: EpsilonRule()})
        one = LRP(net, rule="gamma", gamma=0.3, composite={nn.Linear: EpsilonRule()})
        torch.testing.assert_close(
            mixed.attribute(self.x, target=0), one.attribute(self.x, target=0)
        )

    def test_rules_of_captum_are_those_of_their_names_here(self):
        from captum.attr._utils import lrp_rules as theirs

        pairs = (
            (theirs.EpsilonRule(0.3), EpsilonRule(0.3)),
            (theirs.GammaRule(0.5), GammaRule(0.5)),
            (theirs.Alpha1_Beta0_Rule(), AlphaBetaRule(1.0, 0.0)),
            (theirs.Alpha1_Beta0_Rule(set_bias_to_zero=True), AlphaBetaRule(1.0, 0.0, "ignore")),
        )
        for given, own in pairs:
            net = convnet()
            net[0].rule = given
            expected = LRP(net, composite={net[0]: own})
            found = LRP(net).attribute(self.x, target=0)
            net[0].rule = own
            assert torch.equal(found, expected.attribute(self.x, target=0))
        square = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False))
        square[0].rule = theirs.IdentityRule()
        x = torch.tensor([[1.0, 2.0, 3.0]])
        expected = (square[1].weight * square[0](x)).detach()
        torch.testing.assert_close(LRP(square).attribute(x), expected)
        square[0].rule = theirs.GammaRule(set_bias_to_zero=True)
        wanted = r"attribute rule of layer '0' .*pyxai.propagation.relevance.*captum"
        with pytest.raises(TypeError, match=wanted):
            LRP(square).attribute(x)

    def test_rules_at_modules_stay(self):
        net = convnet()
        net[0].rule = GammaRule(0.5)
        first = LRP(net).attribute(self.x, target=0)
        torch.testing.assert_close(LRP(net).attribute(self.x, target=0), first)
        assert net[0].rule == GammaRule(0.5)
        assert not torch.allclose(LRP(convnet()).attribute(self.x, target=0), first)

    def test_verbose_names_the_rules(self, capsys):
        LRP(convnet(), composite={"0": GammaRule(0.5)}).attribute(self.x, target=0, verbose=True)
        printed = capsys.readouterr().out
        assert "GammaRule(gamma=0.5)" in printed
        assert "EpsilonRule" in printed

    def test_errors(self):
        with pytest.raises(
            ValueError, match=r"composite must name submodules .* or 'first', got 'conv9'"
        ):
            LRP(convnet(), composite={"conv9": EpsilonRule()}).attribute(self.x, target=0)
        with pytest.raises(TypeError, match="each rule of composite must be one of"):
            LRP(convnet(), composite={"0": 0.25})
        with pytest.raises(ValueError, match="each rule of composite must be one of 'epsilon'"):
            LRP(convnet(), composite={"0": "best"})

    def test_rules_by_name(self):
        net = convnet()
        expected = LRP(net, composite={"0": GammaRule(0.5)}).attribute(self.x, target=0)
        found = LRP(net, composite={"0": "gamma"}, gamma=0.5).attribute(self.x, target=0)
        assert torch.equal(found, expected)
        net[0].rule = GammaRule()
        expected = LRP(net).attribute(self.x, target=0)
        net[0].rule = "gamma"
        assert torch.equal(LRP(net).attribute(self.x, target=0), expected)
        plain = LRP(convnet()).attribute(self.x, target=0)
        assert not torch.allclose(expected, plain)


class Odd(nn.Module):
    def forward(self, x):
        return x.square().mode(1)[0].sum(1)


@pytest.mark.parametrize(("cls", "method"), [(LRP, "LRP"), (DeepTaylor, "Deep Taylor")])
def test_an_op_without_a_rule_is_named_with_the_method_and_its_line(cls, method):
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    with pytest.raises(UnsupportedOperationError) as caught:
        cls(Odd()).attribute(x)
    for part in (
        f"{method} has no rule for",
        "mode at ",
        "test_lrp.py:",
        "x.square().mode(1)",
    ):
        assert part in str(caught.value)
    with pytest.warns(PyxaiWarning, match=f"{method} has no rule for .*mode") as warned:
        cls(Odd(), strict=False).attribute(x)
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"rule": "alpha_beta", "alpha": 2.0, "beta": 0.5},
            ValueError,
            "alpha - beta must be 1, got alpha 2.0 and beta 0.5",
        ),
        ({"rule": "best"}, ValueError, "rule must be one of 'epsilon'"),
        ({"epsilon": -1.0}, ValueError, "epsilon must not be negative, got -1.0"),
        ({"bias": "drop"}, ValueError, "bias must be one of 'absorb', 'ignore', got 'drop'"),
        ({"rule": "gamma", "gamma": -0.1}, ValueError, "gamma must not be negative"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        LRP(convnet(), **options)


def test_bad_input_is_named():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module"):
        LRP(lambda x: x)
    with pytest.raises(ValueError, match="inputs must lie between low and high"):
        LRP(convnet(), composite={"first": ZBoxRule(0.0, 0.5)}).attribute(images(), target=0)
    net = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(ValueError, match="IdentityRule must stand at a layer whose"):
        LRP(net, rule=IdentityRule()).attribute(torch.ones(1, 4), target=0)


def test_bfloat16_models_accumulate_in_float32():
    net = convnet().bfloat16()
    found = LRP(net).attribute(images().bfloat16(), target=0)
    assert found.dtype == torch.float32
    exact = LRP(convnet()).attribute(images(), target=0)
    assert (found.double() - exact).abs().max() < 0.1 * exact.abs().max()


ACTIVATIONS = {
    "rrelu": nn.RReLU(),
    "softshrink": nn.Softshrink(0.3),
    "hardshrink": nn.Hardshrink(0.3),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_that_torch_spells_out(name):
    """They are functions of single values, which pass relevance on."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, generator=generator).double()
    first, last = nn.Linear(3, 6, bias=False).double(), nn.Linear(6, 1, bias=False).double()
    first.weight.data = torch.randn(6, 3, generator=generator).double()
    last.weight.data = torch.ones_like(last.weight)
    model = nn.Sequential(first, ACTIVATIONS[name], last).eval()
    h = first(x).detach()
    output = model(x)[:, 0].detach()
    found = LRP(model, epsilon=0.0).attribute(x)
    expected = x * ((ACTIVATIONS[name](h) / h) @ first.weight.detach())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    deep = DeepTaylor(model, on_negative="clamp", input_rule="w_square").attribute(x)
    assert (output > 0).any()
    torch.testing.assert_close(deep.sum(1), output.clamp(min=0), rtol=1e-9, atol=1e-12)
    lifted, delta = DeepLift(model).attribute(x, return_convergence_delta=True)
    assert delta.abs().max() < 1e-12
    if name == "rrelu":
        torch.testing.assert_close(lifted, expected, rtol=1e-9, atol=1e-12)
