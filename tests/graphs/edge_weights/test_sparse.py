"""Products with a sparse adjacency: torch's results, at the cost of the entries."""

from __future__ import annotations

import pytest
import torch
from graph_references import random_graph
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pyxai.graphs import GraphGame
from pyxai.graphs.edge_weights.sparse import Pattern, SparseProducts

PATTERN = Pattern.of(torch.tensor([[0, 0, 1, 3, 3], [1, 3, 1, 0, 2]]), 4)


def numbers(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PRODUCTS = {
    "@": lambda a, h: a @ h,
    "torch.mm": torch.mm,
    "torch.matmul": torch.matmul,
    "torch.spmm": torch.spmm,
    "torch.sparse.mm": torch.sparse.mm,
    "Tensor.mm": lambda a, h: a.mm(h),
    "Tensor.matmul": lambda a, h: a.matmul(h),
}
OTHERS = {
    "the transpose": lambda a, h: a.t() @ h,
    "a vector": lambda a, h: (a @ h[:, 0])[:, None],
    "twice the matrix": lambda a, h: (2 * a) @ h,
    "a dense copy": lambda a, h: a.to_dense() @ h,
    "addmm": lambda a, h: torch.sparse.addmm(h, a, h),
}


@pytest.mark.parametrize("product", [*PRODUCTS.values(), *OTHERS.values()],
                         ids=[*PRODUCTS, *OTHERS])  # fmt: skip
def test_values_and_gradients_are_those_of_torch(product):
    values, dense = numbers(5).requires_grad_(), numbers(4, 3, seed=1).requires_grad_()
    cotangent = numbers(4, 3, seed=2)
    results = []
    for ours in (True, False):
        matrix = PATTERN.matrix(values)
        if ours:
            with SparseProducts(matrix, values, PATTERN):
                found = product(matrix, dense)
        else:
            found = product(matrix, dense)
        cotangents = cotangent[:, : found.shape[1]]
        results.append((found.detach(), *torch.autograd.grad(found, (values, dense), cotangents)))
    for own, theirs in zip(*results, strict=True):
        torch.testing.assert_close(own, theirs)


def test_gradients_are_those_of_differences():
    def product(values, dense):
        matrix = PATTERN.matrix(values)
        with SparseProducts(matrix, values, PATTERN):
            return matrix @ dense

    inputs = numbers(5).requires_grad_(), numbers(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(product, inputs)


def test_a_sampled_product_is_the_same_in_parts(monkeypatch):
    left, right = numbers(4, 3), numbers(4, 3, seed=1)
    whole = PATTERN.sampled_product(left, right)
    rows, columns = PATTERN.indices
    torch.testing.assert_close(whole, (left @ right.T)[rows, columns])
    monkeypatch.setattr("pyxai.graphs.edge_weights.sparse._PART", 6)
    assert torch.equal(PATTERN.sampled_product(left, right), whole)


def test_the_transpose_is_the_transpose():
    values = numbers(5)
    turned = PATTERN.transpose(values)
    assert torch.equal(turned.to_dense(), PATTERN.matrix(values).to_dense().T)
    torch.testing.assert_close(turned, PATTERN.matrix(values).t().coalesce())


class Largest(TorchDispatchMode):
    """The most numbers that a tensor holds which an operation returns."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor) and value.layout == torch.strided:
                self.numbers = max(self.numbers, value.numel())
        return result


def test_nothing_as_large_as_the_dense_matrix_is_made():
    n_nodes = 300
    there = torch.arange(n_nodes - 1)
    edge_index = torch.cat([torch.stack([there, there + 1]), torch.stack([there + 1, there])], 1)
    x = numbers(n_nodes, 2)
    game = GraphGame(
        lambda x, a: a @ torch.tanh(a @ x), x, edge_index, weights_as="sparse", output="logit"
    )
    points = numbers(1, game.n_players)
    with Largest() as counter:
        game.gradients(points)
    assert counter.numbers < 20 * n_nodes
    dense = GraphGame(
        lambda x, a: a @ torch.tanh(a @ x), x, edge_index, weights_as="dense", output="logit"
    )
    torch.testing.assert_close(game.gradients(points), dense.gradients(points))


def test_a_model_may_use_the_matrix_in_any_way():
    edge_index = random_graph(4)
    x = numbers(7, 3)
    models = [
        lambda x, a: torch.sparse.mm(a, torch.sparse.mm(a, x)),
        lambda x, a: a @ x + torch.sparse.sum(a, 1).to_dense()[:, None],
        lambda x, a: a.t() @ x,
    ]
    for model in models:
        sparse = GraphGame(model, x, edge_index, weights_as="sparse", output="logit")

        def dense_model(x, a, model=model):
            return model(x, a.to_sparse())

        dense = GraphGame(dense_model, x, edge_index, weights_as="dense", output="logit")
        points = numbers(2, sparse.n_players)
        torch.testing.assert_close(sparse.gradients(points), dense.gradients(points))
