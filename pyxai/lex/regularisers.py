"""What keeping features costs: penalties on how likely they are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_number

__all__ = ["L1", "Continuity", "Rate", "Regulariser"]


class Regulariser(ABC):
    """What keeping features costs; in nats, like the bound."""

    @abstractmethod
    def penalty(self, marginals: Tensor) -> Tensor:
        """Return the cost of each row.

        Parameters
        ----------
        marginals : Tensor, shape [batch, n_groups]
            How likely each group is kept.

        Returns
        -------
        Tensor, shape [batch]
        """


class L1(Regulariser):
    """``weight * mean_d p_d``, or ``weight * sum_d p_d``.

    Parameters
    ----------
    weight : float
        At least 0. A sum of weight w is a mean of weight ``w * n_groups``.
    reduction : str
        ``"mean"`` (INVASE, REAL-X) or ``"sum"`` (rationales).

    Examples
    --------
    >>> import torch
    >>> from pyxai.lex import L1
    >>> L1(2.0).penalty(torch.tensor([[1.0, 0.0]]))
    tensor([1.])
    """

    def __init__(self, weight: float, reduction: str = "mean") -> None:
        self.weight = _weight(weight)
        self.reduction = check_choice("reduction", reduction, ("mean", "sum"))

    def penalty(self, marginals: Tensor) -> Tensor:
        """Return the cost of each row, ``[batch]``."""
        total = marginals.mean(-1) if self.reduction == "mean" else marginals.sum(-1)
        return self.weight * total


class Rate(Regulariser):
    """``weight * |mean_d p_d - rate|^power``, or the mean of that over single groups.

    Parameters
    ----------
    weight : float
        At least 0.
    rate : float
        Share of the groups to keep, in [0, 1].
    per_feature : bool
        Whether every single probability is pulled to the rate, instead of their mean.
    power : int
        1 or 2.
    """

    def __init__(
        self, weight: float, rate: float, *, per_feature: bool = False, power: int = 1
    ) -> None:
        self.weight = _weight(weight)
        if not 0 <= check_number("rate", rate) <= 1:
            raise ValueError(f"rate must be from 0 to 1, got {rate}")
        if power not in (1, 2):
            raise ValueError(f"power must be 1 or 2, got {power!r}")
        self.rate, self.power = float(rate), power
        self.per_feature = check_bool("per_feature", per_feature)

    def penalty(self, marginals: Tensor) -> Tensor:
        """Return the cost of each row, ``[batch]``."""
        if self.per_feature:
            return self.weight * (marginals - self.rate).abs().pow(self.power).mean(-1)
        return self.weight * (marginals.mean(-1) - self.rate).abs().pow(self.power)


class Continuity(Regulariser):
    """``weight * sum_t E|z_t - z_{t-1}|``: kept words should stand together.

    The expectation is over independent bits, ``p (1 - q) + q (1 - p)`` for neighbours.

    Parameters
    ----------
    weight : float
        At least 0.

    References
    ----------
    .. [1] T. Lei, R. Barzilay, T. Jaakkola, "Rationalizing Neural Predictions", EMNLP 2016, eq. 2.
    """

    def __init__(self, weight: float) -> None:
        self.weight = _weight(weight)

    def penalty(self, marginals: Tensor) -> Tensor:
        """Return the cost of each row of words in their order, ``[batch]``."""
        left, right = marginals[:, :-1], marginals[:, 1:]
        return self.weight * (left * (1 - right) + right * (1 - left)).sum(-1)


def _weight(value: float) -> float:
    if check_number("weight", value) < 0:
        raise ValueError(f"weight must be at least 0, got {value}")
    return float(value)
