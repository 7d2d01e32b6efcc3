"""Absent features come from a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._inputs import as_dtype
from pyxai.imputers.base import Imputer

__all__ = ["Callback"]


class Callback(Imputer):
    """Replace absent features by what a function returns, given the present ones.

    Parameters
    ----------
    function : callable
        ``function(inputs, present, *, n_draws, seed, example_ids)`` is given tensors
        [batch, *feat] and bool masks [batch, n_masks, *feat] (tuples of them for several inputs)
        and returns values [batch, n_masks, n_draws, *feat], or of a shape that broadcasts to it.
        It should take its randomness from the seed and the ids, int64 [batch], alone: then results
        do not depend on how rows are batched.
    n_draws : int
        Draws for each example and mask.

    Raises
    ------
    TypeError
        If ``function`` cannot be called.

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import Callback
    >>> Callback(lambda x, present, **_: torch.zeros_like(x)[:, None, None]).n_draws
    1
    """

    conditional = True

    def __init__(self, function: Callable[..., Any], n_draws: int = 1) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, got {describe(function)}")
        self.function = function
        self.n_draws = check_int("n_draws", n_draws, minimum=1)

    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return what the function does, ``[batch, n_masks, n_draws, *feat]``."""
        if masks is None:
            raise TypeError(f"masks must be given, got {describe(masks)}")
        one = len(inputs) == 1
        made = self.function(
            inputs[0] if one else inputs,
            masks[0] if one else masks,
            n_draws=self.n_draws,
            seed=seed,
            example_ids=example_ids,
        )
        parts = (made,) if isinstance(made, Tensor) else tuple(made)
        if len(parts) != len(inputs):
            raise ValueError(
                f"function must return {len(inputs)} tensor(s), one per input, got {len(parts)}"
            )
        return tuple(
            self._fit(part, value, mask)
            for part, value, mask in zip(parts, inputs, masks, strict=True)
        )

    def _fit(self, part: Any, value: Tensor, mask: Tensor) -> Tensor:
        wanted = (*mask.shape[:2], self.n_draws, *value.shape[1:])
        if not isinstance(part, Tensor):
            raise TypeError(f"function must return tensors, got {describe(part)}")
        try:
            made = part.to(value.device).expand(wanted)
        except RuntimeError:
            raise ValueError(
                f"function must return values of shape {list(wanted)}, got {list(part.shape)}"
            ) from None
        if made.dtype == value.dtype:
            return made
        # Whatever it says of present features is not used.
        return as_dtype("values of function", made.masked_fill(mask.unsqueeze(2), 0), value.dtype)
