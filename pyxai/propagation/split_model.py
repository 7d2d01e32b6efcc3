"""A model as its affine first layers, run once for a whole path, and the rest of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai.game.path import path_attributions
from pyxai.ops.path_accumulate import path_accumulate
from pyxai.ops.path_points import path_points
from pyxai.propagation.row_passes import row_passes
from pyxai.runner import Runner
from pyxai.runner.arguments import take_arguments
from pyxai.tracing import AffinePrefix, trace

__all__ = ["Ends", "SplitModel", "split_model"]


@dataclass(frozen=True)
class Ends:
    """What the affine first layers give for some inputs, and the way back through them.

    The way back is the same wherever the values stand, so that the pass that has found them serves
    any number of gradients.

    Attributes
    ----------
    values : tuple of Tensor, shape [batch, ...] each
        z at the inputs.
    parts : tuple
        Inputs and values with autograd's record between them, of the passes one after the other.
    """

    values: tuple[Tensor, ...]
    parts: tuple[tuple[Tensor, tuple[Tensor, ...]], ...]

    def back(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Return the gradient at the inputs from that at z."""
        found: list[Tensor] = []
        first = 0
        for leaf, values in self.parts:
            rows = slice(first, first + len(leaf))
            given = [g[rows].to(v.dtype) for g, v in zip(gradients, values, strict=True)]
            with torch.inference_mode(False):
                found += torch.autograd.grad(values, leaf, given, retain_graph=True)
            first = rows.stop
        return found[0] if len(found) == 1 else torch.cat(found)


@dataclass(frozen=True)
class SplitModel:
    """A model that is cut behind its affine first layers.

    Points of a path are affine in t, and so are their values z after affine layers. So z at both
    ends serves all nodes; and since going back through these layers is linear, it is done once,
    with the weighted mean of the gradients at the nodes.

    Attributes
    ----------
    model : nn.Module
    prefix : AffinePrefix
    """

    model: nn.Module
    prefix: AffinePrefix

    @property
    def n_values(self) -> int:
        """How many tensors z is."""
        return len(self.prefix.boundary)

    def rest(self) -> Callable[..., Tensor]:
        """Return the layers after the prefix, as a function of z and the further arguments."""
        return _Resumed(self.model, self.prefix)

    def ends(self, x: Tensor, arguments: tuple[Any, ...]) -> Ends:
        """Return z at inputs [batch, *features]; further arguments of the model follow the rows."""
        parts: list[tuple[Tensor, tuple[Tensor, ...]]] = []

        def work(examples: slice) -> tuple[Tensor, ...]:
            # A record needs tensors of its own where the caller is in inference mode.
            with torch.inference_mode(False), torch.enable_grad():
                leaf = x[examples].detach().clone().requires_grad_()
                values = self._run(leaf, take_arguments(arguments, examples, len(x)))
            parts.append((leaf, values))
            return tuple(value.detach() for value in values)

        return Ends(tuple(row_passes(self.prefix.graph, (x,), 2, work)), tuple(parts))

    def shown(
        self,
        x: Tensor,
        baseline: Tensor | float,
        owners: Tensor | None,
        selected: Tensor,
        arguments: tuple[Any, ...],
    ) -> tuple[Tensor, ...]:
        """Return z where only selected players [batch, n_words] are at the input."""
        start = path_points(x, baseline, [0.0], owners, selected)[0]

        def work(examples: slice) -> tuple[Tensor, ...]:
            return self._run(start[examples], take_arguments(arguments, examples, len(x)))

        with torch.no_grad():
            return tuple(row_passes(self.prefix.graph, (start,), 1, work))

    def path_sums(
        self,
        runner: Runner,
        x: Tensor,
        baseline: Tensor | float,
        owners: Tensor | None,
        selected: Tensor,
        arguments: tuple[Any, ...],
        nodes: Tensor,
        weights: Tensor,
        *,
        n_players: int,
        ends: Ends | None = None,
        cotangents: Tensor | None = None,
    ) -> Tensor:
        """Return path integrated gradients of the players from a selection to the input.

        Parameters
        ----------
        runner : Runner
            Of a function of z.
        x, baseline, owners
            One input, where its path starts, and the player of each feature; see `path_points`.
        selected : Tensor, shape [batch, n_words]
            int32 players that are at the input all along, and get 0.
        arguments : tuple
            Further arguments of the model.
        nodes, weights, cotangents
            As for `path_attributions`.
        n_players : int
            How many players there are.
        ends : Ends, optional
            Those of the inputs, where they are known.

        Returns
        -------
        Tensor, shape [batch, n_players]
            float64 for float64 inputs and float32 otherwise.
        """
        known = self.ends(x, arguments) if ends is None else ends
        means = path_attributions(
            runner,
            known.values,
            self.shown(x, baseline, owners, selected, arguments),
            nodes,
            weights,
            multiply_by_inputs=False,
            cotangents=cotangents,
        )
        once = torch.ones(1, dtype=torch.float64)
        gradient = known.back(means)[None]
        return path_accumulate(gradient, once, x, baseline, owners, selected, n_players=n_players)

    def _run(self, x: Tensor, arguments: tuple[Any, ...]) -> tuple[Tensor, ...]:
        return tuple(self.prefix.apply((x,), arguments).values())


def split_model(model: Any, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> SplitModel:
    """Trace a model and cut it behind its affine first layers.

    A traced graph knows nothing of ``detach``, backward hooks, and gradients that a custom function
    makes up. So the gradients of two rows, each alone, are compared with those of the cut model.

    Raises
    ------
    TypeError
        If the model is no ``nn.Module``.
    ValueError
        If there are several inputs, or the model does not start with affine layers, or treats the
        rows of a batch together, or has other gradients than its operations.
    UnsupportedOperationError
        If the model cannot be traced.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module for affine_prefix, got {describe(model)}")
    if len(inputs) != 1:
        raise ValueError(
            f"inputs must be one tensor for affine_prefix, got a tuple of {len(inputs)}"
        )
    graph = trace(model, inputs, arguments)
    prefix = graph.first_linear()
    if prefix is None or not (graph.batch_is_free and graph.program.rows_apart):
        raise ValueError(
            "model must start with affine layers, and keep the rows of a batch apart, for "
            f"affine_prefix, got {graph}"
        )
    split = SplitModel(model, prefix)
    _check_gradients(split, inputs[0], arguments)
    return split


def _check_gradients(split: SplitModel, x: Tensor, arguments: tuple[Any, ...]) -> None:
    count = min(2, len(x))
    alone: list[Tensor] = []
    for rows in (slice(i, i + 1) for i in range(count)):
        given = take_arguments(arguments, rows, len(x))
        alone += _gradients(split.model, (x[rows],), given)
    given = take_arguments(arguments, slice(0, count), len(x))
    ends = split.ends(x[:count], given)
    together = ends.back(_gradients(split.rest(), ends.values, given))
    direct = torch.cat(alone)
    apart = (together - direct).abs().max()
    # Far above rounding, far below what any of these causes changes.
    if apart > 1e-3 * direct.abs().max():
        raise ValueError(
            "model must have the gradients of its operations, and keep the rows of a batch apart, "
            f"for affine_prefix, got gradients {float(apart):.3g} off at the inputs (detach, "
            "no_grad, backward hooks and custom functions cause this); pass affine_prefix=False"
        )


def _gradients(
    model: Callable[..., Any], inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]
) -> tuple[Tensor, ...]:
    """Return the gradients of a sum of all outputs at one or two rows, in one pass."""
    found: list[Tensor] = []

    def take(_: slice, __: slice, grads: tuple[Tensor, ...]) -> None:
        found.extend(grads)

    runner = Runner(_mixed(model), additional_forward_args=arguments)
    runner.gradients(lambda *_: inputs, len(inputs[0]), 1, take)
    return tuple(found)


def _mixed(model: Callable[..., Any]) -> Callable[..., Any]:
    """Return a fixed sum of all outputs of a model, which has a part in the gradient of each."""

    def call(*given: Any) -> Any:
        outputs = model(*given)
        if not isinstance(outputs, Tensor):
            return outputs
        flat = outputs.reshape(len(outputs), -1)
        places = torch.arange(1, flat.shape[1] + 1, dtype=flat.dtype, device=flat.device)
        return (flat * places.cos()).sum(1)

    return call


class _Resumed:
    """The layers after the prefix."""

    def __init__(self, model: nn.Module, prefix: AffinePrefix) -> None:
        self.model, self.prefix = model, prefix  # the model is seen by who looks for its modules

    def __call__(self, *given: Any) -> Tensor:
        nodes = self.prefix.boundary
        values = dict(zip(nodes, given[: len(nodes)], strict=True))
        return self.prefix.resume(values, additional_forward_args=given[len(nodes) :])
