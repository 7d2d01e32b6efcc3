"""Syn1 to Syn6, of which the last three are also called S1 to S3: normal rows, switched labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import (
    check_choice,
    check_int,
    check_number,
    check_real,
    check_shape,
    check_tensor,
)
from pyxai.datasets.simulated import Simulated, draw_labels, normal_rows
from pyxai.imputers import Gaussian

__all__ = ["S1", "S2", "S3", "Syn1", "Syn2", "Syn3", "Syn4", "Syn5", "Syn6"]

_SWITCH = 10  # the feature whose sign decides which of two groups counts
_GROUPS = {"A": slice(0, 2), "B": slice(2, 6), "C": slice(6, 10)}

Generator = Callable[..., Simulated]


def _score(group: str, x: Tensor) -> Tensor:
    """Return l of ``P(y = 1 | x) = 1 / (1 + exp l)``, by the formulas of the code, not the paper.

    The paper prints another factor in group C than its code and all code after it has.
    """
    if group == "A":
        return x[:, 0] * x[:, 1]
    if group == "B":
        return x[:, 2:6].square().sum(1) - 4
    x7, x8, x9, x10 = x[:, 6:10].unbind(1)
    return -10 * (0.2 * x7).sin() + x8.abs() + x9 + (-x10).exp() - 2.4


def _simulated(
    groups: str,
    n_rows: int,
    seed: int,
    n_features: int,
    mean: Any,
    covariance: Tensor | None,
    task: str,
    noise: float,
    dtype: torch.dtype,
) -> Simulated:
    check_int("n_features", n_features, minimum=_SWITCH + 1)
    check_choice("task", task, ("classification", "regression"))
    deviation = check_number("noise", noise)
    centre = mean if isinstance(mean, Tensor) else torch.tensor(check_number("mean", mean))
    check_real("mean", centre)
    if centre.dim():
        check_shape("mean", centre, [n_features])
    centre = centre.double().expand(n_features)
    spread = torch.eye(n_features, dtype=torch.float64) if covariance is None else covariance
    check_shape("covariance", check_tensor("covariance", spread), [n_features, n_features])
    law = Gaussian(n_draws=1, mean=centre, covariance=spread)  # says what is wrong with a matrix
    x = normal_rows(n_rows, (n_features,), seed, dtype=torch.float64)
    if covariance is not None:
        x = x @ torch.linalg.cholesky(spread.double()).T
    x = (x + centre).to(dtype)
    wide = x.double()  # labels are drawn by the rows as they are given
    first = wide[:, _SWITCH] < 0
    score = torch.where(first, _score(groups[0], wide), _score(groups[-1], wide))
    truth = torch.zeros(x.shape, dtype=torch.bool)
    for group, chosen in ((groups[0], first), (groups[-1], ~first)):
        truth[:, _GROUPS[group]] |= chosen[:, None]
    truth[:, _SWITCH] = len(groups) == 2
    probabilities = torch.sigmoid(-score)
    if task == "regression":
        labels = (score + deviation * normal_rows(n_rows, (), seed, 1, torch.float64)).to(dtype)
    else:
        labels = draw_labels(probabilities, seed)
    return Simulated(x, labels, truth, probabilities.to(dtype), law)


_DOC = """{title}

    ``P(y = 1 | x) = 1 / (1 + exp l(x))`` with

    - A: ``l = x1 x2``
    - B: ``l = x3^2 + x4^2 + x5^2 + x6^2 - 4``
    - C: ``l = -10 sin(0.2 x7) + |x8| + x9 + exp(-x10) - 2.4``

    here {rule}. Features that count: {truth}.

    Parameters
    ----------
    n_rows : int
        How many rows. The first of many rows are those of few.
    seed : int
        Rows of one seed to train on and rows of another to test on are independent.
    n_features : int
        At least 11; the rest counts for nothing.
    mean : float or Tensor, shape [n_features]
        Of the features.
    covariance : Tensor, shape [n_features, n_features], optional
        Of the features; default: the identity.
    task : str
        ``"classification"``, or ``"regression"``: then labels are ``l(x)`` with normal noise.
    noise : float
        Standard deviation of that noise.
    dtype : torch.dtype
        Of the inputs.

    Returns
    -------
    Simulated
        With the true conditional distribution of absent features as an imputer.

    Raises
    ------
    ValueError
        If a number is out of range, or the covariance is not one.

    References
    ----------
    .. [1] J. Yoon, J. Jordon, M. van der Schaar, "INVASE: Instance-wise Variable Selection using
       Neural Networks", ICLR 2019, section 4.1; l as in its code, whose C differs from the paper's.

    Examples
    --------
    >>> from pyxai.datasets import {name}
    >>> {name}(100).inputs.shape
    torch.Size([100, 11])
    """


def _data_set(name: str, groups: str) -> Generator:
    def generate(
        n_rows: int = 10_000,
        seed: int = 0,
        *,
        n_features: int = 11,
        mean: Any = 0.0,
        covariance: Tensor | None = None,
        task: str = "classification",
        noise: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> Simulated:
        return _simulated(groups, n_rows, seed, n_features, mean, covariance, task, noise, dtype)

    if len(groups) == 1:
        rule, truth = f"l is that of {groups}", f"those of {groups}"
    else:
        rule = f"l is that of {groups[0]} where x11 < 0 and that of {groups[1]} elsewhere"
        truth = f"x11, and those of {groups[0]} or {groups[1]}"
    title = f"Simulate the data set {name}."
    generate.__doc__ = _DOC.format(title=title, rule=rule, truth=truth, name=name)
    generate.__name__ = generate.__qualname__ = name
    return generate


Syn1 = _data_set("Syn1", "A")
Syn2 = _data_set("Syn2", "B")
Syn3 = _data_set("Syn3", "C")
Syn4 = _data_set("Syn4", "AB")
Syn5 = _data_set("Syn5", "AC")
Syn6 = _data_set("Syn6", "BC")
S1 = _data_set("S1", "AB")
S2 = _data_set("S2", "AC")
S3 = _data_set("S3", "BC")
