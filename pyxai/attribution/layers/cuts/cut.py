"""What the methods of layers ask: values of layers for inputs and baselines, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai._checks import check_int
from pyxai._inputs import format_baselines, format_inputs
from pyxai.attribution.layers.cuts.from_layers import FromLayers
from pyxai.attribution.layers.cuts.layer_runs import Values
from pyxai.attribution.layers.cuts.up_to_layer import layer_values
from pyxai.methods.base import baseline_rows
from pyxai.runner.arguments import Shared, as_arguments, follows, map_rows, take_arguments

__all__ = ["Cut", "cut_at", "one_or_tuple"]


@dataclass(frozen=True)
class Cut:
    """A model cut at some layers, for some inputs.

    Attributes
    ----------
    forward_func, layers, at_input, max_rows
        The model, where it is cut, and the most rows of a pass.
    inputs : tuple of Tensor, shape [batch, *features] each
    arguments : tuple
        Further arguments of the model.
    parts : list of tuple of Tensor
        What each layer gives for the inputs, [batch, ...].
    zeros_if_unused : bool
        As of `FromLayers`.
    """

    forward_func: Callable[..., Any]
    layers: Sequence[nn.Module]
    at_input: bool
    max_rows: int | None
    inputs: tuple[Tensor, ...]
    arguments: tuple[Any, ...]
    parts: list[Values]
    zeros_if_unused: bool = False

    @property
    def values(self) -> Values:
        """The tensors of all layers, one after the other."""
        return tuple(value for part in self.parts for value in part)

    @property
    def rest(self) -> FromLayers:
        """The model as a function of the values, then of ``given``."""
        counts = [len(part) for part in self.parts]
        return FromLayers(
            self.forward_func,
            self.layers,
            self.at_input,
            counts,
            len(self.inputs),
            self.zeros_if_unused,
        )

    @property
    def given(self) -> tuple[Any, ...]:
        """What ``rest`` is given after the values: the inputs, and the further arguments."""
        return (*self.inputs, *self.arguments)

    def at(self, inputs: tuple[Tensor, ...]) -> Values:
        """Return the values for other inputs, [rows, ...]."""
        parts = layer_values(
            self.forward_func,
            self.layers,
            self.at_input,
            inputs,
            self.arguments,
            max_rows=self.max_rows,
        )
        return tuple(value for part in parts for value in part)

    def at_baselines(self, baselines: Any) -> Values:
        """Return the values for baselines as a user gives them, [1 or batch, ...]."""
        starts = format_baselines(baselines, self.inputs)
        alike = not any(isinstance(start, Tensor) and len(start) > 1 for start in starts)
        rows = tuple(map(baseline_rows, starts, self.inputs))
        if alike and not self.arguments_follow:
            rows = tuple(row[:1] for row in rows)
        return self.at(tuple(row.contiguous() for row in rows))

    @property
    def arguments_follow(self) -> bool:
        """Whether an argument holds a row for each example, or tensors in it do."""
        batch = len(self.inputs[0])
        leaves, _ = pytree.tree_flatten(self.arguments)
        return any(follows(leaf, batch) for leaf in leaves)

    def example(self, number: int) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
        """Return the inputs of one example, [1, *features] each, and its arguments."""
        batch, row = len(self.inputs[0]), slice(number, number + 1)

        def own(leaf: Any) -> Any:
            kept = isinstance(leaf, Tensor) and not follows(leaf, batch)
            return Shared(leaf) if kept else leaf

        arguments = take_arguments(pytree.tree_map(own, self.arguments), row, batch)
        return tuple(each[row] for each in self.inputs), arguments

    def at_background(self, rows: tuple[Tensor, ...]) -> Values:
        """Return the values for rows that the one example, or all alike, are compared with.

        The arguments of a single example go with each of them.
        """
        count = len(rows[0])
        arguments = self.arguments
        if len(self.inputs[0]) == 1:
            arguments = map_rows(lambda leaf: leaf.expand(count, *leaf.shape[1:]), arguments, 1)
        return replace(self, arguments=arguments).at(rows)

    def regrouped(self, found: Sequence[Tensor], as_list: bool) -> Any:
        """Return one tensor for each of ``values`` in the form of the layers."""
        pieces = iter(found)
        parts = [one_or_tuple([next(pieces) for _ in part]) for part in self.parts]
        return parts if as_list else parts[0]


def cut_at(
    forward_func: Callable[..., Any],
    layers: Sequence[nn.Module],
    at_input: bool,
    inputs: Any,
    additional_forward_args: Any,
    max_rows: int | None = None,
    zeros_if_unused: bool = False,
) -> Cut:
    """Run a model on inputs as a user gives them, and return it cut at layers.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, a layer is not run exactly once, or gives no floating point
        tensors with the examples in dimension 0.
    """
    tensors, _ = format_inputs(inputs)
    arguments = as_arguments(additional_forward_args)
    if max_rows is not None:
        check_int("internal_batch_size", max_rows, minimum=1)
    parts = layer_values(forward_func, layers, at_input, tensors, arguments, max_rows=max_rows)
    return Cut(forward_func, layers, at_input, max_rows, tensors, arguments, parts, zeros_if_unused)


def one_or_tuple(tensors: Sequence[Tensor]) -> Any:
    """Return the tensors of a layer as attributions have them: a tuple if there are several."""
    return tensors[0] if len(tensors) == 1 else tuple(tensors)
