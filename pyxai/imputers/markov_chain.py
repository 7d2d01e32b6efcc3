"""Absent tokens are drawn from a Markov chain, given the present ones on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import check_int, check_number, describe
from pyxai.imputers.base import Imputer
from pyxai.imputers.fitted import Numbers
from pyxai.imputers.rows import batches_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MarkovChain"]

_ELEMENTS = 2**24  # of the probabilities that are held at once


class MarkovChain(Imputer):
    """Draw absent tokens from a first-order Markov chain given all present tokens.

    Forward ``a_1 ~ p`` and ``a_t ~ a_(t-1) A``, or certainty where the token is present; then from
    the last place back ``x_t ~ a_t(v) A(v, x_(t+1))``: the exact law of the absent tokens in the
    chain with first tokens p and transitions A.

    Parameters
    ----------
    n_tokens : int, optional
        Size of the vocabulary; default: one more than the largest token of the data.
    n_draws : int
        Draws for each example and mask.
    smoothing : float
        Positive: as if each token had been followed so many times more, by tokens in proportion to
        how often they occur, ``A(v, w) = (n(v, w) + s p(w)) / (n(v) + s)``.
    ignore : sequence of int
        Tokens, such as padding, that are not counted and never drawn.

    Raises
    ------
    ValueError
        If a number is out of range.

    Notes
    -----
    For inputs of one integer tensor [batch, places], of any number of places. Transitions are a
    matrix n_tokens x n_tokens in float64, 0.8 GB for 10,000 tokens. A place costs a product with it
    for each mask, and n_tokens numbers for each draw.

    References
    ----------
    .. [1] C. K. Carter, R. Kohn, "On Gibbs Sampling for State Space Models", Biometrika 81(3),
       1994: forward filter, backward draws.

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import MarkovChain
    >>> chain = MarkovChain(smoothing=1e-9).fit(torch.tensor([[0, 1, 2, 0, 1, 2]]))
    >>> x, shown = torch.tensor([[0, 0, 2]]), torch.tensor([[[True, False, True]]])
    >>> chain.draw((x,), (shown,), seed=0, example_ids=torch.tensor([0]))[0]
    tensor([[[[0, 1, 2]]]])
    """

    conditional = True

    def __init__(
        self,
        n_tokens: int | None = None,
        *,
        n_draws: int = 1,
        smoothing: float = 1.0,
        ignore: Sequence[int] = (),
    ) -> None:
        self.n_tokens = None if n_tokens is None else check_int("n_tokens", n_tokens, minimum=1)
        self.n_draws = check_int("n_draws", n_draws, minimum=1)
        self.smoothing = check_number("smoothing", smoothing)
        if self.smoothing <= 0:
            raise ValueError(f"smoothing must be positive, got {smoothing!r}")
        self.ignore = tuple(check_int("ignore", token, minimum=0) for token in ignore)
        self._first: Tensor | None = None  # p, [n_tokens]
        self._next: Tensor | None = None  # A, [n_tokens, n_tokens]

    def fit(self, data: Any) -> Self:
        """Count tokens and pairs of them.

        Parameters
        ----------
        data : Tensor, shape [rows, places], or iterable of these
            Integers from 0. Batches of an iterable may have labels, see `KMeans.fit`, and numbers
            of places of their own.

        Returns
        -------
        MarkovChain
            This object.

        Raises
        ------
        ValueError
            If there is no token, or one is negative or not below ``n_tokens``.
        TypeError
            If tokens are not integers.
        """
        given = batches_of(data)
        if len(given[0]) != 1:
            raise ValueError(f"data must be one tensor of tokens, got {len(given[0])} tensors")
        batches = [self._tokens("data", parts[0]) for parts in given]
        largest = max(int(batch.max()) for batch in batches)
        size = largest + 1 if self.n_tokens is None else self.n_tokens
        if largest >= size:
            raise ValueError(f"data must be below n_tokens = {size}, got {largest}")
        device = batches[0].device
        counted = torch.ones(size, dtype=torch.bool, device=device)
        counted[[token for token in self.ignore if token < size]] = False
        single = torch.zeros(size, dtype=torch.float64, device=device)
        pairs = torch.zeros(size * size, dtype=torch.float64, device=device)
        for batch in batches:
            single += batch.flatten().bincount(minlength=size)
            both = batch[:, :-1] * size + batch[:, 1:]
            pairs += both.flatten().bincount(minlength=size * size)
        single *= counted
        if not bool(single.any()):
            raise ValueError("data must hold tokens besides those of ignore, got none")
        table = pairs.view(size, size) * counted * counted[:, None]
        self._first = single / single.sum()
        more = self.smoothing
        self._next = (table + more * self._first) / (table.sum(1, keepdim=True) + more)
        return self

    def check(self, inputs: tuple[Tensor, ...]) -> MarkovChain:
        """Return this chain on the device of ``inputs``, if these are tokens that it knows."""
        first, following = self._fitted()
        if len(inputs) != 1:
            raise ValueError(f"inputs must be one tensor of tokens, got {len(inputs)} tensors")
        tokens = self._tokens("inputs", inputs[0])
        if int(tokens.max()) >= len(first):
            raise ValueError(
                f"inputs must be below n_tokens = {len(first)}, got {int(tokens.max())}"
            )
        ready = self.with_draws(self.n_draws)
        ready._first, ready._next = first.to(tokens.device), following.to(tokens.device)
        return ready

    def draw(
        self,
        inputs: tuple[Tensor, ...],
        masks: tuple[Tensor, ...] | None,
        *,
        seed: int,
        example_ids: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return draws given the present tokens, ``[batch, n_masks, n_draws, places]``."""
        if masks is None:
            raise TypeError(f"masks must be given for conditional draws, got {describe(masks)}")
        first, _ = self._fitted()
        (tokens,), (present,) = inputs, masks
        n_masks, places = present.shape[1:]
        each = n_masks * (places + 3 * self.n_draws) * len(first)
        step = max(1, _ELEMENTS // each)
        parts = [
            self._drawn(
                tokens[start : start + step],
                present[start : start + step],
                Numbers(self.n_draws, seed, example_ids[start : start + step]),
            )
            for start in range(0, len(tokens), step)
        ]
        return (torch.cat(parts).to(tokens.dtype),)

    def _fitted(self) -> tuple[Tensor, Tensor]:
        if self._first is None or self._next is None:
            raise ValueError("imputer must be fitted, got a MarkovChain before fit()")
        return self._first, self._next

    def _tokens(self, name: str, value: Tensor) -> Tensor:
        if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
            raise TypeError(f"{name} must hold integers, got {value.dtype}")
        if value.dim() != 2 or not value.numel():
            raise ValueError(f"{name} must have shape [rows, places], got {list(value.shape)}")
        if int(value.min()) < 0:
            raise ValueError(f"{name} must be at least 0, got {int(value.min())}")
        tokens: Tensor = value.detach().long()
        return tokens

    def _drawn(self, tokens: Tensor, present: Tensor, numbers: Numbers) -> Tensor:
        first, following = self._fitted()
        batch, n_masks, places = present.shape
        known = torch.where(present, tokens.unsqueeze(1).long(), 0)  # [batch, n_masks, places]
        filters = self._filters(known, present)
        uniform = numbers.uniform((places,), 0).expand(batch, n_masks, -1, -1)
        out = known.unsqueeze(2).repeat(1, 1, numbers.n_draws, 1)
        for place in reversed(range(places)):
            here = filters[:, :, place].unsqueeze(2)  # [batch, n_masks, 1, n_tokens]
            if place + 1 < places:
                weights = here * following.T[out[..., place + 1]]
                # No token is followed by one that never occurs in the data; it tells nothing.
                here = torch.where(weights.sum(3, keepdim=True) > 0, weights, here)
            shares = here.expand(-1, -1, numbers.n_draws, -1).cumsum(3)
            threshold = uniform[..., place, None] * shares[..., -1:]
            drawn = torch.searchsorted(shares, threshold.contiguous(), right=True).squeeze(3)
            drawn = drawn.clamp(max=len(first) - 1)
            out[..., place] = torch.where(present[:, :, place, None], out[..., place], drawn)
        return out

    def _filters(self, known: Tensor, present: Tensor) -> Tensor:
        """Return the law of each token given those before it, [batch, n_masks, places, n_tokens].

        Of a present token: itself.
        """
        first, following = self._fitted()
        certain = torch.nn.functional.one_hot(known, len(first)).to(first)
        found = torch.empty_like(certain)
        law = first.expand(*known.shape[:2], -1)
        for place in range(known.shape[2]):
            law = torch.where(present[:, :, place, None], certain[:, :, place], law)
            found[:, :, place] = law
            law = law @ following
        return found
