"""Who draws random numbers while a model runs: it is told of, and the state is left as found."""

import contextlib
import warnings

import pytest
import torch
from torch import nn

from pyxai._errors import PyxaiWarning
from pyxai.attribution import IntegratedGradients, Saliency
from pyxai.runner import Runner
from pyxai.runner.state.found import _DRAW_NOTHING, Found

X = torch.ones(1, 4)


def net():
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()


def draw(*_):
    torch.rand(3)


class Drawing(nn.Linear):
    """A layer of the user's, by the name of torch's."""

    def forward(self, x):
        draw()
        return super().forward(x)


def hooked(how):
    model = net()
    getattr(model[1], f"register_{how}")(draw)
    return Saliency(model).attribute


def inside():
    return Saliency(nn.Sequential(Drawing(4, 2)).eval()).attribute


def own_forward():
    model = net()
    plain = model[2].forward
    model[2].forward = lambda x: (draw(), plain(x))[1]
    return Saliency(model).attribute


def around():
    model = net()
    return IntegratedGradients(lambda x: (draw(), model(x))[1]).attribute


def after():
    runner = Runner(net(), target=0, output=lambda y: (draw(), y)[1])
    return lambda x, target: runner.outputs((x,))


WHERE = {
    "a hook": lambda: hooked("forward_hook"),
    "a hook before": lambda: hooked("forward_pre_hook"),
    "a hook of the backward pass": lambda: hooked("full_backward_hook"),
    "a layer of the user's": inside,
    "a forward of its own": own_forward,
    "a function around the model": around,
    "the output": after,
}


@pytest.mark.parametrize("name", WHERE)
def test_who_draws_is_told_of_and_leaves_no_trace(name):
    ask, state = WHERE[name](), torch.get_rng_state()
    with pytest.warns(PyxaiWarning, match="the model draws random numbers"):
        ask(X, target=0)
    assert torch.get_rng_state().equal(state)


def test_hooks_of_all_modules_may_draw():
    model, state = net(), torch.get_rng_state()
    hook = nn.modules.module.register_module_forward_hook(draw)
    try:
        with pytest.warns(PyxaiWarning, match="the model draws random numbers"):
            Saliency(model).attribute(X, target=0)
    finally:
        hook.remove()
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize("draws", [False, True])
def test_whoever_makes_the_rows_may_draw(draws):
    """That is no fault of the model, which is told of all the same if it draws too."""

    def build(examples, _):
        return (X[examples] + torch.rand(1, 4),)

    model = net()
    around = (lambda x: (draw(), model(x))[1]) if draws else model
    told = pytest.warns(PyxaiWarning, match="random") if draws else contextlib.nullcontext()
    state = torch.get_rng_state()
    with warnings.catch_warnings(), told:
        warnings.simplefilter("always" if draws else "error")
        found = Runner(around, target=0).values(build, 1, 1)
    assert torch.get_rng_state().equal(state)
    torch.set_rng_state(state)
    torch.testing.assert_close(found, model(X + torch.rand(1, 4))[:, :1].detach())


def sample(cls):
    """Return a layer and rows that it takes."""
    dims = next((int(digit) for digit in cls.__name__ if digit.isdigit()), 0)
    rows = torch.randn(2, 4, *(6,) * dims)
    name = cls.__name__
    if cls is nn.Sequential:
        return cls(nn.Linear(4, 4)), rows
    if cls is nn.Embedding:
        return cls(5, 4), torch.tensor([[1, 2]])
    if name.startswith(("Conv", "Linear")):
        return cls(4, 4, *(3,) * name.startswith("Conv")), rows
    if name.startswith(("BatchNorm", "LayerNorm")):
        return cls(4), rows
    if name == "GroupNorm":
        return cls(2, 4), rows
    if "Pool" in name:
        return cls(2), rows
    return cls(*(1,) * ("oftmax" in name)), rows


@pytest.mark.parametrize("cls", sorted(_DRAW_NOTHING, key=lambda cls: cls.__name__))
def test_layers_that_draw_nothing_draw_nothing(cls):
    layer, rows = sample(cls)
    state = torch.get_rng_state()
    layer.eval()(rows)
    assert torch.get_rng_state().equal(state)
    assert Found(tuple(layer.modules())).draws_nothing
    layer.train()
    assert not Found(tuple(layer.modules())).draws_nothing
