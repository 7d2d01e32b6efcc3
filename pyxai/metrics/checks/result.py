"""What reality checks return."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai._files import check_fields
from pyxai.explanation.file import load, save

__all__ = ["RealityCheck", "RealityChecks", "mean_and_error"]

_NUMBERS = ("value", "error", "bound")


@dataclass(frozen=True)
class RealityCheck:
    """One check of an explanation.

    Attributes
    ----------
    name : str
    value : float
        What was measured, in the unit that ``measures`` says; NaN if it was not.
    error : float
        Its standard error; NaN where one example or run leaves it open.
    bound : float
        What the value is compared with.
    above : bool
        Whether the value must be above the bound, rather than below it.
    n : int
        Examples, pairs, readers or runs that the error is over.
    measures : str
        What the value is, or what is missing for it.
    """

    name: str
    value: float
    error: float
    bound: float
    above: bool
    n: int
    measures: str

    @property
    def passed(self) -> bool | None:
        """Whether the value is two standard errors on the right side; None if there is no value."""
        if math.isnan(self.value):
            return None
        margin = 0.0 if math.isnan(self.error) else 2 * self.error
        if self.above:
            return self.value - margin > self.bound
        return self.value + margin < self.bound


@dataclass(frozen=True)
class RealityChecks:
    """All checks of a method; ``print`` shows a table.

    Attributes
    ----------
    method : str
    checks : tuple of RealityCheck
        Also by name, ``result["invariants"]``.
    """

    method: str
    checks: tuple[RealityCheck, ...]

    def __getitem__(self, name: str) -> RealityCheck:
        for check in self.checks:
            if check.name == name:
                return check
        known = ", ".join(check.name for check in self.checks)
        raise KeyError(f"name must be one of {known}, got {describe(name)}")

    def __iter__(self) -> Iterator[RealityCheck]:
        return iter(self.checks)

    def __len__(self) -> int:
        return len(self.checks)

    @property
    def passed(self) -> dict[str, bool]:
        """Which of the checks that have a value passed."""
        found = {check.name: check.passed for check in self.checks}
        return {name: passed for name, passed in found.items() if passed is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers by name of check: value, error, bound and whether it passed."""
        return {
            "method": self.method,
            "checks": {c.name: {**asdict(c), "passed": c.passed} for c in self.checks},
        }

    def save(self, path: str | Path) -> Path:
        """Write to a file that `load` reads.

        Parameters
        ----------
        path : str or Path
            In a folder that exists.

        Returns
        -------
        Path
            The file.
        """
        rows = [[c.value, c.error, c.bound] for c in self.checks]
        numbers = torch.tensor(rows, dtype=torch.float64)
        fields = {
            "method": self.method,
            "numbers": numbers,
            "checks": [[c.name, c.above, c.n, c.measures] for c in self.checks],
        }
        return save(fields, Path(path), "checks")

    @classmethod
    def load(cls, path: str | Path) -> RealityChecks:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        RealityChecks
            Equal to what was written.
        """

        def build(fields: dict[str, Any]) -> RealityChecks:
            check_fields(fields, {"method": str, "numbers": Tensor, "checks": list})
            checks = []
            for numbers, words in zip(fields["numbers"].tolist(), fields["checks"], strict=True):
                (value, error, bound), (name, above, n, measures) = numbers, words
                check = RealityCheck(name, value, error, bound, above, n, measures)
                kinds = {"name": str, "above": bool, "n": int, "measures": str}
                check_fields(vars(check), {**kinds, **dict.fromkeys(_NUMBERS, float)})
                checks.append(check)
            return cls(fields["method"], tuple(checks))

        return load(Path(path), torch.device("cpu"), build, "checks")

    def __str__(self) -> str:
        rows = [("check", "value", "error", "passes", "passed", "measured")]
        for check in self.checks:
            passed = {True: "yes", False: "no", None: "-"}[check.passed]
            given = not math.isnan(check.value)
            rows.append(
                (
                    check.name,
                    f"{check.value:.4g}" if given else "-",
                    f"{check.error:.2g}" if given else "-",
                    f"{'>' if check.above else '<'} {check.bound:g}" if given else "-",
                    passed,
                    check.measures,
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
        return "\n".join((f"Reality checks of {self.method}", *lines))


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """Return the mean of some numbers and its standard error, NaN for a single one."""
    error = values.double().std() / len(values) ** 0.5 if len(values) > 1 else math.nan
    return float(values.double().mean()), float(error)
