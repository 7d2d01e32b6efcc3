"""Absent features take one fixed value."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pyxai._checks import check_int
from pyxai._inputs import format_baselines
from pyxai.imputers.base import Draws, Imputer

__all__ = ["Constant"]


class Constant(Imputer):
    """Replace absent features by a fixed value, the same for every example.

    Parameters
    ----------
    value : float, Tensor of shape [*feat] or [1, *feat], or tuple of these
        In input units; one number serves every input tensor.

    Notes
    -----
    The axioms of Shapley values hold with respect to this baseline ("baseline Shapley" [1]_). A
    value per example is given to a game as ``baselines``.

    References
    ----------
    .. [1] M. Sundararajan, A. Najmi, "The many Shapley values for model explanation", ICML 2020.
    """

    exact = True

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value
        self._ready: Draws | None = None

    def check(self, inputs: tuple[Tensor, ...]) -> Constant:
        """Return a copy with the value in the shape and the dtype of ``inputs``."""
        one_row = tuple(tensor[:1] for tensor in inputs)
        ready = Constant(self.value)
        ready._ready = tuple(
            value.unsqueeze(1) if isinstance(value, Tensor) else value
            for value in format_baselines(self.value, one_row, name="value")
        )
        return ready

    def with_draws(self, n_draws: int) -> Constant:
        """Return itself: there is nothing to draw, and one row says all."""
        check_int("n_draws", n_draws, minimum=1)
        return self

    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None = None,
        *,
        seed: int = 0,
        example_ids: Tensor | None = None,
    ) -> Draws:
        """Return the value; there is nothing to draw."""
        if self._ready is None:
            return self.check(inputs).draw(inputs)
        return self._ready
