"""Choices of recurrent steps: orders of three parts, which products count, the output gate."""

from itertools import permutations

import pytest
import torch
from contract_runs import assert_close
from torch import nn

from pyxai.decomposition import ContextualDecomposition

F64 = torch.float64
SETS = [(0, 1), (2,), (0, 3), ()]


def spans(tokens, *groups):
    found = torch.zeros(1, len(groups), tokens, 1, dtype=torch.bool)
    for row, group in enumerate(groups):
        found[0, row, list(group)] = True
    return found


def by_orders(parts, f, bias_first):
    """Share ``f(a + b + c)`` by the mean of what each adds over orders; c has ``f(0)``."""
    orders = [o for o in permutations(range(3)) if not bias_first or o[0] == 2]
    found = [torch.zeros_like(parts[0]) for _ in parts]
    for order in orders:
        so_far = torch.zeros_like(parts[0])
        for place in order:
            found[place] = found[place] + f(so_far + parts[place]) - f(so_far)
            so_far = so_far + parts[place]
    found = [each / len(orders) for each in found]
    found[2] = found[2] + f(torch.zeros_like(parts[0]))
    return found


def times(p, q, kinds):
    """Multiply two values in three parts; the part of biases is apart."""
    relevant = torch.zeros_like(p[0])
    if "rel-rel" in kinds:
        relevant = relevant + p[0] * q[0]
    if "rel-bias" in kinds:
        relevant = relevant + p[0] * q[2] + p[2] * q[0]
    if "rel-irrel" in kinds:
        relevant = relevant + p[0] * q[1] + p[1] * q[0]
    biases = p[2] * q[2]
    return relevant, sum(p) * sum(q) - relevant - biases, biases


def lstm_layer(weights, sequence, choices, start=None):
    """Split the states of a layer that reads (relevant, rest) at each step.

    ``start`` has both parts of the hidden state and of the cell.
    """
    w, v, b = (each.chunk(4) for each in weights)
    zeros = torch.zeros_like(b[0])
    h, c = start or ((zeros, zeros), (zeros, zeros))
    first, kinds = choices["gates"] == "bias_first", choices["gate_products"]
    states = []
    for x in sequence:
        pre = [(w[k] @ x[0] + v[k] @ h[0], w[k] @ x[1] + v[k] @ h[1], b[k]) for k in range(4)]
        i, f, g, o = (
            by_orders(pre[k], torch.tanh if k == 2 else torch.sigmoid, first) for k in range(4)
        )
        made = times(i, g, kinds)
        kept = times(f, (*c, zeros), kinds)
        # Biases alone: to the rest, as the paper has it.
        c = (made[0] + kept[0], made[1] + made[2] + kept[1] + kept[2])
        t = by_orders((*c, zeros), torch.tanh, False)
        if choices["output_gate"] == "split":
            h = times(o, t, kinds)
            h = (h[0], h[1] + h[2])
        else:
            h = (sum(o) * t[0], sum(o) * t[1])
        states.append(h)
    return states


def weights_of(layer, number):
    names = ("weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l")
    w, v, b_ih, b_hh = (getattr(layer, f"{name}{number}").detach() for name in names)
    return w, v, b_ih + b_hh


class Reader(nn.Module):
    """Two layers, whose last state is the output; states that it starts from may be given."""

    def __init__(self, layers=2):
        super().__init__()
        self.layer = nn.LSTM(3, 4, layers, batch_first=True)

    def forward(self, x, hidden=None, cell=None):
        start = None if hidden is None else (hidden[None], cell[None])
        return self.layer(x, start)[0][:, -1]


def made(layers=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Reader(layers).double().eval(), 2 * torch.randn(1, 4, 3, dtype=F64)


CHOICES = {
    "gates": "bias_first",
    "gate_products": ("rel-rel", "rel-bias"),
    "output_gate": "freeze",
}


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"gates": "shapley"},
        {"gate_products": ("rel-rel",)},
        {"gate_products": ("rel-bias", "rel-irrel")},
        {"gate_products": ("rel-rel", "rel-bias", "rel-irrel")},
        {"output_gate": "split"},
        {"gates": "shapley", "output_gate": "split", "gate_products": ("rel-rel", "rel-irrel")},
    ],
    ids=str,
)
def test_two_layers_by_hand(choice):
    model, x = made()
    choices = {**CHOICES, **choice}
    cd = ContextualDecomposition(model, preset="cd", lstm_bias="paper", **choices)
    groups = spans(4, *SETS)
    found = cd.parts(x, groups)
    assert max(error.error for error in cd.completeness_errors(x, groups)) < 1e-12
    for place, group in enumerate(SETS):
        states = [
            (row, torch.zeros_like(row)) if t in group else (torch.zeros_like(row), row)
            for t, row in enumerate(x[0])
        ]
        for number in range(2):
            states = lstm_layer(weights_of(model.layer, number), states, choices)
        assert_close(found.relevant[0, place], states[-1][0])
        assert_close(found.irrelevant[0, place], states[-1][1])
    plain = ContextualDecomposition(model, preset="cd", lstm_bias="paper").scores(x, groups)
    assert bool((found.relevant - plain).abs().max() > 1e-5) == bool(choice)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("gates", ["bias_first", "shapley"])
def test_whole_and_empty_sentences(kind, gates):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = kind(3, 4, 2, batch_first=True, bidirectional=True)

        def forward(self, x):
            return self.layer(x)[0].mean(1)

    torch.manual_seed(1)
    model, x = Last().double().eval(), torch.randn(2, 4, 3, dtype=F64)
    groups = spans(4, range(4), (), (0, 2))
    for output_gate in ("freeze", "split"):
        cd = ContextualDecomposition(model, gates=gates, output_gate=output_gate)
        found = cd.scores(x, groups)
        assert_close(found[:, 0], model(x).detach())
        assert found[:, 1].abs().max() < 1e-12
        assert max(error.error for error in cd.completeness_errors(x, groups)) < 1e-10


@pytest.mark.parametrize("mine", [True, False])
def test_states_that_a_layer_starts_from_are_inputs_of_either_part(mine):
    model, x = made(layers=1)
    hidden, cell = torch.randn(2, 1, 4, dtype=F64, generator=torch.Generator().manual_seed(2))
    groups = spans(4, *SETS)
    owner = torch.full((1, len(SETS), 1), mine)
    cd = ContextualDecomposition(model, preset="cd", lstm_bias="paper")
    found = cd.parts((x, hidden, cell), (groups, owner, owner))
    zeros = torch.zeros_like(hidden[0])
    for place, group in enumerate(SETS):
        states = [
            (row, torch.zeros_like(row)) if t in group else (torch.zeros_like(row), row)
            for t, row in enumerate(x[0])
        ]
        start = [(s[0], zeros) if mine else (zeros, s[0]) for s in (hidden, cell)]
        beta, gamma = lstm_layer(weights_of(model.layer, 0), states, CHOICES, start)[-1]
        assert_close(found.relevant[0, place], beta)
        assert_close(found.irrelevant[0, place], gamma)


def test_gradients_of_every_choice():
    model, x = made(layers=1)
    weight = model.layer.weight_hh_l0

    def scores(x, weight):
        cd = ContextualDecomposition(model, gates="shapley", output_gate="split")
        return cd.scores(x, spans(4, (0, 2)), create_graph=True)

    assert torch.autograd.gradcheck(scores, (x.requires_grad_(), weight))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("rel-rel", TypeError, "gate_products must be several names, got 'rel-rel'"),
        (("rel-all",), ValueError, "gate_products must be one of .*got 'rel-all'"),
    ],
)
def test_refusals(value, error, message):
    with pytest.raises(error, match=f"^{message}"):
        ContextualDecomposition(made()[0], gate_products=value)
