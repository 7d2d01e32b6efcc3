"""Extra arguments of a model: which belong to the rows, and which to all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyxai._checks import describe

__all__ = [
    "Shared",
    "as_arguments",
    "follows",
    "map_rows",
    "own_values",
    "take_arguments",
    "take_copies",
]


@dataclass(frozen=True, eq=False)
class Shared:
    """An extra argument of a model that all rows share, whatever its size.

    Without the mark, a tensor among ``additional_forward_args`` (also within tuples, lists and
    dicts) whose first size is the number of examples is taken to hold a row for each, and is cut
    and repeated along with the rows. That is a guess: weights, a graph or a table of a size that
    happens to be that of the batch would be cut too. The model is given ``value`` itself.

    Parameters
    ----------
    value : Any
        The argument. A tuple, a list or a dict is shared with all that it holds.

    Examples
    --------
    >>> import torch, pyxai
    >>> model = lambda x, w: x.sum(1) * w.sum()
    >>> x, w = torch.ones(3, 2), torch.ones(3)  # as many weights as rows
    >>> explainer = pyxai.attribution.Saliency(model)
    >>> explainer.attribute(x, additional_forward_args=pyxai.Shared(w))
    tensor([[3., 3.],
            [3., 3.],
            [3., 3.]])
    """

    value: Any


def as_arguments(additional_forward_args: Any) -> tuple[Any, ...]:
    """Return extra arguments as a tuple: anything else counts as one, ``None`` as none."""
    if additional_forward_args is None:
        return ()
    if isinstance(additional_forward_args, tuple):
        return additional_forward_args
    return (additional_forward_args,)


def own_values(arguments: Any) -> Any:
    """Return arguments as the model is given them, without the marks of `Shared`."""

    def value(leaf: Any) -> Any:
        return own_values(leaf.value) if isinstance(leaf, Shared) else leaf

    return pytree.tree_map(value, arguments)


def follows(leaf: Any, batch: int) -> bool:
    """Tell whether a leaf of the arguments holds a row for each example: its first size says so."""
    return isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.size(0) == batch


def map_rows(function: Callable[[Tensor], Tensor], arguments: Any, batch: int) -> Any:
    """Apply a function to the arguments that hold a row for each of ``batch`` examples.

    Those within tuples, lists and dicts count; others, and what is `Shared`, stay as they are.

    Raises
    ------
    TypeError
        If such an argument is sparse or nested: its rows are not cut or repeated.
    """

    def change(leaf: Any) -> Any:
        if not follows(leaf, batch):
            return leaf
        if leaf.layout != torch.strided or leaf.is_nested:
            raise TypeError(
                "additional_forward_args must be dense tensors where they have a row for each of "
                f"{batch} examples, or pyxai.Shared(value) where all rows share them, "
                f"got {describe(leaf)} of layout {leaf.layout}"
            )
        return function(leaf)

    return pytree.tree_map(change, arguments)


def take_arguments(arguments: Any, rows: Tensor | slice, batch: int) -> Any:
    """Take rows, some or some repeated, of the arguments that hold one for each example."""
    if isinstance(rows, slice):
        whole = rows == slice(0, batch)
        return arguments if whole else map_rows(lambda leaf: leaf[rows], arguments, batch)
    return map_rows(lambda leaf: leaf[rows.to(leaf.device)], arguments, batch)


def take_copies(arguments: Any, rows: Tensor, batch: int) -> Any:
    """Take rows of the arguments for a call that looks again for those that belong to its rows.

    What all examples share and has as many rows as are taken would be cut there, so it is marked
    as `Shared`.
    """
    count = len(rows)

    def mark(leaf: Any) -> Any:
        return Shared(leaf) if count != batch and follows(leaf, count) else leaf

    return take_arguments(pytree.tree_map(mark, arguments), rows, batch)
