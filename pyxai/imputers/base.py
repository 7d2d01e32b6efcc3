"""The contract of an imputer: what absent features are replaced by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

__all__ = ["IMPUTER_STREAM", "Draws", "Imputer"]

# Philox stream of all imputers: independent of the coalitions that are drawn with the same seed.
IMPUTER_STREAM = 0x494D50

Draws = tuple[Tensor | float, ...]


class Imputer(ABC):
    """A way to remove features: it draws values for them.

    The value of a coalition is the mean over ``n_draws`` rows in which the features of absent
    players come from the draws. A new imputer is one class with `draw`, and `check` if it has
    something to compare with the inputs.

    Attributes
    ----------
    n_draws : int
        Draws for each example (and mask).
    conditional : bool
        Class attribute; whether draws depend on which features are present. If not, `draw` gets no
        masks, and one set of draws serves all masks of an example.
    antithetic : bool
        Class attribute; whether draws 2k and 2k + 1 are opposites, so that pairs of them, not
        single ones, are independent.
    exact : bool
        Whether the draws are all there is, so that means over them are exact.
    """

    conditional: ClassVar[bool] = False
    antithetic: ClassVar[bool] = False
    exact: bool = False
    n_draws: int = 1

    @abstractmethod
    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> Draws:
        """Draw values for the features of each example.

        Parameters
        ----------
        inputs : tuple of Tensor, shape [batch, *feat] each
            The examples, any part of a larger set.
        masks : tuple of Tensor, shape [batch, n_masks, *feat] each, or None
            bool, True where the feature is present; None unless `conditional`.
        seed : int
            With the ids, the whole source of randomness: draw s of an example is a function of
            ``(seed, id, s)`` alone, whatever the batch or the order. Use `ops.philox_random` with
            stream `IMPUTER_STREAM`.
        example_ids : Tensor, shape [batch]
            int64, on the device of the inputs.

        Returns
        -------
        tuple of float or Tensor
            For each input tensor a number, or values of its dtype:
            ``[1 or batch, n_draws, *feat]``, or ``[batch, n_masks, n_draws, *feat]`` if
            `conditional`. Values of present features are not used.
        """

    def check(self, inputs: tuple[Tensor, ...]) -> Imputer:
        """Return an imputer ready for ``inputs``, or raise if it does not fit them.

        Raises
        ------
        ValueError
            If a shape or a device does not match.
        TypeError
            If a dtype does not match.
        """
        return self
