"""What is declared of a case: a method, a net, and what the two make when they are asked to."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

Call = Callable[[], Any]


@dataclass(frozen=True)
class Task:
    """A net with rows to explain, and what the methods need to know of them."""

    name: str
    model: nn.Module
    inputs: Tensor  # [batch, *features]
    target: int
    background: Tensor  # [n_rows, *features]
    parts: Tensor | None = None  # [1, *features], players of methods that take one away at a time
    few: Tensor | None = None  # [1, *features], so few players that all coalitions can be run
    layer: nn.Module | None = None  # of Grad-CAM
    extra: tuple[Any, ...] = ()  # arguments of the model after the rows
    quick: bool = False

    @cached_property
    def twin(self) -> Task:
        """The same with a copy of the net, for peers: they hang hooks and attributes on it."""
        return self.with_model(copy.deepcopy(self.model))

    def with_model(self, model: nn.Module, **changed: Any) -> Task:
        """Return the same with a copy of the net, and the layer at the same place of it."""
        layer = self.layer
        if layer is not None:
            place = next(i for i, each in enumerate(self.model.modules()) if each is layer)
            layer = next(itertools.islice(model.modules(), place, None))
        return replace(self, model=model, layer=layer, **changed)

    def head(self, quick: int, full: int) -> Task:
        """Return the first rows, for methods that ask for many rows of the model for each."""
        return replace(self, inputs=self.inputs[: self.pick(quick, full)])

    def pick(self, quick: Any, full: Any) -> Any:
        """Return what is for a run of this length."""
        return quick if self.quick else full

    def call(self, **more: Any) -> dict[str, Any]:
        """Return arguments of ``attribute`` that every method and peer is given."""
        given = {"target": self.target, **more}
        return {**given, "additional_forward_args": self.extra} if self.extra else given

    def output(self, rows: Tensor, model: nn.Module | None = None) -> Tensor:
        """Return the explained output of rows like those of the task, [n_rows]."""
        extra = [each.expand(len(rows), *each.shape[1:]) for each in self.extra]
        return (model or self.model)(rows, *extra)[:, self.target]

    def by_player(self, scores: Tensor) -> Tensor:
        """Return the scores of ``few``'s players, [batch, n_players], of scores of all features."""
        if self.few is None:
            raise ValueError(f"{self.name} has no few players")
        owner = self.few.expand_as(self.inputs[:1]).flatten()
        first = [int((owner == player).nonzero()[0, 0]) for player in range(int(owner.max()) + 1)]
        return scores.flatten(1)[:, first]


@dataclass(frozen=True)
class Tuned:
    """A peer whose size of a batch is to be searched for: the fastest of ``sizes`` is timed."""

    make: Callable[[int], Call]
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Race:
    """Calls to be compared: ``ours`` and ``peers`` return scores, floors need not.

    Equal results are asserted before anything is timed: the error against the first of ``oracles``
    that raises nothing (peers refuse some nets), relative to its largest value, is at most
    ``tolerance``. Methods that are ``sampled`` are given equal budgets, and their errors go with
    their times.
    """

    ours: Call
    peers: Mapping[str, Call | Tuned] = field(default_factory=dict)
    floors: Mapping[str, Call | Tuned] = field(default_factory=dict)
    oracles: Mapping[str, Call] = field(default_factory=dict)
    tolerance: float = 1e-4
    sampled: bool = False
    counted: Task | None = None  # of whose net, and its twin, rows are counted
    note: str = ""


Sampler = Callable[[int, int], Tensor]  # budget, seed -> scores


@dataclass(frozen=True)
class Curves:
    """Samplers whose error is to be shown against their time, at several budgets."""

    tools: Mapping[str, Sampler]
    oracle: Call
    against: str
    budgets: tuple[int, ...]
    repeats: int


@dataclass(frozen=True)
class Case:
    """A method on a net; ``prepare`` makes what is to be measured out of the net."""

    method: str
    net: str
    prepare: Callable[[Task], Race | Curves]
    watched: bool = False  # where a peer was ahead, or close: what came of it is said apart

    @property
    def name(self) -> str:
        """What the case is called in the results, and chosen by."""
        return f"{self.method} / {self.net}"


def to_float64(scores: Any) -> Tensor:
    """Return what a method or a peer gave as a tensor."""
    return torch.as_tensor(scores[0] if isinstance(scores, tuple) else scores).detach().double()
