"""Laws of masks: what a selector's scores say of which groups are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributions

from pyxai._checks import check_int, check_number
from pyxai.ops import philox_uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Bernoulli",
    "Concrete",
    "FixedBernoulli",
    "MaskLaw",
    "Oracle",
    "SoftmaxRate",
    "StraightThrough",
    "uniform",
]

MASK_STREAM = 0x4C4558  # apart from those of imputers and coalitions
_MOST_GROUPS = 16  # that masks are enumerated of


def uniform(
    shape: Sequence[int], scores: Tensor, n: int, *, seed: int, example_ids: Tensor, part: int = 0
) -> Tensor:
    """Draw numbers in (0, 1) for ``n`` masks of each row, ``[batch, n, *shape]``.

    Parameters
    ----------
    shape : sequence of int
        Of what one mask needs.
    scores : Tensor, shape [batch, n_groups]
        Their dtype decides how fine the numbers are.
    n : int
        Masks of each row; the first of many are those of few.
    seed : int
        With the ids, the whole source of randomness.
    example_ids : Tensor, shape [batch]
        int64 names of the rows.
    part : int
        Which of several independent kinds.

    Returns
    -------
    Tensor
        float64 for float64 scores, else float32.
    """
    wide = scores.dtype == torch.float64
    numbers = philox_uniform(
        shape,
        n,
        seed=seed,
        example_ids=example_ids,
        stream=MASK_STREAM + part,
        dtype=torch.float64 if wide else torch.float32,
    )
    return numbers.clamp_(min=2.0**-54 if wide else 2.0**-25)


class MaskLaw(ABC):
    """What a selector's scores say of which groups are kept; 1 keeps.

    Attributes
    ----------
    pathwise : bool
        Whether samples carry a gradient to the scores.
    scored : bool
        Whether `log_prob` is known.
    sized : bool
        Whether the law itself says how many groups are kept, so that no regulariser is needed.
    """

    pathwise: bool = False
    scored: bool = False
    sized: bool = False

    @abstractmethod
    def sample(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Draw ``n`` masks for each row.

        Parameters
        ----------
        scores : Tensor, shape [batch, n_groups]
            What the selector says; floating point, any finite value.
        n : int
            Masks for each row.
        seed : int
            With the ids, the whole source of randomness.
        example_ids : Tensor, shape [batch]
            int64 names of the rows.

        Returns
        -------
        Tensor, shape [batch, n, n_groups]
            In [0, 1] unless the law says otherwise, of the dtype of the scores.
        """

    def check(self, n_groups: int) -> None:  # noqa: B027 - most laws fit any number
        """Raise ValueError if the law does not fit so many groups."""

    def log_prob(self, scores: Tensor, masks: Tensor) -> Tensor:
        """Return the log-probability of each mask, ``[batch, n]``.

        Raises
        ------
        NotImplementedError
            If the law has no density that could be computed.
        """
        raise NotImplementedError(f"{type(self).__name__} has no log-probability of a mask")

    def support(self, n_groups: int, like: Tensor) -> Tensor:
        """Return every mask that can be drawn, ``[n_masks, n_groups]``, in the dtype of ``like``.

        Raises
        ------
        ValueError
            If there are more groups than masks can be enumerated of.
        """
        if n_groups > _MOST_GROUPS:
            raise ValueError(
                f"groups must be at most {_MOST_GROUPS} to enumerate masks, got {n_groups}"
            )
        codes = torch.arange(2**n_groups, device=like.device)
        return (codes[:, None] >> torch.arange(n_groups, device=like.device) & 1).to(like.dtype)

    def marginals(
        self, scores: Tensor, *, seed: int, example_ids: Tensor, n_samples: int = 100
    ) -> Tensor:
        """Return how likely each group is kept, ``[batch, n_groups]``.

        Parameters
        ----------
        scores : Tensor, shape [batch, n_groups]
            Of the selector.
        seed : int
            Of the samples, where there is no closed form.
        example_ids : Tensor, shape [batch]
            int64 names of the rows.
        n_samples : int
            Masks whose mean is taken, where there is no closed form; it carries no gradient.
        """
        with torch.no_grad():
            return self.sample(scores, n_samples, seed=seed, example_ids=example_ids).mean(1)

    def hard(self, scores: Tensor, k: int | None = None) -> Tensor:
        """Return one mask for each row without chance, bool ``[batch, n_groups]``.

        With ``k`` the groups of the k largest scores, ties by the lower index; else those that
        are kept rather than not.

        Raises
        ------
        ValueError
            If ``k`` is not from 1 to the number of groups.
        """
        if k is not None:
            return top_k(scores, k)
        return scores > 0


def top_k(scores: Tensor, k: int) -> Tensor:
    """Return which ``k`` scores of each row are largest, bool; ties by the lower index."""
    n_groups = scores.shape[-1]
    if not 1 <= check_int("k", k) <= n_groups:
        raise ValueError(f"k must be from 1 to {n_groups}, the number of groups, got {k}")
    best = scores.detach().argsort(dim=-1, descending=True, stable=True)[..., :k]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, best, True)


def check_temperature(value: float) -> float:
    """Return a temperature above 0."""
    if check_number("temperature", value) <= 0:
        raise ValueError(f"temperature must be above 0, got {value}")
    return float(value)


class Bernoulli(MaskLaw):
    """Keep each group by itself, with probability ``sigmoid(score)``.

    Without a gradient through the samples: use an estimator such as `REINFORCE` or `REBAR`.
    """

    scored = True

    def logits(self, scores: Tensor) -> Tensor:
        """Return the log-odds of keeping each group, ``[batch, n_groups]``."""
        return scores

    def logistic(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return log-odds with logistic noise, above 0 where a group is kept; see `sample`.

        ``[batch, n, n_groups]``, differentiable in the scores.
        """
        noise = uniform(scores.shape[1:], scores, n, seed=seed, example_ids=example_ids)
        return self.logits(scores)[:, None] + torch.logit(noise).to(scores.dtype)

    def sample(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return masks of 0 and 1, ``[batch, n, n_groups]``, without a gradient."""
        with torch.no_grad():
            drawn = self.logistic(scores, n, seed=seed, example_ids=example_ids)
            return (drawn > 0).to(scores.dtype)

    def log_prob(self, scores: Tensor, masks: Tensor) -> Tensor:
        """Return the log-probability of each mask, ``[batch, n]``."""
        law = distributions.Bernoulli(logits=self.logits(scores)[:, None], validate_args=False)
        found: Tensor = law.log_prob(masks.expand(len(scores), -1, -1)).sum(-1)  # type: ignore[no-untyped-call]
        return found

    def marginals(
        self,
        scores: Tensor,
        *,
        seed: int = 0,
        example_ids: Tensor | None = None,
        n_samples: int = 1,
    ) -> Tensor:
        """Return ``sigmoid`` of the log-odds, ``[batch, n_groups]``; differentiable, no chance."""
        return self.logits(scores).sigmoid()

    def hard(self, scores: Tensor, k: int | None = None) -> Tensor:
        """Return the groups of probability above 1/2, or of the ``k`` largest, bool."""
        return super().hard(self.logits(scores), k)


class SoftmaxRate(Bernoulli):
    """Keep each group by itself, about ``k`` of them: probabilities are k times a softmax.

    ``log p = min(0, log_softmax(scores) + log k)``, so that their sum is at most k and no
    regulariser is needed.

    Parameters
    ----------
    k : float
        Groups that are kept in the mean, at least 1.
    """

    sized = True

    def __init__(self, k: float) -> None:
        if check_number("k", k) < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.k = float(k)

    def check(self, n_groups: int) -> None:
        """Raise ValueError if ``k`` is larger than the number of groups."""
        if self.k > n_groups:
            raise ValueError(f"k must be at most {n_groups}, the number of groups, got {self.k}")

    def logits(self, scores: Tensor) -> Tensor:
        """Return the log-odds of keeping each group, ``[batch, n_groups]``."""
        least = torch.finfo(scores.dtype).eps  # odds stay finite
        log_p = (scores.log_softmax(-1) + torch.tensor(self.k).log().item()).clamp(max=-least)
        return log_p - (-log_p.expm1()).log()


class Concrete(Bernoulli):
    """Keep each group to a degree: Bernoulli masks relaxed to (0, 1), with a gradient.

    ``z = sigmoid((score + logistic noise) / temperature)``. Its gradient is that of another
    problem, in which features are kept in part.

    Parameters
    ----------
    temperature : float
        Above 0; the lower, the nearer to 0 and 1, and the larger the gradient's variance.

    References
    ----------
    .. [1] C. J. Maddison, A. Mnih, Y. W. Teh, "The Concrete Distribution", ICLR 2017.
    """

    pathwise = True
    scored = False

    def __init__(self, temperature: float = 0.5) -> None:
        self.temperature = check_temperature(temperature)

    def sample(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return masks in (0, 1), ``[batch, n, n_groups]``, differentiable in the scores."""
        drawn = self.logistic(scores, n, seed=seed, example_ids=example_ids)
        return (drawn / self.temperature).sigmoid()


class StraightThrough(Concrete):
    """Keep each group or not, and take the gradient of `Concrete`: biased, see there.

    Parameters
    ----------
    temperature : float
        Of the relaxation in the backward pass.

    References
    ----------
    .. [1] Y. Bengio, N. Léonard, A. Courville, "Estimating or Propagating Gradients Through
       Stochastic Neurons", 2013.
    """

    def sample(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return masks of 0 and 1, ``[batch, n, n_groups]``, with the gradient of soft ones."""
        drawn = self.logistic(scores, n, seed=seed, example_ids=example_ids)
        return hard_forward(drawn > 0, (drawn / self.temperature).sigmoid())


def hard_forward(hard: Tensor, soft: Tensor) -> Tensor:
    """Return exactly ``hard`` in the forward pass, with the gradient of ``soft``."""
    value = hard.to(soft.dtype)
    # In this order the difference is exactly 0, so that 0 and 1 stay exact.
    return value + (soft - soft.detach())


class FixedBernoulli(Bernoulli):
    """Keep each group by itself with one probability, whatever the selector says.

    Parameters
    ----------
    rate : float
        Probability to keep a group, in [0, 1].
    """

    sized = True

    def __init__(self, rate: float = 0.5) -> None:
        if not 0 <= check_number("rate", rate) <= 1:
            raise ValueError(f"rate must be from 0 to 1, got {rate}")
        self.rate = float(rate)

    def logits(self, scores: Tensor) -> Tensor:
        """Return the log-odds of the rate in the shape of the scores."""
        rate = torch.full_like(scores, self.rate)
        return torch.logit(rate)


class Oracle(MaskLaw):
    """Keep what has a score above 0, without chance: for a selector that knows the truth.

    Examples
    --------
    >>> import torch
    >>> from pyxai.lex import Oracle
    >>> Oracle().hard(torch.tensor([[1.0, -1.0, 2.0]]))
    tensor([[ True, False,  True]])
    """

    sized = True

    def sample(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return the same mask ``n`` times, ``[batch, n, n_groups]``."""
        return (scores.detach() > 0).to(scores.dtype)[:, None].expand(-1, n, -1)

    def marginals(
        self,
        scores: Tensor,
        *,
        seed: int = 0,
        example_ids: Tensor | None = None,
        n_samples: int = 1,
    ) -> Tensor:
        """Return the mask itself, ``[batch, n_groups]``."""
        return (scores.detach() > 0).to(scores.dtype)
