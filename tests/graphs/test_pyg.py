"""Modules of torch_geometric: edge weights, weighted messages, and its Explainer."""

from __future__ import annotations

import warnings

import pytest
import torch
from graph_references import random_graph

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it warns of while it is imported is not ours
    from torch_geometric.explain import Explainer, fidelity
    from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv
    from torch_geometric.nn.models import GAT, GCN, GraphSAGE

from pyxai import PyxaiWarning
from pyxai.graphs import GraphExplainer, GraphGame, pyg_algorithm
from pyxai.graphs.edge_weights.messages import masked_messages

EDGES = random_graph(3, n_nodes=9)
X = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))


class Net(torch.nn.Module):
    """Two convolutions; the second argument decides whether edge weights are passed on."""

    def __init__(self, conv, weighted=False, n_classes=3):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.first, self.second = conv(4, 8), conv(8, n_classes)
        self.weighted = weighted

    def forward(self, x, edge_index, edge_weight=None):
        more = (edge_weight,) if self.weighted else ()
        return self.second(self.first(x, edge_index, *more).tanh(), edge_index, *more)


def gin(n_in, n_out):
    return GINConv(torch.nn.Linear(n_in, n_out))


def as_dense(net):
    """The same net of graph convolutions on an adjacency."""

    def model(x, adjacency):
        first, second = net.first, net.second
        hidden = (adjacency @ x @ first.lin.weight.T + first.bias).tanh()
        return adjacency @ hidden @ second.lin.weight.T + second.bias

    return model


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"weights_as": "edge_weight"}, {"degrees": "renormalise"}),
        ({"weights_as": "messages"}, {"degrees": "frozen"}),
    ],
)
def test_both_degree_rules_of_a_graph_convolution(theirs, ours):
    net = Net(GCNConv, weighted=True).double().eval()
    x = X.double()
    found = GraphGame(net, x, EDGES, **theirs)
    expected = GraphGame(as_dense(net), x, EDGES, weights_as="dense", **ours)
    points = torch.rand(3, found.n_players, dtype=torch.float64)
    torch.testing.assert_close(found.gradients(points), expected.gradients(points))
    torch.testing.assert_close(found.values(points > 0.5), expected.values(points > 0.5))


def test_normalised_weights_go_to_convolutions_that_do_not_normalise():
    def plain(n_in, n_out):
        return GCNConv(n_in, n_out, normalize=False)

    net, own = Net(plain, weighted=True).double().eval(), Net(GCNConv).double().eval()
    own.load_state_dict(net.state_dict())
    points = torch.rand(2, EDGES.shape[1] // 2, dtype=torch.float64)
    for rule in ("renormalise", "frozen"):
        found = GraphGame(net, X.double(), EDGES, degrees=rule)
        expected = GraphGame(as_dense(own), X.double(), EDGES, weights_as="dense", degrees=rule)
        torch.testing.assert_close(found.gradients(points), expected.gradients(points))
    with pytest.raises(ValueError, match=r"degrees must be 'model' .* GCNConv\(normalize=True\)"):
        GraphGame(Net(GCNConv, weighted=True), X, EDGES, degrees="frozen")


@pytest.mark.parametrize("conv", [GCNConv, SAGEConv, GATConv, gin])
def test_weighted_messages_explain_any_convolution(conv):
    net = Net(conv).eval()
    found = GraphExplainer(net, weights_as="messages", scores="telescoped").explain_node(
        X, EDGES, [2, 5]
    )
    rise = found.values[:, -1] - found.values[:, 0]
    torch.testing.assert_close(found.player_scores.sum(1), rise.to(found.scores.dtype))
    assert float(found.curve(fractions=[1.0]).y.min()) == 1.0


@pytest.mark.parametrize("conv", [GINConv, GATConv])
def test_a_message_without_weight_is_an_edge_less(conv):
    # Sums over neighbours do not normalise: without its message an edge is gone.
    net = Net(gin if conv is GINConv else conv).eval()
    game = GraphGame(net, X, EDGES, weights_as="messages", output="logit", target=0, node=1)
    mask = torch.ones(1, game.n_players, dtype=torch.bool)
    mask[0, ::2] = False
    kept = EDGES[:, game.players.entry_weights(mask[0].float()) > 0]
    pruned = net(X, kept)[1, 0].detach()
    close = torch.isclose(game.values(mask)[0, 0], pruned, atol=1e-5)
    assert bool(close) == (conv is GINConv)  # attention is that of the whole graph


def test_modules_are_left_without_masks():
    net = Net(GCNConv).eval()
    layers = (net.first, net.second)
    net.first._edge_mask = mask = torch.ones(3)
    before = net(X, EDGES)
    GraphExplainer(net, weights_as="messages").explain_node(X, EDGES, 2)
    assert [layer.explain for layer in layers] == [None, None]
    assert net.first._edge_mask is mask
    assert net.second._edge_mask is None
    assert torch.equal(net(X, EDGES), before)
    with masked_messages(net, torch.ones(EDGES.shape[1]), EDGES):
        assert net.second.explain
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        GraphExplainer(net, weights_as="messages").explain_node(X[:, :3], EDGES, 2)
    assert [layer.explain for layer in layers] == [None, None]


def test_layers_that_are_not_to_be_explained_are_skipped():
    net = Net(GCNConv).eval()
    net.second.explain = False
    game = GraphGame(net, X, EDGES, weights_as="messages", output="logit", target=0, node=1)
    mask = torch.rand(2, game.n_players, generator=torch.Generator().manual_seed(3)) > 0.4
    for row, found in zip(mask, game.values(mask)[0], strict=True):
        with masked_messages(net.first, game.players.entry_weights(row.float()), EDGES):
            hidden = net.first(X, EDGES).tanh()
        torch.testing.assert_close(found, net.second(hidden, EDGES)[1, 0].detach())
    assert net.second.explain is False
    net.first.explain = False
    with pytest.raises(ValueError, match="got explain=False for all of GCNConv, GCNConv"):
        GraphExplainer(net, weights_as="messages").explain_node(X, EDGES, 2)
    assert net.first.explain is False


def test_models_of_the_package_that_take_no_weights_are_told_of():
    assert len(GraphExplainer(GCN(4, 8, 2, 3).eval()).explain_node(X, EDGES, 0)) == 1
    for model in (GraphSAGE(4, 8, 2, 3).eval(), GAT(4, 8, 2, 3).eval()):
        with pytest.raises(ValueError, match=r"model must look at the edge weights.*'messages'"):
            GraphExplainer(model).explain_node(X, EDGES, 0)
        GraphExplainer(model, weights_as="messages").explain_node(X, EDGES, 0)

    def cached(n_in, n_out):
        return GCNConv(n_in, n_out, cached=True)

    with pytest.raises(ValueError, match=r"must not cache .* GCNConv\(cached=True\)"):
        GraphExplainer(Net(cached, weighted=True).eval()).explain_node(X, EDGES, 0)
    with pytest.raises(ValueError, match="must hold torch_geometric modules that pass messages"):
        GraphExplainer(torch.nn.Linear(4, 3), weights_as="messages").explain_node(X, EDGES, 0)


def test_a_layer_that_gets_no_weight_is_named():
    class Mixed(Net):
        def forward(self, x, edge_index, edge_weight=None):
            return self.second(self.first(x, edge_index, edge_weight).tanh(), edge_index)

    mixed = Mixed(GCNConv).eval()
    mixed.second = SAGEConv(8, 3)
    with pytest.warns(PyxaiWarning, match=r"run without edge weights, .* for them: SAGEConv; wei"):
        GraphGame(mixed, X, EDGES)
    assert not any(layer._forward_pre_hooks for layer in (mixed.first, mixed.second))
    GraphGame(mixed, X, EDGES, weights_as="messages")  # weighs both
    mixed.second = GCNConv(8, 3)  # could take a weight, but is not given it
    with pytest.warns(PyxaiWarning, match=r"for them: GCNConv; weights_as='messages'"):
        GraphGame(mixed, X, EDGES)


CONFIG = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}


@pytest.mark.parametrize("returned", ["raw", "log_probs", "probs"])
def test_the_explainer_gives_the_scores_as_its_mask(returned):
    net = Net(GCNConv).eval()
    outputs = {"raw": lambda o: o, "log_probs": lambda o: o.log_softmax(1)}
    given = outputs.get(returned, lambda o: o.softmax(1))

    class Shown(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, edge_index):
            return given(self.net(x, edge_index))

    explainer = Explainer(
        Shown().eval(),
        algorithm=pyg_algorithm(scores="telescoped", rounds=1),
        explanation_type="model",
        edge_mask_type="object",
        model_config={**CONFIG, "return_type": returned},
    )
    found = explainer(X, EDGES, index=4)
    expected = GraphExplainer(
        net, weights_as="messages", scores="telescoped", rounds=1
    ).explain_node(X, EDGES, 4)
    expected_mask = expected.scores[0].float()
    torch.testing.assert_close(found.edge_mask, expected_mask, atol=1e-5, rtol=1e-4)
    assert len(fidelity(explainer, found)) == 2  # the package's own measures take it


def test_the_explainer_masks_nodes_and_several_targets():
    net = Net(GCNConv).eval()
    explainer = Explainer(
        net,
        algorithm=pyg_algorithm(weights_as="edge_weight"),
        explanation_type="phenomenon",
        node_mask_type="object",
        model_config=CONFIG,
    )
    target = torch.arange(9) % 3
    with pytest.raises(ValueError, match="model must look at the edge weights"):
        explainer(X, EDGES, target=target)
    net.weighted = True
    found = explainer(X, EDGES, target=target, index=torch.tensor([1, 2]))
    assert found.node_mask.shape == (9, 1)
    expected = GraphExplainer(net, players="nodes").compress(X, EDGES, nodes=[1, 2], target=target)
    assert torch.equal(found.node_mask[:, 0], expected.scores[0].float())


def test_an_explained_node_is_kept_where_nodes_play():
    net = Net(GCNConv).eval()
    explainer = Explainer(
        net,
        algorithm=pyg_algorithm(),
        explanation_type="model",
        node_mask_type="object",
        model_config=CONFIG,
    )
    expected = GraphExplainer(net, weights_as="messages", players="nodes").explain_node(X, EDGES, 3)
    for index in (3, torch.tensor([3]), torch.arange(len(X)) == 3):
        found = explainer(X, EDGES, index=index).node_mask[:, 0]
        assert torch.equal(found, expected.scores[0].to(found.dtype))
        assert float(found[3]) == 0


def test_a_binary_model_and_a_graph_model():
    net = Net(GCNConv, n_classes=1).eval()
    explainer = Explainer(
        net,
        algorithm=pyg_algorithm(),
        explanation_type="model",
        edge_mask_type="object",
        model_config={**CONFIG, "mode": "binary_classification"},
    )
    expected = GraphExplainer(net, weights_as="messages").explain_node(X, EDGES, 3)
    assert torch.equal(explainer(X, EDGES, index=3).edge_mask, expected.scores[0].float())

    class Pooled(Net):
        def forward(self, x, edge_index, batch=None):
            return super().forward(x, edge_index).mean(0, keepdim=True)

    graph = Explainer(
        Pooled(GCNConv).eval(),
        algorithm=pyg_algorithm(),
        explanation_type="model",
        edge_mask_type="object",
        model_config={**CONFIG, "task_level": "graph"},
    )
    assert graph(X, EDGES, batch=torch.zeros(9).long()).edge_mask.shape == (EDGES.shape[1],)


@pytest.mark.parametrize(
    "options",
    [{"node_mask_type": "attributes"}, {"edge_mask_type": "object", "task_level": "edge"}],
)
def test_other_questions_are_refused(options):
    config = {**CONFIG, "task_level": options.pop("task_level", "node")}
    with pytest.raises(ValueError, match="does not support the given explanation settings"):
        Explainer(
            Net(GCNConv),
            algorithm=pyg_algorithm(),
            explanation_type="model",
            model_config=config,
            **options,
        )


def test_options_of_the_algorithm_are_checked():
    with pytest.raises(TypeError, match="options must not hold players, which the Explainer decid"):
        pyg_algorithm(players="nodes")
    with pytest.raises(TypeError, match="n_stepz"):
        pyg_algorithm(n_stepz=3)
    with pytest.raises(ValueError, match=r"weights_as must be one of .*, got 'zzz'"):
        pyg_algorithm(weights_as="zzz")
    with pytest.raises(ValueError, match=r"rounds must be one of .*, got 'geo'"):
        pyg_algorithm(rounds="geo")
