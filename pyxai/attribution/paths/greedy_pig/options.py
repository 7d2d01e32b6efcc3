"""How the rounds of Greedy PIG go: options that are checked before the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyxai._checks import check_bool, check_int, check_number, describe
from pyxai.greedy import path_nodes
from pyxai.greedy.divergence import DIVERGENCES, check_epsilon
from pyxai.greedy.options import RoundOptions
from pyxai.runner.progress import check_progress

__all__ = ["Options", "Rounds"]

Rounds = str | int | Sequence[int]


@dataclass(frozen=True)
class Options:
    """What `GreedyPIG.attribute` is given about its rounds; see there.

    Raises
    ------
    ValueError
        If an option is out of range, or two do not go together.
    TypeError
        If one is of another kind.
    """

    n_steps: int
    method: str
    internal_batch_size: int | None
    rule: str | None
    rounds: Rounds
    n_select: int | None
    output: Any
    absolute: bool
    softmax_aware: bool
    tolerance: float | None
    max_steps: int
    epsilon: float | None
    shortlist: int | None
    prefix_share: float
    fast_path: bool
    show_progress: bool

    @property
    def path_rule(self) -> str:
        """Where on the path gradients are taken: ``rule`` is another word for ``method``."""
        return self.rule or self.method

    def __post_init__(self) -> None:
        if self.internal_batch_size is not None:
            check_int("internal_batch_size", self.internal_batch_size, minimum=1)
        nodes, _ = path_nodes(self.path_rule, self.n_steps)
        self._check_output()
        RoundOptions(
            rounds=self.rounds,
            absolute=self.absolute,
            epsilon=self.epsilon,
            shortlist=self.shortlist,
            prefix_share=self.prefix_share,
        )
        check_progress("show_progress", self.show_progress)
        check_bool("softmax_aware", self.softmax_aware)
        check_bool("fast_path", self.fast_path)
        self._check_tolerance(len(nodes))

    def _check_output(self) -> None:
        known = ("probability", "log_probability", "logit", *DIVERGENCES)
        if not callable(self.output) and self.output not in known:
            listed = ", ".join(repr(name) for name in known)
            raise ValueError(
                f"output must be one of {listed} or a function, got {describe(self.output)}"
            )
        check_epsilon(self.epsilon, self.output)

    def _check_tolerance(self, n_nodes: int) -> None:
        if self.tolerance is None:
            return
        if not check_number("tolerance", self.tolerance) > 0:
            raise ValueError(f"tolerance must be positive, got {self.tolerance!r}")
        if self.path_rule == "start":
            raise ValueError("method must be a rule with several nodes for tolerance, got 'start'")
        check_int("max_steps", self.max_steps, minimum=n_nodes)
