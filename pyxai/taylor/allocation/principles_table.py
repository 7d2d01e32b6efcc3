"""One table over methods: marks and measures of the three principles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai.runner import Output, one_scope, takes_arrays
from pyxai.taylor.allocation.method_calls import is_factory
from pyxai.taylor.allocation.principles import AllocationTest, SurrogateTest, principles
from pyxai.taylor.allocation.principles_neuron import NeuronTest

__all__ = ["PrinciplesRow", "PrinciplesTable", "principles_table"]

_TITLES = ("low approximation error", "no unrelated allocation", "complete allocation")


@dataclass(frozen=True)
class PrinciplesRow:
    """The tests of one method; a test that was not run is None.

    Attributes
    ----------
    allocation : AllocationTest or None
    neuron : NeuronTest or None
    surrogate : SurrogateTest or None
    tolerance : float
        Measures below it count as 0.
    """

    name: str
    allocation: AllocationTest | None
    neuron: NeuronTest | None
    surrogate: SurrogateTest | None
    tolerance: float

    def marks(self) -> tuple[bool | None, bool | None, bool | None]:
        """Return whether P1, P2 and P3 hold; None where no test says so.

        P1: every effect gets weight (E1) and the surrogate is exact. P2: nothing goes to players
        outside an effect, on masked inputs (U) and within a neuron. P3: every effect goes to its
        players in full (C), also within a neuron.
        """
        first: list[float] = []
        second: list[float] = []
        third: list[float] = []
        if self.allocation is not None:
            first.append(float(self.allocation.e1.max()))
            second.append(float(self.allocation.u.max()))
            third.append(float(self.allocation.c.max()))
        if self.surrogate is not None:
            first.append(float(self.surrogate.epsilon.max()))
        if self.neuron is not None:
            measured = self.neuron.to_dict()
            second += [measured["off_support"], measured["unrelated_share"]]
            third.append(measured["column_gap"] if self.neuron.representable else float("inf"))
        found = [
            max(values) <= self.tolerance if values else None for values in (first, second, third)
        ]
        return found[0], found[1], found[2]

    def to_dict(self) -> dict[str, Any]:
        """Return marks and measures."""
        row: dict[str, Any] = dict(zip(("P1", "P2", "P3"), self.marks(), strict=True))
        for part in (self.allocation, self.neuron, self.surrogate):
            if part is not None:
                row.update(part.to_dict())
        return row


@dataclass(frozen=True)
class PrinciplesTable:
    """Rows of methods; ``print`` it, or plot it with `pyxai.plot.principles`."""

    rows: tuple[PrinciplesRow, ...]

    def __getitem__(self, name: str) -> PrinciplesRow:
        """Return the row of a method.

        Raises
        ------
        KeyError
            If there is none; the message lists the names.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no method {name!r}; there are {[row.name for row in self.rows]}")

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return marks and measures by method."""
        return {row.name: row.to_dict() for row in self.rows}

    def __str__(self) -> str:
        width = max([len("method"), *(len(row.name) for row in self.rows)])
        columns = {
            "E1": "e1",
            "U": "u",
            "C": "c",
            "C_sum": "c_sum",
            "eps": "epsilon",
            "gap": "completeness_gap",
            "B resid.": "residual",
            "B unrel.": "unrelated_share",
        }
        head = "  ".join(f"{title:>8}" for title in columns)
        lines = [f"{'method':<{width}}  P1 P2 P3  {head}"]
        for row in self.rows:
            values = row.to_dict()
            marks = "  ".join({True: "+", False: "-", None: "?"}[mark] for mark in row.marks())
            cells = "  ".join(f"{_cell(values.get(key)):>8}" for key in columns.values())
            lines.append(f"{row.name:<{width}}  {marks}   {cells}")
        lines += [f"P{number} {title}" for number, title in enumerate(_TITLES, 1)]
        return "\n".join(lines)


def _cell(value: float | None) -> str:
    """Return a share or an error, which has no sign, in few digits."""
    if value is None:
        return ""
    return "0" if value < 1e-12 else f"{value:.3g}"


@takes_arrays
@one_scope
def principles_table(
    methods: Mapping[str, Any],
    model: Callable[..., Any],
    inputs: Tensor,
    baselines: Any = None,
    *,
    tests: Sequence[str] = ("A", "C"),
    target: int | None = None,
    output: Output = "logit",
    feature_mask: Tensor | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    first_order: Sequence[str] = (),
    tolerance: float | None = None,
) -> PrinciplesTable:
    """Measure the three principles for several methods.

    Parameters
    ----------
    methods : mapping from name to method
        As `principles` takes them.
    model, inputs, baselines, target, output, feature_mask
        See `principles`.
    tests : subset of ("A", "B", "C")
        B is run for classes and partials, and left out for other methods.
    options : mapping from name to options, optional
        Further arguments of each method's ``attribute``.
    first_order : sequence of names
        Methods that explain the first-order surrogate only, where the name does not tell.
    tolerance : float, optional
        Below it a measure counts as 0. Default 1e-7 for float64 inputs, 1e-3 for others.

    Returns
    -------
    PrinciplesTable
    """
    if tolerance is None:
        tolerance = 1e-7 if inputs.dtype == torch.float64 else 1e-3
    rows = []
    for name, method in methods.items():
        found: dict[str, Any] = {}
        for test in tests:
            if test == "B" and not is_factory(method):
                continue
            found[test] = principles(
                method,
                model,
                inputs,
                baselines,
                test=test,
                target=target,
                output=output,
                feature_mask=feature_mask,
                options=(options or {}).get(name),
                first_order=True if name in first_order else None,
                name=name,
            )
        rows.append(PrinciplesRow(name, found.get("A"), found.get("B"), found.get("C"), tolerance))
    return PrinciplesTable(tuple(rows))
