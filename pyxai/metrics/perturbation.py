"""Calls of a user's perturbation: which arguments it gets, for how many rows, what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, describe
from pyxai._inputs import format_baselines, restore_form
from pyxai.explanation.rows import take_baselines

__all__ = ["Perturb", "takes_two"]

Rows = tuple[tuple[Tensor, ...], ...]  # perturbations and perturbed inputs, one of each input


class Perturb:
    """A user's perturbation with its arguments, called for a limited number of rows at a time."""

    def __init__(
        self,
        perturb_func: Callable[..., Any],
        tensors: tuple[Tensor, ...],
        is_tuple: bool,
        baselines: Any,
        limit: int | None,
    ) -> None:
        self.perturb_func, self.tensors, self.is_tuple = perturb_func, tensors, is_tuple
        given = takes_two(perturb_func) and baselines is not None
        self.baselines = format_baselines(baselines, tensors) if given else None
        self.limit = limit

    def __call__(self, count: int) -> Rows:
        """Return perturbations and perturbed inputs, ``[batch, count, *features]`` each."""
        batch = len(self.tensors[0])
        limit = batch * count if self.limit is None else self.limit
        width, depth = min(batch, limit), max(1, limit // batch)
        everyone = torch.split(torch.arange(batch), width)
        return _join(
            [
                _join([self._part(part, min(depth, count - done)) for part in everyone], 0)
                for done in range(0, count, depth)
            ],
            1,
        )

    def _part(self, part: Tensor, count: int) -> Rows:
        """Perturb ``count`` copies of some examples."""
        examples = part.repeat_interleave(count)
        rows = tuple(tensor[examples.to(tensor.device)] for tensor in self.tensors)
        arguments: list[Any] = [restore_form(rows, self.is_tuple)]
        if self.baselines is not None:
            bases = take_baselines(self.baselines, self.tensors, examples)
            arguments.append(bases if self.is_tuple else bases[0])
        result = self.perturb_func(*arguments)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                "perturb_func must return (perturbations, perturbed_inputs), got "
                f"{describe(result)}; see infidelity_perturb_func_decorator"
            )
        names = ("perturbations", "perturbed_inputs")
        return tuple(
            tuple(each.reshape(len(part), count, *each.shape[1:]) for each in given)
            for given in (_check_rows(*each, rows) for each in zip(names, result, strict=True))
        )


def _join(parts: list[Rows], dim: int) -> Rows:
    """Put the results of several calls together."""
    if len(parts) == 1:
        return parts[0]
    both = zip(*parts, strict=True)
    return tuple(tuple(torch.cat(each, dim) for each in zip(*one, strict=True)) for one in both)


def takes_two(perturb_func: Callable[..., Any]) -> bool:
    """Tell whether a user's perturbation takes a second argument, as captum tells."""
    if not callable(perturb_func):
        raise TypeError(f"perturb_func must be callable, got {describe(perturb_func)}")
    parameters = inspect.signature(inspect.unwrap(perturb_func)).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2


def _check_rows(name: str, value: Any, rows: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    given = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(given) != len(rows) or any(
        not isinstance(each, Tensor) or each.shape != row.shape
        for each, row in zip(given, rows, strict=False)
    ):
        raise ValueError(
            f"{name} of perturb_func must have the shapes {[list(row.shape) for row in rows]}, "
            f"got {[describe(each) for each in given]}"
        )
    for each in given:
        check_finite(f"{name} of perturb_func", each)
    return tuple(each.detach() for each in given)
