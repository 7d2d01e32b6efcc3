"""DeepLIFT: closed forms, completeness on deep nets, rows apart, and loud failures."""

from __future__ import annotations

import gc
import math

import pytest
import torch
import torch.nn.functional as F
from closed_forms import CASES, E1_RESCALE, E1_REVEAL_CANCEL, e1_net
from deep_nets import NETS, Function, build
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pyxai import PyxaiWarning, UnsupportedOperationError
from pyxai.attribution import DeepLift
from pyxai.runner.memory import LiveBytes

RULES = ("rescale", "reveal_cancel")


def attribute(model, x, b, target=None, **options):
    """Return attributions and how far they are from complete, relative to the change."""
    explainer = DeepLift(model, **options)
    found, delta = explainer.attribute(x, b, target, return_convergence_delta=True)
    return found, delta


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_closed_forms(name, dtype):
    case = CASES[name]
    model = case.net(dtype)  # one trace serves both rules
    near = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-5}
    for rule in RULES:
        found, delta = attribute(model, case.inputs(dtype), None, rule=rule)
        torch.testing.assert_close(found, case.expected(f"deeplift_{rule}").to(dtype), **near)
        torch.testing.assert_close(delta, torch.zeros_like(delta), **near)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_change_of_the_hidden_unit(dtype):
    x = torch.ones(1, 2, dtype=dtype)
    for rule, expected in (("rescale", E1_RESCALE), ("reveal_cancel", E1_REVEAL_CANCEL)):
        found, _ = attribute(e1_net().to(dtype), x, 0, rule=rule)
        assert found.tolist() == [list(expected)]


@pytest.mark.parametrize("name", NETS)
def test_complete_and_row_by_row_on_deep_nets(name):
    model, x, b = build(name)
    change = (model(x) - model(b))[:, 1]
    order = torch.tensor([2, 0, 1])
    for rule in RULES:
        found, delta = attribute(model, x, b, 1, rule=rule)
        assert (delta.abs() / change.abs()).max() < 1e-10
        alone, _ = attribute(model, x[1:2], b[1:2], 1, rule=rule)
        torch.testing.assert_close(alone, found[1:2], rtol=1e-9, atol=1e-12)
        turned, _ = attribute(model, x[order], b[order], 1, rule=rule)
        torch.testing.assert_close(turned, found[order], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_complete_in_float32(name):
    model, x, b = build(name, dtype=torch.float32)
    found, delta = attribute(model, x, b, 1)
    change = (model(x) - model(b))[:, 1]
    assert found.dtype == torch.float32
    # 1e-5 of the outputs' own size: the difference of two float32 outputs is no better than that.
    scale = torch.maximum(change.abs(), model(x)[:, 1].abs())
    assert (delta.abs() / scale).max() < 1e-5


def relu_neuron():
    layer = nn.Linear(2, 1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -1.0]]))
        layer.bias.fill_(1.0)
    return layer


class MyReLU(nn.ReLU):
    """A subclass, which hooks on exact types do not see."""


ADJACENT = {
    "functional relu": lambda parts, x: F.relu(parts[0](x)),
    "relu made in forward": lambda parts, x: nn.ReLU()(parts[0](x)),
    "subclass": lambda parts, x: MyReLU()(parts[0](x)),
    "relu relu tanh": lambda parts, x: torch.tanh(F.relu(F.relu(parts[0](x)))),
    "gelu": lambda parts, x: F.gelu(parts[0](x)),
    "silu of elu": lambda parts, x: F.silu(F.elu(parts[0](x))),
    "abs log": lambda parts, x: torch.log(parts[0](x).abs() + 1),
    "one module used three times": lambda parts, x: parts[1](parts[0](parts[1](parts[1](x) - 0.2))),
    "functional softmax": lambda parts, x: F.softmax(torch.cat([parts[0](x), x], 1), 1)[:, :1],
}


@pytest.mark.parametrize("name", ADJACENT)
def test_activations_however_written(name):
    x = torch.tensor([[-2.0, 1.0], [0.5, 2.0]], dtype=torch.float64)
    _, delta = attribute(Function(ADJACENT[name], relu_neuron(), nn.ReLU()), x, 0.3)
    assert delta.abs().max() < 1e-14


@pytest.mark.parametrize(
    "layer",
    [nn.GELU(), nn.SiLU(), nn.ReLU6(), nn.PReLU(), nn.Hardswish(), nn.LayerNorm(6), nn.SELU()],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_are_not_linear_are_not_taken_for_linear(layer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), layer, nn.Linear(6, 2)).double()
    x, b = 3 * torch.randn(2, 5, 4, dtype=torch.float64)
    for rule in RULES:
        found, delta = attribute(model, x, b, 1, rule=rule)
        assert delta.abs().max() < 1e-13
        leaf = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
        assert (found - gradient * (x - b)).abs().max() > 0.01


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2), nn.MaxPool2d(3, 1), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(3),
        nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.MaxPool2d(2, 1)), nn.LPPool2d(2, 2),
        nn.AvgPool2d(3, 1, 1),
    ],
    ids=str,
)  # fmt: skip
def test_pooling_after_convolution(pool):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), pool, nn.Tanh(), nn.Flatten()).double()
    x, b = torch.randn(2, 3, 1, 9, 9, dtype=torch.float64)
    for rule in RULES:
        found, delta = attribute(model, x, b, 0, rule=rule)
        assert delta.abs().max() < 1e-13
    # captum gives each row the first row's gradient where nothing changes.
    b[1] = x[1]
    slopes, _ = attribute(model, x, b, 0, multiply_by_inputs=False)
    alone, _ = attribute(model, x[1:2], b[1:2], 0, multiply_by_inputs=False)
    torch.testing.assert_close(slopes[1:2], alone)
    leaf = x[1:2].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf)[0, 0], leaf)
    torch.testing.assert_close(alone, gradient)
    assert found.shape == x.shape


def test_max_pool_gives_the_change_to_one_element():
    pool = Function(lambda parts, x: F.max_pool1d(x[:, None], 3)[:, 0])
    x = torch.tensor([[1.0, 5.0, 2.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    b = torch.tensor([[3.0, 0.0, 0.0], [1.0, 4.0, 2.0]], dtype=torch.float64)
    found, _ = attribute(pool, x, b)
    assert found.tolist() == [[0.0, 2.0, 0.0], [0.0, -3.0, 0.0]]


def test_softmax_does_not_look_at_other_rows():
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)).double()
    x, b = torch.randn(2, 4, 4, dtype=torch.float64)
    found, delta = attribute(model, x, b, 0)
    assert delta.abs().max() < 1e-15
    x[1:] *= 5
    again, _ = attribute(model, x, b, 0)
    torch.testing.assert_close(again[:1], found[:1])


def test_softmax_of_extreme_and_masked_scores():
    def forward(parts, x):
        hidden = torch.tensor([False, True, False, False])
        return torch.softmax(x.masked_fill(hidden, float("-inf")), 1)

    x = torch.tensor([[300.0, 1.0, -200.0, 299.0]])
    b = torch.tensor([[-300.0, 0.0, 100.0, 0.0]])
    found, delta = attribute(Function(forward), x, b, 0)
    assert torch.isfinite(found).all()
    assert delta.abs().max() < 1e-6
    assert found[0, 1] == 0


def test_product_is_shared_equally():
    model = Function(lambda parts, x: x[:, 0] * x[:, 1])
    found, _ = attribute(model, torch.tensor([[2.0, 3.0]]), 0)
    assert found.tolist() == [[3.0, 3.0]]
    model = Function(lambda parts, x: x[:, 0] / x[:, 1])
    x, b = torch.tensor([[6.0, 3.0]]), torch.tensor([[2.0, 1.0]])
    found, _ = attribute(model, x, b)
    torch.testing.assert_close(found, torch.tensor([[8 / 3, -8 / 3]]))


def test_maximum_is_the_shapley_value():
    model = Function(lambda parts, x: torch.maximum(x[:, 0], x[:, 1]))
    x, b = torch.tensor([[3.0, 5.0]]), torch.tensor([[0.0, 1.0]])
    found, _ = attribute(model, x, b)
    # v(1) = 3, v(2) = 5, v(12) = 5, v() = 1
    torch.testing.assert_close(found, torch.tensor([[1.0, 3.0]]))


def test_rescale_is_integrated_gradients_for_one_hidden_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    x, b = torch.randn(2, 1, 4, dtype=torch.float64)
    found, _ = attribute(model, x, b)
    t = (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
    points = (b + t[:, None] * (x - b)).requires_grad_()
    (grads,) = torch.autograd.grad(model(points).sum(), points)
    torch.testing.assert_close(found, (x - b) * grads.mean(0), rtol=1e-8, atol=1e-9)


def test_equals_captum_where_captum_is_right():
    from captum.attr import DeepLift as Peer
    from captum_peer import peer

    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(75, 8), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(8, 3)).eval()
    x, b = torch.randn(2, 4, 2, 7, 7)
    expected = peer(Peer(model), x, b, target=2)
    found = DeepLift(model).attribute(x, b, target=2)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), rule=st.sampled_from(RULES))
def test_complete_for_any_point(seed, rule):
    generator = torch.Generator().manual_seed(seed)
    x, b = torch.randn(2, 2, 8, generator=generator, dtype=torch.float64) * 3
    still = torch.rand(2, 8, generator=generator) < 0.3
    b = torch.where(still, x, b)
    found, delta = attribute(MIXTURE, x, b, 0, rule=rule)
    scale = found.abs().sum(1) + 1e-12
    assert (delta.abs() / scale).max() < 1e-9
    assert (found[still] == 0).all()


MIXTURE = build("mixture")[0]


def test_reveal_cancel_through_negative_scales_and_sums():
    """Folding a batch norm or splitting a layer in two terms must not change a neuron's inputs."""
    torch.manual_seed(0)
    first, second = nn.Linear(3, 4).double(), nn.Linear(3, 4).double()
    scale = torch.tensor([-2.0, 0.5, -1.0, 3.0], dtype=torch.float64)
    whole = nn.Linear(6, 4).double()
    with torch.no_grad():
        whole.weight.copy_(torch.cat([first.weight, -second.weight], 1) * scale[:, None])
        whole.bias.copy_((first.bias - second.bias) * scale)
    split = Function(
        lambda parts, x: torch.tanh((parts[0](x[:, :3]) - parts[1](x[:, 3:])) * scale),
        first,
        second,
    )
    folded = Function(lambda parts, x: torch.tanh(parts[0](x)), whole)
    x, b = torch.randn(2, 2, 6, dtype=torch.float64)
    for rule in RULES:
        found, _ = attribute(split, x, b, 1, rule=rule)
        expected, _ = attribute(folded, x, b, 1, rule=rule)
        torch.testing.assert_close(found, expected)


def test_reveal_cancel_of_a_convolution_is_that_of_its_matrix():
    torch.manual_seed(0)
    conv = nn.Conv1d(2, 3, 3).double()
    x, b = torch.randn(2, 2, 2, 5, dtype=torch.float64)
    matrix = nn.Linear(10, 9).double()
    with torch.no_grad():
        matrix.bias.copy_(conv(torch.zeros(1, 2, 5, dtype=torch.float64)).flatten())
        eye = torch.eye(10, dtype=torch.float64).reshape(10, 2, 5)
        matrix.weight.copy_((conv(eye).flatten(1) - matrix.bias).t())
    by_conv, _ = attribute(nn.Sequential(conv, nn.GELU(), nn.Flatten()), x, b, 4,
                           rule="reveal_cancel")  # fmt: skip
    model = nn.Sequential(nn.Flatten(), matrix, nn.GELU())
    by_matrix, _ = attribute(model, x, b, 4, rule="reveal_cancel")
    torch.testing.assert_close(by_conv, by_matrix)


def test_several_inputs_arguments_and_forms():
    def forward(parts, x, y, scale):
        return parts[0](torch.tanh(x) * y) * scale

    model = Function(forward, nn.Linear(4, 3)).double()
    x, y = torch.randn(2, 3, 4, dtype=torch.float64)
    scale = torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64)
    explainer = DeepLift(model)
    found, delta = explainer.attribute((x, y), (0.5, y[:1]), target=[0, 2, 1],
                                       additional_forward_args=scale,
                                       return_convergence_delta=True)  # fmt: skip
    assert isinstance(found, tuple)
    assert delta.abs().max() < 1e-14
    row = explainer.attribute((x[2:], y[2:]), (0.5, y[:1]), target=1,
                              additional_forward_args=scale[2:])  # fmt: skip
    torch.testing.assert_close(row[1], found[1][2:])
    expected = explainer.compute_convergence_delta(found, (0.5, y[:1]), (x, y), [0, 2, 1], scale)
    torch.testing.assert_close(delta, expected, rtol=0, atol=1e-14)


def test_custom_attribution_function():
    model, x, b = build("mixture")
    explainer = DeepLift(model, multiply_by_inputs=False)
    slopes = explainer.attribute(x, b, target=0)
    seen = explainer.attribute(x, b, target=0, custom_attribution_func=lambda m: m)
    torch.testing.assert_close(seen, slopes)
    product = explainer.attribute(
        x, b, target=0, custom_attribution_func=lambda m, i, o: (m[0] * (i[0] - o[0]),)
    )
    torch.testing.assert_close(product, slopes * (x - b))
    with pytest.raises(ValueError, match="custom_attribution_func must take one to three"):
        explainer.attribute(x, b, target=0, custom_attribution_func=lambda: None)


def test_bfloat16_model_gives_float32():
    model, x, b = build("vgg", dtype=torch.bfloat16)
    found = DeepLift(model).attribute(x, b, target=1)
    assert found.dtype == torch.float32
    model, x, b = build("vgg")
    exact = DeepLift(model).attribute(x, b, target=1)
    # 8 bits of precision in 7 layers; a wrong rule would be far off.
    assert F.cosine_similarity(found.flatten().double(), exact.flatten(), dim=0) > 0.98


def test_op_without_rule_is_named_with_its_line():
    model = Function(lambda parts, x: parts[0](x).mode(1)[0].unsqueeze(1), nn.Linear(4, 3))
    x = torch.randn(2, 4)
    with pytest.raises(UnsupportedOperationError) as caught:
        DeepLift(model).attribute(x, target=0)
    for part in ("DeepLIFT has no rule for mode", "test_deep_lift.py", "mode(1)", "strict=False"):
        assert part in str(caught.value)
    with pytest.warns(PyxaiWarning, match="DeepLIFT has no rule for mode") as warned:
        found = DeepLift(model, strict=False).attribute(x, target=0)
    assert len(warned) == 1
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(found, gradient * x)


def test_errors_of_arguments():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module, got a function"):
        DeepLift(lambda x: x)
    with pytest.raises(ValueError, match="rule must be one of 'rescale', 'reveal_cancel'"):
        DeepLift(nn.Identity(), rule="other")
    model, x, _ = build("mixture")
    with pytest.raises(ValueError, match="baselines must be a number or have shape"):
        DeepLift(model).attribute(x, x[:, :3], target=0)
    with pytest.raises(ValueError, match="target must be in 0"):
        DeepLift(model).attribute(x, target=9)


def test_training_mode_is_loud():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 2))
    with (
        pytest.warns(PyxaiWarning, match="training mode"),
        pytest.raises(UnsupportedOperationError, match=r"call model\.eval"),
    ):
        DeepLift(model).attribute(torch.randn(2, 4), target=0)


def test_nothing_is_left_behind():
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)).eval()
    x = torch.randn(3, 4, requires_grad=True)
    explainer = DeepLift(model)
    found = explainer.attribute(x, target=0)
    assert not found.requires_grad
    (found * model[0].weight[0]).sum().backward()  # no inference tensor: usable in autograd
    baselines = torch.randn(3, 4)
    gc.collect()
    gc.disable()  # memory must go at once, not when a cycle is found
    try:
        with LiveBytes() as counter:
            held = set()
            for _ in range(200):
                explainer.attribute(x, baselines, target=1)
                held.add(counter.live)
    finally:
        gc.enable()
    assert held == {0}
    assert counter.peak > 0
    assert x.requires_grad
    assert x.grad is None
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._backward_hooks
        assert not module._forward_pre_hooks


def test_training_between_calls_is_seen():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1)).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    explainer = DeepLift(model)
    first = explainer.attribute(x)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(x).sum().backward()
    optimizer.step()
    second, delta = explainer.attribute(x, return_convergence_delta=True)
    assert delta.abs().max() < 1e-14
    assert not torch.allclose(first, second)


def test_embeddings_given_as_input():
    """Attribution to an embedded sequence, with a mask of padding as a further argument."""
    table = nn.Embedding(11, 8)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")

    def forward(parts, embedded, padding):
        return parts[1](parts[0](embedded, src_key_padding_mask=padding)[:, 0])

    model = Function(forward, nn.TransformerEncoder(layer, 1), nn.Linear(8, 2)).double().eval()
    tokens = torch.randint(1, 11, (3, 6))
    padding = torch.zeros(3, 6, dtype=torch.bool)
    padding[0, 4:] = padding[2, 3:] = True
    embedded = table(tokens).detach().double()
    found, delta = DeepLift(model).attribute(
        embedded, target=1, additional_forward_args=padding, return_convergence_delta=True
    )
    # Layer norm at a baseline of zeros multiplies rounding by its root of epsilon.
    assert delta.abs().max() < 1e-11
    assert (found[padding] == 0).all()


@pytest.mark.parametrize(
    ("eps", "error"), [(-1, ValueError), (math.nan, ValueError), ("1", TypeError)]
)
def test_eps_is_checked(eps, error):
    with pytest.raises(error, match="eps must be"):
        DeepLift(nn.Linear(2, 1), eps=eps)
