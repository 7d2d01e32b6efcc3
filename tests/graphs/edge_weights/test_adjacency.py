"""Weighted adjacencies against the definition, entry by entry."""

from __future__ import annotations

import pytest
import torch
from graph_references import dense_adjacency, edge_sum, random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.graphs import normalised_weights, weighted_adjacency
from pyxai.graphs.edge_weights.adjacency import check_not_negative

RULES = ("renormalise", "frozen")


@settings(max_examples=25, deadline=None)
@given(
    entries=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=9),
    rule=st.sampled_from(RULES),
    normalise=st.sampled_from(["symmetric", "row", "none"]),
    loops=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_adjacency_is_that_of_the_definition(entries, rule, normalise, loops, seed):
    # Loops, entries given twice, one-way entries and nodes without any among them.
    edge_index = torch.tensor(entries).T
    weights = torch.rand(
        len(entries), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    options = {"degrees": rule, "normalise": normalise, "self_loops": loops}
    expected = dense_adjacency(edge_index, weights, 5, rule, normalise, loops)
    for layout in ("dense", "sparse"):
        found = weighted_adjacency(edge_index, weights, 5, layout=layout, **options)
        found = found.to_dense() if layout == "sparse" else found
        torch.testing.assert_close(found, expected)
    index, values = normalised_weights(edge_index, weights, 5, **options)
    torch.testing.assert_close(edge_sum(torch.eye(5).double(), index, values), expected)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("normalise", ["symmetric", "row", "none"])
@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_gradients_flow_through_the_adjacency(rule, normalise, layout):
    edge_index = random_graph(1)
    base = torch.rand(edge_index.shape[1], dtype=torch.float64) + 0.5

    def adjacency(weights):
        found = weighted_adjacency(
            edge_index, weights, 7, base=base, degrees=rule, normalise=normalise, layout=layout
        )
        return found.to_dense() if layout == "sparse" else found

    weights = torch.rand(edge_index.shape[1], dtype=torch.float64) * 0.8 + 0.1
    assert torch.autograd.gradcheck(adjacency, weights.requires_grad_())


def test_a_node_that_nothing_reaches_has_finite_gradients():
    edge_index = torch.tensor([[0, 1], [1, 0]])
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    total = weighted_adjacency(edge_index, weights, 3, self_loops=False).sum()
    torch.autograd.backward(total)
    assert float(total.detach()) == 0
    assert bool(torch.isfinite(weights.grad).all())


def test_weights_of_which_degrees_are_summed_may_be_0():
    check_not_negative("edge_weight", torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"^edge_weight must be at least 0 where .*, got -1e-09"):
        check_not_negative("edge_weight", torch.tensor([0.0, -1e-9]))
