"""Values of a layer inside a model, and gradients with respect to them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai.attribution.layers.cuts.grad_kwargs import depending
from pyxai.attribution.layers.cuts.layer_runs import run_with_layers
from pyxai.runner import Runner
from pyxai.runner.arguments import own_values, take_arguments

__all__ = ["LayerProbe"]

# Size, strides, dtype and device of one row of each of a layer's values, by the form of what the
# model was given. They hold if the next run shows them too.
_known: weakref.WeakKeyDictionary[nn.Module, dict[Any, list[tuple[Any, ...]]]] = (
    weakref.WeakKeyDictionary()
)


class _OtherForms(Exception):
    """A layer gives values of other forms than those that were known."""


class LayerProbe:
    """A model whose first arguments are added to a layer's values.

    Gradients with respect to the added zeros are gradients with respect to the layer, so that the
    runner's way of taking gradients, with its batches and its care for the model, serves layers.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: nn.Module,
        at_input: bool,
        n_inputs: int,
        zeros_if_unused: bool = False,
    ) -> None:
        self.forward_func = forward_func
        self.layer = layer
        self.at_input = at_input
        self.n_inputs = n_inputs
        self.zeros_if_unused = zeros_if_unused
        self.forms: tuple[Tensor, ...] = ()  # one row of each tensor of the layer
        self.seen: tuple[Tensor, ...] = ()  # of the last run
        self._recalled = False  # whether the forms are of another call

    @property
    def measured_as(self) -> tuple[Any, tuple[Any, ...]]:
        """What lives as long as the memory that it takes is known, and a name for it there."""
        return self.forward_func, (LayerProbe, id(self.layer), self.at_input)

    def __call__(self, *args: Any) -> Any:
        """Run the model with the shifts added to the values of the layer."""
        count = len(self.forms)
        # A model may write into its input, and these are the caller's tensors.
        inputs = tuple(value.detach().clone() for value in args[count : count + self.n_inputs])

        def shifted(_: int, values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            if self._recalled and list(map(_form_of, values)) != list(map(_form_of, args[:count])):
                raise _OtherForms
            self.seen = tuple(value.detach().clone() for value in values)
            return tuple(v + shift for v, shift in zip(values, args[:count], strict=True))

        outputs, [values] = run_with_layers(
            self.forward_func,
            (self.layer,),
            self.at_input,
            (*inputs, *args[count + self.n_inputs :]),
            shifted if count else None,
        )
        if not count:
            self.seen = values
            return outputs
        return depending(outputs, args[0]) if self.zeros_if_unused else outputs

    def measure(self, batch: int, arguments: tuple[Any, ...]) -> None:
        """Run one example to learn the form of the layer's value."""
        first = take_arguments(arguments, slice(0, 1), batch)
        self.forms, self._recalled = (), False
        try:
            self._any_output(self, first)
        except Exception:
            # What the user gave says more of what is wrong than its first row.
            self._any_output(self.forward_func, arguments)
            raise
        forms = self.seen
        if any(form.shape[:1] != (1,) for form in forms):
            shapes = ", ".join(str(list(form.shape)) for form in forms)
            raise ValueError(f"layer must keep the examples in dimension 0, got {shapes} for one")
        self.forms = tuple(
            torch.zeros_like(form, memory_format=torch.preserve_format) for form in forms
        )

    def _any_output(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        further = arguments[self.n_inputs :]
        runner = Runner(function, additional_forward_args=further, output=_any_scalar)
        runner.outputs(arguments[: self.n_inputs])

    def run(
        self, runner: Runner, batch: int, arguments: tuple[Any, ...]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the layer's values and the gradients with respect to them.

        The example that tells the form of the layer's value is run once for each form of the
        model's arguments: for a single image it takes as long as the pass itself.
        """
        given = [_form_of(leaf)[1:] for leaf in pytree.tree_leaves(own_values(arguments))]
        known = _known.setdefault(self.layer, {})
        key = id(self.forward_func), self.at_input, *given
        if key in known:
            self.forms = tuple(
                torch.empty_strided(size, strides, dtype=dtype, device=device).zero_()
                for size, strides, dtype, device in known[key]
            )
            self._recalled = True
            try:
                return self._run(runner, batch)
            except _OtherForms:
                known.pop(key, None)
        self.measure(batch, arguments)
        found = self._run(runner, batch)
        known[key] = [(form.shape, form.stride(), form.dtype, form.device) for form in self.forms]
        return found

    def _run(self, runner: Runner, batch: int) -> tuple[list[Tensor], list[Tensor]]:
        values: list[tuple[Tensor, ...]] = []
        gradients: list[tuple[Tensor, ...]] = []

        def build(examples: slice, _: slice) -> tuple[Tensor, ...]:
            rows = examples.stop - examples.start
            return tuple(form.expand(rows, *form.shape[1:]).clone() for form in self.forms)

        def consume(_: slice, __: slice, grads: tuple[Tensor, ...]) -> None:
            values.append(self.seen)
            gradients.append(grads)

        runner.gradients(build, batch, 1, consume, like=self.forms)
        return (
            [torch.cat(parts) for parts in zip(*values, strict=True)],
            [torch.cat(parts) for parts in zip(*gradients, strict=True)],
        )


def _form_of(value: Any) -> tuple[Any, ...]:
    """Return the number of rows of a tensor, and what else there is to its form."""
    if not isinstance(value, Tensor):
        return (None,)
    return value.shape[:1], value.shape[1:], value.dtype, value.device


def _any_scalar(outputs: Tensor) -> Tensor:
    return (
        outputs
        if outputs.dim() == 0
        else outputs.flatten(1)[:, 0]
        if outputs.dim() > 1
        else outputs
    )
