"""The result: a matrix of tokens that were written and units that were read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.explanation import Explanation
from pyxai.explanation.groups import is_unsigned
from pyxai.explanation.numbers import number, rounding, shortened

__all__ = ["LanguageExplanation"]

_FIELDS = tuple(Explanation.__dataclass_fields__)


@dataclass(frozen=True, eq=False, repr=False)
class LanguageExplanation(Explanation):
    """What each token of a continuation owes to the units of a prompt.

    A `pyxai.Explanation` whose rows are the tokens of the continuation: ``attributions`` has the
    shape [tokens, units], ``outputs`` are the scores of the tokens, and ``explanation[2]`` is the
    third token's `pyxai.Explanation`. ``inputs`` are ones: every unit is present.

    Attributes
    ----------
    tokens : tuple of str
        The text of each token of the continuation.
    fixed : Tensor, shape [tokens]
        What special tokens and fixed parts of the prompt got, which are no units: 0 where the
        method leaves them as they are, else to be added where rows are to be complete.
    earlier : Tensor, shape [tokens]
        What those tokens of the continuation got that stand before each: as ``fixed``.
    whole : dict of str to Tensor
        What the method says of the whole continuation, as `total` returns it: ``attributions``
        [1, units], ``outputs``, ``fixed`` and ``earlier`` [1] and, where there are such,
        ``convergence_delta`` and ``error``.
    prompt, continuation : str
        The texts.
    fixed_tokens : tuple of str
        What the tokenizer writes for the tokens of the prompt that are in no unit.
    """

    tokens: tuple[str, ...] = ()
    fixed: Tensor | None = None
    earlier: Tensor | None = None
    whole: dict[str, Tensor] = field(default_factory=dict)
    prompt: str = ""
    continuation: str = ""
    fixed_tokens: tuple[str, ...] = ()
    _later = Explanation._later | {"earlier"}

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        super().__post_init__()
        if len(self.tokens) != len(self):
            raise ValueError(
                f"tokens must have one text for each of {len(self)} rows, got {len(self.tokens)}"
            )
        if "attributions" not in self.whole:
            raise ValueError(f"whole must have attributions, got {describe(self.whole)}")

    @property
    def units(self) -> list[str]:
        """The text of each unit of the prompt."""
        names: Any = self.feature_names
        return list(names[0]) if names else []

    @property
    def total(self) -> Explanation:
        """The explanation of the whole continuation, one row [1, units].

        Its score is the sum of those of the tokens, for probabilities their product.
        """
        parts = {name: value for name, value in self.whole.items() if name in _FIELDS}
        assert isinstance(self.inputs, Tensor)
        return Explanation(
            inputs=self.inputs[:1],
            method=self.method,
            options=self.options,
            feature_names=[self.units],
            **parts,  # type: ignore[arg-type]
        )

    def __getitem__(self, index: Any) -> Explanation:
        """Return the explanation of the chosen tokens; an int gives a batch of one."""
        return self._rows()[index]

    def to(self, device: torch.device | str) -> LanguageExplanation:
        """Return a copy whose tensors are on ``device``."""
        rows = self._rows().to(device)
        moved: dict[str, Any] = {name: getattr(rows, name) for name in _FIELDS}
        for name, value in (("fixed", self.fixed), ("earlier", self.earlier)):
            moved[name] = None if value is None else value.to(device)
        moved["whole"] = {name: value.to(device) for name, value in self.whole.items()}
        return replace(self, **moved)

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Draw the matrix of tokens and units, or one token with another function of `pyxai.plot`.

        Parameters
        ----------
        kind : str, optional
            Name of a function of `pyxai.plot`; default: ``"token_matrix"``. ``total.plot("text")``
            draws what the whole continuation owes to the words of the prompt.
        **options
            Passed to that function.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError
            If ``kind`` is not the name of a plot.
        """
        kind = kind or "token_matrix"
        if kind == "token_matrix":
            options = {"output_tokens": self.tokens, **options}
        return super().plot(kind, **options)

    def to_pandas(self, what: str = "attributions") -> Any:
        """Return a ``pandas.DataFrame`` with a row for each token and a column for each unit.

        Parameters
        ----------
        what : str
            ``"attributions"`` or ``"error"``.

        Returns
        -------
        pandas.DataFrame
            The index holds the texts of the tokens, and is called ``token``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If there are no errors.
        """
        table = super().to_pandas(what)
        table.index = type(table.columns)(list(self.tokens), name="token")
        return table

    def _rows(self) -> Explanation:
        """Return the rows as those of an explanation of no language model."""
        return Explanation(**{name: getattr(self, name) for name in _FIELDS})

    def __repr__(self) -> str:
        """Say in one line what this is."""
        assert isinstance(self.attributions, Tensor)
        tokens, units = self.attributions.shape
        return f"<LanguageExplanation by {self.method}: {tokens} tokens by {units} units>"

    def __str__(self) -> str:
        """Say in a few lines what was read and written, and what mattered for all of it."""
        whole = self.total
        score = whole.outputs
        of = self.options.get("output", "score")
        lines = [
            f"Explanation by {self.method} of {len(self)} tokens by {len(self.units)} units",
            f"  prompt        {shortened(repr(self.prompt))}",
            f"  continuation  {shortened(repr(self.continuation))}",
        ]
        lines += [f"  {name:<13} {value}" for name, value in self.options.items()]
        if score is not None:
            lines.append(f"  {'score':<13} {float(score[0]):.4g}, {of} of all tokens together")
        if whole.convergence_delta is not None:
            lines.append(f"  {'delta':<13} {float(whole.convergence_delta[0]):.3g} of all together")
        if self.fixed_tokens:
            got = float(self.whole["fixed"][0]) if "fixed" in self.whole else 0.0
            lines.append(
                f"  {'no units':<13} {len(self.fixed_tokens)} special and fixed tokens, "
                f"which got {got:.3g}"
            )
        if float(self.whole.get("earlier", torch.zeros(1))[0]):
            lines.append(
                f"  {'earlier':<13} tokens of the continuation, "
                f"which got {float(self.whole['earlier'][0]):.3g}"
            )
        lines.append("  top units by attribution to all tokens together")
        best = [(shortened(name), value) for name, value in whole.top(5)]
        width = max(len(name) for name, _ in best)
        assert isinstance(whole.attributions, Tensor)
        # Sizes have no sign; and what rounding leaves of a zero is one.
        form, zero = ".4g" if is_unsigned(whole) else "+.4g", rounding(whole.attributions)
        lines += [f"    {name:<{width}}  {number(value, form, zero)}" for name, value in best]
        return "\n".join(lines)
