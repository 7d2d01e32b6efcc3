"""How a greedy loop chooses: options that are checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyxai._checks import check_bool, check_int, check_number
from pyxai.greedy.schedule import check_rounds, is_adaptive

__all__ = ["RoundOptions"]


@dataclass(frozen=True)
class RoundOptions:
    """Options of `greedy_rounds`, whoever the players are; see there.

    Raises
    ------
    TypeError
        If an option is of another kind.
    ValueError
        If it is out of range, or two do not go together.
    """

    rounds: str | int | Sequence[int]
    absolute: bool
    epsilon: float | None
    shortlist: int | None
    prefix_share: float = 0.5

    @property
    def adaptive(self) -> bool:
        """Whether scores decide how many players a round takes."""
        return is_adaptive(self.rounds)

    def __post_init__(self) -> None:
        check_rounds(self.rounds)
        check_bool("absolute", self.absolute)
        if self.epsilon is not None and check_number("epsilon", self.epsilon) < 0:
            raise ValueError(f"epsilon must be at least 0, got {self.epsilon!r}")
        if self.shortlist is not None:
            check_int("shortlist", self.shortlist, minimum=1)
            if self.adaptive:
                raise ValueError("shortlist must be None for adaptive rounds, got both")
        if not 0 <= check_number("prefix_share", self.prefix_share) <= 1:
            raise ValueError(f"prefix_share must be in [0, 1], got {self.prefix_share!r}")

    def check_values(self, given: bool) -> None:
        """Raise ``ValueError`` if an option needs values of subsets that are not ``given``."""
        needs = {"epsilon": self.epsilon, "shortlist": self.shortlist}
        needing = [name for name, option in needs.items() if option is not None]
        needing += ["adaptive rounds"] if self.adaptive else []
        if needing and not given:
            raise ValueError(f"value must be given for {' and '.join(needing)}, got None")
