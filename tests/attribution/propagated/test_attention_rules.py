"""Attention-aware LRP rule by rule, from the Jacobians and the sums that its paper writes."""

import math

import pytest
import torch
import torch.nn.functional as F
from deep_nets import Function
from torch import nn

from pyxai.attribution import LRP

F64 = torch.float64
INF = float("inf")
BOTH = pytest.mark.parametrize("composite", [None, "attn_lrp"])


def by_both(*few, of):
    """Yield each name for attention-aware LRP, and a few for LRP without it."""
    yield from ((name, "attn_lrp") for name in of)
    yield from ((name, None) for name in few)


def drawn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=F64)


def head(width, seed=9):
    """Return a linear layer without biases, so that relevance above it is ``w_j h_j``."""
    layer = nn.Linear(width, 2, bias=False, dtype=F64)
    layer.weight.data = drawn(2, width, seed=seed)
    return layer


def relevance_of(function, inputs, composite, target=1, **options):
    """Return the head's weights of a target, and what LRP gives to the inputs."""
    layer = head(function(*inputs).flatten(1).shape[1])
    model = Function(lambda parts, *given: parts[0](function(*given).flatten(1)), layer)
    method = LRP(model, composite=composite, epsilon=0.0, **options)
    return layer.weight[target].detach(), method.attribute(inputs, target=target)


def linear_share(matrix, x, z, relevance):
    """Share the relevance of ``z = matrix x + c`` by contribution, output by output."""
    shares = [matrix[j] * x * relevance[j] / z[j] for j in range(len(z))]
    return torch.stack(shares).sum(0)


@BOTH
@pytest.mark.parametrize("masked", [False, True])
def test_softmax(composite, masked):
    x, hidden = 2 * drawn(3, 5), torch.tensor([0, 1, 0, 0, 1]).bool() & masked
    w, (found,) = relevance_of(lambda x: x.masked_fill(hidden, -INF).softmax(1), (x,), composite)
    for row in range(3):
        s = x[row].masked_fill(hidden, -INF).softmax(0)
        jacobian = s.diag() - s[:, None] * s
        for i in range(5):
            terms = [jacobian[j, i] * x[row, i] * w[j] for j in range(5)]  # R_j / s_j is w_j
            torch.testing.assert_close(found[row, i], torch.stack(terms).sum())
    assert (found[:, hidden] == 0).all()


def test_softmax_needs_no_quotient():
    """What a weight of 1e-30 has is what it has by the formula, also with a stabiliser."""
    x = torch.tensor([[0.0, -69.0, 1.0]], dtype=F64)
    model = Function(lambda parts, x: parts[0](x.softmax(1)), head(3))
    found = LRP(model, epsilon=1e-3).attribute(x, target=0)
    plain = LRP(model, epsilon=0.0).attribute(x, target=0)
    torch.testing.assert_close(found, plain, rtol=1e-2, atol=0)  # the head has a stabiliser too
    assert found[0, 1] != 0


@BOTH
def test_product_of_two_matrices(composite):
    a, v = drawn(2, 3, 4), drawn(2, 4, 5, seed=1)
    w, found = relevance_of(torch.matmul, (a, v), composite)
    o = a @ v
    for row in range(2):
        r = w.reshape(3, 5) * o[row]
        terms = torch.einsum("ji,ip,jp->jip", a[row], v[row], r / (2 * o[row]))
        torch.testing.assert_close(found[0][row], terms.sum(2))
        torch.testing.assert_close(found[1][row], terms.sum(0))


def spelled_out(q, k, v, mask):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    return (scores if mask is None else scores + mask).softmax(-1) @ v


def grouped(q, k, v, mask):
    k, v = (each.repeat_interleave(2, 1) for each in (k, v))
    return F.scaled_dot_product_attention(q, k, v, mask)


def expanded(q, k, v, mask):
    k, v = (each[:, :, None].expand(-1, -1, 2, -1, -1).flatten(1, 2) for each in (k, v))
    return spelled_out(q, k, v, mask)


TRIANGLE = torch.ones(3, 3, dtype=torch.bool).tril()
ADDED = torch.zeros(3, 3, dtype=F64).masked_fill(~TRIANGLE, -INF)
FORMS = {
    "whole": (F.scaled_dot_product_attention, None, None),
    "causal": (
        lambda q, k, v, _: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        None,
        TRIANGLE,
    ),
    "boolean mask": (F.scaled_dot_product_attention, TRIANGLE, TRIANGLE),
    "infinite mask": (spelled_out, ADDED, TRIANGLE),
    "infinite mask of the whole": (F.scaled_dot_product_attention, ADDED, TRIANGLE),
    "finite mask": (spelled_out, ADDED.clamp(min=torch.finfo(F64).min), TRIANGLE),
    "spelled out": (spelled_out, None, None),
    "repeated heads": (grouped, None, None),
    "expanded heads": (expanded, TRIANGLE.double().log(), TRIANGLE),
    "grouped heads": (
        lambda q, k, v, _: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        None,
        None,
    ),
}


def attention_by_hand(q, k, v, seen, w):
    """Return the relevance of one head's queries, keys and values, sum by sum."""
    n, scale = len(q), 1 / math.sqrt(q.shape[1])
    seen = torch.ones(n, n, dtype=torch.bool) if seen is None else seen
    scores = q @ k.T * scale
    a = scores.masked_fill(~seen, -INF).softmax(1)
    o = a @ v
    r_q, r_k, r_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    for j in range(n):
        products = a[j, :, None] * v * (w * o)[j] / (2 * o[j])  # proposition 3.3
        r_v += products
        r_a = products.sum(1)
        jacobian = a[j].diag() - a[j][:, None] * a[j]
        for i in range(n):
            if not seen[j, i]:
                continue
            keys = [m for m in range(n) if seen[j, m]]
            r_s = sum(jacobian[m, i] * scores[j, i] * r_a[m] / a[j, m] for m in keys)
            shared = q[j] * k[i] * scale * r_s / (2 * scores[j, i])
            r_q[j] += shared
            r_k[i] += shared
    return r_q, r_k, r_v


@pytest.mark.parametrize("form", FORMS)
def test_attention(form):
    function, mask, seen = FORMS[form]
    heads = 4 if "heads" in form else 2
    q, k, v = drawn(2, heads, 3, 4), drawn(2, 2, 3, 4, seed=1), drawn(2, 2, 3, 5, seed=2)
    given = (q, k, v)
    w, found = relevance_of(lambda q, k, v: function(q, k, v, mask), given, "attn_lrp")
    w = w.reshape(heads, 3, 5)
    expected = [torch.zeros_like(each) for each in given]
    for row in range(2):
        for i in range(heads):
            own = i * 2 // heads
            parts = attention_by_hand(q[row, i], k[row, own], v[row, own], seen, w[i])
            for total, part, place in zip(expected, parts, (i, own, own), strict=True):
                total[row, place] += part
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    # Values take one half, queries and keys as much as each other.
    output = (w * function(q, k, v, mask)).flatten(1).sum(1)
    torch.testing.assert_close(found[2].flatten(1).sum(1), output / 2)
    torch.testing.assert_close(found[0].flatten(1).sum(1), found[1].flatten(1).sum(1))
    if form in {"whole", "infinite mask", "repeated heads"}:
        _, constant = relevance_of(lambda q, k, v: function(q, k, v, mask), given, None)
        torch.testing.assert_close(constant[2], 2 * found[2])
        assert all((part == 0).all() for part in constant[:2])


def test_rows_that_see_nothing_are_no_numbers():
    q, k, v = drawn(2, 1, 3, 4), drawn(2, 1, 3, 4, seed=1), drawn(2, 1, 3, 4, seed=2)
    mask = TRIANGLE & (torch.arange(3) > 0)  # the first place sees none
    _, found = relevance_of(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, mask), (q, k, v), "attn_lrp"
    )
    assert all(torch.isfinite(part).all() for part in found)
    assert (found[0][:, :, 0] == 0).all()
    assert (found[1][:, :, 0] == 0).all()


def layer_norm(x, root):
    centred = x - x.mean(-1, keepdim=True)
    return root(centred, centred.square().mean(-1, keepdim=True) + 1e-5)


def rms_norm(x, root):
    return root(x, x.pow(2).mean(-1, keepdim=True) + 1e-5)


WEIGHT, BIAS = drawn(6, seed=4), drawn(6, seed=5)
ROOTS = {
    "rsqrt": lambda x, v: x * torch.rsqrt(v),
    "scaled rsqrt": lambda x, v: 0.5 * torch.rsqrt(v) * (2 * x),
    "sqrt": lambda x, v: x / v.sqrt(),
    "reciprocal": lambda x, v: x * v.sqrt().reciprocal(),
    "power": lambda x, v: v**-0.5 * x,
}
NORMS = {
    "layer": lambda x: F.layer_norm(x, (6,), WEIGHT, BIAS),
    "rms": lambda x: F.rms_norm(x, (6,), WEIGHT, 1e-5),
    "layer by rsqrt": lambda x: layer_norm(x, ROOTS["rsqrt"]) * WEIGHT + BIAS,
    **{f"rms by {n}": lambda x, r=r: WEIGHT * rms_norm(x, r) for n, r in ROOTS.items()},
}


@pytest.mark.parametrize(("name", "composite"), [*by_both("layer", "rms by rsqrt", of=NORMS)])
def test_norms(name, composite):
    """Linear with the deviation held fixed: its scale has no relevance."""
    x = drawn(3, 6) + 0.3
    w, (found,) = relevance_of(NORMS[name], (x,), composite)
    for row in range(3):
        centring = torch.eye(6, dtype=F64) - (1 / 6 if name.startswith("layer") else 0)
        size = ((centring @ x[row]).square().mean() + 1e-5).sqrt()
        matrix = WEIGHT[:, None] * centring / size
        z = NORMS[name](x[row : row + 1])[0]
        torch.testing.assert_close(found[row], linear_share(matrix, x[row], z, w * z))


ACTIVATIONS = {
    "silu": F.silu,
    "gelu": F.gelu,
    "x sigmoid": lambda x: x * x.sigmoid(),
    "quick": lambda x: x * torch.sigmoid(1.702 * x),
    "new": lambda x: 0.5 * x * (1 + torch.tanh(0.8 * (x + 0.044715 * torch.pow(x, 3.0)))),
    "mish": lambda x: torch.tanh(F.softplus(x)) * x,
    "squared": lambda x: x.relu().square(),
    "of ReLU and itself": lambda x: x * x.relu(),
    "stepwise": lambda x: x * torch.where(x > 0, 1.0, x.exp()),
    "float32": lambda x: (x.float() * (1 + x.float().tanh())).double(),
}


@pytest.mark.parametrize(("name", "composite"), [*by_both("quick", "new", of=ACTIVATIONS)])
def test_gated_mlp(name, composite):
    """Each branch takes half; activations pass theirs on, also where the model spells them out."""
    gate, up = drawn(5, 4), drawn(5, 4, seed=1)
    x, act = drawn(3, 4, seed=2), ACTIVATIONS[name]
    w, (found,) = relevance_of(lambda x: act(x @ gate.T) * (x @ up.T), (x,), composite)
    close = {"rtol": 1e-5, "atol": 1e-6} if name == "float32" else {}
    for row in range(3):
        g, u = gate @ x[row], up @ x[row]
        half = w * act(g) * u / 2
        expected = linear_share(gate, x[row], g, half) + linear_share(up, x[row], u, half)
        torch.testing.assert_close(found[row], expected, **close)
    torch.testing.assert_close(found.sum(1), (act(x @ gate.T) * (x @ up.T)) @ w, **close)


def test_a_sigmoid_is_a_gate_or_a_factor():
    x, y = drawn(3, 4), drawn(3, 4, seed=1)
    w, signal = relevance_of(lambda x, y: x.sigmoid() * y, (x, y), None)
    z = x.sigmoid() * y * w
    torch.testing.assert_close(signal[1], z)
    assert (signal[0] == 0).all()
    _, halves = relevance_of(lambda x, y: x.sigmoid() * y, (x, y), "attn_lrp")
    torch.testing.assert_close(halves, (z / 2, z / 2))


MIXING = drawn(4, 4, seed=3)


@BOTH
@pytest.mark.parametrize(
    "factor",
    [
        lambda x, y: y.tanh(),
        lambda x, y: x + y,
        lambda x, y: x.flip(1) ** 2,
        lambda x, y: (x @ MIXING).tanh(),
    ],
)
def test_other_factors_share_equally(composite, factor):
    """A function of something else is no activation spelled out."""
    x, y = drawn(3, 4), drawn(3, 4, seed=1)
    model = Function(lambda _, x, y: x * factor(x, y))
    found = LRP(model, composite=composite, epsilon=0.0).attribute((x, y), target=0)
    half = (x * factor(x, y))[:, 0] / 2
    alone = Function(lambda _, x, y: factor(x, y))
    expected = LRP(alone, epsilon=0.0).attribute((x, y), target=0)
    expected = [part * (half / factor(x, y)[:, 0])[:, None] for part in expected]
    expected[0][:, 0] += half
    torch.testing.assert_close(found, tuple(expected))


@BOTH
def test_rotary_embeddings(composite):
    """A rotation of pairs, whose angle depends on places only: one linear map."""
    x = drawn(2, 3, 4)
    angles = torch.arange(3)[:, None] * torch.tensor([1.0, 0.1, 1.0, 0.1], dtype=F64)

    def rotated(x):
        first, second = x.chunk(2, -1)
        return x * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

    w, (found,) = relevance_of(rotated, (x,), composite)
    for row in range(2):
        matrix = torch.autograd.functional.jacobian(rotated, x[row]).reshape(12, 12)
        z = rotated(x[row]).flatten()
        expected = linear_share(matrix, x[row].flatten(), z, w * z)
        torch.testing.assert_close(found[row].flatten(), expected)


def test_linear_layers_follow_their_rule_beside_it():
    layers = [nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)]
    net = nn.Sequential(*layers).double().eval()
    for rule in ("gamma", "z_plus"):
        found = LRP(net, rule=rule, composite="attn_lrp").attribute(drawn(3, 4), target=0)
        assert torch.equal(found, LRP(net, rule=rule).attribute(drawn(3, 4), target=0))
    with pytest.raises(ValueError, match=r"composite must be one of 'attn_lrp', got 'attnlrp'"):
        LRP(net, composite="attnlrp")
