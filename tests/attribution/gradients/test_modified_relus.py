"""Which ReLUs guided backpropagation and deconvolution find, and that nothing of theirs stays."""

from __future__ import annotations

import threading

import captum.attr
import pytest
import torch
import torch.nn.functional as F
from captum_peer import assert_equals_captum, peer
from modified_relus import functional_net, with_hooks
from torch import nn

from pyxai import PyxaiWarning, UnsupportedOperationError
from pyxai.attribution import Deconvolution, GuidedBackprop, GuidedGradCam, Saliency
from pyxai.runner import execution

D = torch.float64
METHODS = pytest.mark.parametrize("method", [GuidedBackprop, Deconvolution])


class Between(nn.Module):
    """Two linear layers with something between them."""

    def __init__(self, middle):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)
        self.middle = middle
        self.double().eval()

    def forward(self, x, *args):
        return self.last(self.middle(self.first(x), *args))


def rows(count=3, seed=1):
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed), dtype=D)


def of_halves(h):
    h = h * 1.0
    h[:, :2].relu_()
    F.relu(h[:, 2:4], inplace=True)
    nn.ReLU(inplace=True)(h[:, 4:])
    return h


def checkpointed(h):
    return torch.utils.checkpoint.checkpoint(torch.relu, h, use_reentrant=False)


SPELLINGS = {
    "module": nn.ReLU(), "module in place": nn.ReLU(inplace=True), "F.relu": F.relu,
    "F.relu in place": lambda h: F.relu(h, inplace=True), "torch.relu": torch.relu,
    "torch.relu_": lambda h: torch.relu_(h), "method": lambda h: h.relu(),
    "method in place": lambda h: h.relu_(), "views in place": of_halves,
    "checkpoint": checkpointed, "vmap": torch.func.vmap(F.relu),
    "asserted": lambda h: h.relu() if (h < 100).all() else h,
}  # fmt: skip


@METHODS
@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_found(method, name):
    x, target = rows(), [0, 1, 2]
    found = method(Between(SPELLINGS[name])).attribute(x, target)
    theirs = getattr(captum.attr, method.__name__)(Between(nn.ReLU()))
    assert_equals_captum(found, peer(theirs, x, target), tolerance=1e-12)


NO_RELUS = {
    "nn.ReLU6": nn.ReLU6(), "F.relu6": F.relu6, "leaky": nn.LeakyReLU(0.2), "elu": nn.ELU(),
    "gelu": F.gelu, "clamp": lambda h: h.clamp(min=0), "threshold": lambda h: F.threshold(h, 0, 0),
    "hardtanh": nn.Hardtanh(0, 6), "maximum": lambda h: torch.maximum(h, torch.zeros_like(h)),
}  # fmt: skip


@METHODS
@pytest.mark.parametrize("name", NO_RELUS)
def test_what_is_like_a_relu_keeps_its_gradient(method, name):
    net, x = Between(NO_RELUS[name]), rows()
    with pytest.warns(PyxaiWarning, match="the model has none: the result is the plain gradient"):
        found = method(net).attribute(x, 1)
    torch.testing.assert_close(found, Saliency(net).attribute(x, 1, abs=False))


class Recurrent(nn.Module):
    """A recurrent layer of ReLUs, on a padded or a packed batch; or the same steps by hand."""

    def __init__(self, how):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            self.layer = nn.RNN(4, 5, nonlinearity="relu", batch_first=True)
            self.head = nn.Linear(5, 2)
        self.how = how
        self.double().eval()

    def forward(self, x, lengths):
        if self.how == "packed":
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        if self.how != "by hand":
            return self.head(self.layer(x)[1][-1])
        state = x.new_zeros(len(x), 5)
        for time in range(x.shape[1]):
            w = self.layer
            state = F.relu(
                F.linear(x[:, time], w.weight_ih_l0, w.bias_ih_l0)
                + F.linear(state, w.weight_hh_l0, w.bias_hh_l0)
            )
        return self.head(state)


@METHODS
def test_relus_of_recurrent_layers_and_of_packed_sequences(method):
    x = torch.stack([rows(5, seed) for seed in (3, 4)])
    lengths = torch.tensor([5, 3])
    by_hand = method(Recurrent("by hand"))
    torch.testing.assert_close(
        method(Recurrent("padded")).attribute(x, 0, lengths), by_hand.attribute(x, 0, lengths)
    )
    packed = method(Recurrent("packed")).attribute(x, 0, lengths)
    torch.testing.assert_close(packed[:1], by_hand.attribute(x[:1], 0, lengths[:1]))
    torch.testing.assert_close(packed[1:, :3], by_hand.attribute(x[1:, :3], 0, lengths[1:]))
    assert not packed[1, 3:].any()


@METHODS
def test_models_that_no_graph_can_be_traced_of(method):
    def of_derivatives(h):
        return torch.func.vmap(torch.func.jacrev(lambda v: (v**3).sum()))(h).relu()

    x = rows()
    expected = method(Between(lambda h: (3 * h**2).relu())).attribute(x, 1)
    torch.testing.assert_close(method(Between(of_derivatives)).attribute(x, 1), expected)
    given = method(Between(lambda h, f: f(h))).attribute(x, 1, (torch.relu,))
    torch.testing.assert_close(given, method(Between(torch.relu)).attribute(x, 1))


@METHODS
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_relus_that_cannot_be_seen_are_an_error(method):
    x = rows()

    def chosen(h):
        return torch.cond(h.sum() > -1e9, lambda v: v.relu(), lambda v: v + 0, (h,))

    scripted = torch.jit.script(nn.Sequential(nn.ReLU(), nn.Tanh()))
    for _ in range(3):  # until its ops are fused
        scripted(x.clone().requires_grad_())
    for middle, maker in (
        (chosen, "torch.cond"),
        (scripted, r"torch\.jit\.script"),
        (torch.compile(nn.ReLU(), backend="aot_eager"), r"torch\.compile"),
    ):
        with pytest.raises(UnsupportedOperationError, match=f"must see the ReLUs .* by .*{maker}"):
            method(Between(middle)).attribute(x, 1)


@METHODS
def test_switches_and_wrappers_that_compile_are_seen_through(method):
    net, x = Between(nn.ReLU()), rows()
    plain = method(net).attribute(x, 1)
    with execution(compile=True, backend="aot_eager"):
        assert torch.equal(method(net).attribute(x, 1), plain)
    assert torch.equal(method(torch.compile(net, backend="aot_eager")).attribute(x, 1), plain)


@METHODS
def test_no_mark_stays_on_what_the_user_keeps(method):
    weights = torch.ones(6, dtype=D, requires_grad=True)
    kept = weights.relu()  # its record is the user's

    def failing(h):
        if len(h) == 1:
            raise RuntimeError("one row")
        return h.relu() * kept

    net = Between(failing)
    method(net).attribute(rows(), 1)
    with pytest.raises(RuntimeError, match="one row"):
        method(net).attribute(rows(1), 1)
    with pytest.raises(ValueError, match="target"):
        method(net).attribute(rows(), 9)
    (found,) = torch.autograd.grad(-kept.sum(), weights)
    assert torch.equal(found, -torch.ones(6, dtype=D))


def test_threads_do_not_see_each_others_rules():
    net, x = functional_net(), rows(8)
    expected = {
        GuidedBackprop: with_hooks(net, x, 1, guided=True),
        Deconvolution: with_hooks(net, x, 1, guided=False),
    }
    wrong, barrier = [], threading.Barrier(3)

    def work(method):
        barrier.wait()
        for _ in range(10):
            if method is None:
                leaf = x.clone().requires_grad_()
                (found,) = torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)
                wanted = plain
            else:
                found, wanted = method(net).attribute(x, 1), expected[method]
            if not torch.allclose(found, wanted, rtol=1e-10, atol=1e-12):
                wrong.append(method)

    plain = Saliency(net).attribute(x, 1, abs=False)
    threads = [threading.Thread(target=work, args=(m,)) for m in (*expected, None)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_guided_grad_cam_finds_functional_relus():
    class Net(nn.Module):
        def __init__(self, module):
            super().__init__()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3 * 16, 2)
            self.act = nn.ReLU() if module else F.relu
            self.double().eval()

        def forward(self, x):
            if not isinstance(self.act, nn.Module):
                assert (x.abs() < 100).all()  # no graph can hold this
            return self.head(self.act(self.conv(x)).flatten(1))

    x = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0), dtype=D)
    functional, module = Net(module=False), Net(module=True)
    found = GuidedGradCam(functional, functional.conv).attribute(x, 1)
    torch.testing.assert_close(found, GuidedGradCam(module, module.conv).attribute(x, 1))
