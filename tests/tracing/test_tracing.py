"""The traced graph: the model's own values and gradients, live weights, and loud failures."""

from __future__ import annotations

import gc
import random
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pyxai import PyxaiWarning, UnsupportedOperationError
from pyxai.tracing import RuleTable, is_affine, is_nonnegative, trace


class Function(nn.Module):
    """A model that calls ``function(modules, *inputs)``."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, *inputs):
        return self.function(self.parts, *inputs)


class EveryGradient(RuleTable):
    """The gradient as a rule for each op: propagation must then equal autograd."""

    def rule_for(self, node):
        return lambda call, relevance: call.vjp(relevance)


GRADIENT = EveryGradient("gradient")


def assert_graph_is_model(model, *inputs, sizes=(3, 1, 2)):
    """Output and gradient of the graph equal those of the model for several batch sizes."""
    model = model.double().eval()
    for n_rows in sizes:
        given = tuple(value[:n_rows].double() for value in inputs)
        leaves = tuple(value.clone().requires_grad_() for value in given)
        output = model(*leaves)
        seed = torch.randn(output.shape, dtype=output.dtype)
        expected = torch.autograd.grad(output, leaves, seed)
        graph = trace(model, given)
        with torch.no_grad():
            values = graph.run(given)
            found = graph.propagate(seed, values, GRADIENT)
        torch.testing.assert_close(values[graph.output], output.detach(), rtol=1e-12, atol=1e-13)
        for own, want in zip(found, expected, strict=True):
            torch.testing.assert_close(own, want, rtol=1e-10, atol=1e-12)
    return graph


def rows(*shape):
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))


def test_functional_reused_and_inplace_ops():
    relu = nn.ReLU(inplace=True)

    def forward(parts, x):
        first, activation, second = parts
        y = first(F.relu(x) + 1)
        y = y * 2
        y += activation(first(x) * 1.0)
        y[:, 0] = y[:, 0].clone() * x[:, 1]
        y[:, 1:3] += x[:, :2]
        return second(activation(y.clone()))

    graph = assert_graph_is_model(
        Function(forward, nn.Linear(6, 6), relu, nn.Linear(6, 4)), rows(6)
    )
    assert not any(op.endswith("_") for op in graph.ops)


def test_views_and_concatenation():
    def forward(parts, x):
        a = x.view(x.size(0), 2, 3).permute(0, 2, 1).reshape(x.shape[0], -1)
        b = torch.cat([a, x[:, ::2], x.flip(1)[:, 1:3]], 1)
        c = torch.stack([b, b * b], -1).flatten(1)
        p, q = c.unsqueeze(1).squeeze(1).chunk(2, 1)
        r = c.split([11, 11], 1)[0]
        return (
            parts[0](p - q + r) + torch.diagonal(x.view(-1, 2, 3), dim1=1, dim2=2).sum(1)[:, None]
        )

    graph = assert_graph_is_model(Function(forward, nn.Linear(11, 4)), rows(6))
    assert graph.batch_is_free


CONVOLUTIONS = {
    "conv1d": (nn.Conv1d(4, 6, 3, 2, 1, groups=2), (4, 9)),
    "conv2d_reflect": (
        nn.Conv2d(2, 4, 3, dilation=2, padding=2, padding_mode="reflect"),
        (2, 6, 6),
    ),
    "conv3d": (nn.Conv3d(2, 3, 3, padding=1), (2, 4, 5, 4)),
    "transposed1d": (nn.ConvTranspose1d(2, 3, 3, 2), (2, 5)),
    "transposed2d": (nn.ConvTranspose2d(2, 3, 3, 2, 1, 1), (2, 5, 5)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name):
    layer, shape = CONVOLUTIONS[name]
    graph = assert_graph_is_model(nn.Sequential(layer, nn.ReLU(), nn.Flatten()), rows(*shape))
    assert "convolution" in graph.ops


def test_pooling():
    def forward(parts, x):
        flat = x.flatten(2)
        pieces = [
            F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1), F.adaptive_avg_pool2d(x, (2, 3)),
            F.adaptive_max_pool2d(x, (2, 3)), F.max_pool1d(flat, 3, 2), F.avg_pool1d(flat, 3, 2),
            F.max_pool3d(x[:, None], (1, 2, 2), 1), F.avg_pool3d(x[:, None], (1, 2, 2)),
            F.interpolate(x, scale_factor=2, mode="bilinear"), F.interpolate(x, scale_factor=2),
            F.adaptive_avg_pool1d(flat, 4), F.unfold(x, 2), F.lp_pool2d(x, 2, 2),
        ]  # fmt: skip
        return sum((piece * piece).flatten(1).sum(1, keepdim=True) for piece in pieces)

    assert_graph_is_model(Function(forward), rows(2, 7, 7))


ELEMENTWISE = [
    F.relu, F.gelu, lambda x: F.gelu(x, approximate="tanh"), F.silu, F.elu, F.selu, F.celu,
    F.leaky_relu, F.relu6, F.hardtanh, F.hardswish, F.hardsigmoid, F.softplus, F.softsign,
    torch.tanh, torch.sigmoid, F.logsigmoid, F.mish, F.tanhshrink, F.softshrink, F.hardshrink,
    torch.exp, lambda x: torch.log(x.abs() + 1), lambda x: x**3, lambda x: 1 / (x * x + 1),
    lambda x: x.clamp(-0.5, 0.7), torch.sin, torch.erf, torch.expm1,
    lambda x: torch.where(x > 0, x, 0.1 * x),
]  # fmt: skip


def test_activations_keep_their_names():
    def forward(parts, x):
        return sum(function(x) for function in ELEMENTWISE)

    graph = assert_graph_is_model(Function(forward), rows(6))
    whole = {"gelu", "silu", "elu", "selu", "celu", "leaky_relu", "relu6", "hardtanh", "mish"}
    whole |= {"hardswish", "hardsigmoid", "softplus", "relu", "tanh", "sigmoid"}
    assert whole <= set(graph.ops)


def test_norms_and_softmax():
    def forward(parts, x):
        maps = x.view(-1, 4, 3, 2)
        for part in parts:
            maps = part(maps) + maps
        flat = maps.flatten(1)
        pieces = [
            F.layer_norm(flat, (24,)), F.rms_norm(flat, (24,)), torch.softmax(flat, 1),
            torch.log_softmax(flat, 1), flat - flat.logsumexp(1, keepdim=True),
            F.normalize(flat, dim=1), flat * flat.var(1, keepdim=True),
        ]  # fmt: skip
        return sum(pieces)

    parts = (nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True))
    for value in parts[0].buffers():
        if value.dtype.is_floating_point:
            value.uniform_(0.5, 1.5)
    graph = assert_graph_is_model(Function(forward, *parts), rows(24))
    assert {"layer_norm", "group_norm", "_softmax", "rms_norm"} <= set(graph.ops)


def test_attention_in_all_spellings():
    attend = nn.MultiheadAttention(8, 2, batch_first=True)
    along = nn.MultiheadAttention(8, 2)

    def forward(parts, x):
        own, weights = parts[0](x, x, x)
        fast, _ = parts[0](x, x, x, need_weights=False)
        turned = x.transpose(0, 1)
        other = parts[1](turned, turned, turned)[0].transpose(0, 1)
        heads = x[:, None]
        causal = F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)[:, 0]
        return own + fast + other + causal + weights.mean((1, 2), keepdim=True)

    graph = assert_graph_is_model(Function(forward, attend, along), rows(5, 8))
    assert not any("attention" in op for op in graph.ops)


def test_transformer_encoder_fast_path():
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(40, 3))
    for parameter in model.parameters():
        parameter.requires_grad_(False)  # this is what makes torch take the fused path
    graph = assert_graph_is_model(model, rows(5, 8))
    assert graph.ops.count("_softmax") == 2
    assert torch.backends.mha.get_fastpath_enabled()


RECURRENT = {
    "lstm": (nn.LSTM(4, 5, 2, batch_first=True, bidirectional=True), 10),
    "lstm_projected": (nn.LSTM(4, 5, batch_first=True, proj_size=3, bias=False), 3),
    "gru": (nn.GRU(4, 5, 2, batch_first=True, bidirectional=True), 10),
    "rnn_tanh": (nn.RNN(4, 5, batch_first=True), 5),
    "rnn_relu": (nn.RNN(4, 5, batch_first=True, nonlinearity="relu", bidirectional=True), 10),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_are_unrolled(name):
    layer, width = RECURRENT[name]

    def forward(parts, x):
        outputs, last = parts[0](x)
        state = sum(part.sum((0, 2)) for part in (last if isinstance(last, tuple) else (last,)))
        return parts[1](outputs[:, -1]) + outputs.mean((1, 2))[:, None] + state[:, None]

    graph = assert_graph_is_model(
        Function(forward, layer, nn.Linear(width, 2)), rows(3, 4), sizes=(3, 1)
    )
    assert not {"lstm", "gru", "rnn_tanh", "rnn_relu"} & set(graph.ops)


def test_time_first_lstm():
    model = Function(lambda parts, x: parts[0](x.transpose(0, 1))[0][-1], nn.LSTM(4, 5))
    assert_graph_is_model(model, rows(6, 4))


def test_several_inputs_and_arguments():
    def forward(parts, x, y, scale, mode):
        assert mode == "double"
        return parts[0](x * y["left"] if isinstance(y, dict) else x * y) * scale

    model = Function(forward, nn.Linear(6, 2)).eval()
    x, y, scale = rows(6), rows(6) + 1, torch.tensor([[1.0], [2.0], [3.0]])
    graph = trace(model, (x, y), (scale, "double"))
    values = graph.run((x, y), (scale, "double"))
    torch.testing.assert_close(values[graph.output], model(x, y, scale, "double"))
    with pytest.raises(ValueError, match="additional_forward_args must have 2 values"):
        graph.run((x, y), (scale,))


def test_weights_are_read_live():
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2)).eval()
    x = rows(6)
    graph = trace(model, x)
    with torch.no_grad():
        model[0].weight.mul_(2)
        model[1].running_mean.add_(0.5)
    model[3].bias = nn.Parameter(torch.ones(2))
    again = trace(model, x)
    assert again.program is graph.program
    torch.testing.assert_close(graph.run((x,))[graph.output], model(x))
    model.double()
    assert trace(model, x.double()).program is not graph.program


def test_changed_modules_are_traced_anew():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.LeakyReLU(0.1)).eval()
    x = rows(6)
    program = trace(model, x).program
    model[2].negative_slope = 0.5
    graph = trace(model, x)
    assert graph.program is not program
    torch.testing.assert_close(graph.run((x,))[graph.output], model(x))
    model[1] = nn.Tanh()
    graph = trace(model, x)
    torch.testing.assert_close(graph.run((x,))[graph.output], model(x))
    assert "tanh" in graph.ops


def test_batch_size_made_a_number_is_traced_per_size():
    model = Function(lambda parts, x: x.reshape(len(x), 2, 3).sum(2))
    graph = trace(model, rows(6))
    assert not graph.batch_is_free
    with pytest.raises(ValueError, match="inputs must have a batch size in"):
        graph.run((rows(6)[:2],))
    other = trace(model, rows(6)[:2])
    assert other.run((rows(6)[:2],))[other.output].shape == (2, 2)
    assert trace(model, rows(6)).program is graph.program


def test_value_dependent_branch_is_an_error_with_words():
    model = Function(lambda parts, x: x if x.sum() > 0 else -x)
    with pytest.raises(UnsupportedOperationError, match="Function cannot be traced"):
        trace(model, rows(6))


def test_arguments_are_checked():
    message = r"model must be an nn.Module that runs in Python, got a function"
    with pytest.raises(TypeError, match=message):
        trace(lambda x: x, rows(6))
    with pytest.raises(TypeError, match=r"inputs\[0\] must be a tensor, got 'text'"):
        trace(nn.Identity(), ["text"])
    model = Function(lambda parts, x: (x, x + 1))
    with pytest.raises(TypeError, match="model must return a tensor, got a tuple of 2 item"):
        trace(model, rows(6))


class Whitened(nn.Module):
    """Divides by a matrix: torch checks that it has an inverse, which is an op with an effect."""

    def __init__(self, of_inputs):
        super().__init__()
        self.matrix, self.of_inputs = nn.Parameter(torch.randn(3, 3)), of_inputs

    def forward(self, x):
        divisor = x.unsqueeze(2) * self.matrix if self.of_inputs else self.matrix
        return (x.unsqueeze(1) @ torch.linalg.inv(divisor)).squeeze(1)


def test_checks_beside_the_values_are_left_out():
    x = torch.randn(4, 3)
    model = Whitened(of_inputs=False)
    graph = trace(model, (x,))
    torch.testing.assert_close(graph.run((x,))[graph.output], model(x))
    assert not any("with_effects" in node.op for node in graph.nodes)
    graph = trace(Whitened(of_inputs=True), (x,))
    with pytest.raises(UnsupportedOperationError, match=r"nothing has no rule for .*linalg_inv_ex"):
        graph.check(RuleTable("nothing"))


def test_missing_rule_names_op_method_and_line():
    model = Function(lambda parts, x: parts[0](x).cumprod(1), nn.Linear(6, 3))
    graph = trace(model, rows(6))
    table = RuleTable("Some Method", fallback=lambda call, relevance: call.vjp(relevance))
    table.add(lambda call, relevance: call.vjp(relevance), ["linear"])
    with pytest.raises(UnsupportedOperationError) as caught:
        graph.check(table)
    message = str(caught.value)
    assert "Some Method has no rule for cumprod" in message
    assert "test_tracing.py" in message
    assert "cumprod(1)" in message
    values = graph.run((rows(6),))
    with pytest.warns(PyxaiWarning, match="cumprod.*gradients were used") as warned:
        graph.propagate(torch.ones(3, 3), values, table, strict=False)
    assert len(warned) == 1


def test_training_mode_dropout_asks_for_eval():
    model = nn.Sequential(nn.Linear(6, 5), nn.Dropout(), nn.Linear(5, 2)).train()
    table = RuleTable("Method")
    table.add(lambda call, relevance: call.vjp(relevance), ["linear"])
    with pytest.raises(UnsupportedOperationError, match=r"call model\.eval"):
        trace(model, rows(6)).check(table)
    assert model.training
    assert model[1].training


def test_module_path_is_named():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 1)).eval()
    graph = trace(model, rows(5, 8))
    norm = next(node for node in graph.nodes if node.op == "layer_norm")
    assert norm.module == "0.layers.0.norm1 (LayerNorm)"


def test_forward_rules_replace_ops():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)).double().eval()
    table = RuleTable("pairs")  # propagates (value, magnitude) pairs
    table.add(lambda call: (call.apply(input=call["input"][0]), call["input"][1] + 1), ["linear"])
    table.add(lambda call: (call.apply(self=call["self"][0]), call["self"][1] * 2), ["relu"])
    graph = trace(model, rows(6).double())
    value, count = graph.run(((rows(6).double(), 0),), rules=table)[graph.output]
    torch.testing.assert_close(value, model(rows(6).double()))
    assert count == 3


def test_values_that_are_never_negative():
    def forward(parts, x):
        hidden = F.max_pool1d(F.relu(x), 2)
        joined = torch.cat([hidden, x.abs().mean(2, keepdim=True)], 2)
        padded = F.pad(joined * x[..., :4].sigmoid(), (1, 1), value=0.5)
        below = F.pad(joined, (1, 1), value=-0.5)
        shifted = joined + 2
        lowered = joined - 2
        signed = joined * x[..., :4]
        return torch.cat([padded, below, shifted, lowered, signed, x.clamp(min=-1)], 2).tanh()

    graph = trace(Function(forward), torch.randn(2, 3, 6))
    last = next(node for node in graph.nodes if node.op == "cat" and len(node.args["tensors"]) == 6)
    found = [is_nonnegative(node) for node in last.args["tensors"]]
    assert found == [True, False, True, False, False, False]
    values = graph.run((torch.randn(64, 3, 6),), keep=lambda node: True)
    claimed = [node for node in graph.nodes if is_nonnegative(node)]
    assert len(claimed) > 8
    for node in claimed:
        value = values[node]
        assert all((part >= 0).all() for part in (value if isinstance(value, tuple) else (value,)))


def test_affine_products_and_selectors():
    def forward(parts, x):
        return (x * parts[0].weight[0] / 2 - x[:, :1]) + torch.where(x > 0, x, 0 * x) * x

    graph = trace(Function(forward, nn.Linear(6, 6)), rows(6))
    flags = {}
    for node in graph.calls():
        flags.setdefault(node.op, []).append(is_affine(node))
    assert flags["div"] == [True]
    assert flags["where"] == [False]
    assert flags["mul"] == [True, True, False]


def test_model_is_left_as_found():
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.GRU(5, 4), nn.Identity()).eval()
    model[1].train()
    model[0].weight.requires_grad_(False)
    calls = []
    handle = model[0].register_forward_hook(lambda *parts: calls.append(1))
    before = {name: dict(module.__dict__) for name, module in model.named_modules()}
    random_state, python_state = torch.get_rng_state(), random.getstate()
    with pytest.raises(TypeError, match="model must return a tensor"):
        trace(model, rows(6))  # returns a tuple
    handle.remove()
    model = model[:2]
    trace(model, rows(6))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert random.getstate() == python_state
    for name, module in model.named_modules():
        if name:
            assert module.__dict__.keys() == before[name].keys()
            assert all(module.__dict__[key] is before[name][key] for key in before[name])
    assert model[1].num_batches_tracked == 0


def test_graphs_do_not_keep_models_or_values_alive():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU()).eval()
    reference = weakref.ref(model)
    x = rows(6)
    graph = trace(model, x)
    values = graph.run((x,), keep=lambda node: False)
    hidden = next(node for node in graph.nodes if node.op == "linear")
    assert values[hidden] is None
    assert values.shape(hidden) == (3, 5)
    assert values[graph.output] is not None
    del model, graph, values, hidden
    gc.collect()
    assert reference() is None


def test_compiled_and_wrapped_models_are_unwrapped():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU()).eval()
    wrapped = nn.DataParallel(torch.compile(model, backend="eager"))
    assert trace(wrapped, rows(6)).model is model
