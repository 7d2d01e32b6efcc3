"""Graph fidelity counted by hand, and graphs as they are drawn."""

from __future__ import annotations

import matplotlib as mpl
import pytest
import torch
from graph_references import TwoLayers, dense_adjacency, random_graph, ring

from pyxai import plot
from pyxai.graphs import GraphExplainer, GraphGame, graph_layout, select_players
from pyxai.metrics import Curve, graph_fidelity

mpl.use("Agg")


def features(n_nodes):
    return torch.randn(n_nodes, 3, generator=torch.Generator().manual_seed(2)).double()


def a_game(edge_index=None, n_nodes=7, **options):
    edge_index = random_graph(3, n_nodes) if edge_index is None else edge_index
    return GraphGame(TwoLayers(), features(n_nodes), edge_index, weights_as="dense", **options)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0])


@pytest.mark.parametrize("nodes", [None, [1, 3, 4]])
def test_measures_are_counted_as_they_are_defined(nodes):
    game = a_game(nodes=nodes)
    asked = torch.arange(7) if nodes is None else torch.tensor(nodes)
    scores = torch.rand(game.n_players, generator=torch.Generator().manual_seed(4))
    expected = {"agreement": [], "log_probability": [], "accuracy": []}
    order, model = scores.argsort(descending=True), TwoLayers()
    for size in range(game.n_players + 1):
        weights = torch.zeros(game.n_players, dtype=torch.float64)
        weights[order[:size]] = 1
        adjacency = dense_adjacency(
            game.players.edge_index, weights[game.players.owners], 7, "renormalise"
        )
        outputs = model(features(7), adjacency)[asked]
        said = game.full.argmax(1)[asked]
        right = outputs.argmax(1)
        expected["agreement"].append((right == said).double().mean())
        expected["accuracy"].append((right == LABELS[asked]).double().mean())
        expected["log_probability"].append(outputs.log_softmax(1).gather(1, said[:, None]).mean())
    for measure, values in expected.items():
        labels = LABELS if measure == "accuracy" else None
        curve = graph_fidelity(game, scores, measure=measure, labels=labels)
        assert isinstance(curve, Curve)
        torch.testing.assert_close(curve.y[0], torch.stack(values).double())
        torch.testing.assert_close(curve.x, torch.linspace(0, 1, game.n_players + 1).double())
    assert curve.x_name == "fraction of edges kept"


def test_labels_count_where_they_are_given():
    game = a_game()
    everything = {"fractions": [1.0]}
    found = graph_fidelity(game, game_scores(game), measure="log_probability", labels=LABELS,
                           **everything)  # fmt: skip
    expected = game.full.log_softmax(1).gather(1, LABELS[:, None]).mean()
    torch.testing.assert_close(found.y[0, 0], expected)


def game_scores(game):
    return torch.rand(game.n_players, generator=torch.Generator().manual_seed(1))


def test_scores_of_entries_and_of_players_are_the_same_order():
    game = a_game(node=[0, 1])
    scores = torch.rand(2, game.n_players, generator=torch.Generator().manual_seed(4)) - 0.5
    by_player = graph_fidelity(game, scores)
    by_entry = graph_fidelity(game, game.players.to_entries(scores))
    assert torch.equal(by_player.y, by_entry.y)
    assert by_player.y.shape == (2, game.n_players + 1)
    assert set(by_player.y.unique().tolist()) <= {0.0, 1.0}
    alone = graph_fidelity(game, scores[1])
    assert torch.equal(alone.y[1], by_player.y[1])
    signed = graph_fidelity(game, -scores.abs())
    assert not torch.equal(signed.y, graph_fidelity(game, -scores, absolute=True).y)


def test_an_explanation_has_its_own_order():
    found = select_players(a_game(), rounds="geometric")
    curve = found.curve(n_points=4)
    assert torch.equal(curve.y, graph_fidelity(found.game, found.player_scores, n_points=4).y)
    assert float(curve.y[0, -1]) == 1.0
    assert 0 < float(curve.auc) <= 1
    assert torch.equal(graph_fidelity(found, n_points=4).y, curve.y)
    part = select_players(found.game, n_select=3)
    assert part.curve().x.tolist() == pytest.approx([i / found.game.n_players for i in range(4)])
    with pytest.raises(ValueError, match=r"fractions must be at most .* where 3 of \d+ players"):
        part.curve(fractions=[0.1, 1.0])


def test_scores_of_ones_own_may_stand_beside_an_explanation():
    found = select_players(a_game(), n_select=3)
    scores = torch.arange(float(found.game.n_players))
    own = graph_fidelity(found, scores, n_points=4)
    assert torch.equal(own.y, graph_fidelity(found.game, scores, n_points=4).y)
    assert own.x.tolist() != found.curve().x.tolist()  # of all players, not of those selected


def test_nodes_that_play():
    game = a_game(players="nodes")
    curve = graph_fidelity(game, torch.arange(7.0))
    assert curve.x_name == "fraction of nodes kept"
    assert curve.y.shape == (1, 8)
    assert float(curve.y[0, -1]) == 1.0


@pytest.mark.parametrize(
    ("attributions", "options", "error", "message"),
    [
        (None, {}, TypeError, "attributions must be a tensor, got None"),
        (torch.ones(3), {}, ValueError, r"attributions must have shape \[10\] or \[1, 10\]"),
        (torch.ones(2, 5), {}, ValueError, r"or \[5\], got \[2, 5\]"),
        (torch.ones(5) * torch.nan, {}, ValueError, "attributions must be finite, got 5 NaN"),
        (torch.ones(5), {"measure": "loss"}, ValueError, "measure must be one of 'agreement', 'l"),
        (torch.ones(5), {"measure": "accuracy"}, ValueError, "labels must be given for accuracy"),
        (torch.ones(5), {"fractions": [0, 1.5]}, ValueError, r"fractions must be in \[0, 1\], got"),
        (
            torch.ones(5),
            {"fractions": [0, torch.nan]},
            ValueError,
            r"fractions must be in \[0, 1\]",
        ),
        (torch.ones(5), {"fractions": "a"}, TypeError, "fractions must be numbers in .*, got 'a'"),
        (torch.ones(5), {"fractions": []}, ValueError, r"fractions must be in \[0, 1\], got \[\]"),
        (torch.ones(5), {"n_points": 1}, ValueError, "n_points must be at least 2, got 1"),
    ],
)
def test_arguments_are_checked(attributions, options, error, message):
    with pytest.raises(error, match=message):
        graph_fidelity(a_game(ring(5), 5), attributions, **options)


def test_only_games_on_graphs_have_a_fidelity():
    with pytest.raises(TypeError, match="game must be a GraphGame or a GraphExplanation, got a fu"):
        graph_fidelity(ring, torch.ones(5))


def lines_of(ax):
    return [len(collection.get_segments()) for collection in ax.collections[:-2]]


def test_a_drawing_has_the_edges_that_stay():
    found = GraphExplainer(TwoLayers(), weights_as="dense").explain_node(features(5), ring(5), 3)
    whole = plot.graph(found)
    assert lines_of(whole) == [5]
    assert whole.get_title() == "5 edges, the earlier selected the darker"
    assert plot.graph(found, count=2).get_title() == "2 of 5 edges"
    nodes, rings = whole.collections[-2:]
    assert nodes.get_offsets().shape == (5, 2)
    assert rings.get_offsets().shape == (1, 2)  # the explained node
    assert rings.get_offsets()[0].tolist() == nodes.get_offsets()[3].tolist()
    part = found.plot(count=2, hidden=True, title="two")
    assert lines_of(part) == [3, 2]
    assert part.get_title() == "two"
    places = graph_layout(ring(5), 5)
    drawn = plot.graph(found, count=2, positions=places).collections[0].get_segments()
    kept = {tuple(sorted(pair)) for pair in found.edge_index[:, found.kept(2)[0]].T.tolist()}
    expected = {tuple(sorted(map(tuple, places[list(pair)].tolist()))) for pair in kept}
    assert {tuple(sorted(map(tuple, line.tolist()))) for line in drawn} == expected


def test_a_drawing_of_the_whole_graph_shows_the_order():
    explainer = GraphExplainer(TwoLayers(), weights_as="dense")
    found = explainer.explain_node(features(5), ring(5), 3)
    lines = plot.graph(found).collections[0]
    widths = dict(
        zip(
            (tuple(pair) for pair in ring_pairs(found)),
            zip(lines.get_linewidths(), lines.get_alpha(), strict=True),
            strict=True,
        )
    )
    ends = found.game.players.ends[:, found.order[0]].T.tolist()
    drawn = [widths[tuple(sorted(pair))] for pair in ends]  # in the order of the selection
    assert drawn == sorted(drawn, reverse=True)
    assert len(set(drawn)) == 5


def test_a_drawing_of_players_that_are_nodes():
    explainer = GraphExplainer(TwoLayers(), weights_as="dense", players="nodes")
    found = explainer.compress(features(5), ring(5))
    ax = plot.graph(found)
    assert ax.get_title() == "5 nodes, the earlier selected the larger"
    assert plot.graph(found, count=2).get_title() == "2 of 5 nodes"
    sizes = ax.collections[-2].get_sizes()
    drawn = [sizes[found.game.players.owners.tolist().index(player)] for player in found.order[0]]
    assert drawn == sorted(drawn, reverse=True)
    assert len(set(drawn)) == 5


def ring_pairs(found):
    """Return the edges in the order in which they are drawn."""
    return found.edge_index.sort(0).values.unique(dim=1).T.tolist()


def test_nodes_have_the_colours_of_their_classes():
    found = GraphExplainer(TwoLayers(), weights_as="dense").compress(features(5), ring(5))
    marked = torch.tensor([True, False, False, True, False])
    ax = plot.graph(found, classes=torch.tensor([0, 1, 0, 2, 1]), marked=marked)
    nodes, rings = ax.collections[-2:]
    colours = nodes.get_facecolors().tolist()
    assert colours[0] == colours[2]
    assert colours[1] == colours[4]
    assert len({tuple(colour) for colour in colours}) == 3
    assert len(rings.get_offsets()) == 2
    plain = plot.graph(found).collections[-2].get_facecolors().tolist()
    said = found.game.full.argmax(1).tolist()
    assert len({tuple(colour) for colour in plain}) == len(set(said))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"example": 1}, "example must be below 1, got 1"),
        ({"count": 9}, "count must be at most 5, got 9"),
        ({"classes": torch.zeros(3)}, "classes must have one entry for each of 5 nodes"),
        ({"positions": torch.zeros(3, 2)}, "positions must have one entry for each of 5 nodes"),
    ],
)
def test_drawings_check_their_arguments(options, message):
    found = GraphExplainer(TwoLayers(), weights_as="dense").compress(features(5), ring(5))
    with pytest.raises(ValueError, match=message):
        plot.graph(found, **options)
    with pytest.raises(TypeError, match="explanation must be a GraphExplanation, got 1"):
        plot.graph(1.0)
