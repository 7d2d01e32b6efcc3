"""Absent features take one value, fixed or learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pyxai._checks import check_int
from pyxai._inputs import format_baselines, format_inputs
from pyxai.imputers.base import Draws, Imputer

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Constant", "LearntConstant"]


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


class LearntConstant(Imputer):
    """Replace absent features by values that are trained with the model that is explained.

    Where nothing is trained, as in a game, it acts as a `Constant` of the values that it has.

    Parameters
    ----------
    value : float, Tensor of shape [*feat], or tuple of these
        Where training starts, in input units. A number is one parameter for all features, a tensor
        one for each.
    dtype : torch.dtype
        Of the parameters: float32 or float64.

    Raises
    ------
    ValueError
        If a value is not finite.
    TypeError
        If it is not a number or a tensor of real numbers.

    Examples
    --------
    >>> from pyxai.imputers import LearntConstant
    >>> LearntConstant(0.5).parameters()[0].item()
    0.5
    """

    exact = True

    def __init__(self, value: Any = 0.0, *, dtype: torch.dtype = torch.float32) -> None:
        self._several = isinstance(value, (tuple, list))
        values = []
        for part in value if self._several else (value,):
            given = part if isinstance(part, Tensor) else None
            if given is None:  # checked as any other constant is
                (number,) = format_baselines(part, (torch.zeros(1, dtype=dtype),), name="value")
                given = torch.tensor(number)
            format_inputs(given.reshape(1, -1))
            values.append(nn.Parameter(given.detach().to(dtype).clone()))
        self._values = tuple(values)

    def parameters(self) -> tuple[Tensor, ...]:
        """Return the values, as parameters of torch."""
        return self._values

    def check(self, inputs: tuple[Tensor, ...]) -> LearntConstant:
        """Return itself, its values on the device of ``inputs``."""
        if self._several and len(self._values) != len(inputs):
            raise ValueError(
                f"value must have {len(inputs)} entries, one per input tensor, got a tuple of "
                f"{len(self._values)} item(s)"
            )
        for value, tensor in zip(self._of(inputs), inputs, strict=True):
            if value.dim() and value.shape != tensor.shape[1:]:
                raise ValueError(
                    f"value must be a number or have shape {list(tensor.shape[1:])}, got "
                    f"{list(value.shape)}"
                )
            if not tensor.is_floating_point():
                raise TypeError(
                    f"inputs must be floating point for a value that is learnt, got {tensor.dtype}"
                )
            # The same parameters, so that an optimiser that holds them goes on.
            value.data = value.data.to(tensor.device)
        return self

    def with_draws(self, n_draws: int) -> LearntConstant:
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
    ) -> tuple[Tensor, ...]:
        """Return the values, ``[1, 1, *feat]``."""
        pairs = zip(self._of(inputs), inputs, strict=True)
        return tuple(
            value.to(tensor.dtype).expand(1, 1, *tensor.shape[1:]) for value, tensor in pairs
        )

    def _of(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self._values if self._several else self._values * len(inputs)

    @classmethod
    def _of_fields(cls, fields: dict[str, Any]) -> Self:
        made = super()._of_fields(fields)
        made._values = tuple(nn.Parameter(value) for value in made._values)
        return made
