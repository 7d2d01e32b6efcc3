"""Models that no graph can be traced of: one error with op and line, and silence beside it."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from checking_models import CHECKS, asserts, catches
from torch import nn
from torch.nn.attention.flex_attention import flex_attention

from pyxai import UnsupportedOperationError
from pyxai.attribution import LRP, DeepLift, DeepLiftShap, DeepTaylor, LayerGradCam
from pyxai.decomposition import ContextualDecomposition
from pyxai.tracing import trace

D = torch.float64
TRACED = [LRP, DeepLift, DeepTaylor, ContextualDecomposition]


class Net(nn.Module):
    """Calls a function with itself and its arguments; of two layers and a recurrent one."""

    def __init__(self, function):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.linear, self.recurrent = nn.Linear(3, 2), nn.LSTM(3, 2, batch_first=True)
        self.function = function
        self.double().eval()

    def forward(self, *args):
        return self.function(self, *args)


def rows(*shape):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(*(shape or (2, 3)), generator=generator, dtype=D)


def branches(net, x):
    return net.linear(x) if x.sum() > 0 else net.linear(-x)


def counts(net, x):
    return net.linear(x) * float(x.max())


def halves(net, x):
    while x.abs().max() > 1e3:
        x = x / 2
    return net.linear(x)


def packs(net, x):
    lengths = torch.full((len(x),), 3)
    packed = nn.utils.rnn.pack_padded_sequence(x[:, :, None].expand(-1, -1, 3), lengths, True)
    return net.recurrent(packed)[1][0][-1]


def chooses(net, x):
    return torch.cond(x.sum() > 0, lambda v: net.linear(v), lambda v: net.linear(-v), (x,))


def attends(net, x):
    heads = x[:, None, :, None].expand(-1, 1, -1, 16)
    return flex_attention(heads, heads, heads).sum((1, 2))


def of_jacobians(net, x):
    return torch.func.vmap(torch.func.jacrev(lambda v: torch.tanh(net.linear(v)).sum()))(x)


def of_a_gradient(net, x):
    with torch.enable_grad():
        leaf = x.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(torch.tanh(net.linear(leaf)).sum(), leaf)
        return found + x


def through_numpy(net, x):
    return net.linear(torch.from_numpy(x.detach().numpy() * 2))


def through_a_copy(net, x):
    return net.linear(copy.deepcopy(x))


def through_nested(net, x):
    return net.linear(torch.nested.nested_tensor(list(x)).to_padded_tensor(0.0))


REFUSED = {
    branches: ("asks for the value of a tensor", "if x.sum() > 0"),
    counts: ("asks for the value of a tensor", "float(x.max())"),
    halves: ("asks for the value of a tensor", "while x.abs().max()"),
    packs: ("a packed sequence cannot be recorded", "pack_padded_sequence("),
    chooses: ("cond runs graphs of its own", "return torch.cond("),
    attends: ("flex_attention runs graphs of its own", "flex_attention("),
    of_jacobians: ("functions of torch.func", "torch.func.jacrev("),
    of_a_gradient: ("gradients that it takes by itself", "torch.autograd.grad("),
    through_numpy: ("numpy cannot be recorded", ".numpy()"),
    through_a_copy: ("__deepcopy__ cannot be recorded", "copy.deepcopy(x)"),
    through_nested: ("_nested_tensor_from_tensor_list.default cannot be recorded", "nested_tensor"),
}


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("function", REFUSED, ids=lambda each: each.__name__)
def test_one_error_names_op_and_line_and_nothing_else_is_said(function, capfd):
    why, code = REFUSED[function]
    for batch in (1, 3):
        with pytest.raises(UnsupportedOperationError) as caught:
            trace(Net(function), rows(batch, 3))
        text = str(caught.value)
        assert text.startswith("Net cannot be traced to a graph of ops, which this method needs: ")
        assert why in text
        assert f"{__file__}:" in text
        assert f"in {function.__name__}" in text
        assert code in text
        assert "\n" not in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", TRACED)
def test_methods_pass_it_on(method, capfd):
    with pytest.raises(UnsupportedOperationError, match=r"value of a tensor.* at .* in branches"):
        method(Net(branches)).attribute(rows(), target=0)
    assert capfd.readouterr() == ("", "")


def test_sizes_that_depend_on_values_are_named():
    def positive(net, x):
        return net.linear(x[x.sum(1).nonzero()[:, 0]])

    for method in TRACED:
        with pytest.raises(UnsupportedOperationError, match=r"no rule for nonzero at .*positive"):
            method(Net(positive)).attribute(rows(), target=0)


@pytest.mark.parametrize("function", CHECKS)
def test_what_only_raises_is_passed_over(function, capfd):
    x, plain = rows(), Net(lambda net, v: net.linear(v))
    for method in TRACED:
        options = {"on_negative": "clamp"} if method is DeepTaylor else {}
        found = method(Net(function), **options).attribute(x, target=1)
        torch.testing.assert_close(found, method(plain, **options).attribute(x, target=1))
    assert capfd.readouterr() == ("", "")
    with pytest.raises((AssertionError, ValueError)):  # the model's own, as ever
        trace(Net(function), x * 1e9)


def test_a_raise_that_is_caught_leads_to_a_value():
    with pytest.raises(UnsupportedOperationError, match="asks for the value"):
        trace(Net(catches), -rows())


class Affine:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, v):
        return v * self.factor


FUNCTIONS = {
    "builtin": torch.tanh, "lambda": lambda v: v.tanh(), "module": nn.Tanh(), "object": Affine(2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_callable_among_the_further_arguments(name):
    function, x = FUNCTIONS[name], rows()
    inside = Net(lambda net, v: net.linear(function(v)))
    outside = Net(lambda net, v, f, scale, words: net.linear(f(v)) * scale)
    given = (function, torch.ones(2, 1, dtype=D), {"words": ["any", None, 3]})
    for method in (LRP, DeepLift, ContextualDecomposition):
        found = method(outside).attribute(x, target=1, additional_forward_args=given)
        torch.testing.assert_close(found, method(inside).attribute(x, target=1))


def test_a_callable_that_changes_is_traced_anew():
    model = Net(lambda net, v, f: net.linear(f(v)))
    factor, x = Affine(2.0), rows()
    weight = torch.ones(3, dtype=D)

    def closed(v):
        return v * weight

    def change_object():
        factor.factor = 5.0

    def change_weight():
        weight.mul_(3)

    for function, change in ((factor, change_object), (closed, change_weight)):
        for _ in range(2):
            graph = trace(model, x, (function,))
            found = graph.run((x,), (function,))[graph.output]
            torch.testing.assert_close(found, model(x, function))
            change()


def test_a_module_with_weights_belongs_into_the_model():
    model = Net(lambda net, v, f: net.linear(f(v)))
    layer = nn.Linear(3, 3).double()
    with pytest.raises(UnsupportedOperationError, match=r"hold no module with weights .*a Linear"):
        LRP(model).attribute(rows(), target=0, additional_forward_args=(layer,))


NUMBERS = {
    "item": lambda net, x: net.linear(x).sum().item(), "float": lambda net, x: 2.0,
    "int": lambda net, x: 3,
}  # fmt: skip


@pytest.mark.parametrize("method", TRACED)
def test_a_model_that_returns_one_number(method):
    for function in NUMBERS.values():
        with pytest.raises(TypeError, match="model must return a tensor, not a number"):
            method(Net(function)).attribute(rows())
    squeezed = Net(lambda net, x: net.linear(x).relu().sum(1).squeeze())
    plain = Net(lambda net, x: net.linear(x).relu().sum(1))
    options = {} if method is not DeepTaylor else {"on_negative": "clamp"}
    for batch in (1, 3):  # a number for a single row
        x = rows(batch, 3)
        found = method(squeezed, **options).attribute(x)
        torch.testing.assert_close(found, method(plain, **options).attribute(x))
    with pytest.raises(TypeError, match="model must return a tensor, got a dict"):
        method(Net(lambda net, x: {"logits": net.linear(x)})).attribute(rows(), target=0)


@pytest.mark.parametrize("baselines", [1, 2, 3])
def test_one_number_for_a_row_and_several_baselines(baselines):
    squeezed = Net(lambda net, x: net.linear(x).relu().sum(1).squeeze())
    plain = Net(lambda net, x: net.linear(x).relu().sum(1))
    for batch in (1, 2):
        given = rows(batch, 3), -rows(baselines, 3)
        found = DeepLiftShap(squeezed).attribute(*given)
        torch.testing.assert_close(found, DeepLiftShap(plain).attribute(*given))


@pytest.mark.parametrize("method", [LRP, DeepLift, DeepTaylor])
def test_outputs_that_do_not_depend_on_the_inputs(method):
    for function in (
        lambda net, x: net.linear.bias[:1].view(1),
        lambda net, x: torch.ones(len(x), dtype=D),
    ):
        options = {"on_negative": "clamp"} if method is DeepTaylor else {}
        assert not method(Net(function), **options).attribute(rows()).any()
    with pytest.raises((TypeError, UnsupportedOperationError), match=r"floating point|argmax"):
        method(Net(lambda net, x: net.linear(x).argmax(1))).attribute(rows())


def test_a_single_row_that_runs_other_ops():
    def one_graph(net, x):  # of a batch of one graph, as torch_geometric's models take it
        nodes = x.squeeze(0)
        summed = torch.zeros(2, 3, dtype=D).index_add(0, torch.tensor([0, 1, 1, 0]), nodes)
        return net.linear(summed).relu().sum(0, keepdim=True)

    x = rows(1, 4, 3)
    found = DeepLift(Net(one_graph)).attribute(x, target=0)
    total = (Net(one_graph)(x) - Net(one_graph)(0 * x))[:, 0]
    torch.testing.assert_close(found.sum((1, 2)), total)

    def squeezed(net, x):  # other values for a single row, from the same code
        return net.linear(x.squeeze()).relu().reshape(len(x), 2)

    for first in (1, 3):  # whichever is traced first
        model = Net(squeezed)
        for batch in (first, 4 - first):
            given = rows(batch, 3)
            graph = trace(model, given)
            torch.testing.assert_close(graph.run((given,))[graph.output], model(given))


def test_checks_of_models_stay_silent_for_methods_that_need_no_graph(capfd):
    model = Net(asserts)
    assert LayerGradCam(model, model.linear).attribute(rows(), target=0).shape == (2, 1)
    assert capfd.readouterr() == ("", "")


def test_log_of_torch_is_silenced_for_the_thread_that_traces_only(caplog):
    logger = logging.getLogger("torch.export._trace")
    with pytest.raises(UnsupportedOperationError):
        trace(Net(branches), rows())
    logger.warning("still heard")
    heard = [each.message for each in caplog.records if each.levelno >= logging.WARNING]
    assert heard == ["still heard"]
    assert not logger.filters
