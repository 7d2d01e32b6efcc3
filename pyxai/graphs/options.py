"""What is asked of a graph and how rounds go about it: options that are checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyxai._checks import check_bool, check_choice
from pyxai.graphs.edge_weights.wiring import Wiring
from pyxai.graphs.players import KINDS
from pyxai.graphs.questions import OUTPUTS, Output
from pyxai.greedy import path_nodes
from pyxai.greedy.divergence import check_epsilon
from pyxai.greedy.options import RoundOptions

__all__ = ["GameOptions", "SelectionOptions"]


@dataclass(frozen=True)
class GameOptions:
    """What `GraphGame` is given besides a graph and a question about it; see there.

    Raises
    ------
    ValueError
        If a choice is not one of those that exist, or two do not go together.
    TypeError
        If one is of another kind.
    """

    players: str
    undirected: bool | None
    weights_as: str
    degrees: str | None
    normalise: str
    self_loops: bool
    output: Output
    max_rows: int | None

    def __post_init__(self) -> None:
        check_choice("players", self.players, KINDS)
        if self.undirected is not None:
            check_bool("undirected", self.undirected)
        if not callable(self.output):
            check_choice("output", self.output, OUTPUTS)
        self.wiring()

    def wiring(self) -> Wiring:
        """Return how the model gets the weights of the edges."""
        return Wiring(self.weights_as, self.degrees, self.normalise, self.self_loops)


@dataclass(frozen=True)
class SelectionOptions:
    """How `select` goes about it; see `GraphExplainer`.

    Raises
    ------
    ValueError
        If an option is out of range, or two do not go together.
    TypeError
        If one is of another kind.
    """

    rounds: str | int | Sequence[int]
    method: str
    n_steps: int
    absolute: bool
    scores: str
    epsilon: float | None
    shortlist: int | None

    def __post_init__(self) -> None:
        check_choice("scores", self.scores, ("rank", "raw", "telescoped"))
        RoundOptions(self.rounds, self.absolute, self.epsilon, self.shortlist)
        path_nodes(self.method, self.n_steps)

    def check_output(self, output: Output) -> None:
        """Raise ``ValueError`` if rounds cannot stop early where this is what the game gives."""
        check_epsilon(self.epsilon, output)
