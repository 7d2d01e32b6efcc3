"""Products with a sparse adjacency whose gradients cost as much as the graph has entries.

The gradient that torch takes of ``A @ h`` with respect to the entries of a sparse A forms the dense
product of n x n numbers first. Here it is a sampled product, ``<grad[row], h[column]>`` for each
entry, and models need not know: the product is replaced while they run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

__all__ = ["Pattern", "SparseProducts"]

# Numbers that a part of a sampled product holds at once: few enough to stay in the caches.
_PART = 2**18

_PRODUCTS = frozenset(
    {
        torch.mm,
        torch.matmul,
        torch.spmm,
        torch.sparse.mm,
        torch.Tensor.mm,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
    }
)


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the entries of a square sparse matrix are.

    Attributes
    ----------
    size : int
        Rows and columns.
    indices : Tensor, shape [2, n_places]
        int64 rows and columns, sorted by row.
    turned : Tensor, shape [2, n_places]
        int64 columns and rows, sorted by column: the transpose.
    order : Tensor, shape [n_places]
        int64, which entry each of the transpose is.
    """

    size: int
    indices: Tensor
    turned: Tensor
    order: Tensor

    @classmethod
    def of(cls, indices: Tensor, size: int) -> Pattern:
        """Make the pattern of sorted indices [2, n_places]."""
        order = (indices[1] * size + indices[0]).argsort()
        return cls(size, indices, indices.flip(0)[:, order], order)

    def matrix(self, values: Tensor) -> Tensor:
        """Return the matrix, a coalesced COO tensor."""
        return self._coo(self.indices, values)

    def transpose(self, values: Tensor) -> Tensor:
        """Return its transpose."""
        return self._coo(self.turned, values[self.order])

    def _coo(self, indices: Tensor, values: Tensor) -> Tensor:
        size = (self.size, self.size)
        return torch.sparse_coo_tensor(
            indices, values, size, is_coalesced=True, check_invariants=False
        )

    def sampled_product(self, left: Tensor, right: Tensor) -> Tensor:
        """Return ``<left[row], right[column]>`` for each entry, [n_places]."""
        width = max(1, _PART // max(1, left.shape[1]))
        parts = [
            (left[rows] * right[columns]).sum(1)
            for rows, columns in zip(
                torch.split(self.indices[0], width),
                torch.split(self.indices[1], width),
                strict=True,
            )
        ]
        return torch.cat(parts)


class _Product(torch.autograd.Function):
    """``A @ h`` as a function of A's values and of h."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, dense: Tensor, pattern: Pattern) -> Tensor:
        ctx.save_for_backward(values, dense)
        ctx.pattern = pattern
        return pattern.matrix(values) @ dense

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values, dense = ctx.saved_tensors
        pattern: Pattern = ctx.pattern
        by_value = pattern.sampled_product(grad, dense) if ctx.needs_input_grad[0] else None
        by_dense = pattern.transpose(values) @ grad if ctx.needs_input_grad[1] else None
        return by_value, by_dense, None


class SparseProducts(TorchFunctionMode):
    """Replace products of one sparse matrix with dense ones inside the block.

    Parameters
    ----------
    matrix : Tensor, shape [n, n]
        What the model is given; every other use of it goes torch's way.
    values : Tensor, shape [n_places]
        Its entries, which gradients go to.
    pattern : Pattern
        Where they are.
    """

    def __init__(self, matrix: Tensor, values: Tensor, pattern: Pattern) -> None:
        super().__init__()
        self.matrix, self.values, self.pattern = matrix, values, pattern

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one function, ours if it is a product of the matrix."""
        if func in _PRODUCTS and not kwargs and len(args) == 2 and args[0] is self.matrix:
            dense = args[1]
            if isinstance(dense, Tensor) and dense.layout == torch.strided and dense.dim() == 2:
                product: Any = _Product  # torch leaves `apply` untyped
                return product.apply(self.values, dense, self.pattern)
        return func(*args, **(kwargs or {}))
