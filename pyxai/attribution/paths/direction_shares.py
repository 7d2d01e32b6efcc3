"""Squared gradients share the change of the output in each step of a path."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pyxai._deferred_checks import checked_at_the_end
from pyxai._inputs import flat_features
from pyxai.attribution.paths.guided_path import GuidedPath, from_flat, walk
from pyxai.runner import Runner
from pyxai.runner.progress import ProgressOption

__all__ = ["Points", "Shared", "share_along", "share_guided"]

Points = Callable[[slice, slice], tuple[Tensor, ...]]
"""``points(examples, nodes)`` to the places of some examples at some nodes of their path, from its
start to the input, [n_nodes, n_examples, *features] for each input."""


class Shared(NamedTuple):
    """What the features got, and the outputs at both ends of the path."""

    attributions: tuple[Tensor, ...]  # [batch, *features] each
    start: Tensor  # [batch]
    end: Tensor  # [batch]


def share_along(runner: Runner, inputs: tuple[Tensor, ...], points: Points, n_steps: int) -> Shared:
    """Share the steps of a path that is known before the model is asked.

    Parameters
    ----------
    runner : Runner
        What is explained.
    inputs : tuple of Tensor, shape [batch, *features]
        Ends of the paths.
    points : callable
        See `Points`; there are ``n_steps + 1`` nodes.
    n_steps : int
        Steps, each of which is shared by the gradient at its start.
    """
    batch = len(inputs[0])

    def build_values(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        return tuple(part.transpose(0, 1).flatten(0, 1) for part in points(examples, repeats))

    outputs = _checked(runner.values(build_values, batch, n_steps + 1), batch)
    changes = outputs.diff(dim=1).double()
    totals = tuple(torch.zeros_like(tensor, dtype=_wide(tensor)) for tensor in inputs)

    def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
        return tuple(part.flatten(0, 1) for part in points(examples, repeats))

    def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
        count = examples.stop - examples.start
        squares, norm = _directions(
            [
                grad.reshape(len(grad) // count, count, *grad.shape[1:]).to(total.dtype)
                for grad, total in zip(grads, totals, strict=True)
            ]
        )
        weights = _per_square(changes[examples, repeats].T, norm)
        for square, total in zip(squares, totals, strict=True):
            total[examples] += torch.einsum("sb,sb...->b...", weights.to(total.dtype), square)

    runner.gradients(build, batch, n_steps, consume)
    return Shared(totals, outputs[:, 0], outputs[:, -1])


def share_guided(
    runner: Runner,
    inputs: tuple[Tensor, ...],
    path: GuidedPath,
    n_steps: int,
    show_progress: ProgressOption,
) -> Shared:
    """Share the steps of a path that the gradients lead; see `GuidedPath` and `share_along`."""
    total = torch.zeros_like(path.start)
    first: Tensor | None = None
    before: tuple[Tensor, Tensor, Tensor] | None = None  # output, squares and norm of the last step

    def add(now: Tensor) -> None:
        if before is not None:
            value, squares, norm = before
            total.add_(_per_square((now - value).double(), norm)[:, None] * squares)

    with checked_at_the_end():
        for values, gradients in walk(path, runner, inputs, n_steps, show_progress):
            now = _checked(values, len(total))[:, 0]
            add(now)
            first = now if first is None else first
            (squares,), norm = _directions([gradients[None]])
            before = now, squares[0], norm[0]
    assert first is not None
    end = runner.outputs(inputs)
    add(end)
    return Shared(from_flat(total, inputs), first, end)


def _directions(grads: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Return squares of gradients [n, batch, *features] each, and their sums, float64 [n, batch].

    Shares do not depend on the scale of the gradients, whose squares may not be numbers; so these
    are divided by the largest first.
    """
    lead = grads[0].shape[:2]
    sizes = [flat_features(grad, 2).abs().amax(2).double() for grad in grads if grad.numel()]
    largest = torch.stack(sizes).amax(0)
    largest = torch.where(largest > 0, largest, 1)
    squares = [
        (grad / largest.to(grad.dtype).view(*lead, *[1] * (grad.dim() - 2))).square_()
        for grad in grads
    ]
    return squares, torch.stack([flat_features(part, 2).double().sum(2) for part in squares]).sum(0)


def _per_square(changes: Tensor, norm: Tensor) -> Tensor:
    """Return what a square is worth; nothing where all are 0."""
    return torch.where(norm > 0, changes / torch.where(norm > 0, norm, 1), 0)


def _checked(values: Tensor, batch: int) -> Tensor:
    if len(values) != batch:
        raise ValueError(
            f"model must return one row for each of {batch} examples, got one number for all of "
            "them"
        )
    return values


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32
