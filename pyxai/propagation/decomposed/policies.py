"""The choices that contextual decomposition leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pyxai._checks import check_bool, check_choice, describe

__all__ = ["CHOICES", "PRESETS", "Policies"]

FUNCTIONS = ("acd", "shapley", "complement")
CHOICES = {
    "policy": FUNCTIONS,
    "bias": ("proportional", "irrelevant", "stream"),
    "norm_bias": ("after", "before"),
    "ties": ("coverage", "official", "irrelevant"),
    "product": (*FUNCTIONS, "freeze"),
    "softmax": ("freeze", *FUNCTIONS),
    "clean_up": ("never", "sublayer", "layer"),
    "lstm_bias": ("phrase_inclusive", "phrase_exclusive", "paper"),
    "gates": ("bias_first", "shapley"),
    "output_gate": ("freeze", "split"),
}
GATE_PRODUCTS = ("rel-rel", "rel-bias", "rel-irrel")
# What differs from the defaults of `Policies`.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "acd": {"ties": "official"},
    "cd": {"policy": "shapley", "bias": "stream"},
    "cdt": {
        "policy": "complement",
        "norm_bias": "before",
        "ties": "irrelevant",
        "clean_up": "layer",
    },
    "scd": {"policy": "shapley", "bias": "irrelevant"},
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
    norm_bias: str = "after"
    ties: str = "coverage"
    product: str = "acd"
    softmax: str = "freeze"
    clean_up: str = "never"
    lstm_bias: str = "phrase_inclusive"
    gates: str = "bias_first"
    gate_products: tuple[str, ...] = ("rel-rel", "rel-bias")
    output_gate: str = "freeze"
    anchored: bool = True

    def __post_init__(self) -> None:
        """Check every choice."""
        for field in fields(self):
            if field.name in CHOICES:
                check_choice(field.name, getattr(self, field.name), CHOICES[field.name])
        check_bool("anchored", self.anchored)
        given: Any = self.gate_products
        if isinstance(given, str) or not isinstance(given, (tuple, list, set, frozenset)):
            raise TypeError(f"gate_products must be several names, got {describe(given)}")
        for name in given:
            check_choice("gate_products", name, GATE_PRODUCTS)
        object.__setattr__(
            self, "gate_products", tuple(each for each in GATE_PRODUCTS if each in given)
        )

    @classmethod
    def of_preset(cls, preset: str, **choices: Any) -> Policies:
        """Return the choices of a preset, but for those that are given.

        Parameters
        ----------
        preset : str
            A key of `PRESETS`.
        **choices
            None stands for the preset's.

        Raises
        ------
        ValueError, TypeError
            If one of them is unknown.
        """
        check_choice("preset", preset, tuple(PRESETS))
        given = {name: choice for name, choice in choices.items() if choice is not None}
        return cls(**{**PRESETS[preset], **given})
