"""Imputers that learn from data: their shapes, and the conditions of one vector."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._inputs import flat_features
from pyxai.imputers.base import Imputer
from pyxai.imputers.randomness import noise
from pyxai.imputers.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

__all__ = ["FittedImputer", "Numbers"]


class Numbers(NamedTuple):
    """The random numbers of one call of `Imputer.draw`."""

    n_draws: int
    seed: int
    example_ids: Tensor  # [batch] or [batch, n_masks]

    def uniform(
        self, shape: Sequence[int], part: int, dtype: torch.dtype = torch.float64
    ) -> Tensor:
        """Return numbers on [0, 1), [batch, 1 or n_masks, n_draws, *shape]."""
        return noise(shape, **self._asdict(), part=part, dtype=dtype)

    def normal(self, shape: Sequence[int], part: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Return standard normal numbers, [batch, 1 or n_masks, n_draws, *shape]."""
        return noise(shape, **self._asdict(), part=part, distribution="normal", dtype=dtype)


class FittedImputer(Imputer):
    """An imputer that is fitted to rows, and draws given the present features of a vector.

    A kind of it has `_fit` and `_drawn`, both over the features of all inputs in one dimension, and
    names in `_learnt` the tensors that the first sets.
    """

    conditional = True

    shapes: tuple[tuple[int, ...], ...] | None = None
    """Shape of a row of each input, once fitted."""

    _learnt: ClassVar[tuple[str, ...]] = ()
    _takes_gaps: ClassVar[bool] = False  # NaN in the rows stands for a missing value

    def __init__(self, *, n_draws: int = 1) -> None:
        self.n_draws = check_int("n_draws", n_draws, minimum=1)

    def fit(self, data: Any) -> Self:
        """Learn from examples.

        Parameters
        ----------
        data : Tensor or tuple of Tensor, shape [rows, *feat] each, or iterable of these
            In input units; NumPy arrays serve too. Batches of an iterable, such as a
            ``DataLoader``, may have labels, of which nothing is taken: of a batch that is a list,
            the last tensor is left out unless it is the only one.

        Returns
        -------
        FittedImputer
            This object.

        Raises
        ------
        ValueError
            If there are no rows, fewer than are needed, or a value is NaN or infinite.
        TypeError
            If there is no tensor of floating-point numbers.
        """
        parts = rows_of(data, missing=self._takes_gaps)
        for part in parts:
            if not part.is_floating_point():
                raise TypeError(f"data must be floating point, got {part.dtype}")
        before = self.shapes
        self.shapes = tuple(tuple(part.shape[1:]) for part in parts)
        try:
            self._fit(torch.cat([flat_features(part) for part in parts], 1).double())
        except Exception:
            self.shapes = before
            raise
        return self

    def check(self, inputs: tuple[Tensor, ...]) -> Self:
        """Return this imputer on the device of ``inputs``, if it was fitted on rows like them."""
        if self.shapes is None:
            name = type(self).__name__
            raise ValueError(f"imputer must be fitted, got a {name} before fit()")
        shapes = tuple(tuple(value.shape[1:]) for value in inputs)
        if shapes != self.shapes:
            raise ValueError(
                f"inputs must have rows of shape {_listed(self.shapes)} like the data that the "
                f"imputer was fitted on, got {_listed(shapes)}"
            )
        for value in inputs:
            self._check_dtype(value)
        return self._moved(inputs[0].device)

    def _check_dtype(self, value: Tensor) -> None:
        if not value.is_floating_point():
            raise TypeError(f"inputs must be floating point, got {value.dtype}")

    def _moved(self, device: torch.device) -> Self:
        """Return a copy whose tensors are on a device."""
        other = self.with_draws(self.n_draws)
        for name in self._learnt:
            value = getattr(self, name)
            setattr(other, name, None if value is None else value.to(device))
        return other

    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return draws given the present features, ``[batch, n_masks, n_draws, *feat]``."""
        if masks is None:
            raise TypeError(f"masks must be given for conditional draws, got {describe(masks)}")
        flat = torch.cat([flat_features(value) for value in inputs], 1)
        present = torch.cat([flat_features(mask, 2) for mask in masks], 2)
        with torch.no_grad():
            numbers = Numbers(self.n_draws, seed, example_ids)
            drawn = self._drawn(flat.detach(), present, numbers)
        sizes = [value[0].numel() for value in inputs]
        return tuple(
            part.reshape(*part.shape[:3], *value.shape[1:]).to(value.dtype)
            for part, value in zip(torch.split(drawn, sizes, -1), inputs, strict=True)
        )

    @abstractmethod
    def _fit(self, rows: Tensor) -> None:
        """Learn from rows [rows, features], float64, and set what `_learnt` names."""

    @abstractmethod
    def _drawn(self, flat: Tensor, present: Tensor, numbers: Numbers) -> Tensor:
        """Return draws.

        flat [batch, features], present [batch, n_masks, features], bool
        -> [batch, n_masks, n_draws, features]
        """


def _listed(shapes: tuple[tuple[int, ...], ...]) -> str:
    """Return shapes as text: of one input, that of it."""
    texts = [str(list(shape)) for shape in shapes]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
