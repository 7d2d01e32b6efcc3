"""Threads that trace, and threads that run models meanwhile."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from pyxai.attribution import LRP, DeepLift, LayerGradCam, Saliency
from pyxai.decomposition import ContextualDecomposition
from pyxai.tracing import trace

D = torch.float64
X = torch.randn(3, 4, dtype=D, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Runs one layer under two names, which has torch put proxies in the place of modules."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.again = self.first
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.norm(self.again(self.first(x).relu())).tanh())


def net(seed=0):
    torch.manual_seed(seed)
    return Net().to(D).eval()


def agree(given, want):
    """Threads of torch's own round sums in other orders."""
    torch.testing.assert_close(given, want, rtol=1e-12, atol=1e-14)


def together(calls, n_threads):
    """Run calls at the same time, and return what each gave."""
    gate = threading.Barrier(n_threads)

    def run(call):
        gate.wait(60)
        return call()

    with ThreadPoolExecutor(n_threads) as pool:
        return [each.result() for each in [pool.submit(run, call) for call in calls]]


def test_first_calls_from_four_threads_on_one_model():
    model = net()
    want = DeepLift(net()).attribute(X, target=1)
    for given in together([lambda: DeepLift(model).attribute(X, target=1)] * 4, 4):
        agree(given, want)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_threads_that_wait_take_the_graph_that_was_traced_meanwhile():
    model = net()
    programs = together([lambda: trace(model, X).program] * 4, 4)
    assert all(program is programs[0] for program in programs)


def test_threads_with_models_of_their_own_and_one_in_use():
    shared = net()
    methods = {
        "trace": lambda model: DeepLift(model).attribute(X, target=1),
        "relevance": lambda model: LRP(model).attribute(X, target=1),
        "decompose": lambda model: ContextualDecomposition(model).attribute(X, target=1),
        "layer": lambda model: LayerGradCam(model, model.last).attribute(X, target=1),
    }
    want = {name: method(net()) for name, method in methods.items()}
    gradient = Saliency(net()).attribute(X, target=1)
    done = threading.Event()

    def in_use():
        while not done.is_set():
            agree(Saliency(shared).attribute(X, target=1), gradient)
            agree(methods["layer"](shared), want["layer"])

    with ThreadPoolExecutor(1) as pool:
        user = pool.submit(in_use)
        try:
            for _ in range(2):
                names = [*methods, "trace", "relevance"]
                models = [copy.deepcopy(shared) for _ in range(4)] + [shared, shared]
                calls = [
                    lambda name=name, model=model: methods[name](model)
                    for name, model in zip(names, models, strict=True)
                ]
                for name, given in zip(names, together(calls, 6), strict=True):
                    agree(given, want[name])
        finally:
            done.set()
        user.result()
    assert all(parameter.requires_grad for parameter in shared.parameters())
    agree(methods["trace"](net()), want["trace"])  # nothing stays behind


def test_the_model_is_the_users_while_it_is_traced():
    class Looks(nn.Module):
        """While it is traced, has another thread look at the model, and run it."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)
            self.same = self.layer
            self.found = []

        def forward(self, x):
            if torch.compiler.is_exporting():
                thread = threading.Thread(target=look)
                thread.start()
                thread.join()
            return self.same(x)

    def look():
        parameter = model.layer.weight
        found.append((parameter is weight, type(model.same), model.layer(X)))

    found = []
    model = Looks().to(D).eval()
    weight = model.layer.weight
    want = model.layer(X).detach()
    DeepLift(model).attribute(X, target=0)
    assert found
    for same, kind, values in found:
        assert same
        assert kind is nn.Linear
        assert torch.equal(values, want)


def test_hooks_of_a_layer_answer_to_their_own_call_only():
    model = net()
    want = LayerGradCam(model, model.last).attribute(X, target=1)
    outputs = model(X).detach()
    done = threading.Event()
    wrong = []

    def user():
        while not done.is_set():
            with torch.no_grad():
                wrong.append(not torch.equal(model(X), outputs))

    threads = [threading.Thread(target=user) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert torch.equal(LayerGradCam(model, model.last).attribute(X, target=1), want)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert wrong
    assert not any(wrong)
