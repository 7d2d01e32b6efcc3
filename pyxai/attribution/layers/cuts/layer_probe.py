"""Values of a layer inside a model, and gradients with respect to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyxai.attribution.layers.cuts.grad_kwargs import depending
from pyxai.attribution.layers.cuts.layer_runs import run_with_layers
from pyxai.runner import Runner
from pyxai.runner.arguments import take_arguments

__all__ = ["LayerProbe"]


class _Carried(torch.autograd.Function):
    """Values of a layer, made to depend on a carrier, and their gradients, which are kept."""

    @staticmethod
    def forward(
        ctx: Any, kept: list[tuple[Tensor, ...]], carrier: Tensor, *values: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.kept, ctx.carrier = kept, (carrier.shape, carrier.device)
        return tuple(value.clone() for value in values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        ctx.kept[:] = [gradients]
        # NaN where a gradient is not finite, which whoever asked for that of the carrier looks at.
        size, device = ctx.carrier
        zeros = [(each * 0).sum().to(device, torch.float32) for each in gradients]
        return None, torch.stack(zeros).sum().expand(size), *(None for _ in gradients)


class LayerProbe:
    """A model whose first arguments are added to a layer's values.

    Gradients with respect to the added zeros are gradients with respect to the layer, so that the
    runner's way of taking gradients, with its batches and its care for the model, serves layers.
    With a carrier in place of zeros, of one number a row, their form need not be known.
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
        self.forms: tuple[Tensor, ...] = ()  # one row of each tensor of the layer, or the carrier
        self.seen: tuple[Tensor, ...] = ()  # of the last run
        self._carries = False
        self._kept: list[tuple[Tensor, ...]] = []  # gradients, until a carrying run is consumed

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
            self.seen = tuple(value.detach().clone() for value in values)
            if self._carries:
                carried: tuple[Tensor, ...] = _Carried.apply(  # type: ignore[no-untyped-call]
                    self._kept, args[0], *values
                )
                return carried
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
        self.forms = ()
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

        One example is run by itself, which for a few images takes about as long as they do
        together, only where the values do not show that examples are in dimension 0.
        """
        self.forms, self._carries = (torch.zeros(1, 1, device=arguments[0].device),), True
        try:
            sizes, values, gradients = self._run(runner, batch)
        except Exception:
            self.measure(batch, arguments)  # says what is wrong in the user's words, if anything is
            raise
        finally:
            self._carries = False
        if all(_leads(shape, rows) for rows, shapes in sizes for shape in shapes):
            return values, gradients
        self.measure(batch, arguments)
        if any(shape[:1] != (rows,) for rows, shapes in sizes for shape in shapes):
            _, values, gradients = self._run(runner, batch)
        return values, gradients

    def _run(
        self, runner: Runner, batch: int
    ) -> tuple[list[tuple[int, list[torch.Size]]], list[Tensor], list[Tensor]]:
        """Return rows and shapes of each pass, and values and gradients of all."""
        sizes: list[tuple[int, list[torch.Size]]] = []
        values: list[tuple[Tensor, ...]] = []
        gradients: list[tuple[Tensor, ...]] = []

        def build(examples: slice, _: slice) -> tuple[Tensor, ...]:
            rows = examples.stop - examples.start
            return tuple(form.expand(rows, *form.shape[1:]).clone() for form in self.forms)

        def consume(examples: slice, __: slice, grads: tuple[Tensor, ...]) -> None:
            sizes.append((examples.stop - examples.start, [each.shape for each in self.seen]))
            values.append(self.seen)
            if self._carries:  # nothing is kept where the output does not depend on the layer
                grads = self._kept.pop() if self._kept else tuple(map(torch.zeros_like, self.seen))
            gradients.append(grads)

        runner.gradients(build, batch, 1, consume, like=self.forms)
        return (
            sizes,
            [torch.cat(parts) for parts in zip(*values, strict=True)],
            [torch.cat(parts) for parts in zip(*gradients, strict=True)],
        )


def _leads(shape: torch.Size, rows: int) -> bool:
    """Whether a shape shows that dimension 0 is that of the rows."""
    return shape[:1] == (rows,) and (rows == 1 or rows not in shape[1:])


def _any_scalar(outputs: Tensor) -> Tensor:
    return (
        outputs
        if outputs.dim() == 0
        else outputs.flatten(1)[:, 0]
        if outputs.dim() > 1
        else outputs
    )
