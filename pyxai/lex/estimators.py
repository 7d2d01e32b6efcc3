"""How the gradient of an expectation over masks is estimated.

An estimator asks a `Question` for losses of masks, and returns a scalar for each row whose gradient
estimates that of the expected loss: to the scores, and to the predictor where it is trained.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyxai._checks import check_choice, check_number, describe
from pyxai.lex.likelihoods import Bound
from pyxai.lex.masks.laws import MaskLaw

__all__ = [
    "REINFORCE",
    "Enumeration",
    "Estimate",
    "Estimator",
    "LeaveOneOut",
    "Pathwise",
    "Question",
]


class Estimate(NamedTuple):
    """What an estimator found."""

    surrogate: Tensor
    """``[batch]``: its gradient is the estimate, its value is nothing."""
    loss: Tensor
    """``[batch]``: the loss itself, without a gradient."""


@dataclass(frozen=True)
class Question:
    """Losses of masks, as an estimator asks for them.

    Attributes
    ----------
    law : MaskLaw
        Which masks there are.
    scores : Tensor, shape [batch, n_groups]
        What the selector says.
    n_outer, n_inner : int
        Masks outside of the logarithm and inside of it (L and K).
    seed : int
        Of the masks.
    example_ids : Tensor, shape [batch]
        int64 names of the rows.
    evaluate : callable
        ``evaluate(masks, n_inner)`` returns the `Bound` of masks [batch, n_outer * n_inner,
        n_groups]: differentiable in the masks, and in the predictor where it is trained.
    relaxed : callable
        ``relaxed(masks)`` returns the loss [batch, n_outer] of soft masks, differentiable in them
        twice, with the predictor held fixed.
    baseline : callable
        ``baseline(model)`` returns the loss [batch] of another predictor on the full inputs.
    """

    law: MaskLaw
    scores: Tensor
    n_outer: int
    n_inner: int
    seed: int
    example_ids: Tensor
    evaluate: Callable[[Tensor, int], Bound]
    relaxed: Callable[[Tensor], Tensor]
    baseline: Callable[[nn.Module], Tensor]

    @property
    def n_masks(self) -> int:
        """Masks of each row."""
        return self.n_outer * self.n_inner

    def sample(self) -> Tensor:
        """Draw masks, ``[batch, n_masks, n_groups]``."""
        return self.law.sample(
            self.scores, self.n_masks, seed=self.seed, example_ids=self.example_ids
        )

    def joint_log_prob(self, masks: Tensor) -> Tensor:
        """Return the log-probability of the masks inside one logarithm, ``[batch, n_outer]``."""
        each = self.law.log_prob(self.scores, masks)
        return each.view(len(each), self.n_outer, self.n_inner).sum(-1)


class Estimator(nn.Module):
    """How the gradient of an expectation over masks is estimated.

    Attributes
    ----------
    along_masks : bool
        Whether losses of soft masks are differentiated, so that features can be kept in part.
    """

    along_masks: bool = False

    def check(self, law: MaskLaw, n_outer: int, n_inner: int) -> None:
        """Raise if the estimator does not fit a law or numbers of masks.

        Parameters
        ----------
        law : MaskLaw
            Which masks there are.
        n_outer, n_inner : int
            Masks outside of a logarithm and inside of it.

        Raises
        ------
        TypeError
            If the law lacks what is needed.
        ValueError
            If there are too few or too many masks.
        """

    @abstractmethod
    def estimate(self, question: Question) -> Estimate:
        """Return a surrogate whose gradient is the estimate, and the loss.

        Parameters
        ----------
        question : Question
            What can be asked.

        Returns
        -------
        Estimate
        """

    def own_loss(self, question: Question) -> Tensor | None:
        """Return what the estimator's own models are trained on, ``[batch]``; usually nothing."""
        return None


class Enumeration(Estimator):
    """Sum over all masks: exact, for few groups, and one mask in the logarithm."""

    def check(self, law: MaskLaw, n_outer: int, n_inner: int) -> None:
        """Raise if the law has no probabilities, or there are several masks in a logarithm."""
        _check_scored(self, law)
        if n_inner != 1:
            raise ValueError(f"n_masks must be 1 for Enumeration, got {n_inner}")

    def estimate(self, question: Question) -> Estimate:
        """Return ``sum_z p(z) f(z)``."""
        scores = question.scores
        support = question.law.support(scores.shape[1], scores)
        masks = support.unsqueeze(0).expand(len(scores), -1, -1)
        chances = question.law.log_prob(scores, masks).exp()
        total = (chances * question.evaluate(masks, 1).loss).sum(1)
        return Estimate(total, total.detach())


class Pathwise(Estimator):
    """Differentiate through the samples; as biased as the law's relaxation is."""

    along_masks = True

    def check(self, law: MaskLaw, n_outer: int, n_inner: int) -> None:
        """Raise if the law's samples have no gradient."""
        if not law.pathwise:
            raise TypeError(
                f"law must have samples with a gradient for Pathwise, got {type(law).__name__}"
            )

    def estimate(self, question: Question) -> Estimate:
        """Return ``f(z)`` of differentiable samples."""
        loss = question.evaluate(question.sample(), question.n_inner).loss.mean(1)
        return Estimate(loss, loss.detach())


class REINFORCE(Estimator):
    """``(f(z) - b) * grad log p(z)``: unbiased; the K masks of a logarithm are one sample.

    Parameters
    ----------
    baseline : None, str or Module
        What is taken off the loss, independent of the mask: ``None``, nothing; ``"outer"``, the
        mean loss of the other masks outside of the logarithm, of which there must be two or more;
        ``"moving"``, a moving mean over the batches; or a predictor that is asked about the full
        inputs and trained beside, as INVASE has it.
    momentum : float
        Of the moving mean.

    References
    ----------
    .. [1] R. J. Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist
       Reinforcement Learning", 1992.
    """

    def __init__(self, baseline: str | nn.Module | None = None, momentum: float = 0.9) -> None:
        super().__init__()
        if isinstance(baseline, str):
            check_choice("baseline", baseline, ("outer", "moving"))
        elif baseline is not None and not isinstance(baseline, nn.Module):
            raise TypeError(f"baseline must be a name or a module, got {describe(baseline)}")
        self.kind = baseline if isinstance(baseline, str) else None
        self.model = baseline if isinstance(baseline, nn.Module) else None
        if not 0 <= check_number("momentum", momentum) <= 1:
            raise ValueError(f"momentum must be from 0 to 1, got {momentum}")
        self.momentum = float(momentum)
        self.mean: Tensor
        self.seen: Tensor
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    def check(self, law: MaskLaw, n_outer: int, n_inner: int) -> None:
        """Raise if the law has no probabilities, or an outer baseline has nothing to take."""
        _check_scored(self, law)
        if self.kind == "outer" and n_outer < 2:
            raise ValueError(f"outer_masks must be at least 2 for their baseline, got {n_outer}")

    def estimate(self, question: Question) -> Estimate:
        """Return ``stop(f - b) * log p(z) + f``."""
        masks = question.sample().detach()
        loss = question.evaluate(masks, question.n_inner).loss
        gain = loss.detach() - self._baseline(loss.detach(), question)
        surrogate = gain * question.joint_log_prob(masks) + loss
        return Estimate(surrogate.mean(1), loss.detach().mean(1))

    def own_loss(self, question: Question) -> Tensor | None:
        """Return the loss of the baseline's predictor, if there is one, ``[batch]``."""
        return None if self.model is None else question.baseline(self.model)

    def _baseline(self, loss: Tensor, question: Question) -> Tensor:
        if self.kind == "outer":
            return (loss.sum(1, keepdim=True) - loss) / (loss.shape[1] - 1)
        if self.model is not None:
            return question.baseline(self.model).detach()[:, None]
        if self.kind is None:
            return torch.zeros_like(loss)
        before = self.mean / self.seen.clamp(min=1e-12)
        if self.training:
            self.mean.mul_(self.momentum).add_(loss.mean(), alpha=1 - self.momentum)
            self.seen.mul_(self.momentum).add_(1 - self.momentum)
        return before.to(loss.dtype)


class LeaveOneOut(Estimator):
    """Each mask of a logarithm is praised for what it adds to the others: unbiased (VIMCO).

    The signal of mask k is ``l_K - l_{K, -k}``, the bound less that of the other masks.

    References
    ----------
    .. [1] A. Mnih, D. J. Rezende, "Variational Inference for Monte Carlo Objectives", ICML 2016.
    """

    def check(self, law: MaskLaw, n_outer: int, n_inner: int) -> None:
        """Raise if the law has no probabilities, or there is one mask in a logarithm."""
        _check_scored(self, law)
        if n_inner < 2:
            raise ValueError(f"n_masks must be at least 2 for LeaveOneOut, got {n_inner}")

    def estimate(self, question: Question) -> Estimate:
        """Return ``sum_k stop(f - f_{-k}) * log p(z_k) + f``."""
        masks = question.sample().detach()
        bound = question.evaluate(masks, question.n_inner)
        batch, n_outer, n_inner = len(masks), question.n_outer, question.n_inner
        values = bound.by_mask.detach()  # [batch, L, K, J, parts]
        own = torch.eye(n_inner, dtype=torch.bool, device=values.device)
        others = values.unsqueeze(2).masked_fill(own[:, :, None, None], -torch.inf)
        without = others.logsumexp(3) - torch.tensor(n_inner - 1.0).log().item()
        rest = -(without.mean(3) * bound.shares[:, None, None]).sum(-1)  # [batch, L, K]
        gain = bound.loss.detach()[:, :, None] - rest
        log_p = question.law.log_prob(question.scores, masks).view(batch, n_outer, n_inner)
        surrogate = (gain * log_p).sum(-1) + bound.loss
        return Estimate(surrogate.mean(1), bound.loss.detach().mean(1))


def _check_scored(estimator: Estimator, law: MaskLaw) -> None:
    if not law.scored:
        raise TypeError(
            f"law must have probabilities for {type(estimator).__name__}, got {type(law).__name__}"
        )
