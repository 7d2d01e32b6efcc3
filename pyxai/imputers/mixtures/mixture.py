"""What all mixtures do: draw a component given the present features, then values from it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_dtype, check_int, check_tensor
from pyxai._inputs import flat_features
from pyxai.imputers.fitted import FittedImputer, Numbers
from pyxai.imputers.mixtures.alias import alias_tables, draw_alias
from pyxai.imputers.rows import rows_of
from pyxai.ops.philox_random import philox_uniform

__all__ = ["Mixture"]

_ELEMENTS = 2**24  # of what is worked out at once
_ROW_STREAM = 0x524F57  # of the rows that are kept


class Mixture(FittedImputer):
    """An imputer that draws a component given the present features, then values from it.

    ``c ~ w_c p_c(x_present) / sum over c' of w_c' p_c'(x_present)``, and
    ``u ~ p_c(u_absent | x_present)``; one component for all absent features of a draw.

    Parameters
    ----------
    n_components : int
        How many.
    n_draws : int
        Draws for each example and mask.
    values : str
        What a drawn component gives. ``"draws"``: a draw from it. ``"mean"``: its mean (given the
        present features). ``"rows"``: a row of the data, n with probability
        ``r_c(x_n) / sum over n' of r_c(x_n')``, r being the probability of the component given
        the whole row.
    n_rows : int
        With ``values="rows"``: how many rows of the data are kept to draw from, at random.
    seed : int
        Of the fit and of the rows that are kept.
    """

    _learnt: ClassVar[tuple[str, ...]] = ("_log_weights", "_rows", "_shares", "_others")
    _log_weights: Tensor
    _rows: Tensor | None = None
    _shares: Tensor | None = None
    _others: Tensor | None = None

    def __init__(
        self,
        n_components: int,
        *,
        n_draws: int,
        values: str,
        n_rows: int = 1000,
        seed: int,
    ) -> None:
        super().__init__(n_draws=n_draws)
        self.n_components = check_int("n_components", n_components, minimum=1)
        self.values = check_choice("values", values, ("draws", "mean", "rows"))
        self.n_rows = check_int("n_rows", n_rows, minimum=1)
        self.seed = check_int("seed", seed, minimum=0)

    def responsibilities(self, inputs: Any, masks: Any = None) -> Tensor:
        """Return the probability of each component given the present features.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *feat] each
            As those that the imputer was fitted on.
        masks : Tensor or tuple of Tensor, shape [batch, n_masks, *feat] each, optional
            bool; default: one mask that keeps all.

        Returns
        -------
        Tensor, shape [batch, n_masks, n_components]
            float64.

        Raises
        ------
        ValueError
            If the imputer is not fitted or a shape does not fit.
        TypeError
            If masks are not bool.
        """
        flat, present = self._asked(inputs, masks)
        ready = self._moved(flat.device)
        return (ready._posterior(flat, present)[0] + ready._log_weights).softmax(2)

    def log_likelihood(self, inputs: Any, masks: Any = None) -> Tensor:
        """Return the log-density of the present features, [batch, n_masks], in nats.

        Of features that take few values, such as levels of grey, where the components are over
        these: then a log-probability. See `responsibilities` for the arguments.
        """
        flat, present = self._asked(inputs, masks)
        ready = self._moved(flat.device)
        scores = ready._posterior(flat, present)[0] + ready._log_weights
        return scores.logsumexp(2) + ready._missing_constant(present)

    def _asked(self, inputs: Any, masks: Any) -> tuple[Tensor, Tensor]:
        parts = rows_of(inputs)
        self.check(parts)
        flat = torch.cat([flat_features(part) for part in parts], 1)
        if masks is None:
            return flat, torch.ones_like(flat, dtype=torch.bool).unsqueeze(1)
        given = masks if isinstance(masks, (tuple, list)) else (masks,)
        for mask, part in zip(given, parts, strict=True):
            check_dtype("masks", check_tensor("masks", mask), (torch.bool,))
            if (mask.shape[0], *mask.shape[2:]) != tuple(part.shape) or mask.dim() < 2:
                raise ValueError(
                    f"masks must have shape [{part.shape[0]}, n_masks, *features] like inputs of "
                    f"{list(part.shape)}, got {list(mask.shape)}"
                )
        return flat, torch.cat([flat_features(mask, 2) for mask in given], 2)

    def _fit(self, rows: Tensor) -> None:
        if self.n_components > len(rows):
            raise ValueError(
                f"n_components must be at most the {len(rows)} rows of data, "
                f"got {self.n_components}"
            )
        self._fit_components(rows)
        self._rows = self._shares = self._others = None
        if self.values == "rows":
            self._keep(rows)

    def _keep(self, rows: Tensor) -> None:
        """Keep rows to draw from, and tables of how probable each is, for each component."""
        if len(rows) > self.n_rows:
            ids = torch.arange(len(rows), device=rows.device)
            keys = philox_uniform((), 1, seed=self.seed, example_ids=ids, stream=_ROW_STREAM)
            rows = rows[keys.flatten().argsort(stable=True)[: self.n_rows].sort().values]
        self._shares, self._others = alias_tables(self._row_weights(rows))
        short = rows.float()
        self._rows = short if bool((short.double() == rows).all()) else rows

    def _row_weights(self, rows: Tensor) -> Tensor:
        """Return weights of rows for each component, [n_components, rows].

        A component may be improbable for every row: it has the rows for which it is least so.
        """
        everything = torch.ones_like(rows, dtype=torch.bool).unsqueeze(1)
        scores = self._posterior(rows, everything)[0].squeeze(1) + self._log_weights
        return scores.log_softmax(1).T.softmax(1)

    def _drawn(self, flat: Tensor, present: Tensor, numbers: Numbers) -> Tensor:
        n_masks, features = present.shape[1:]
        dtype = flat.dtype if flat.dtype in (torch.float32, torch.float64) else torch.float32
        shape = (len(flat), n_masks, numbers.n_draws, features)
        out = torch.empty(shape, dtype=dtype, device=flat.device)
        step = max(1, _ELEMENTS // (self._cost(n_masks) + n_masks * numbers.n_draws * features))
        for first in range(0, len(flat), step):
            part = slice(first, first + step)
            own = numbers._replace(example_ids=numbers.example_ids[part])
            out[part] = self._drawn_part(flat[part], present[part], own, dtype)
        return out

    def _drawn_part(
        self, flat: Tensor, present: Tensor, numbers: Numbers, dtype: torch.dtype
    ) -> Tensor:
        scores, found = self._posterior(flat, present)
        picked = _pick(scores + self._log_weights, numbers)
        if self.values == "rows":
            assert self._rows is not None
            assert self._shares is not None
            assert self._others is not None
            uniform = numbers.uniform((2,), 1)
            return self._rows[draw_alias(self._shares, self._others, picked, uniform)].to(dtype)
        return self._values(picked, flat, present, numbers, found, dtype)

    def _cost(self, n_masks: int) -> int:
        """Return how many numbers `_posterior` holds for an example."""
        return n_masks * (self.n_components + 3 * self._n_features())

    def _n_features(self) -> int:
        return sum(torch.Size(shape).numel() for shape in self.shapes or ())

    def _missing_constant(self, present: Tensor) -> Tensor | float:
        """Return what `_posterior` leaves out of the log-density, for each mask."""
        return 0.0

    @abstractmethod
    def _fit_components(self, rows: Tensor) -> None:
        """Fit to rows [rows, features], float64; at least as many rows as components."""

    @abstractmethod
    def _posterior(self, flat: Tensor, present: Tensor) -> tuple[Tensor, Any]:
        """Return log-densities of the present features, without weights, and what `_values` needs.

        flat [batch, features], present [batch, n_masks, features]
        -> float64 [batch, n_masks, n_components], up to a number for each mask
        """

    @abstractmethod
    def _values(
        self,
        picked: Tensor,  # [batch, n_masks, n_draws]
        flat: Tensor,
        present: Tensor,
        numbers: Numbers,
        found: Any,
        dtype: torch.dtype,
    ) -> Tensor:
        """Return values of drawn components, [batch, n_masks, n_draws, features]."""


def _pick(scores: Tensor, numbers: Numbers) -> Tensor:
    """Draw components by their log-weights [batch, n_masks, n_components]."""
    shares = scores.softmax(2).cumsum(2)
    uniform = numbers.uniform((), 0).expand(*scores.shape[:2], -1)
    # To the right of equal sums, so that a component of weight 0 is never drawn.
    picked = torch.searchsorted(shares, uniform.contiguous() * shares[:, :, -1:], right=True)
    return picked.clamp(max=scores.shape[2] - 1)
