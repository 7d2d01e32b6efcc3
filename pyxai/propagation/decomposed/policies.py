"""The choices that contextual decomposition leaves open."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pyxai._checks import check_bool, check_choice

__all__ = ["CHOICES", "Policies"]

FUNCTIONS = ("acd", "shapley", "complement")
CHOICES = {
    "policy": FUNCTIONS,
    "bias": ("proportional", "irrelevant", "stream"),
    "ties": ("coverage", "official", "irrelevant"),
    "product": (*FUNCTIONS, "freeze"),
    "softmax": ("freeze", *FUNCTIONS),
    "lstm_bias": ("phrase_inclusive", "phrase_exclusive", "paper"),
}


@dataclass(frozen=True)
class Policies:
    """How values are split; `pyxai.decomposition.ContextualDecomposition` describes each choice.

    Raises
    ------
    ValueError
        If a choice is none of those in `CHOICES`.
    TypeError
        If ``anchored`` is not True or False.
    """

    policy: str = "acd"
    bias: str = "proportional"
    ties: str = "coverage"
    product: str = "acd"
    softmax: str = "freeze"
    lstm_bias: str = "phrase_inclusive"
    anchored: bool = True

    def __post_init__(self) -> None:
        """Check every choice."""
        for field in fields(self):
            if field.name in CHOICES:
                check_choice(field.name, getattr(self, field.name), CHOICES[field.name])
        check_bool("anchored", self.anchored)
