"""Values of a layer inside a model, and gradients with respect to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai.runner import Runner
from pyxai.runner.arguments import take_arguments
from pyxai.runner.own_hooks import OwnHook

__all__ = ["LayerProbe"]


class LayerProbe:
    """A model whose first arguments are added to a layer's value.

    Gradients with respect to the added zeros are gradients with respect to the layer, so that the
    runner's way of taking gradients, with its batches and its care for the model, serves layers.
    """

    def __init__(
        self, forward_func: Callable[..., Any], layer: nn.Module, at_input: bool, n_inputs: int
    ) -> None:
        self.forward_func = forward_func
        self.layer = layer
        self.at_input = at_input
        self.n_inputs = n_inputs
        self.forms: tuple[Tensor, ...] = ()  # one row of each tensor of the layer
        self.shifts: tuple[Tensor, ...] = ()
        self._hook = OwnHook(lambda *given: self._meet(given[-1]))
        self.seen: list[tuple[Tensor, ...]] = []

    @property
    def measured_as(self) -> tuple[Any, tuple[Any, ...]]:
        """What lives as long as the memory that it takes is known, and a name for it there."""
        return self.forward_func, (LayerProbe, id(self.layer), self.at_input)

    def __call__(self, *args: Any) -> Any:
        """Run the model with the shifts added to the values of the layer."""
        count = len(self.forms)
        self.shifts = args[:count]
        self.seen.clear()
        # A model may write into its input, and these are the caller's tensors.
        inputs = (value.clone() for value in args[count : count + self.n_inputs])
        with self._hook.answering():
            outputs = self.forward_func(*inputs, *args[count + self.n_inputs :])
        if len(self.seen) != 1:
            raise ValueError(
                f"layer must be run exactly once by the model, got {len(self.seen)} runs of "
                f"{type(self.layer).__name__}"
            )
        return outputs

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Watch the layer inside the block."""
        if self.at_input:
            handle = self.layer.register_forward_pre_hook(self._hook)
        else:
            handle = self.layer.register_forward_hook(self._hook)
        try:
            yield
        finally:
            handle.remove()
            self.seen.clear()
            self.shifts = ()

    def _meet(self, value: Any) -> Any:
        tensors = value if isinstance(value, tuple) else (value,)
        for tensor in tensors:
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
                raise TypeError(
                    f"layer must give floating point tensors, got {describe(tensor)} from "
                    f"{type(self.layer).__name__}"
                )
        self.seen.append(tuple(tensor.detach() for tensor in tensors))
        if not self.shifts:
            return None
        shifted = tuple(t + shift for t, shift in zip(tensors, self.shifts, strict=True))
        return shifted if isinstance(value, tuple) else shifted[0]

    def measure(self, batch: int, arguments: tuple[Any, ...]) -> None:
        """Run one example to learn the form of the layer's value."""
        first = take_arguments(arguments, slice(0, 1), batch)
        self.forms = ()
        try:
            self._any_output(self, first)
        except Exception:
            # What the user gave says more of what is wrong than its first row.
            self._any_output(self.forward_func, arguments)
            raise
        forms = self.seen[0]
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

    def run(self, runner: Runner, batch: int) -> tuple[list[Tensor], list[Tensor]]:
        """Return the layer's values and the gradients with respect to them."""
        values: list[tuple[Tensor, ...]] = []
        gradients: list[tuple[Tensor, ...]] = []

        def build(examples: slice, _: slice) -> tuple[Tensor, ...]:
            rows = examples.stop - examples.start
            return tuple(form.expand(rows, *form.shape[1:]).clone() for form in self.forms)

        def consume(_: slice, __: slice, grads: tuple[Tensor, ...]) -> None:
            values.append(self.seen[0])
            gradients.append(grads)

        runner.gradients(build, batch, 1, consume)
        return (
            [torch.cat(parts) for parts in zip(*values, strict=True)],
            [torch.cat(parts) for parts in zip(*gradients, strict=True)],
        )


def _any_scalar(outputs: Tensor) -> Tensor:
    return (
        outputs
        if outputs.dim() == 0
        else outputs.flatten(1)[:, 0]
        if outputs.dim() > 1
        else outputs
    )
