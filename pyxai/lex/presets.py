"""Methods that are special cases: each one call, with the constants of its own program.

They differ in mask law, penalty, imputer, regime and estimator; what is given by name replaces any
argument of `LEX`, so that two methods can be compared that differ in one thing only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from pyxai.imputers import Constant, Imputer
from pyxai.lex.control_variates import REBAR
from pyxai.lex.estimators import REINFORCE, Pathwise
from pyxai.lex.masks.laws import Bernoulli, Concrete
from pyxai.lex.masks.subsets import MaxOfK, Subset
from pyxai.lex.model import LEX
from pyxai.lex.regimes import Regime
from pyxai.lex.regularisers import L1, Continuity
from pyxai.lex.trainer import Training

__all__ = ["invase", "invase_minus", "l2x", "lex", "rationale", "realx"]

# Their programs penalise 1e-3 times the squared weights, whose gradient is twice that.
_DECAY = 2e-3


def l2x(
    predictor: nn.Module,
    selector: nn.Module,
    black_box: Callable[..., Any],
    *,
    k: int,
    **changes: Any,
) -> LEX:
    """Return L2X: k relaxed draws, zeros for what is removed, a black box's output as target.

    Parameters
    ----------
    predictor, selector : Module
        See `LEX`; the predictor is a surrogate that sees the selected features.
    black_box : callable
        What is explained: from inputs to logits [batch, classes].
    k : int
        Features to select.
    **changes
        Arguments of `LEX` that replace those of the method.

    Returns
    -------
    LEX

    References
    ----------
    .. [1] J. Chen, L. Song, M. J. Wainwright, M. I. Jordan, "Learning to Explain", ICML 2018.
    """
    return _made(
        predictor,
        selector,
        changes,
        law=MaxOfK(k, temperature=0.1),
        imputer=Constant(0.0),
        estimator=Pathwise(),
        regime=Regime(target="black_box"),
        black_box=black_box,
        training=Training(epochs=1, batch_size=1000, lr=1e-3, weight_decay=_DECAY),
    )


def invase(
    predictor: nn.Module,
    selector: nn.Module,
    baseline: nn.Module,
    *,
    weight: float = 0.1,
    **changes: Any,
) -> LEX:
    """Return INVASE: REINFORCE with a predictor on full inputs as baseline, zeros for the removed.

    Parameters
    ----------
    predictor, selector : Module
        Critic and actor.
    baseline : Module
        Another predictor, trained beside on full inputs.
    weight : float
        Of the mean probability of selection.
    **changes
        Arguments of `LEX` that replace those of the method.

    Returns
    -------
    LEX

    References
    ----------
    .. [1] J. Yoon, J. Jordon, M. van der Schaar, "INVASE: Instance-wise Variable Selection using
       Neural Networks", ICLR 2019.
    """
    changes.setdefault("estimator", REINFORCE(baseline))
    return invase_minus(predictor, selector, weight=weight, **changes)


def invase_minus(
    predictor: nn.Module, selector: nn.Module, *, weight: float = 0.1, **changes: Any
) -> LEX:
    """Return INVASE without its baseline; see `invase`.

    Parameters
    ----------
    predictor, selector : Module
        Critic and actor.
    weight : float
        Of the mean probability of selection.
    **changes
        Arguments of `LEX` that replace those of the method.

    Returns
    -------
    LEX
    """
    return _made(
        predictor,
        selector,
        changes,
        law=Bernoulli(),
        imputer=Constant(0.0),
        estimator=REINFORCE(),
        regulariser=L1(weight),
        regime=Regime(order="alternating"),
        training=Training(epochs=1000, batch_size=1000, lr=1e-4, weight_decay=_DECAY),
    )


def realx(predictor: nn.Module, selector: nn.Module, *, weight: float = 5.0, **changes: Any) -> LEX:
    """Return REAL-X: a predictor trained on random masks and then frozen, REBAR for the selector.

    Parameters
    ----------
    predictor, selector : Module
        See `LEX`.
    weight : float
        Of the mean probability of selection.
    **changes
        Arguments of `LEX` that replace those of the method.

    Returns
    -------
    LEX

    References
    ----------
    .. [1] N. Jethani, M. Sudarshan, Y. Aphinyanaphongs, R. Ranganath, "Have We Learned to Explain?
       How Interpretability Methods Can Learn to Encode Predictions in their Interpretations",
       AISTATS 2021.
    """
    return _made(
        predictor,
        selector,
        changes,
        law=Bernoulli(),
        imputer=Constant(0.0),
        estimator=REBAR(temperature=0.1),
        regulariser=L1(weight),
        regime=Regime(predictor="frozen", pretraining="random_masks", pretrain_epochs=500),
        training=Training(epochs=500, batch_size=1000, lr=1e-4, weight_decay=_DECAY),
    )


def rationale(
    predictor: nn.Module,
    selector: nn.Module,
    *,
    weight: float = 0.01,
    continuity: float = 0.01,
    **changes: Any,
) -> LEX:
    """Return the selection of rationales: relaxed bits for words, which should be few and adjoin.

    Parameters
    ----------
    predictor, selector : Module
        Of embedded words [batch, words, embedding]; give ``groups=Groups(torch.arange(words)[:,
        None])``.
    weight : float
        Of the number of words.
    continuity : float
        Of the number of changes between neighbours.
    **changes
        Arguments of `LEX` that replace those of the method.

    Returns
    -------
    LEX

    Notes
    -----
    The temperature stays at 1; the original lowers it by 1e-5 a step, to 0.05 at least. Set
    ``model.law.temperature`` between two calls of `LEX.fit` to do so.

    References
    ----------
    .. [1] T. Lei, R. Barzilay, T. Jaakkola, "Rationalizing Neural Predictions", EMNLP 2016.
    """
    return _made(
        predictor,
        selector,
        changes,
        law=Concrete(temperature=1.0),
        imputer=Constant(0.0),
        estimator=Pathwise(),
        regulariser=(L1(weight, "sum"), Continuity(continuity)),
        training=Training(epochs=20, batch_size=64, lr=1e-3),
    )


def lex(
    predictor: nn.Module,
    selector: nn.Module,
    imputer: Imputer,
    *,
    k: int | None = None,
    weight: float = 1.0,
    **changes: Any,
) -> LEX:
    """Return LEX with multiple imputation: ten masks, and ten imputations of each.

    Parameters
    ----------
    predictor, selector : Module
        See `LEX`.
    imputer : Imputer
        Fitted, one that draws.
    k : int, optional
        Groups to keep, exactly; default: independent bits with a penalty, by `REBAR`.
    weight : float
        Of the mean probability of selection, without ``k``.
    **changes
        Arguments of `LEX` that replace those of the method.

    Returns
    -------
    LEX

    Examples
    --------
    >>> import torch
    >>> from pyxai.imputers import Marginal
    >>> from pyxai.lex import lex, tabular_networks
    >>> model = lex(*tabular_networks(5, 2), Marginal(torch.zeros(4, 5)), k=2)
    >>> model.n_masks, model.n_imputations
    (10, 10)
    """
    law = Bernoulli() if k is None else Subset(k)
    return _made(
        predictor,
        selector,
        changes,
        law=law,
        imputer=imputer,
        estimator=REBAR() if k is None else Pathwise(),
        regulariser=L1(weight) if k is None else (),
        n_masks=10,
        n_imputations=10,
        training=Training(epochs=40, batch_size=100, lr=1e-4),
    )


def _made(predictor: nn.Module, selector: nn.Module, changes: dict[str, Any], **usual: Any) -> LEX:
    return LEX(predictor, selector, **{**usual, **changes})
