"""Laws of masks that keep k groups: sampling without replacement, and its relaxations."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.lex.masks.laws import MaskLaw, check_temperature, hard_forward, top_k, uniform
from pyxai.lex.masks.relaxed_top_k import relaxed_top_k

__all__ = ["MaxOfK", "RelaxedSubset", "Subset"]

_MOST_SUBSETS = 2**16  # that are enumerated
# The integral over the logarithm of a waiting time, by the trapezoidal rule, which converges
# exponentially for it: far enough to the left, where the integrand is e^t.
_TIMES = (-34.0, 6.0, 128)


class _KOfThem(MaskLaw):
    """What the laws of k groups share."""

    sized = True

    def __init__(self, k: int) -> None:
        self.k = check_int("k", k, minimum=1)

    def check(self, n_groups: int) -> None:
        """Raise ValueError if ``k`` is larger than the number of groups."""
        if self.k > n_groups:
            raise ValueError(f"k must be at most {n_groups}, the number of groups, got {self.k}")

    def hard(self, scores: Tensor, k: int | None = None) -> Tensor:
        """Return the groups of the ``k`` largest scores, the law's own by default, bool."""
        return top_k(scores, self.k if k is None else k)

    def keys(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return scores with Gumbel noise, ``[batch, n, n_groups]``."""
        numbers = uniform(scores.shape[1:], scores, n, seed=seed, example_ids=example_ids)
        return scores[:, None] - (-numbers.log()).log().to(scores.dtype)


class Subset(_KOfThem):
    """Keep exactly ``k`` groups, drawn without replacement in proportion to ``exp(score)``.

    The k largest of scores with Gumbel noise. The forward pass is hard; the gradient is one of two
    biased ones, or that of an estimator: the probability of a set is known.

    Parameters
    ----------
    k : int
        Groups kept.
    gradient : str
        ``"relaxed"``: that of `relaxed_top_k`; ``"straight_through"``: the mask counts as the
        normalised keys ``s - logsumexp(s) + log k`` with ``s = keys / temperature``.
    temperature : float
        Of the gradient.

    Raises
    ------
    ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] T. Vieira, "Gumbel-max trick and weighted reservoir sampling", 2014.
    .. [2] S. M. Xie, S. Ermon, "Reparameterizable Subset Sampling via Continuous Relaxations",
       IJCAI 2019.
    """

    pathwise = True
    scored = True

    def __init__(self, k: int, gradient: str = "relaxed", temperature: float = 0.5) -> None:
        super().__init__(k)
        self.gradient = check_choice("gradient", gradient, ("relaxed", "straight_through"))
        self.temperature = check_temperature(temperature)

    def sample(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return masks with exactly k ones, ``[batch, n, n_groups]``, with a gradient."""
        keys = self.keys(scores, n, seed=seed, example_ids=example_ids)
        best = keys.detach().topk(self.k, sorted=False).indices  # noise leaves no ties
        hard = torch.zeros_like(keys, dtype=torch.bool).scatter_(-1, best, True)
        if not (keys.requires_grad and torch.is_grad_enabled()):
            return hard.to(scores.dtype)
        if self.gradient == "relaxed":
            return hard_forward(hard, relaxed_top_k(keys, self.k, self.temperature))
        return hard_forward(hard, (keys / self.temperature).log_softmax(-1) + math.log(self.k))

    def log_prob(self, scores: Tensor, masks: Tensor) -> Tensor:
        r"""Return the log-probability of each set, ``[batch, n]``, whatever its order.

        The groups are clocks that ring at rates ``exp(score)``; those of the set ring before the
        first of the others: ``P(S) = E[prod_{i in S} (1 - exp(-w_i T))]``, T exponential with the
        rate of the others. One integral, no sum over orders.
        """
        wide = scores.double()[:, None].expand(-1, masks.shape[-2], -1)
        kept = masks.expand(len(scores), -1, -1) > 0.5
        if bool((kept.sum(-1) != self.k).any()):
            raise ValueError(f"masks must keep {self.k} groups, got others")
        if self.k == scores.shape[-1]:
            return (scores * 0).sum(-1, keepdim=True).expand(-1, masks.shape[-2])
        rest = wide.masked_fill(kept, -torch.inf).logsumexp(-1, keepdim=True)
        # The scores of the set, relative to the rate of the others: [batch, n, k].
        inside = (wide - rest).masked_select(kept).view(*kept.shape[:2], self.k)
        first, last, count = _TIMES
        times = torch.linspace(first, last, count, dtype=torch.float64, device=scores.device)
        waits = (inside.unsqueeze(-1) + times).exp().clamp(1e-300, 700)
        rung = (-(-waits).expm1()).log().sum(-2)  # [batch, n, count]
        step = math.log((last - first) / (count - 1))
        found: Tensor = (rung + times - times.exp()).logsumexp(-1) + step
        return found.to(scores.dtype)

    def support(self, n_groups: int, like: Tensor) -> Tensor:
        """Return every set of k groups, ``[n_sets, n_groups]``.

        Raises
        ------
        ValueError
            If there are too many.
        """
        count = math.comb(n_groups, self.k)
        if count > _MOST_SUBSETS:
            raise ValueError(f"sets must be at most {_MOST_SUBSETS} to enumerate, got {count}")
        chosen = torch.tensor(list(itertools.combinations(range(n_groups), self.k)))
        masks = torch.zeros(count, n_groups, dtype=like.dtype)
        return masks.scatter_(1, chosen, 1).to(like.device)


class RelaxedSubset(_KOfThem):
    """Keep ``k`` groups in all, each to a degree: `relaxed_top_k` of scores with Gumbel noise.

    A degree can pass 1, where few groups stand far above the rest: the value then lies beyond that
    of the input, on the line from the imputed one.

    Parameters
    ----------
    k : int
        What the degrees sum to.
    temperature : float
        Above 0; the lower, the harder.
    """

    pathwise = True

    def __init__(self, k: int, temperature: float = 0.5) -> None:
        super().__init__(k)
        self.temperature = check_temperature(temperature)

    def sample(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return degrees that sum to k, ``[batch, n, n_groups]``."""
        keys = self.keys(scores, n, seed=seed, example_ids=example_ids)
        return relaxed_top_k(keys, self.k, self.temperature)


class MaxOfK(_KOfThem):
    """Keep up to ``k`` groups: the largest of k relaxed draws of one group each.

    ``z_d = max_j softmax((scores + Gumbel noise_j) / temperature)_d``. Draws may coincide, so the
    degrees sum to k at most.

    Parameters
    ----------
    k : int
        Draws.
    temperature : float
        Above 0.

    References
    ----------
    .. [1] J. Chen, L. Song, M. J. Wainwright, M. I. Jordan, "Learning to Explain", ICML 2018,
       section 3.2.
    """

    pathwise = True

    def __init__(self, k: int, temperature: float = 0.1) -> None:
        super().__init__(k)
        self.temperature = check_temperature(temperature)

    def sample(self, scores: Tensor, n: int, *, seed: int, example_ids: Tensor) -> Tensor:
        """Return masks in [0, 1], ``[batch, n, n_groups]``, differentiable in the scores."""
        shape = (self.k, scores.shape[1])
        numbers = uniform(shape, scores, n, seed=seed, example_ids=example_ids)
        keys = scores[:, None, None] - (-numbers.log()).log().to(scores.dtype)
        return (keys / self.temperature).softmax(-1).amax(2)
