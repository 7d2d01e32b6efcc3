"""The game on a graph: both degree rules, three ways into a model, players, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from backends import assert_as_exact_as_torch
from graph_references import TwoLayers, dense_adjacency, edge_sum, random_graph, ring, subsets

from pyxai import PyxaiWarning
from pyxai.attribution import IntegratedGradients
from pyxai.graphs import GraphGame, graph_players, normalised_weights
from pyxai.graphs.questions import OUTPUTS

RULES = ("renormalise", "frozen")

WAYS = ("dense", "sparse", "edge_weight")


def features(n_nodes, n_features=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    # The same numbers in every precision.
    return torch.randn(n_nodes, n_features, generator=generator, dtype=torch.float64).to(dtype)


def a_game(edge_index, way="dense", rule="renormalise", dtype=torch.float64, **options):
    x = features(int(edge_index.max()) + 1, dtype=dtype)
    model = TwoLayers(edges=way == "edge_weight", dtype=dtype)
    return GraphGame(model, x, edge_index, weights_as=way, degrees=rule, **options)


def reference_values(edge_index, weights, rule, node, target, log=True):
    """v(w) of one node by dense loops, float64, differentiable in ``weights`` of the entries."""
    n_nodes = int(edge_index.max()) + 1
    adjacency = dense_adjacency(edge_index, weights, n_nodes, rule)
    outputs = TwoLayers()(features(n_nodes), adjacency)
    return (outputs.log_softmax(1) if log else outputs)[node, target]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_those_of_the_dense_reference(way, rule):
    edge_index = random_graph(2)
    game = a_game(edge_index, way, rule, node=[0, 3], target=torch.tensor([1, 2]))
    points = torch.rand(4, game.n_players, dtype=torch.float64)
    found = game.gradients(points)
    for row, (node, target) in enumerate([(0, 1), (3, 2)]):
        for number, point in enumerate(points):
            leaf = point.clone().requires_grad_()
            value = reference_values(edge_index, leaf[game.players.owners], rule, node, target)
            (expected,) = torch.autograd.grad(value, leaf)
            torch.testing.assert_close(found[row, number], expected)


@pytest.mark.parametrize("rule", RULES)
def test_float32_is_as_exact_as_plain_torch(rule):
    edge_index = random_graph(2)
    single = a_game(edge_index, "dense", rule, dtype=torch.float32, node=0, target=1)
    double = a_game(edge_index, "dense", rule, node=0, target=1)
    # Eight draws: which of two errors of one draw is the larger is a matter of luck.
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(8 * 6, single.n_players, generator=generator)
    torch.testing.assert_close(single.gradients(points), double.gradients(points).float())
    leaf = points.clone().requires_grad_()
    x, model = features(7, dtype=torch.float32), TwoLayers(dtype=torch.float32)
    plain = []
    for point in leaf:
        adjacency = dense_adjacency(edge_index, point[single.players.owners], 7, rule)
        plain.append(model(x, adjacency).log_softmax(1)[0, 1])
    (peer,) = torch.autograd.grad(sum(plain), leaf)
    assert_as_exact_as_torch(single.gradients(points)[0], double.gradients(points)[0], peer)


@pytest.mark.parametrize("way", WAYS)
def test_every_subset_is_worth_what_the_graph_without_the_other_edges_is(way):
    edge_index = ring(4)
    game = a_game(edge_index, way, node=2, target=0)
    assert game.n_players == 4
    masks = subsets(4)
    for mask, value in zip(masks, game.values(masks)[0], strict=True):
        kept = edge_index[:, game.players.entry_weights(mask.double()) > 0]
        adjacency = dense_adjacency(kept, torch.ones(kept.shape[1]).double(), 4, "renormalise")
        expected = TwoLayers()(features(4), adjacency).log_softmax(1)[2, 0]
        torch.testing.assert_close(value, expected)


def test_frozen_degrees_are_those_of_the_whole_graph():
    edge_index = ring(4)
    game = a_game(edge_index, "dense", "frozen", node=2, target=0)
    whole = dense_adjacency(edge_index, torch.ones(8).double(), 4, "renormalise")
    for mask, value in zip(subsets(4), game.values(subsets(4))[0], strict=True):
        adjacency = whole.clone()
        for player in (~mask).nonzero()[:, 0].tolist():
            source, target = game.players.ends[:, player].tolist()
            adjacency[source, target] = adjacency[target, source] = 0
        expected = TwoLayers()(features(4), adjacency).log_softmax(1)[2, 0]
        torch.testing.assert_close(value, expected)


def test_ways_into_a_model_agree():
    edge_index = random_graph(4)
    for rule in RULES:
        games = [a_game(edge_index, way, rule) for way in WAYS]
        points = torch.rand(3, games[0].n_players, dtype=torch.float64)
        first, *others = [game.gradients(points) for game in games]
        for other in others:
            torch.testing.assert_close(other, first)


def test_raw_weights_go_to_a_model_that_normalises_itself():
    edge_index = random_graph(4)

    class Itself(TwoLayers):
        def forward(self, x, where, edge_weight):
            index, weights = normalised_weights(where, edge_weight, len(x))
            return super().forward(x, index, weights)

    x = features(int(edge_index.max()) + 1)
    own = GraphGame(Itself(edges=True), x, edge_index)
    ours = a_game(edge_index, "dense")
    points = torch.rand(3, own.n_players, dtype=torch.float64)
    torch.testing.assert_close(own.gradients(points), ours.gradients(points))


def test_base_weights_multiply():
    edge_index = random_graph(4)
    base = torch.rand(edge_index.shape[1], dtype=torch.float64) + 0.1
    by_key = {}  # both directions of an edge weigh the same here
    for place, ends in enumerate(edge_index.T.tolist()):
        base[place] = by_key.setdefault(tuple(sorted(ends)), base[place])
    x = features(7)
    game = GraphGame(
        lambda x, a: a @ x,
        x,
        edge_index,
        edge_weight=base,
        weights_as="dense",
        normalise="none",
        output="logit",
        target=1,
    )
    weights = torch.rand(1, game.n_players, dtype=torch.float64)
    owned = weights[0][game.players.owners] * base
    expected = dense_adjacency(edge_index, owned, 7, "renormalise", "none") @ x
    mine = game.questions(expected, 0)
    ends = game.values(torch.tensor([[True] * game.n_players, [False] * game.n_players]))[0]
    path = game.gradients(weights)[0, 0] @ weights[0]  # linear in w: gradient times w is the rise
    torch.testing.assert_close(ends[1] + path, mine)


def test_a_node_without_weight_loses_its_edges_and_an_explained_one_is_kept():
    edge_index = torch.tensor([[0, 1, 1, 2, 2], [1, 0, 2, 1, 2]])
    players = graph_players(edge_index, 3, kind="nodes", always=torch.tensor([1]))
    assert players.n_players == 2
    assert players.owners.tolist() == [0, 2, 1]
    weights = players.entry_weights(torch.tensor([0.25, 0.5]))
    assert weights.tolist() == [0.25, 0.25, 0.5, 0.5, 1.0]
    game = a_game(ring(4), players="nodes", node=2, target=0)
    for mask, value in zip(subsets(3), game.values(subsets(3))[0], strict=True):
        shown = torch.tensor([*mask[:2], True, mask[2]])
        kept = ring(4)[:, shown[ring(4)].all(0)]
        adjacency = dense_adjacency(kept, torch.ones(kept.shape[1]).double(), 4, "renormalise")
        expected = TwoLayers()(features(4), adjacency).log_softmax(1)[2, 0]
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("output", [*OUTPUTS, torch.sigmoid])
def test_objectives_are_means_over_the_asked_nodes(output):
    edge_index = random_graph(6)
    game = a_game(edge_index, output=output, nodes=[1, 4])
    whole = dense_adjacency(edge_index, torch.ones(edge_index.shape[1]).double(), 7, "renormalise")
    model, x = TwoLayers(), features(7)
    full, empty = (model(x, a)[[1, 4]] for a in (whole, torch.eye(7).double()))
    said = full.argmax(1, keepdim=True)
    units = {
        "log_probability": lambda o: o.log_softmax(1).gather(1, said).mean(),
        "probability": lambda o: o.softmax(1).gather(1, said).mean(),
        "logit": lambda o: o.gather(1, said).mean(),
        "kl": lambda o: (
            -torch.nn.functional.kl_div(
                o.log_softmax(1), full.log_softmax(1), reduction="batchmean", log_target=True
            )
        ),
        "reverse_kl": lambda o: (
            -torch.nn.functional.kl_div(
                full.log_softmax(1), o.log_softmax(1), reduction="batchmean", log_target=True
            )
        ),
        torch.sigmoid: lambda o: o.sigmoid().gather(1, said).mean(),
    }
    masks = torch.tensor([[True], [False]]).expand(2, game.n_players)
    expected = torch.stack([units[output](full), units[output](empty)])
    torch.testing.assert_close(game.values(masks)[0], expected)


def test_one_column_is_a_logit_for_probabilities_and_a_number_otherwise():
    edge_index, x = ring(5), features(5, 1)

    def column(x, adjacency):
        return adjacency @ x

    logits = dense_adjacency(edge_index, torch.ones(10).double(), 5, "renormalise") @ x
    game = GraphGame(column, x, edge_index, weights_as="dense", nodes=[0, 3])
    said = (logits[[0, 3], 0] > 0).double()
    expected = -torch.nn.functional.binary_cross_entropy_with_logits(logits[[0, 3], 0], said)
    everyone = torch.ones(1, 5, dtype=torch.bool)
    torch.testing.assert_close(game.values(everyone)[0, 0], expected)
    plain = GraphGame(column, x, edge_index, weights_as="dense", nodes=[0, 3], output="logit")
    torch.testing.assert_close(plain.values(everyone)[0, 0], logits[[0, 3], 0].mean())
    with pytest.raises(ValueError, match="target must be None for a model with one output per nod"):
        GraphGame(column, x, edge_index, weights_as="dense", output="logit", target=0)


def test_a_model_of_the_whole_graph_has_one_row():
    edge_index = ring(5)

    def pooled(x, adjacency):
        return TwoLayers()(x, adjacency).mean(0, keepdim=True)

    game = GraphGame(pooled, features(5), edge_index, weights_as="dense", target=torch.tensor([2]))
    points = torch.rand(2, 5, dtype=torch.float64)
    assert game.gradients(points).shape == (1, 2, 5)
    assert game.full.shape == (1, 3)


def test_other_methods_can_ask_the_game():
    game = a_game(random_graph(2), node=0, target=1)
    inputs = torch.ones(1, game.n_players, dtype=torch.float64)
    found, delta = IntegratedGradients(game.game.runner.forward_func).attribute(
        inputs,
        additional_forward_args=torch.zeros(1, dtype=torch.int64),
        n_steps=64,
        return_convergence_delta=True,
    )
    ends = game.values(torch.tensor([[True], [False]]).expand(2, game.n_players))[0]
    torch.testing.assert_close(found.sum(), ends[0] - ends[1], atol=1e-3, rtol=0)
    assert float(delta.abs().max()) < 1e-3


def test_the_model_and_the_generator_are_left_as_found():
    model = TwoLayers()
    model.weights[0].grad = torch.ones_like(model.weights[0])
    model.weights[1].requires_grad_(False)
    torch.manual_seed(4)
    before = torch.get_rng_state()
    game = GraphGame(model, features(5), ring(5), weights_as="dense")
    game.gradients(torch.rand(1, 5, generator=torch.Generator()).double())
    assert torch.equal(before, torch.get_rng_state())
    assert model.training
    assert torch.equal(model.weights[0].grad, torch.ones_like(model.weights[0]))
    assert [w.requires_grad for w in model.weights] == [True, False]


def test_training_mode_is_told_of():
    class Dropped(TwoLayers):
        def __init__(self):
            super().__init__()
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, x, where):
            return self.drop(super().forward(x, where))

    with pytest.warns(PyxaiWarning, match=r"training mode.*drop \(Dropout\)"):
        GraphGame(Dropped(), features(5), ring(5), weights_as="dense")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GraphGame(Dropped().eval(), features(5), ring(5), weights_as="dense")


X, RING = features(5), ring(5)

ONES = torch.ones(10, dtype=torch.float64)

NAN = ONES.clone()

NAN[2] = torch.nan


@pytest.mark.parametrize(
    ("edge_index", "options", "error", "message"),
    [
        (RING.int(), {}, TypeError, "edge_index must have dtype torch.int64, got torch.int32"),
        ([[0], [1]], {}, TypeError, "edge_index must be a tensor, got a list of 2 item"),
        (RING.T, {}, ValueError, r"edge_index must have shape \[2, n_entries\], .* got \[10, 2\]"),
        (RING + 1, {}, ValueError, "edge_index must hold nodes 0 .. 4, got 5"),
        (RING - 1, {}, ValueError, "edge_index must hold nodes 0 .. 4, got -1"),
        (RING[:, :0], {}, ValueError, "edge_index must have at least one edge, got none"),
        (RING[:1].repeat(2, 1), {}, ValueError, "between two nodes, got self loops only"),
        (RING[:, :5], {"undirected": True}, ValueError, "both directions of every edge, got one-w"),
        (RING, {"node": 5}, ValueError, r"node must be in 0 \.\. 4, got 5"),
        (RING, {"node": -1}, ValueError, r"node must be in 0 \.\. 4, got -1"),
        (RING, {"node": 1.5}, TypeError, r"node must be a node number, a list of.* got 1.5"),
        (RING, {"node": "2"}, TypeError, r"node must be a node number, a list of.* got '2'"),
        (RING, {"node": ["a"]}, TypeError, r"node must be a node number.* a list of 1 item"),
        (RING, {"node": [[1], [2, 3]]}, TypeError, r"node must be a node number.* 2 item"),
        (RING, {"node": True}, TypeError, r"node must be a node number, a list of.* got True"),
        (RING, {"target": True}, TypeError, r"target must be a class number, a list.* got True"),
        (RING, {"target": "1"}, TypeError, r"target must be a class number, a list.* got '1'"),
        (RING, {"undirected": "no"}, TypeError, "undirected must be True or False, got 'no'"),
        (RING, {"self_loops": "no"}, TypeError, "self_loops must be True or False, got 'no'"),
        (RING, {"model_kwargs": 3}, TypeError, "model_kwargs must be a mapping, got 3"),
        (RING, {"edge_weight": NAN}, ValueError, "edge_weight must be finite, got 1 NaN"),
        (
            RING,
            {"edge_weight": -ONES},
            ValueError,
            r"edge_weight must be at least 0 where degr.*-1",
        ),
        (RING, {"node": 1, "nodes": [2]}, ValueError, "nodes must be None where node is given"),
        (RING, {"nodes": []}, ValueError, "nodes must have at least one node, got none"),
        (RING, {"nodes": X[0]}, TypeError, "nodes must hold integers, got torch.float64"),
        (RING, {"nodes": X[:3, 0] > 9}, ValueError, "one entry for each of 5 nodes as a mask"),
        (RING, {"target": 3}, ValueError, r"target must be in 0 \.\. 2, got 3"),
        (RING, {"target": torch.zeros(2).long()}, ValueError, "target must have one class for ea"),
        (RING, {"target": X[:, 0]}, TypeError, "target must hold integers, got torch.float64"),
        (RING, {"edge_weight": X[:, 0]}, ValueError, r"edge_weight must have shape \[10\]"),
        (RING, {"players": "nodes", "node": [1, 2]}, ValueError, "node must be a single one whe"),
        (RING, {"players": "faces"}, ValueError, "players must be one of 'edges', 'nodes'"),
        (RING, {"weights_as": "csr"}, ValueError, "weights_as must be one of 'edge_weight', 'den"),
        (RING, {"degrees": "old"}, ValueError, "degrees must be one of 'renormalise', 'frozen'"),
        (RING, {"degrees": "model"}, ValueError, "degrees must be 'renormalise' or 'frozen' for a"),
        (RING, {"normalise": "max"}, ValueError, "normalise must be one of 'symmetric', 'row'"),
        (RING, {"output": "odds"}, ValueError, "output must be one of 'logit', 'probability'"),
        (
            RING,
            {"weights_as": "messages", "degrees": "renormalise"},
            ValueError,
            "degrees must be 'frozen' where weights_as is 'messages'",
        ),
    ],
)
def test_arguments_are_checked(edge_index, options, error, message):
    options = {"weights_as": "dense", **options}
    with pytest.raises(error, match=message):
        GraphGame(TwoLayers(), X, edge_index, **options)


def test_a_model_that_does_not_look_at_the_weights_is_told_of():
    def deaf(x, edge_index, edge_weight):
        return edge_sum(x, edge_index, torch.ones_like(edge_weight))

    with pytest.raises(ValueError, match="model must look at the edge weights, got the same outp"):
        GraphGame(deaf, X, RING)

    def without(x, edge_index):
        return edge_sum(x, edge_index, torch.ones(edge_index.shape[1], dtype=x.dtype))

    with pytest.raises(TypeError, match=r"model must take edge weights.*got one that takes \(x, e"):
        GraphGame(without, X, RING)

    def steps(x, edge_index, edge_weight):
        return edge_sum(x, edge_index, (edge_weight > 0.5).double())

    game = GraphGame(steps, X, RING)  # has values, but no gradients
    with pytest.raises(ValueError, match="depend on the inputs in a way that autograd can follow"):
        game.gradients(torch.ones(1, game.n_players))


def test_negative_edge_weights_where_no_degrees_are_summed():
    def mixed(x, edge_index, edge_weight):
        adjacency = torch.zeros(5, 5, dtype=x.dtype)
        adjacency[edge_index[1], edge_index[0]] = edge_weight
        return adjacency @ x

    edge_weight = torch.linspace(-1, 1, 10, dtype=torch.float64)
    game = GraphGame(mixed, X, RING, edge_weight=edge_weight, output="logit")
    expected = mixed(X, RING, edge_weight)
    torch.testing.assert_close(game.full, expected)
    plain = {"weights_as": "dense", "normalise": "none", "self_loops": False, "output": "logit"}
    same = GraphGame(lambda x, a: a @ x, X, RING, edge_weight=edge_weight, **plain)
    torch.testing.assert_close(same.full, expected)

    def rooted(x, edge_index, edge_weight):
        return mixed(x, edge_index, edge_weight.sqrt())

    with pytest.raises(ValueError, match=r"edge_weight must be at least 0 for a model whose .*-1"):
        GraphGame(rooted, X, RING, edge_weight=edge_weight)


def test_numbers_of_numpy_name_nodes_and_classes():
    options = {"weights_as": "dense", "output": "logit"}
    expected = GraphGame(TwoLayers(), X, RING, node=3, target=1, **options)
    for node, target in ((np.int64(3), np.int64(1)), ([np.int32(3)], [1])):
        found = GraphGame(TwoLayers(), X, RING, node=node, target=target, **options)
        assert found.questions.nodes[0].tolist() == [3]
        assert torch.equal(found.questions.targets[0], expected.questions.targets[0])


def test_other_models_are_refused():
    def pair(x, adjacency):
        return x, adjacency

    with pytest.raises(TypeError, match="model must return a tensor, got a tuple of 2 item"):
        GraphGame(pair, X, RING, weights_as="dense")
    with pytest.raises(ValueError, match="model must return one row for each node or graph, got a"):
        GraphGame(lambda x, a: (a @ x).sum(), X, RING, weights_as="dense")
    with pytest.raises(TypeError, match="model must be callable, got 3"):
        GraphGame(3, X, RING)
    with pytest.raises(ValueError, match="x must be finite, got 15 NaN"):
        GraphGame(TwoLayers(), X * torch.nan, RING, weights_as="dense")


@pytest.mark.parametrize("way", WAYS)
def test_bfloat16_models_run_as_they_are(way):
    edge_index = random_graph(2)
    small = a_game(edge_index, way, dtype=torch.bfloat16, node=0, target=1)
    exact = a_game(edge_index, way, node=0, target=1)
    points = torch.rand(2, small.n_players, generator=torch.Generator().manual_seed(1))
    found = small.gradients(points)
    assert found.dtype == torch.float32
    expected = exact.gradients(points.bfloat16()).float()
    assert float((found - expected).abs().max()) < 0.05 * float(expected.abs().max())
