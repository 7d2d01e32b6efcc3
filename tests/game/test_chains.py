"""Chains of modules are cut by their first ones alone; what is not quite one is looked at."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.overrides import TorchFunctionMode

from pyxai.attribution import FeatureAblation, GreedyPIG
from pyxai.game import linear_path, linear_prefix
from pyxai.runner import path_noted

pytestmark = pytest.mark.usefixtures("always")

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(scope="module")
def always():
    """Take the path whatever it saves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_prefix, "_LEAST_SAVED", -float("inf"))
        patch.setattr(linear_path, "_pays", lambda *sizes: True)
        for module in (linear_prefix, linear_path):
            patch.setattr(module, "_LEAST_READ", 0)
        yield


class Watched(nn.Module):
    """Counts its passes, and remembers how many rows it was given in all."""

    def __init__(self):
        super().__init__()
        self.passes = self.rows = 0

    def forward(self, x):
        self.passes += 1
        self.rows += len(x)
        return x


def chain(*more):
    torch.manual_seed(0)
    layers = [nn.Linear(8, 7), nn.ReLU(), *more, nn.Linear(7, 3)]
    return nn.Sequential(*layers).double().eval()


def ablated(model, x=X):
    """Return feature ablation the way that is chosen and directly, and whether it was the path."""
    with path_noted() as paths:
        fast = FeatureAblation(model).attribute(x, target=1)
    return fast, FeatureAblation(model).attribute(x, target=1, fast_path=False), bool(paths)


def test_a_known_chain_is_not_run_to_look_at_it():
    model = chain(Watched())
    ablated(model)
    model[2].rows = 0
    FeatureAblation(model).attribute(X, target=1)
    assert model[2].rows == 3 * 9  # of each example itself, and of it without each feature


def test_gradients_of_a_known_chain_are_not_compared_again():
    model = chain(Watched())
    rounds = {"target": 1, "rounds": 2, "n_steps": 4}
    first = GreedyPIG(model).attribute(X, **rounds)
    model[2].passes = 0
    with path_noted() as paths:
        again = GreedyPIG(model).attribute(X, **rounds)
    assert paths == ["linear prefix"]
    asked = model[2].passes
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    model[2].passes = 0
    direct = GreedyPIG(model).attribute(X, **rounds, fast_path=False)
    assert asked <= model[2].passes
    torch.testing.assert_close(again, direct)


def test_a_known_chain_that_ends_otherwise_is_looked_at():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 1)).double()
    for taken in (True, False):
        with path_noted() as paths:
            FeatureAblation(model).attribute(X)
        assert bool(paths) == taken
        model.append(Total())


def test_a_known_chain_of_another_size_is_weighed_anew(monkeypatch):
    model, sizes = chain(), []
    ablated(model)
    model[0].weight, model[0].bias = nn.Linear(8, 9).double().parameters()
    model[2].weight = nn.Linear(9, 3).double().weight
    monkeypatch.setattr(
        linear_prefix._Asked, "pays", lambda asked, layer: sizes.append(layer.size) or True
    )
    fast, direct, path = ablated(model)
    assert path
    assert sizes[-1] == 9
    torch.testing.assert_close(fast, direct)


def own_forward(model):
    model[0].forward = lambda x: nn.functional.linear(x, model[0].weight).sin()


def other_relu(model):
    model[1].forward = lambda x: x.clamp(min=-0.5)


def other_layer(model):
    model[0] = nn.Linear(8, 7).double()


def leaky(model):
    model[1] = nn.LeakyReLU()


def one_output(model):
    model.append(nn.Flatten(0))
    model.append(Total())


def weight_normed(model):
    parametrizations.weight_norm(model[0])


def hooked(model):
    model[0].register_forward_hook(lambda module, args, found: found.sin())


def reads_itself(model):
    class Squared(nn.Linear):
        def forward(self, x):
            return super().forward(x) * x.sum(1, keepdim=True)

    model[0] = Squared(8, 7).double()


class Total(nn.Module):
    def forward(self, x):
        return x.sum().reshape(1)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("change", "taken"),
    [
        (own_forward, True),  # its own code calls the layer first
        (other_relu, True),
        (other_layer, True),
        (leaky, True),
        (one_output, False),
        (weight_normed, True),
        (hooked, False),
        (reads_itself, False),
    ],
)
def test_changed_chains(change, taken, known):
    model = chain()
    if known:
        ablated(model)
    change(model)
    if change is one_output:
        with path_noted() as paths, pytest.raises(ValueError, match="target must be None"):
            FeatureAblation(model).attribute(X, target=1)
        assert paths == []
        return
    fast, direct, path = ablated(model)
    assert path == taken
    torch.testing.assert_close(fast, direct)


def test_a_kind_whose_code_was_changed(monkeypatch):
    model = chain()
    ablated(model)
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x.clamp(min=-0.5))
    fast, direct, path = ablated(model)
    assert path
    torch.testing.assert_close(fast, direct)


def lowered(x, inplace=False):
    return x.clamp(min=-0.5)


def test_a_function_that_was_changed(monkeypatch):
    model = chain()
    ablated(model)
    monkeypatch.setattr(nn.functional, "relu", lowered)
    fast, direct, path = ablated(model)
    assert path
    torch.testing.assert_close(fast, direct)


class Lowered(TorchFunctionMode):
    """Makes of every ReLU another function."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (nn.functional.relu, torch.relu):
            return lowered(*args)
        return func(*args, **kwargs or {})


def test_functions_that_a_mode_changes():
    model = chain()
    ablated(model)
    with Lowered():
        fast, direct, path = ablated(model)
    assert path
    torch.testing.assert_close(fast, direct)


def wrapped(own, change):
    return lambda *args, **kwargs: change(own(*args, **kwargs))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (nn.functional, "linear"),
        (nn.Linear, "forward"),
        (nn.Linear, "__call__"),
        (nn.Conv1d, "_conv_forward"),
        (nn.functional, "conv1d"),
        (nn.ReLU, "__call__"),
        (nn.functional, "relu"),
        (torch, "relu"),
    ],
)
def test_what_was_wrapped(monkeypatch, owner, name, known):
    conv = owner is nn.Conv1d or name == "conv1d"
    layer = nn.Conv1d(1, 1, 3, padding=1) if conv else nn.Linear(8, 8)
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).double()
    x = X[:, None] if conv else X
    if known:
        assert ablated(model, x)[2]
    plain = FeatureAblation(model).attribute(x, target=1, fast_path=False)
    monkeypatch.setattr(
        owner, name, wrapped(getattr(owner, name), lambda found: found.sub(0.1) * 2)
    )
    for _ in range(2):
        fast, direct, _ = ablated(model, x)
        torch.testing.assert_close(fast, direct)
    assert not torch.allclose(direct, plain)  # what was wrapped is asked


class Bent(TorchFunctionMode):
    """Makes of every layer something that is not linear, or has other weights."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **kwargs or {})
        if func is torch.conv1d:
            return found.sin()
        return found / 2 if func is nn.functional.linear else found


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("layer", [nn.Linear(8, 8), nn.Conv1d(1, 1, 3, padding=1)])
def test_layers_that_a_mode_changes(layer, known):
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).double()
    x = X[:, None] if isinstance(layer, nn.Conv1d) else X
    if known:
        assert ablated(model, x)[2]
    with Bent():
        fast, direct, path = ablated(model, x)
    assert not path
    torch.testing.assert_close(fast, direct)
    assert ablated(model, x)[2]  # what was seen under a mode is kept apart


class Doubled(torch.Tensor):
    """Numbers that count twice where they are multiplied with."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is nn.functional.linear:
            found = super().__torch_function__(func, types, args, kwargs or {})
            return 2 * found.as_subclass(torch.Tensor)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_weight_that_is_not_what_it_holds():
    model = chain()
    model[0].weight = nn.Parameter(model[0].weight.detach().as_subclass(Doubled))
    for _ in range(2):
        fast, direct, path = ablated(model)
        assert not path
        torch.testing.assert_close(fast, direct)


@pytest.mark.parametrize("inplace", [False, True])
def test_one_module_twice(inplace):
    layer, relu = nn.Linear(8, 8), nn.ReLU(inplace)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Sequential(layer, relu), layer, relu, nn.Linear(8, 3)).double()
    for _ in range(2):
        fast, direct, path = ablated(model)
        assert path
        torch.testing.assert_close(fast, direct)


def test_only_a_layer():
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 3)).double()
    for _ in range(2):
        fast, direct, path = ablated(model)
        assert path
        torch.testing.assert_close(fast, direct)
