"""Models behind functions, methods and pyxai's own wrappers: left as found, and never silent."""

import functools
import itertools

import pytest
import torch
from torch import nn

from pyxai import PyxaiWarning, metrics
from pyxai.attribution import GreedyPIG
from pyxai.runner.state import find_modules
from pyxai.selection import greedy_feature_selection, selection_curve

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
LABELS = (X[:, 1] > 0).long()


def make_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)).train()


class Owner:
    """Something that is no module and has one."""

    def __init__(self, net):
        self.parts = {"net": [net]}

    def predict(self, x):
        return self.parts["net"][0](x)

    def predictor(self):
        return lambda x: self.predict(x)


WRAPS = {
    "module": lambda net: net,
    "lambda": lambda net: lambda x: net(x),
    "method": lambda net: net.forward,
    "twice": lambda net: functools.partial(lambda f, x: f(x), lambda x: net(x)),
    "owner": lambda net: Owner(net).predict,
    "owner in a closure": lambda net: Owner(net).predictor(),
}

CALLS = {
    "selection": lambda f: greedy_feature_selection(f, (X, LABELS)),
    "accuracy": lambda f: selection_curve(f, (X, LABELS), [0, 1], metric="accuracy"),
    "roc_auc": lambda f: selection_curve(f, (X, LABELS), [0, 1], metric="roc_auc"),
    "logit": lambda f: GreedyPIG(f).attribute(X, target=LABELS),
    "kl": lambda f: GreedyPIG(f).attribute(X, output="kl"),
    "softmax_aware": lambda f: GreedyPIG(f).attribute(X, target=LABELS, softmax_aware=True),
    "kl_auc": lambda f: metrics.kl_auc(f, X, X),
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("call", CALLS)
def test_left_as_found_with_a_warning(call, wrap):
    net = make_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.warns(PyxaiWarning, match="training mode.*BatchNorm1d"):
        CALLS[call](WRAPS[wrap](net))
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("call", ["selection", "logit", "kl", "softmax_aware"])
@pytest.mark.parametrize("hidden", [False, True])
def test_outputs_that_do_not_follow_the_inputs_are_an_error(call, hidden):
    net = nn.Linear(4, 2)
    # Nobody finds the parameters behind an iterator, and they need gradients then.
    models = itertools.repeat(net) if hidden else [net]

    def model(x):
        return next(iter(models))(x.detach())

    with pytest.raises(ValueError, match="model output must depend on the inputs"):
        CALLS[call](model)


def test_search_ends():
    endless = []
    endless.append(endless)
    net, many = nn.Linear(1, 1), [object() for _ in range(10**5)]

    def model(x):
        return net(x) + len(many) + len(endless)

    model.itself = model
    assert find_modules(model) == (net,)
