"""Unbiased estimators of small variance: REBAR and RELAX."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pyxai._checks import check_number
from pyxai.lex.estimators import Estimate, Estimator, Question
from pyxai.lex.masks.laws import Bernoulli, Concrete, MaskLaw, check_temperature, uniform

__all__ = ["REBAR", "RELAX"]

_CONDITIONAL = 1  # the part of the random numbers that noise given the masks is made of


class REBAR(Estimator):
    r"""REINFORCE with relaxed masks as control variate: unbiased, three evaluations.

    With ``l`` log-odds plus logistic noise, ``s = 1[l > 0]``, and ``l'`` drawn anew given s:
    ``[f(s) - eta f(sigmoid(l' / t))] grad log p(s) + eta grad [f(sigmoid(l / t)) -
    f(sigmoid(l' / t))]``. The predictor is trained by f(s) alone: the other two have no part in
    it in the mean.

    Parameters
    ----------
    temperature : float
        t, above 0.
    scale : float
        eta; 0 is REINFORCE.

    References
    ----------
    .. [1] G. Tucker et al., "REBAR: Low-variance, unbiased gradient estimates for discrete latent
       variable models", NeurIPS 2017, eqs. 5 to 7.
    """

    along_masks = True

    def __init__(self, temperature: float = 0.5, scale: float = 1.0) -> None:
        super().__init__()
        self.temperature = check_temperature(temperature)
        self.scale = check_number("scale", scale)

    def check(self, law: MaskLaw, n_outer: int, n_inner: int) -> None:
        """Raise if masks are not hard and of independent bits."""
        if not isinstance(law, Bernoulli) or isinstance(law, Concrete):
            raise TypeError(
                f"law must be Bernoulli for {type(self).__name__}, got {type(law).__name__}"
            )

    def estimate(self, question: Question) -> Estimate:
        """Return the surrogate and the loss of the hard masks."""
        drawn, masks, again = _draws(question, question.scores)
        loss = question.evaluate(masks, question.n_inner).loss
        soft = question.relaxed((drawn / self.temperature).sigmoid())
        given = question.relaxed((again / self.temperature).sigmoid())
        gain = (loss - self.scale * given).detach()
        surrogate = gain * question.joint_log_prob(masks) + self.scale * (soft - given) + loss
        return Estimate(surrogate.mean(1), loss.detach().mean(1))


class RELAX(Estimator):
    r"""REBAR whose control variate learns: its scale, its temperature, and a free function.

    ``c(l) = eta f(sigmoid(l / t)) + r(l)``; eta, t and r are trained to make the second moment of
    the gradient with respect to the scores small, which leaves its mean alone.

    Parameters
    ----------
    control : Module, optional
        r: from noisy log-odds [rows, n_groups] to [rows, 1] or [rows]. Default: none.
    temperature : float
        t at the start, above 0.
    scale : float
        eta at the start.

    References
    ----------
    .. [1] W. Grathwohl et al., "Backpropagation through the Void: Optimizing control variates for
       black-box gradient estimation", ICLR 2018, section 3.
    """

    along_masks = True
    check = REBAR.check

    def __init__(
        self, control: nn.Module | None = None, temperature: float = 0.5, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.control = control
        log_temperature = math.log(check_temperature(temperature))
        self.log_temperature = nn.Parameter(torch.tensor(log_temperature))
        self.scale = nn.Parameter(torch.tensor(check_number("scale", scale)))

    def estimate(self, question: Question) -> Estimate:
        """Return a surrogate for selector, predictor and control variate, and the loss."""
        scores = question.scores.detach().requires_grad_()
        drawn, masks, again = _draws(question, scores)
        loss = question.evaluate(masks, question.n_inner).loss
        value = self._control(drawn, question)
        given = self._control(again, question)
        each = question.law.log_prob(scores, masks).view(len(scores), *loss.shape[1:], -1).sum(-1)
        # Each outer mask has a gain of its own.
        slopes = [
            torch.autograd.grad(each[:, at].sum(), scores, retain_graph=True)[0]
            for at in range(question.n_outer)
        ]
        gain = loss.detach() - given  # [batch, L], differentiable in the control variate
        scored = sum(gain[:, at, None] * part for at, part in enumerate(slopes))
        (paths,) = torch.autograd.grad((value - given).sum(), scores, create_graph=True)
        found = (scored + paths) / question.n_outer  # [batch, n_groups]
        moment = found.square().sum(1)
        surrogate = (found.detach() * question.scores).sum(1) + loss.mean(1)
        return Estimate(surrogate + moment, loss.detach().mean(1))

    def _control(self, drawn: Tensor, question: Question) -> Tensor:
        """Return the control variate at noisy log-odds, ``[batch, n_outer]``."""
        soft = question.relaxed((drawn / self.log_temperature.exp()).sigmoid())
        total = self.scale * soft
        if self.control is not None:
            free = self.control(drawn.flatten(0, 1)).view(len(drawn), -1, question.n_inner)
            total = total + free.sum(-1)
        return total


def _draws(question: Question, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return noisy log-odds, hard masks, and noisy log-odds drawn anew given these masks.

    Each ``[batch, n_masks, n_groups]``; the first and the last differentiable in the scores.
    """
    law = question.law
    assert isinstance(law, Bernoulli)
    options = {"seed": question.seed, "example_ids": question.example_ids}
    drawn = law.logistic(scores, question.n_masks, **options)  # type: ignore[arg-type]
    masks = (drawn.detach() > 0).to(scores.dtype)
    noise = uniform(
        scores.shape[1:],
        scores,
        question.n_masks,
        seed=question.seed,
        example_ids=question.example_ids,
        part=_CONDITIONAL,
    ).to(scores.dtype)
    odds = law.logits(scores)[:, None]
    # With p = sigmoid(odds): log(1 + v / ((1 - v) (1 - p))) where kept, else the same of 1 - p
    # with the other sign; softplus(log v / (1 - v) - log(1 - p)) is the same without overflow.
    signs = 2 * masks - 1
    rest = -nn.functional.softplus(signs * odds)  # log(1 - p), or log p where not kept
    again = signs * nn.functional.softplus(torch.logit(noise) - rest)
    return drawn, masks, again
