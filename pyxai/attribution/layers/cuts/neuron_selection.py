"""Which neurons of a layer are explained."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from torch import Tensor

from pyxai._checks import describe

__all__ = ["NeuronSelector", "Neurons", "SummedNeurons"]

NeuronSelector = int | tuple[int | slice, ...] | Callable[..., Tensor]


class Neurons:
    """Choose neurons of a layer: ``[rows, ...]`` values give ``[rows, n_chosen]``.

    Parameters
    ----------
    selector : int, tuple of int and slice, or callable
        An index for each dimension of the layer after the examples (last ones of size 1 need none),
        where slices choose several neurons; or a function of the layer's tensor, or of the tuple of
        its tensors, that returns a row for each example.

    Raises
    ------
    TypeError
        If it is something else.
    """

    def __init__(self, selector: Any) -> None:
        self.selector = selector
        self.indices: tuple[int | slice, ...] | None = None
        if callable(selector):
            return
        entries = selector if isinstance(selector, tuple) else (selector,)
        self.indices = tuple(map(_as_index, entries))
        if not entries:
            raise TypeError("neuron_selector must have at least one index, got an empty tuple")

    def __call__(self, values: tuple[Tensor, ...]) -> Tensor:
        """Return the neurons that are chosen, [rows, n_chosen].

        Raises
        ------
        ValueError
            If an index does not fit, or a function returns something else than a row for each.
        """
        if self.indices is None:
            return self._by_function(values)
        if len(values) > 1:
            raise ValueError(
                "neuron_selector must be a function for a layer of several tensors, got "
                f"{self.selector!r} for {len(values)}"
            )
        sizes = tuple(values[0].shape[1:])
        missing = sizes[len(self.indices) :]
        if len(self.indices) > len(sizes) or any(size != 1 for size in missing):
            raise ValueError(
                f"neuron_selector must have {len(sizes)} index(es) for a layer of shape "
                f"{['rows', *sizes]}, got {self.selector!r}"
            )
        for index, size in zip(self.indices, sizes, strict=False):
            if isinstance(index, int) and not -size <= index < size:
                raise ValueError(
                    f"neuron_selector must be in {-size} .. {size - 1} for a layer of shape "
                    f"{['rows', *sizes]}, got {self.selector!r}"
                )
        chosen = values[0][(slice(None), *self.indices)]
        if chosen.shape[1:].numel() == 0:
            raise ValueError(f"neuron_selector must choose a neuron, got {self.selector!r}")
        return chosen.reshape(len(chosen), -1)

    def _by_function(self, values: tuple[Tensor, ...]) -> Tensor:
        return self._as_rows(
            self.selector(values if len(values) > 1 else values[0]), len(values[0])
        )

    def _as_rows(self, found: Any, n_rows: int) -> Tensor:
        if not isinstance(found, Tensor) or found.dim() == 0 or len(found) != n_rows:
            raise ValueError(
                "neuron_selector must return a tensor with a row for each example, got "
                f"{describe(found)} for {n_rows}"
            )
        return found.reshape(len(found), -1)


class SummedNeurons(Neurons):
    """The sum of the neurons that are chosen: one number for each row.

    A function may return one number for all rows, as a sum over them is: an output that mixes rows,
    which the runner knows what to do with.
    """

    def __call__(self, values: tuple[Tensor, ...]) -> Tensor:
        """Return the sum, [rows], or what a function makes of all rows, []."""
        found = super().__call__(values)
        return found if found.dim() == 0 else found.sum(1)

    def _as_rows(self, found: Any, n_rows: int) -> Tensor:
        if isinstance(found, Tensor) and found.dim() == 0:
            return found
        return super()._as_rows(found, n_rows)


def _as_index(value: Any) -> int | slice:
    if isinstance(value, slice):
        return value
    if isinstance(value, bool):
        raise TypeError(f"neuron_selector must hold integers or slices, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            "neuron_selector must be an integer, a tuple of integers and slices, or a function, "
            f"got {describe(value)}"
        ) from None
