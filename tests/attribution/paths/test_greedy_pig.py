"""Greedy PIG on functions whose path integrals are known, and against a plain loop."""

import captum.attr
import pytest
import torch
from captum_peer import TwoInputs, assert_equals_captum, conv, mlp, peer, rows
from torch import nn

from pyxai import PyxaiWarning
from pyxai.attribution import GreedyPIG, IntegratedGradients
from pyxai.greedy import path_nodes
from pyxai.runner import progress

WIDE = torch.float64


class Counting(nn.Module):
    """Count the rows that go through a model, with and without a gradient."""

    def __init__(self, model):
        super().__init__()
        self.model, self.gradients, self.values = model, 0, 0

    def forward(self, *given):
        if torch.is_grad_enabled():
            self.gradients += len(given[0])
        else:
            self.values += len(given[0])
        return self.model(*given)


def quadratic(n=6, seed=0):
    """G(w) = c w + w H w / 2 without squares, as a model of rows w."""
    draw = torch.Generator().manual_seed(seed)
    c = torch.randn(n, generator=draw, dtype=WIDE)
    upper = torch.randn(n, n, generator=draw, dtype=WIDE).triu(1)
    h = upper + upper.T
    return (lambda w: w @ c + ((w @ h) * w).sum(1) / 2), c, h


def plain_loop(g, x, start, sizes, rule="midpoint", n_nodes=4, groups=None):
    """Greedy PIG of one example as the paper writes it: one row, one gradient, one player."""
    groups = torch.arange(x.numel()).view(x.shape) if groups is None else groups
    n = int(groups.max()) + 1
    nodes, weights = path_nodes(rule, n_nodes)
    order, raw = [], []
    for size in sizes:
        chosen = torch.isin(groups, torch.tensor(order, dtype=torch.int64))
        total = torch.zeros(n, dtype=WIDE)
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            point = torch.where(chosen, x, start + node * (x - start)).requires_grad_()
            gradient = torch.autograd.grad(g(point[None])[0], point)[0]
            change = (gradient * (x - start)).masked_fill(chosen, 0).double()
            total.scatter_add_(0, groups.flatten(), weight * change.flatten())
        left = sorted(set(range(n)) - set(order), key=lambda i: (-float(total[i]), i))[:size]
        order += left
        raw += [float(total[i]) for i in left]
    return order, torch.tensor(raw, dtype=WIDE)


def test_quadratic_scores_and_order_are_exact_with_one_node():
    g, c, h = quadratic()
    result = GreedyPIG(g).select(
        torch.ones(1, 6, dtype=WIDE), output="logit", rounds=1, n_steps=1, with_values=True
    )
    shown = torch.zeros(6, dtype=WIDE)
    for place, player in enumerate(result.order[0].tolist()):
        expected = c + h @ shown + h @ (1 - shown) / 2
        torch.testing.assert_close(result.raw[0, place], expected[player], rtol=1e-12, atol=1e-12)
        assert player == int(expected.masked_fill(shown.bool(), -torch.inf).argmax())
        shown[player] = 1
        torch.testing.assert_close(result.values[0, place + 1], g(shown[None])[0])
    assert result.residuals.abs().max() < 1e-12  # complete, the selected left out


def test_a_saturating_pair():
    """G = 4 min(1, w0 + w1) + w2: (2, 2, 1), and after player 0 is selected (-, 0, 1)."""

    def model(w):
        return 4 * w[:, :2].sum(1).clamp(max=1) + w[:, 2]

    x = torch.ones(1, 3, dtype=WIDE)
    call = {"output": "logit", "scores": "raw"}
    assert GreedyPIG(model).attribute(x, rounds=3, **call).tolist() == [[2, 2, 1]]
    assert GreedyPIG(model).attribute(x, rounds=1, **call).tolist() == [[2, 0, 1]]
    order = GreedyPIG(model).select(x, rounds=1, output="logit").order
    assert order.tolist() == [[0, 2, 1]]


@pytest.mark.parametrize("rule", ["midpoint", "gausslegendre", "trapezoid"])
def test_one_round_is_integrated_gradients(rule):
    model, x = mlp(WIDE), rows(5, 6, dtype=WIDE)
    call = {"target": torch.tensor([0, 1, 2, 0, 1]), "n_steps": 7, "baselines": 0.3}
    ours = GreedyPIG(model).attribute(
        x, rounds=6, output="logit", scores="raw", method=rule, **call
    )
    name = {"trapezoid": "riemann_trapezoid"}.get(rule, rule)
    theirs = IntegratedGradients(model).attribute(x, method=name, **call)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    ranks = GreedyPIG(model).attribute(x, rounds=6, output="logit", method=rule, **call)
    assert torch.equal(
        ranks.argsort(dim=1, descending=True), theirs.argsort(dim=1, descending=True)
    )
    if rule != "trapezoid":  # its weights do not sum to 1 in captum
        method = {"midpoint": "riemann_middle"}.get(rule, rule)
        captums = peer(captum.attr.IntegratedGradients(model), x, method=method, **call)
        assert_equals_captum(ours, captums)


@pytest.mark.parametrize("rounds", ["geometric", "adaptive", 1, 3, [2, 4]])
@pytest.mark.parametrize("absolute", [False, True])
def test_linear_models_give_one_order(rounds, absolute):
    weight = torch.tensor([1.0, -2.0, 3.0, -4.0, 5.0, -6.0], dtype=WIDE)
    x = torch.tensor([[1.0, 1, 1, 1, 1, 1], [2.0, -3, 1, -2, 0.1, 0.5]], dtype=WIDE)
    ranks = GreedyPIG(lambda x: x @ weight).attribute(
        x, output="logit", rounds=rounds, absolute=absolute
    )
    gains = (weight * x).abs() if absolute else weight * x
    assert torch.equal(
        ranks.argsort(dim=1, descending=True), gains.argsort(dim=1, descending=True, stable=True)
    )


@pytest.mark.parametrize("rule", ["midpoint", "trapezoid", "start", "gausslegendre"])
@pytest.mark.parametrize("output", ["probability", "log_probability", "kl", "reverse_kl"])
def test_equals_a_plain_loop(rule, output):
    model, x, start = conv(WIDE), rows(3, 2, 7, 8, dtype=WIDE), rows(1, 2, 7, 8, seed=1, dtype=WIDE)
    pixels = torch.arange(56).view(1, 7, 8)  # both channels of a pixel together
    target = torch.tensor([2, 0, 1])
    sizes = [1, 1, 2, 4, 8, 16, 24]
    call = {"target": target, "feature_mask": pixels, "method": rule, "output": output}
    result = GreedyPIG(model).select(x, start, internal_batch_size=5, **call)
    for row in range(3):
        full = model(x[row : row + 1]).detach().log_softmax(1)

        def g(points, full=full, row=row):
            shown = model(points).log_softmax(1)
            if output == "kl":
                return (full.exp() * (shown - full)).sum(1)
            if output == "reverse_kl":
                return (shown.exp() * (full - shown)).sum(1)
            of_target = shown[:, target[row]]
            return of_target.exp() if output == "probability" else of_target

        groups = pixels.expand(2, 7, 8).contiguous()
        order, raw = plain_loop(g, x[row], start[0], sizes, rule, groups=groups)
        assert result.order[row].tolist() == order
        torch.testing.assert_close(result.raw[row], raw, rtol=1e-10, atol=1e-12)


def test_float32_equals_a_plain_loop():
    model, x = conv(), rows(4, 2, 7, 8)
    result = GreedyPIG(model).select(x, target=1)
    for row in range(4):
        order, raw = plain_loop(
            lambda points: model(points).softmax(1)[:, 1],
            x[row],
            torch.zeros(2, 7, 8),
            [1, 1, 2, 4, 8, 16, 32, 48],
        )
        assert result.order[row].tolist() == order
        assert (result.raw[row] - raw).abs().max() < 1e-5 * raw.abs().max()


def test_several_inputs_groups_and_arguments():
    inputs = rows(4, 4, dtype=WIDE), rows(4, 2, 3, seed=1, dtype=WIDE)
    scale = torch.arange(4.0, dtype=WIDE)
    masks = torch.tensor([0, 1, 1, 5]), torch.tensor([[5, 5, 2], [3, 4, 4]])
    call = {"additional_forward_args": (scale,), "target": [0, 2, 2, 1], "output": "logit"}
    explainer = GreedyPIG(TwoInputs())
    left, right = explainer.attribute(inputs, feature_mask=masks, scores="raw", rounds=6, **call)
    parts = IntegratedGradients(TwoInputs()).attribute(
        inputs, target=[0, 2, 2, 1], additional_forward_args=(scale,), n_steps=4, method="midpoint"
    )
    torch.testing.assert_close(left[:, 0], parts[0][:, 0])
    torch.testing.assert_close(left[:, 1], parts[0][:, 1:3].sum(1))
    torch.testing.assert_close(left[:, 3], parts[0][:, 3] + parts[1][:, 0, :2].sum(1))
    assert torch.equal(left[:, 1], left[:, 2])
    assert torch.equal(left[:, 3], right[:, 0, 0])
    alone = explainer.attribute(
        tuple(part[2:3] for part in inputs),
        additional_forward_args=(scale[2:3],),
        target=2,
        output="logit",
    )
    together = explainer.attribute(inputs, **call)
    for one, all_of_them in zip(alone, together, strict=True):
        assert torch.equal(one[0], all_of_them[2])


def test_groups_of_each_example():
    model, x = mlp(WIDE), rows(3, 6, dtype=WIDE)
    masks = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2], [2, 2, 2, 2, 1, 0]])
    together = GreedyPIG(model).attribute(
        x, target=1, feature_mask=masks, rounds=1, epsilon=0.2, scores="telescoped"
    )
    for row in range(3):
        alone = GreedyPIG(model).attribute(
            x[row : row + 1],
            target=1,
            feature_mask=masks[row],
            rounds=1,
            epsilon=0.2,
            scores="telescoped",
        )
        torch.testing.assert_close(alone[0], together[row])


def test_telescoped_scores_sum_to_the_gain():
    model, x = mlp(WIDE), rows(5, 6, dtype=WIDE)
    scores, delta = GreedyPIG(model).attribute(
        x, target=2, scores="telescoped", return_convergence_delta=True, n_steps=64
    )
    p = model(torch.cat([x, torch.zeros(1, 6, dtype=WIDE)])).softmax(1)[:, 2].detach()
    torch.testing.assert_close(scores.sum(1), p[:-1] - p[-1])
    assert delta.shape == (5,)
    assert ((delta >= 0) & (delta < 5e-3)).all()  # the largest gap of either sign


def test_one_node_less_at_the_input():
    """The gradient at the input is the same in all rounds."""
    model, x = Counting(mlp(WIDE)), rows(2, 6, dtype=WIDE)
    probes = 2 + 2  # how the runner measures a model, once
    GreedyPIG(model).attribute(x, target=0, rounds=1, method="trapezoid", n_steps=3)
    assert model.gradients == 2 * (6 * 2 + 1) + probes
    model.gradients = 0
    GreedyPIG(model).attribute(x, target=0, rounds=1, method="start")
    assert model.gradients == 2 * 6
    assert model.values == 2 + 2  # whether rows are apart, once


def test_finished_examples_cost_nothing():
    weight = torch.tensor([8.0, 1.0, 1.0, 1.0], dtype=WIDE)
    model = Counting(lambda x: x @ weight)
    x = torch.tensor([[1.0, 1, 1, 1], [0.1, 1, 1, 1]], dtype=WIDE)
    result = GreedyPIG(model).select(x, output="logit", rounds=1, epsilon=0.3, n_steps=2)
    assert result.n_rounds.tolist() == [1, 3]
    probes = 2 + 2  # how the runner measures a model, once for each kind of pass
    assert model.gradients == 2 * (1 + 3) + probes
    assert model.values == 2 * 2 + (1 + 3) + probes + 2 + 2  # whether rows are apart, once
    assert result.order.tolist() == [[0, 1, 2, 3], [1, 2, 3, 0]]


def test_the_rest_follows_the_last_scores():
    weight = torch.tensor([1.0, 4.0, 2.0, 3.0], dtype=WIDE)
    explainer = GreedyPIG(lambda x: x @ weight)
    x = torch.ones(1, 4, dtype=WIDE)
    call = {"output": "logit", "n_select": 2}
    assert explainer.attribute(x, **call).tolist() == [[1, 4, 2, 3]]
    assert explainer.select(x, **call).order.tolist() == [[1, 3]]
    assert explainer.attribute(x, scores="telescoped", **call).tolist() == [[0, 4, 0, 3]]


def test_softmax_aware_quadrature_of_linear_logits():
    """Where outputs are linear on the path, it is the midpoint rule with 16 times the nodes."""
    model = nn.Linear(6, 3).to(WIDE)
    x = 20 * rows(4, 6, dtype=WIDE)
    for output in ("probability", "log_probability", "kl", "reverse_kl", lambda z: z.tanh()):
        call = {"target": 1, "output": output, "scores": "raw", "rounds": [2, 4]}
        aware = GreedyPIG(model).attribute(x, softmax_aware=True, n_steps=2, **call)
        fine = GreedyPIG(model).attribute(x, n_steps=32, **call)
        torch.testing.assert_close(aware, fine, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", ["midpoint", "gausslegendre", "trapezoid", "start"])
def test_softmax_aware_quadrature_of_logits_is_the_plain_one(rule):
    """The gradient of a logit with respect to the outputs is constant."""
    model, x = mlp(WIDE), rows(4, 6, dtype=WIDE)
    call = {"target": 1, "output": "logit", "scores": "raw", "method": rule}
    aware = GreedyPIG(model).attribute(x, softmax_aware=True, **call)
    torch.testing.assert_close(aware, GreedyPIG(model).attribute(x, **call), rtol=1e-12, atol=1e-12)


def test_softmax_aware_quadrature_of_one_output():
    model, x = nn.Linear(6, 1).to(WIDE), rows(4, 6, dtype=WIDE)
    call = {"scores": "raw", "rounds": 6}
    aware = GreedyPIG(model).attribute(x, softmax_aware=True, n_steps=1, **call)
    torch.testing.assert_close(aware, GreedyPIG(model).attribute(x, n_steps=16, **call))


@pytest.mark.parametrize("aware", [False, True])
def test_tolerance_adds_nodes_where_they_are_missing(aware):
    easy = torch.zeros(1, 6, dtype=WIDE) + 1e-3  # almost linear there
    x = torch.cat([easy, 3 * rows(3, 6, dtype=WIDE)])
    model = Counting(mlp(WIDE, activation=nn.Tanh))
    call = {"target": 1, "n_steps": 1, "return_convergence_delta": True, "softmax_aware": aware}
    _, without = GreedyPIG(model).attribute(x, rounds=2, **call)
    assert without[1:].max() > 1e-2
    model.gradients = 0
    _, delta = GreedyPIG(model).attribute(
        x, rounds=2, tolerance=1e-4, max_steps=512, internal_batch_size=None, **call
    )
    assert ((delta >= 0) & (delta <= 1e-4)).all()
    _, alone = GreedyPIG(model).attribute(x[:1], rounds=2, tolerance=1e-4, max_steps=512, **call)
    torch.testing.assert_close(alone, delta[:1])


def test_a_missed_tolerance_is_told():
    model, x = mlp(WIDE), 3 * rows(3, 6, dtype=WIDE)
    with pytest.warns(PyxaiWarning, match=r"miss the tolerance of 1e-09 with max_steps=8 nodes"):
        GreedyPIG(model).attribute(x, target=1, tolerance=1e-9, max_steps=8)


def test_a_shortlist_of_all_is_exact_greedy_selection():
    g, c, h = quadratic(7, seed=3)
    x = torch.ones(1, 7, dtype=WIDE)
    order = GreedyPIG(g).select(x, output="logit", rounds=1, shortlist=7).order[0].tolist()
    shown = torch.zeros(7, dtype=WIDE)
    for player in order:
        gains = (c + h @ shown).masked_fill(shown.bool(), -torch.inf)
        assert player == int(gains.argmax())
        shown[player] = 1


def duplicated(model, column):
    """The net with one input column given twice, its weight split between the two."""
    wide = nn.Linear(model[0].in_features + 1, model[0].out_features).to(WIDE)
    with torch.no_grad():
        weight = torch.cat([model[0].weight, model[0].weight[:, column : column + 1] / 2], 1)
        weight[:, column] /= 2
        wide.weight.copy_(weight)
        wide.bias.copy_(model[0].bias)
    return nn.Sequential(wide, *model[1:])


def test_a_duplicated_column_is_not_selected_twice():
    """A net that has learned 4 tanh(3 x0) + x1: one of two halves of x0 = 2 is nearly enough."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = 3 * torch.rand(500, 3, dtype=WIDE)
        y = 4 * (3 * x[:, 0]).tanh() + x[:, 1]
        model = nn.Sequential(nn.Linear(3, 24), nn.Tanh(), nn.Linear(24, 1)).to(WIDE)
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        for _ in range(400):
            optimizer.zero_grad()
            (model(x)[:, 0] - y).square().mean().backward()
            optimizer.step()
    twice = duplicated(model, 0)
    point = torch.tensor([[2.0, 1.0, 0.5, 2.0]], dtype=WIDE)
    call = {"output": "logit", "n_steps": 256}
    once = GreedyPIG(twice).attribute(point, rounds=4, scores="raw", **call)
    torch.testing.assert_close(once[0, 0], once[0, 3])
    assert set(once[0].topk(2).indices.tolist()) == {0, 3}
    assert GreedyPIG(twice).select(point, rounds=1, **call).order[0, :2].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rounds": [1] * 7}, ValueError, "more rounds than features: 7"),
        ({"rounds": 7}, ValueError, "rounds must add at most n_select=6 of 6 player"),
        ({"n_select": 7}, ValueError, "n_select must be at most 6, all players, got 7"),
        ({"rounds": "all"}, ValueError, "rounds must be one of 'geometric', 'adaptive', got 'all'"),
        ({"method": "simpson"}, ValueError, "method must be one of"),
        ({"n_steps": 0}, ValueError, "n_steps must be at least 1, got 0"),
        ({"output": "softmax"}, ValueError, r"output must be one of 'probability', .*'softmax'"),
        ({"scores": "place"}, ValueError, "scores must be one of 'rank', 'raw', 'telescoped'"),
        ({"tolerance": 0.0}, ValueError, r"tolerance must be positive, got 0\.0"),
        ({"tolerance": 0.1, "method": "start"}, ValueError, "several nodes for tolerance"),
        ({"tolerance": 0.1, "max_steps": 2}, ValueError, "max_steps must be at least 4, got 2"),
        ({"fast_path": "auto"}, TypeError, "fast_path must be True or False, got 'auto'"),
        ({"absolute": "no"}, TypeError, "absolute must be True or False, got 'no'"),
        ({"show_progress": 3}, TypeError, "progress must be True, False or a function"),
        ({"softmax_aware": "False"}, TypeError, "softmax_aware must be True or False, got 'False'"),
        ({"return_convergence_delta": "no"}, TypeError, "return_convergence_delta must be True or"),
        ({"tolerance": True}, TypeError, "tolerance must be a number, got True"),
        ({"tolerance": "a"}, TypeError, "tolerance must be a number, got 'a'"),
        ({"epsilon": "a"}, TypeError, "epsilon must be a number, got 'a'"),
        ({"prefix_share": "a"}, TypeError, "prefix_share must be a number, got 'a'"),
        ({"epsilon": -0.1}, ValueError, "epsilon must be at least 0"),
        ({"epsilon": 0.1, "output": "kl"}, ValueError, "epsilon must be None for output='kl'"),
        ({"shortlist": 0}, ValueError, "shortlist must be at least 1, got 0"),
        ({"shortlist": 3, "rounds": "adaptive"}, ValueError, "shortlist must be None"),
        ({"internal_batch_size": 0}, ValueError, "internal_batch_size must be at least 1"),
        ({"target": 3}, ValueError, "target must be in 0 .. 2"),
        ({"inputs": torch.full((2, 6), torch.nan)}, ValueError, "inputs must be finite, got 12"),
    ],
)
def test_errors(options, error, message):
    call = {"inputs": rows(2, 6), "target": 0, **options}
    with pytest.raises(error, match=message):
        GreedyPIG(mlp()).attribute(call.pop("inputs"), **call)


def test_an_order_that_means_nothing_is_told():
    x = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 0.0], [0.0, 0.0]])
    message = r"no feature changes the output at example\(s\) 1, 3; their order means nothing"
    for masks in (None, torch.tensor([[0, 1], [0, 0], [0, 1], [0, 1]])):
        for scores in ("rank", "telescoped"):
            with pytest.warns(PyxaiWarning, match=message):
                found = GreedyPIG(lambda x: x.sum(1)).attribute(
                    x, output="logit", feature_mask=masks, scores=scores
                )
            if scores == "telescoped":
                torch.testing.assert_close(found, x)
    with pytest.warns(PyxaiWarning, match=r"no feature changes .* example\(s\) 0;"):
        GreedyPIG(lambda x: (x * 0).sum(1)).select(x[:1], output="logit")


def test_zeros_at_the_end_are_not_told():
    """Features at their baselines, and one that is worth less than nothing."""
    x = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]])
    result = GreedyPIG(lambda x: x.sum(1)).select(x, output="logit", rounds=1, n_select=1)
    assert result.order[:, 0].tolist() == [0, 0]


def test_a_gradient_that_starts_flat_is_told():
    def model(x):
        return (x.sum(1) - 1).clamp(min=0)  # nothing happens before the sum is 1

    x = torch.tensor([[1.5, 0.5]])
    with pytest.warns(PyxaiWarning, match=r"first round are 0 at example\(s\) 0.*midpoint"):
        GreedyPIG(model).attribute(x, output="logit", method="start", rounds=1)
    GreedyPIG(model).attribute(x, output="logit", rounds=1)


@pytest.mark.parametrize(
    ("options", "each"),
    [
        ({}, 6),
        ({"n_select": 4}, 4),
        ({"rounds": [1, 2]}, 3),
        ({"rounds": "adaptive"}, 6),
        ({"epsilon": 0.5}, 6),
    ],
)
def test_progress_counts_to_what_rounds_select(options, each):
    told = []

    def tell(done, total):
        told.append((done, total))

    x, model = rows(3, 6), mlp()
    found = GreedyPIG(model).attribute(x, target=0, show_progress=tell, **options)
    assert told[-1] == (3 * each, 3 * each)
    assert told == sorted(set(told))
    assert torch.equal(found, GreedyPIG(model).attribute(x, target=0, **options))
    told.clear()
    GreedyPIG(model).select(x, target=0, show_progress=tell, **options)
    assert told[-1] == (3 * each, 3 * each)
    mask = torch.arange(6).expand(3, 6).clone()
    mask[0] //= 2  # players of its own: three of them
    told.clear()
    GreedyPIG(model).attribute(x, target=0, feature_mask=mask, show_progress=tell, rounds=3)
    assert told == [(3, 15), (9, 15), (15, 15)]


def test_progress_can_be_shown(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_DELAY_SECONDS", 0.0)
    GreedyPIG(mlp()).attribute(rows(2, 6), target=0, show_progress=True)
    assert "/12.0" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["kl", "reverse_kl"])
@pytest.mark.parametrize("aware", [False, True])
def test_a_divergence_of_one_logit_is_that_of_two_classes(output, aware):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        column = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1)).to(WIDE)
    x = torch.linspace(-3, 3, 12, dtype=WIDE).view(2, 6)
    call = {"output": output, "softmax_aware": aware, "scores": "raw", "rounds": 2}
    expected = GreedyPIG(lambda x: torch.cat([0 * column(x), column(x)], 1)).attribute(x, **call)
    assert float(expected.abs().amax()) > 1e-3
    for model in (column, lambda x: column(x)[:, 0]):
        torch.testing.assert_close(GreedyPIG(model).attribute(x, **call), expected)


def test_models_that_cannot_be_explained():
    x = rows(2, 6)
    with pytest.raises(ValueError, match="model output must depend on the inputs in a way that"):
        GreedyPIG(lambda x: x.detach().sum(1)).attribute(x, output="logit")
    with pytest.raises(ValueError, match="model output must be finite"):
        GreedyPIG(lambda x: x.sum(1) / 0).attribute(x, output="logit")
    with pytest.raises(ValueError, match="gradients of the model must be finite"):
        GreedyPIG(lambda x: (x - x).sqrt().sum(1)).attribute(x, output="logit")
    with pytest.raises(ValueError, match=r"model must return \[rows\] or \[rows, n_classes\]"):
        GreedyPIG(lambda x: x[:, :, None]).attribute(x, output="kl")
    with pytest.raises(ValueError, match="model must return one row for each of 2 examples"):
        GreedyPIG(lambda x: x.sum()).attribute(x, output="logit", scores="telescoped")
    with pytest.raises(ValueError, match="model must return one row for each of 2 examples for ou"):
        GreedyPIG(lambda x: x.sum()).attribute(x, output="kl")
    with pytest.raises(TypeError, match=r"options must be among n_steps, .*got 'scores'"):
        GreedyPIG(mlp()).select(x, scores="rank")


def test_an_input_that_is_not_read_comes_last():
    """Its gradient is zero, and all others help."""
    x = torch.ones(1, 3, dtype=WIDE)
    ranks = GreedyPIG(lambda x: x[:, 0] + 2 * x[:, 2]).attribute(x, output="logit")
    assert ranks.tolist() == [[2, 1, 3]]
