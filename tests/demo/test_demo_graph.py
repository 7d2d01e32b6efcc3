"""The demonstration's graph: what is said of it follows from what was measured."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import pytest
import torch
from html_reader import Reader

from pyxai.demo.sections import graph as graphs
from pyxai.demo.sections.graph_task import block_graph, train
from pyxai.demo.words import percent
from pyxai.report import Report

mpl.use("Agg")


@pytest.fixture(scope="module")
def measured():
    return graphs.measure_graph(0)


def test_few_edges_keep_most_predictions(measured):
    assert measured.accuracy > 0.8
    assert measured.kept("Greedy PIG") >= graphs.ENOUGH
    assert measured.kept("Greedy PIG") > measured.kept("integrated gradients, once") + 0.02
    assert measured.kept("integrated gradients, once") > measured.kept("random") + 0.05
    assert measured.count < 0.4 * measured.n_edges
    for found, name in ((measured.greedy, "Greedy PIG"),):
        changed = measured.changed(found).double().mean()
        assert float(1 - changed) == pytest.approx(measured.kept(name))


def test_the_sentences_have_the_measured_numbers(measured):
    can, cannot = graphs.conclusions(measured)
    share = percent(measured.count / measured.n_edges)
    assert f"{share} of them keep {percent(measured.kept('Greedy PIG'))}" in can[0]
    assert f"{percent(measured.kept('random'))} when they are chosen at random" in can[0]
    ends = measured.greedy.game.players.ends
    same = measured.graph.labels[ends[0]] == measured.graph.labels[ends[1]]
    assert f"of all edges {percent(float(same.double().mean()))}" in can[1]
    values = measured.greedy.values[0]
    assert values.max() > values[-1]
    assert "That more edges are better" in cannot[1]
    growing = dataclasses.replace(measured.greedy, values=values.sort().values[None])
    steady = dataclasses.replace(measured, greedy=growing)
    assert len(graphs.conclusions(steady)[1]) == 1


def test_the_section_has_both_pictures(measured):
    report = Report("title")
    graphs.section(report.section("more"), measured)
    reader = Reader(report.to_html())
    assert sum(tag == "img" for tag, _ in reader.tags) == 2
    assert "finds the block of" in reader.words


def test_the_graph_depends_on_the_seed_alone_and_leaves_the_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = block_graph(1), block_graph(1), block_graph(2)
    nets = [train(graph, 3, epochs=3) for graph in (first, again)]
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.edge_index, again.edge_index)
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    for left, right in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(left, right)
        assert not left.requires_grad
    assert first.labels.bincount().tolist() == [60] * 4
    assert len(first.train.unique()) == 144
    source, target = first.edge_index
    assert bool((source != target).all())
