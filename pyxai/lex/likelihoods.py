"""What a predictor's output says of a label: log-likelihoods of rows, and the bound of many."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributions, nn

from pyxai._checks import check_choice, check_dtype, check_finite, check_number, check_tensor

__all__ = ["AGGREGATIONS", "Bound", "CategoricalLikelihood", "GaussianLikelihood", "Likelihood"]

AGGREGATIONS = ("mean", "harmonic")
_LEARNT, _PREDICTED = "learnt", "predicted"


class Bound(NamedTuple):
    """The bound on a label's log-likelihood, as losses to be made small."""

    loss: Tensor
    """``[batch, n_outer]``: minus the bound, mean over the outer imputations."""
    by_mask: Tensor
    """``[batch, n_outer, n_inner, outer imputations, parts]``: each mask's log mean likelihood."""
    shares: Tensor
    """``[batch, parts]``: how the parts (classes of a soft target) are weighed."""


class Likelihood(nn.Module):
    """What a predictor's output says of a label. Derive from it for another kind of label."""

    def check(self, outputs: Any, targets: Tensor) -> None:
        """Raise if targets do not fit a predictor's outputs ``[batch, ...]``."""
        raise NotImplementedError

    def log_probs(self, outputs: Any, targets: Tensor, joint: bool) -> tuple[Tensor, Tensor]:
        """Return log-likelihoods of rows, and the shares of their parts.

        Parameters
        ----------
        outputs : Tensor or tuple of Tensor, shape [batch, n_rows, ...]
            What the predictor made of the rows of each example.
        targets : Tensor, shape [batch] or [batch, n_values]
            The labels.
        joint : bool
            Whether parts of a target are put together before the rows are.

        Returns
        -------
        tuple of Tensor
            ``[batch, n_rows, parts]`` in nats, ``[batch, parts]``.
        """
        raise NotImplementedError

    def predictive(self, outputs: Any) -> Tensor:
        """Return what all rows ``[batch, n_rows, ...]`` of an example say together."""
        raise NotImplementedError

    def as_target(self, outputs: Any, hard: bool) -> Tensor:
        """Return a model's outputs ``[batch, ...]`` on full inputs as targets."""
        raise NotImplementedError

    def bound(
        self, outputs: Any, targets: Tensor, sizes: tuple[int, int, int, int], how: str = "mean"
    ) -> Bound:
        """Return the importance-weighted bound of rows ``(n_outer, n_inner, J, M)``.

        ``l = log mean_{k, m} p(y | x_km)``, ``loss = -mean_j l``; with ``how="harmonic"``
        ``l = -log mean_{k, m} 1 / p(y | x_km)``, which no model has but an official program.

        Parameters
        ----------
        outputs : Tensor or tuple of Tensor, shape [batch, L * K * J * M, ...]
            What the predictor made of the rows.
        targets : Tensor
            The labels.
        sizes : tuple of int
            L, K, J and M: masks outside and inside the logarithm, imputations outside and inside.
        how : str
            ``"mean"`` or ``"harmonic"``.

        Returns
        -------
        Bound
        """
        check_choice("aggregation", how, AGGREGATIONS)
        flat, shares = self.log_probs(outputs, targets, joint=how == "harmonic")
        rows = flat.view(len(flat), *sizes, -1)  # [batch, L, K, J, M, parts]
        sign = 1 if how == "mean" else -1
        by_mask = sign * _log_mean_exp(sign * rows, 4)  # [batch, L, K, J, parts]
        together = sign * _log_mean_exp(sign * by_mask, 2)  # [batch, L, J, parts]
        loss = -(together.mean(2) * shares[:, None]).sum(-1)
        return Bound(loss, by_mask, shares)


def _log_mean_exp(values: Tensor, dim: int) -> Tensor:
    """Return the logarithm of the mean of exponentials, without overflow."""
    if values.shape[dim] == 1:
        return values.squeeze(dim)
    return values.logsumexp(dim) - math.log(values.shape[dim])


class CategoricalLikelihood(Likelihood):
    """Labels are classes; the predictor returns logits or log-probabilities, ``[batch, classes]``.

    Targets are int64 classes ``[batch]``, or probabilities ``[batch, classes]``: then each class
    has a bound of its own, ``sum_c q_c log mean p(c | x_km)``.

    Raises
    ------
    ValueError
        If a label is not a class, or probabilities are negative or do not sum to 1.
    TypeError
        If targets are neither int64 nor floating point.
    """

    def check(self, outputs: Any, targets: Tensor) -> None:
        """Raise if targets are no classes or no probabilities of the outputs' classes."""
        shape = list(check_tensor("outputs of the predictor", outputs).shape)
        if len(shape) != 2:
            raise ValueError(f"predictor must return [batch, n_classes], got shape {shape}")
        check_tensor("targets", targets)
        if targets.is_floating_point():
            if list(targets.shape) != shape:
                raise ValueError(
                    f"targets must have shape {shape[:1]} for classes or {shape} for "
                    f"probabilities, got {list(targets.shape)}"
                )
            check_finite("targets", targets)
            if bool((targets < 0).any()) or bool(((targets.sum(1) - 1).abs() > 1e-3).any()):
                raise ValueError("targets must be probabilities that sum to 1, got other numbers")
            return
        check_dtype("targets", targets, (torch.int64,))
        if list(targets.shape) != shape[:1]:
            raise ValueError(f"targets must have shape {shape[:1]}, got {list(targets.shape)}")
        low, high = (int(value) for value in targets.aminmax())
        if low < 0 or high >= shape[1]:
            raise ValueError(
                f"targets must be from 0 to {shape[1] - 1}, the classes of the predictor, "
                f"got {low if low < 0 else high}"
            )

    def log_probs(self, outputs: Any, targets: Tensor, joint: bool) -> tuple[Tensor, Tensor]:
        """Return log-probabilities of the label, or of each class with the target's shares."""
        log_p = outputs.log_softmax(-1)
        one = log_p.new_ones(len(log_p), 1)
        if not targets.is_floating_point():
            index = targets[:, None, None].expand(-1, log_p.shape[1], 1)
            return log_p.gather(2, index), one
        shares = targets.to(log_p.dtype)
        if joint:
            return (log_p * shares[:, None]).sum(-1, keepdim=True), one
        return log_p, shares

    def predictive(self, outputs: Any) -> Tensor:
        """Return the mean of the rows' probabilities, ``[batch, classes]``."""
        mean: Tensor = outputs.softmax(-1).mean(1)
        return mean

    def as_target(self, outputs: Any, hard: bool) -> Tensor:
        """Return the classes' probabilities, or the most likely class."""
        return outputs.argmax(-1) if hard else outputs.softmax(-1)  # type: ignore[no-any-return]


class GaussianLikelihood(Likelihood):
    """Labels are numbers with normal noise; the predictor returns means, ``[batch, values]``.

    Parameters
    ----------
    variance : float or str
        Of the noise, in squared units of the labels: a number above 0; ``"learnt"``, one number
        that is trained from 1; or ``"predicted"``: the predictor returns a tuple of means and
        variances, each ``[batch, values]``.

    Raises
    ------
    ValueError
        If a variance, also one that is predicted, is not above 0.
    """

    def __init__(self, variance: float | str = 1.0) -> None:
        super().__init__()
        self.predicted = variance == _PREDICTED
        if isinstance(variance, str):
            check_choice("variance", variance, (_LEARNT, _PREDICTED))
        elif check_number("variance", variance) <= 0:
            raise ValueError(f"variance must be above 0, got {variance}")
        start = torch.tensor(0.0 if isinstance(variance, str) else math.log(variance))
        self.log_variance = nn.Parameter(start, requires_grad=variance == _LEARNT)

    def check(self, outputs: Any, targets: Tensor) -> None:
        """Raise if targets are not numbers in the shape of the means."""
        mean, _ = self._moments(outputs)
        check_tensor("targets", targets)
        one_value = targets.shape == mean.shape[:1] and mean.numel() == len(mean)
        if not targets.is_floating_point() or not (one_value or targets.shape == mean.shape):
            raise ValueError(
                f"targets must be floating point of shape {list(mean.shape)}, "
                f"got {targets.dtype} of shape {list(targets.shape)}"
            )
        check_finite("targets", targets)

    def _moments(self, outputs: Any) -> tuple[Tensor, Tensor]:
        """Return means and variances."""
        if not self.predicted:
            mean = check_tensor("outputs of the predictor", outputs)
            return mean, self.log_variance.exp().to(mean.dtype)
        if not isinstance(outputs, tuple) or len(outputs) != 2:
            raise TypeError("predictor must return a tuple of means and variances, got another")
        mean, variance = outputs
        least = float(variance.detach().amin())
        if least <= 0:
            raise ValueError(f"variances of the predictor must be above 0, got {least:g}")
        return mean, variance

    def log_probs(self, outputs: Any, targets: Tensor, joint: bool) -> tuple[Tensor, Tensor]:
        """Return normal log-densities, summed over the values of a label."""
        mean, variance = self._moments(outputs)
        wanted = targets.to(mean.dtype).reshape(len(mean), 1, *mean.shape[2:])
        law = distributions.Normal(mean, variance.sqrt(), validate_args=False)
        each: Tensor = law.log_prob(wanted)  # type: ignore[no-untyped-call]
        return each.flatten(2).sum(-1, keepdim=True), mean.new_ones(len(mean), 1)

    def predictive(self, outputs: Any) -> Tensor:
        """Return the mean of the rows' means, ``[batch, values]``."""
        return self._moments(outputs)[0].mean(1)

    def as_target(self, outputs: Any, hard: bool) -> Tensor:
        """Return the means."""
        return self._moments(outputs)[0]
