"""Integrals along a path with nodes where each example needs them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._errors import warn
from pyxai._inputs import flat_features
from pyxai.attribution.paths.path_pieces import first_pieces
from pyxai.explanation.rows import take_baselines, take_target
from pyxai.game.path import rows_of, sum_dtype
from pyxai.ops.path_points import path_points
from pyxai.runner import Runner
from pyxai.runner.arguments import take_copies

__all__ = ["PathCall", "integrate_adaptively"]

_FIRST = (0.0, 0.25, 0.5, 0.75, 1.0)
# Of gradients that are held for examples that are refined together, with 32 nodes each.
_HELD_BYTES, _USUAL_NODES = 2**28, 32


class PathCall(NamedTuple):
    """The arguments that have one row for each example."""

    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor | float, ...]
    target: Any
    arguments: Any

    def take(self, rows: Tensor) -> PathCall:
        """Return the call for some of the examples, or for some of them repeated."""
        batch = len(self.inputs[0])
        return PathCall(
            tuple(tensor[rows] for tensor in self.inputs),
            take_baselines(self.baselines, self.inputs, rows),
            take_target(self.target, rows, batch),
            take_copies(self.arguments, rows, batch),
        )


def integrate_adaptively(
    run: Callable[[PathCall], Runner],
    call: PathCall,
    tolerance: float,
    max_nodes: int,
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the integrals, [batch, *features], and their gaps of completeness, [n_outputs].

    Every path is cut into pieces of three nodes, Simpson's rule on each, and those with the largest
    errors are halved until the gap is at most ``tolerance`` of the change of the output and the
    error of the attributions, as `Pieces.look` estimates it, at most 2.5 times ``tolerance`` of
    them (sums of absolute values). Examples that are done take no further nodes.
    """
    batch = len(call.inputs[0])
    places = torch.tensor(_FIRST, dtype=torch.float64).expand(batch, -1)
    outputs, terms = _asked(run, call, places)
    n_paths = len(outputs)  # 1 for a model with one output for the whole batch
    outputs, terms = outputs.T, terms.reshape(len(_FIRST), n_paths, -1)  # [n_nodes, n_paths, ...]
    found, gaps = torch.empty_like(terms[0]), torch.empty_like(outputs[0])
    missed: list[Tensor] = []
    size = _USUAL_NODES * terms[0, 0].nbytes
    together = max(1, _HELD_BYTES // max(size, 1))
    for paths in torch.split(torch.arange(n_paths, device=gaps.device), together):

        def ask(chosen: Tensor, places: Tensor, paths: Tensor = paths) -> tuple[Tensor, Tensor]:
            if n_paths == 1:  # all examples make one path, or there is one of them
                values, rows = _asked(run, call, places.expand(batch, -1))
            else:
                values, rows = _asked(run, call.take(paths[chosen]), places[:, None])
            return values.reshape(-1), rows.reshape(len(places), -1)

        pieces = first_pieces(_FIRST, outputs[:, paths], terms[:, paths])
        found[paths], gaps[paths], left = pieces.refine(ask, tolerance, max_nodes)
        missed.append(paths[left])
    lost = torch.cat(missed)
    if lost.numel():
        share = (gaps[lost] / (outputs[-1] - outputs[0])[lost]).abs().max()
        warn(
            f"integrated gradients miss the tolerance of {tolerance:g} in "
            f"{len(lost) if n_paths == batch else batch} of {batch} example(s), whose gaps are up "
            f"to {float(share):.3g} of the change of the output, with max_steps={max_nodes}; raise "
            "it, or look for jumps of the model on the path"
        )
    return _parted(found.reshape(batch, -1), call.inputs), gaps


def _asked(
    run: Callable[[PathCall], Runner], call: PathCall, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Return outputs at some places of each path and what the features add to the slope there.

    Places are [batch, n_nodes]; outputs [batch or 1, n_nodes], float64; what features add,
    ``(x - b) * gradient``, [n_nodes, batch, n_features of all inputs].
    """
    inputs, (batch, n_nodes) = call.inputs, places.shape
    starts = tuple(
        start if isinstance(start, Tensor) else tensor.new_full((1, *tensor.shape[1:]), start)
        for start, tensor in zip(call.baselines, inputs, strict=True)
    )
    widths = [flat_features(tensor).shape[1] for tensor in inputs]
    dtype = functools.reduce(torch.promote_types, (sum_dtype(tensor.dtype) for tensor in inputs))
    terms = torch.empty(n_nodes, batch, sum(widths), dtype=dtype, device=inputs[0].device)

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        nodes = places[examples, repeats].T.contiguous()
        points = []
        for tensor, start in zip(inputs, starts, strict=True):
            mine = rows_of(start, examples)
            rows = torch.arange(nodes.shape[1], device=tensor.device) % len(mine)
            points.append(path_points(tensor[examples], mine, nodes, rows=rows).flatten(0, 1))
        return tuple(points)

    def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
        parts = torch.split(terms[repeats, examples], widths, -1)
        for tensor, start, grad, part in zip(inputs, starts, grads, parts, strict=True):
            moved = tensor[examples].to(dtype) - rows_of(start, examples)
            torch.mul(grad.reshape(part.shape), flat_features(moved), out=part)

    outputs = run(call).gradients(build, batch, n_nodes, consume, like=inputs, own_rows=True)
    return outputs.double(), terms


def _parted(found: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return what features of all inputs got in the shapes of the inputs."""
    parts = torch.split(found, [flat_features(tensor).shape[1] for tensor in inputs], 1)
    return tuple(
        part.reshape(tensor.shape).to(sum_dtype(tensor.dtype))
        for part, tensor in zip(parts, inputs, strict=True)
    )
