"""Contextual decomposition of LSTM, GRU and RNN, against a loop by the paper's equations."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn

from pyxai.decomposition import ContextualDecomposition

F64 = torch.float64


class Last(nn.Module):
    """The last state of a recurrent layer, and a linear layer on it."""

    def __init__(self, layer, hidden, outputs=2):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


def made(kind, tokens=6, inputs=3, hidden=4, directions=1, **options):
    torch.manual_seed(0)
    layer = kind(inputs, hidden, batch_first=True, **options)
    x = torch.randn(2, tokens, inputs, dtype=F64)
    return Last(layer, directions * hidden).double().eval(), x


def spans(tokens, *groups):
    """Return sets of tokens as groups, bool [1, groups, tokens, 1]."""
    found = torch.zeros(1, len(groups), tokens, 1, dtype=torch.bool)
    for row, group in enumerate(groups):
        found[0, row, list(group)] = True
    return found


def three(a, b, c, f):
    """Linearise ``f(a + b + c)`` by the mean over orders in which c comes first."""
    first = (f(a + c) - f(c) + f(a + b + c) - f(b + c)) / 2
    second = (f(b + c) - f(c) + f(a + b + c) - f(a + c)) / 2
    return first, second, f(c)


def two(a, b, f):
    return (f(a) + f(a + b) - f(b)) / 2, (f(b) + f(a + b) - f(a)) / 2


def parts_of(layer, x, gates):
    """Return ``W x`` of each gate and the gate's whole bias."""
    w, v = layer.weight_ih_l0.chunk(gates), layer.weight_hh_l0.chunk(gates)
    b_ih, b_hh = layer.bias_ih_l0.chunk(gates), layer.bias_hh_l0.chunk(gates)
    return [x @ each.T for each in w], v, b_ih, b_hh


def lstm_by_the_paper(model, x, group, policy):
    """Decompose one sentence [tokens, inputs] by section 3.2 of the paper and the authors' code."""
    layer = model.layer
    wx, v, b_ih, b_hh = parts_of(layer, x, 4)
    zeros = torch.zeros(layer.hidden_size, dtype=F64)
    beta_h, gamma_h, beta_c, gamma_c = zeros, zeros, zeros, zeros
    for t in range(len(x)):
        a = [v[k] @ beta_h + (wx[k][t] if t in group else 0) for k in range(4)]
        e = [v[k] @ gamma_h + (0 if t in group else wx[k][t]) for k in range(4)]
        b = [b_ih[k] + b_hh[k] for k in range(4)]
        bi, gi, ci = three(a[0], e[0], b[0], torch.sigmoid)
        bf, gf, cf = three(a[1], e[1], b[1], torch.sigmoid)
        bg, gg, cg = three(a[2], e[2], b[2], torch.tanh)
        o = torch.sigmoid(a[3] + e[3] + b[3])
        relevant = bi * (bg + cg) + ci * bg
        irrelevant = gi * (bg + gg + cg) + (bi + ci) * gg
        inside = {
            "phrase_inclusive": t in group,
            "phrase_exclusive": t in group and t + 1 in group,
            "paper": False,
        }[policy]
        relevant, irrelevant = (
            (relevant + ci * cg, irrelevant) if inside else (relevant, irrelevant + ci * cg)
        )
        beta_c, gamma_c = (
            relevant + (bf + cf) * beta_c,
            irrelevant + (bf + gf + cf) * gamma_c + gf * beta_c,
        )
        beta, gamma = two(beta_c, gamma_c, torch.tanh)
        beta_h, gamma_h = o * beta, o * gamma
    weight = model.head.weight
    return weight @ beta_h, weight @ gamma_h


def gru_by_hand(model, x, group):
    layer = model.layer
    wx, v, b_ih, b_hh = parts_of(layer, x, 3)
    beta_h = gamma_h = torch.zeros(layer.hidden_size, dtype=F64)
    for t in range(len(x)):
        mine = [wx[k][t] if t in group else 0 * wx[k][t] for k in range(3)]
        rest = [0 * wx[k][t] if t in group else wx[k][t] for k in range(3)]
        br, gr, cr = three(
            mine[0] + v[0] @ beta_h, rest[0] + v[0] @ gamma_h, b_ih[0] + b_hh[0], torch.sigmoid
        )
        bz, gz, cz = three(
            mine[1] + v[1] @ beta_h, rest[1] + v[1] @ gamma_h, b_ih[1] + b_hh[1], torch.sigmoid
        )
        ub, ug, uc = v[2] @ beta_h, v[2] @ gamma_h, b_hh[2]
        pb, pg = br * (ub + uc) + cr * ub, gr * (ub + ug + uc) + (br + cr) * ug
        bn, gn, cn = three(mine[2] + pb, rest[2] + pg, b_ih[2] + cr * uc, torch.tanh)
        left = (1 - cz) * cn
        beta = -bz * (bn + cn) + (1 - cz) * bn + (bz + cz) * beta_h
        gamma = -gz * (bn + gn + cn) + (1 - cz - bz) * gn + (bz + gz + cz) * gamma_h + gz * beta_h
        beta_h, gamma_h = (beta + left, gamma) if t in group else (beta, gamma + left)
    weight = model.head.weight
    return weight @ beta_h, weight @ gamma_h


SETS = [(0, 1, 2), (2, 3), (5,), (0, 3, 4), ()]


@pytest.mark.parametrize("policy", ["phrase_inclusive", "phrase_exclusive", "paper"])
def test_lstm_by_the_paper(policy):
    model, x = made(nn.LSTM)
    cd = ContextualDecomposition(model, bias="stream", lstm_bias=policy)
    found = cd.parts(x, spans(6, *SETS))
    for row in range(2):
        for place, group in enumerate(SETS):
            with torch.no_grad():
                beta, gamma = lstm_by_the_paper(model, x[row], group, policy)
            assert_close(found.relevant[row, place], beta)
            assert_close(found.irrelevant[row, place], gamma)
    assert_close(found.bias, model.head.bias.detach().expand(2, 5, 2))


def test_gru_by_hand():
    model, x = made(nn.GRU)
    found = ContextualDecomposition(model, bias="stream").parts(x, spans(6, *SETS))
    for row in range(2):
        for place, group in enumerate(SETS):
            with torch.no_grad():
                beta, gamma = gru_by_hand(model, x[row], group)
            assert_close(found.relevant[row, place], beta)
            assert_close(found.irrelevant[row, place], gamma)


def test_one_unit_in_numbers():
    layer = nn.LSTM(1, 1, batch_first=True)
    model = Last(layer, 1, 1).double().eval()
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1)
        layer.weight_hh_l0.fill_(0.5)
        layer.bias_ih_l0.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=F64))
        layer.bias_hh_l0.zero_()
        model.head.weight.fill_(1)
        model.head.bias.zero_()
    x = torch.tensor([[[1.0], [-2.0]]], dtype=F64)
    found = ContextualDecomposition(model).parts(x, spans(2, [0], [1], [0, 1], []))
    expected = [0.08645447, -0.02371884, -0.00630693, 0.0]
    assert_close(found.relevant, torch.tensor([expected], dtype=F64), 1e-7)
    expected = [-0.0927614, 0.01741191, 0.0, -0.00630693]
    assert_close(found.irrelevant, torch.tensor([expected], dtype=F64), 1e-7)
    assert float(model(x).detach()) == pytest.approx(-0.00630693120, abs=1e-10)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2}, {"bidirectional": True}, {"bias": False}], ids=str
)
def test_whole_and_empty_sentences(kind, options):
    directions = 2 if "bidirectional" in options else 1
    model, x = made(kind, tokens=4, directions=directions, **options)
    groups = spans(4, [], range(4), [1, 3])
    for bias in ("proportional", "stream"):
        cd = ContextualDecomposition(model, bias=bias)
        assert max(error.error for error in cd.completeness_errors(x, groups)) < 1e-10
        found = cd.parts(x, groups)
        assert found.relevant[:, 0].abs().max() < 1e-12
        outside = model.head.bias.detach() if bias == "stream" else 0
        assert_close(found.relevant[:, 1], model(x).detach() - outside, 1e-9)
        assert found.irrelevant[:, 1].abs().max() < 1e-9


def test_directions_are_decomposed_apart():
    model, x = made(nn.LSTM, directions=2, bidirectional=True)
    forward = nn.LSTM(3, 4, batch_first=True).double()
    names = [name for name, _ in forward.named_parameters()]
    with torch.no_grad():
        for name in names:
            getattr(forward, name).copy_(getattr(model.layer, name))
    one = Last(forward, 4).double()
    model.head.weight.data[:, 4:] = 0  # of the backward direction
    one.head.weight.data = model.head.weight.data[:, :4]
    one.head.bias.data = model.head.bias.data
    groups = spans(6, *SETS)
    found = [ContextualDecomposition(m, bias="stream").scores(x, groups) for m in (model, one)]
    assert_close(*found)
