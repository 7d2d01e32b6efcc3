"""Units that no feature moves above zero are left out of the second layer, and only they."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.overrides import TorchFunctionMode

import pyxai
from pyxai.attribution import FeatureAblation, PredictionDifference
from pyxai.game import linear_prefix, live_units
from pyxai.runner import path_noted

pytestmark = pytest.mark.usefixtures("always")


@pytest.fixture(scope="module")
def always():
    """Take the path whatever it saves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_prefix, "_LEAST_SAVED", -float("inf"))
        patch.setattr(linear_prefix, "_LEAST_READ", 0)
        patch.setattr(live_units, "_PICKED", 0)
        patch.setattr(live_units, "_CALLED", 0)
        yield


@pytest.fixture(scope="module")
def asked():
    """Lists the units, and the features, of each product with the second layer."""
    found = []

    class Products:
        def __getattr__(self, name):
            return getattr(torch, name)

        def addmm(self, bias, units, theirs, *, out):
            found.append(tuple(units.shape))
            return torch.addmm(bias, units, theirs, out=out)

        def mm(self, units, theirs, *, out):
            found.append(tuple(units.shape))
            return torch.mm(units, theirs, out=out)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_units, "torch", Products())
        yield found


def net(*more, size=7, second=6, bias=True):
    torch.manual_seed(0)
    layers = [nn.Linear(8, size), nn.ReLU(), nn.Linear(size, second, bias=bias), *more]
    return nn.Sequential(*layers).double().eval()


X = torch.randn(3, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def ablated(model, x=X, **options):
    """Return feature ablation the way that is chosen, and directly."""
    with path_noted() as paths:
        fast = FeatureAblation(model).attribute(x, target=1, **options)
    assert paths == ["linear prefix"]
    return fast, FeatureAblation(model).attribute(x, target=1, fast_path=False, **options)


@st.composite
def questions(draw):
    """Return a net, inputs and baselines; units lie anywhere around zero, or by a hair at it."""
    torch.manual_seed(draw(st.integers(0, 999)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    n_features, size, second = (draw(st.integers(1, most)) for most in (9, 12, 5))
    first = nn.Linear(n_features, size, bias=draw(st.booleans()))
    tail = draw(
        st.sampled_from([[], [nn.ReLU(True)], [nn.Tanh(), nn.Linear(second, 2)], [nn.Softmax(1)]])
    )
    relu = nn.ReLU(draw(st.booleans()))
    model = nn.Sequential(first, relu, nn.Linear(size, second, draw(st.booleans())), *tail)
    with torch.no_grad():
        first.weight *= draw(st.sampled_from([1.0, 0.01, 30.0]))
        first.weight[torch.rand_like(first.weight) < draw(st.sampled_from([0, 0.7]))] = 0
        if first.bias is not None:
            first.bias += draw(st.sampled_from([0.0, -0.5, 2.0]))
    batch = draw(st.integers(1, 4))
    x = torch.randn(batch, n_features, dtype=dtype)
    x[torch.rand_like(x) < draw(st.sampled_from([0, 0.6]))] = 0
    x[0, 0] = 1  # else nothing is taken out
    starts = draw(st.sampled_from([None, 0.3, "shared", "each"]))
    if isinstance(starts, str):
        starts = torch.randn(1 if starts == "shared" else batch, n_features, dtype=dtype)
    options = {"baselines": starts, "perturbations_per_eval": draw(st.sampled_from([1, 2, 3]))}
    return model.to(dtype).eval(), x, options


@settings(max_examples=150, deadline=None)
@given(questions(), st.sampled_from([2**18, 5]))
def test_every_net(asked, question, at_once):
    model, x, options = question
    options["target"] = 0
    asked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_units, "_MADE_AT_ONCE", at_once)
        patch.setattr(linear_prefix, "_one_outweighs", lambda prefix: False)
        fast = FeatureAblation(model).attribute(x, **options)
    assert asked
    direct = FeatureAblation(model).attribute(x, fast_path=False, **options)
    scale = max(1, float(model(x).detach().abs().max()))
    rounding = (1e-5 if x.dtype == torch.float32 else 1e-13) * scale
    torch.testing.assert_close(fast, direct, rtol=0, atol=rounding * 10)
    alone = [FeatureAblation(model).attribute(x[:1], **{**options, "baselines": 0.3})]
    alone.append(FeatureAblation(model).attribute(x, **{**options, "baselines": 0.3})[:1])
    torch.testing.assert_close(*alone, rtol=0, atol=rounding)


def test_units_that_no_feature_moves_above_zero_are_left_out(asked):
    model = net(nn.Linear(6, 3))
    reach = (model[0].weight.abs().amax(1) * X.abs().amax(1, keepdim=True)).detach()
    before = model[0](X).detach()
    asked.clear()
    fast, direct = ablated(model)
    torch.testing.assert_close(fast, direct)
    left = (before + reach > 0).sum(1)
    assert [units for _, units in asked[-3:]] == left.tolist()
    assert left.sum() < before.numel()  # some are


@pytest.mark.parametrize("bias", [False, True])
def test_no_unit_is_live(asked, bias):
    model = net(nn.Linear(6, 3), bias=bias)
    with torch.no_grad():
        model[0].bias -= 100
    asked.clear()
    fast, direct = ablated(model)
    assert {units for _, units in asked} == {0}
    torch.testing.assert_close(fast, direct, rtol=0, atol=1e-15)


def test_a_unit_that_one_feature_alone_moves_above_zero():
    model = net(nn.Linear(6, 3))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[:, 2] = -2.0
        model[0].bias.fill_(1.5)
    x = torch.ones(1, 8, dtype=torch.float64)
    fast, direct = ablated(model, x)
    torch.testing.assert_close(fast, direct)
    assert fast[0, 2].abs() > 0.01


def test_draws_of_baselines(asked):
    model = net(nn.Tanh(), nn.Linear(6, 3))
    rows = torch.randn(20, 8, dtype=torch.float64)
    for chosen in (None, (torch.arange(8) // 3)[None]):
        found = []
        for fast in (True, False):
            asked.clear()
            method = PredictionDifference(model)
            imputer = pyxai.imputers.Marginal(rows)
            options = {"imputer": imputer, "feature_mask": chosen, "fast_path": fast}
            found.append(method.attribute(X, target=0, **options))
            assert bool(asked) == (fast and chosen is None)
        torch.testing.assert_close(*found)


def test_a_batch_norm_behind():
    model = net(nn.BatchNorm1d(6), nn.Linear(6, 3))
    model[3].running_mean.copy_(torch.linspace(-1, 1, 6))
    model[3].running_var.copy_(torch.linspace(0.1, 4, 6))
    torch.testing.assert_close(*ablated(model))


def infinite(model):
    with torch.no_grad():
        model[2].weight[0, 0] = torch.inf


def not_a_number(model):
    with torch.no_grad():
        model[2].weight[0, 0] = torch.nan


@pytest.mark.parametrize("spoil", [infinite, not_a_number])
def test_weights_that_zero_does_not_hide(spoil):
    model = net()
    with torch.no_grad():
        model[0].bias -= 100
    spoil(model)
    errors = []
    for fast in (True, False):
        with pytest.raises(ValueError, match="model output must be finite") as raised:
            FeatureAblation(model).attribute(X, target=0, fast_path=fast)
        errors.append(str(raised.value))
    assert errors[0] == errors[1]


def own_forward(model):
    model[2].forward = lambda x: nn.functional.linear(x, model[2].weight).sin()


def subclassed(model):
    class Half(nn.Linear):
        def forward(self, x):
            return super().forward(x) / 2

    model[2].__class__ = Half


def narrowed(model):
    nn.utils.parametrizations.weight_norm(model[2])


def plain_weight(model):
    weight = model[2].weight.detach()
    del model[2].weight
    model[2].weight = weight


def sparse(model):
    model[2].weight = nn.Parameter(model[2].weight.detach().to_sparse_csr())


def one_bias(model):
    model[2].bias = nn.Parameter(model[2].bias[:1].detach())


def other_activation(model):
    model[1] = nn.LeakyReLU()


def flattened(model):
    model.insert(2, nn.Flatten())


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize(
    "change",
    [
        own_forward,
        subclassed,
        narrowed,
        plain_weight,
        sparse,
        one_bias,
        other_activation,
        flattened,
    ],
)
def test_what_is_not_a_plain_second_layer_is_asked_itself(change, asked):
    model = net(nn.Tanh(), nn.Linear(6, 3))
    for known in (False, True):
        asked.clear()
        fast, direct = ablated(model)
        assert bool(asked) != known
        torch.testing.assert_close(fast, direct)
        if not known:
            change(model)


def halved(x, weight, bias=None):
    return torch.addmm(torch.zeros(()).to(x), x, weight.T) / 2


def test_a_function_that_was_changed(asked, monkeypatch):
    model = net()
    ablated(model)
    monkeypatch.setattr(nn.functional, "linear", halved)
    asked.clear()
    before = FeatureAblation(model).attribute(X, target=1)
    assert not asked
    torch.testing.assert_close(
        before, FeatureAblation(model).attribute(X, target=1, fast_path=False)
    )


class Halved(TorchFunctionMode):
    """Makes of every linear layer another."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is nn.functional.linear:
            return halved(*args)
        return func(*args, **kwargs or {})


def test_functions_that_a_mode_changes(asked):
    model = net()
    ablated(model)
    asked.clear()
    with Halved():
        fast = FeatureAblation(model).attribute(X, target=1)
        direct = FeatureAblation(model).attribute(X, target=1, fast_path=False)
    assert not asked
    torch.testing.assert_close(fast, direct)


class Fails(nn.Module):
    """Fails on as many rows as a pass has, but not on the few of a look."""

    def forward(self, x):
        if len(x) > 4:
            raise RuntimeError("enough")
        return x


@pytest.mark.parametrize("more", [nn.ReLU(True), Fails()])
def test_the_model_is_left_as_found(more, asked):
    model = net(more, nn.Dropout(0.5), nn.Linear(6, 3))
    model(X).sum().backward()
    model[2].weight.requires_grad_(False)
    found = {name: (each, each.clone()) for name, each in model.named_parameters()}
    grads = {name: (each.grad, each.grad.clone()) for name, each in model.named_parameters()}
    flags = [each.requires_grad for each in model.parameters()]
    given, random = X.clone(), torch.get_rng_state()
    asked.clear()
    if isinstance(more, Fails):
        with pytest.raises(RuntimeError, match="enough"):
            FeatureAblation(model).attribute(given, target=1)
    else:
        ablated(model, given)
    assert asked
    for name, each in model.named_parameters():
        assert each is found[name][0]
        assert each.grad is grads[name][0]
        torch.testing.assert_close(each.detach(), found[name][1].detach(), rtol=0, atol=0)
        torch.testing.assert_close(each.grad, grads[name][1], rtol=0, atol=0)
    assert flags == [each.requires_grad for each in model.parameters()]
    assert not any(module.training for module in model.modules())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(given, X)


class Draws(TorchFunctionMode):
    """Draws a number wherever a layer is asked."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is nn.functional.linear:
            torch.rand(1)
        return func(*args, **kwargs or {})


@pytest.mark.filterwarnings("ignore:the model draws random numbers")
def test_a_mode_that_draws_leaves_the_random_state():
    model = net(nn.Tanh())
    ablated(model)
    random = torch.get_rng_state()
    with Draws():
        for _ in range(2):
            ablated(model)
    assert torch.equal(torch.get_rng_state(), random)


def test_small_passes_copy_no_large_weights(monkeypatch, asked):
    monkeypatch.setattr(live_units, "_PICKED", 24)
    monkeypatch.setattr(live_units, "_CALLED", 2**21)
    model, x = (
        nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256)),
        torch.randn(1, 784),
    )
    for at_most, pays in ((1, True), (100, False), (800, True)):
        asked.clear()
        FeatureAblation(model).attribute(x, target=0, perturbations_per_eval=at_most)
        assert bool(asked) == pays


@pytest.mark.parametrize(
    ("n_features", "size", "second", "pays"),
    [
        (784, 256, 128, True),
        (784, 256, 16, False),
        (30, 256, 128, False),
        (100, 1024, 512, False),
        (512, 2048, 1024, False),
        (3072, 64, 64, False),
    ],
)
def test_small_layers_are_left_alone(n_features, size, second, pays, monkeypatch, asked):
    monkeypatch.setattr(live_units, "_PICKED", 24)
    monkeypatch.setattr(live_units, "_CALLED", 2**21)
    model = nn.Sequential(nn.Linear(n_features, size), nn.ReLU(), nn.Linear(size, second))
    asked.clear()
    x = torch.randn(1, n_features)
    fast = FeatureAblation(model).attribute(x, target=0)
    assert bool(asked) == pays
    torch.testing.assert_close(fast, FeatureAblation(model).attribute(x, target=0, fast_path=False))


def test_several_targets_and_every_output(asked):
    model = net(nn.Tanh())
    for target in ([0, 2, 5], None, torch.tensor([1, 0, 3])):
        asked.clear()
        fast = FeatureAblation(model).attribute(X, target=target)
        assert asked
        direct = FeatureAblation(model).attribute(X, target=target, fast_path=False)
        torch.testing.assert_close(fast, direct)
