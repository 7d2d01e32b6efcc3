"""A linear model of the largest wavelet coefficients: what is left of a net after distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite, check_real, describe
from pyxai.transforms.wavelet import WaveletTransform

__all__ = ["DistilledLinearModel", "fit_distilled", "labels_of"]


@dataclass(frozen=True, eq=False)
class DistilledLinearModel:
    """Ordinary least squares on the largest coefficients of each scale.

    Attributes
    ----------
    wavelet : WaveletTransform
        Makes the coefficients.
    n_largest : int
        How many of each scale are taken: the largest with their sign, in descending order.
    weights : Tensor, shape [n_features]
        float64, in output units per unit of a coefficient; scale by scale in the order of the
        coefficients.
    offset : float
        In output units.
    """

    wavelet: WaveletTransform
    n_largest: int
    weights: Tensor
    offset: float

    def predict(self, X: Any) -> Tensor:
        """Return predictions [batch] for signals [batch, ..., *sizes], in float64."""
        return self.features(torch.as_tensor(X)) @ self.weights + self.offset

    def features(self, X: Tensor) -> Tensor:
        """Return the coefficients that are taken, float64 [batch, n_features]."""
        coefficients = self.wavelet(X)
        scales = self.wavelet.levels()
        return torch.cat(
            [
                coefficients[..., scales == scale].flatten(1).topk(self.n_largest).values
                for scale in range(self.wavelet.level + 1)
            ],
            1,
        ).double()

    def score(self, X: Any, y: Any) -> float:
        """Return the share of the variance of y that predictions explain, R squared."""
        predicted = self.predict(X)
        wanted = labels_of(y, len(predicted))
        error = (wanted - predicted).square().sum()
        return float(1 - error / (wanted - wanted.mean()).square().sum())


def labels_of(y: Any, count: int) -> Tensor:
    """Return what is to be predicted, float64 [count], without what a model remembers of it."""
    try:
        wanted = torch.as_tensor(y)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"y must be numbers, got {describe(y)}") from error
    check_real("y", wanted)
    if wanted.numel() != count:
        raise ValueError(f"y must have {count} numbers, got {wanted.numel()}")
    check_finite("y", wanted)
    return wanted.detach().double().flatten()


def fit_distilled(
    wavelet: WaveletTransform, X: Tensor, y: Tensor, n_largest: int
) -> DistilledLinearModel:
    """Return the model with the least squared error of y, float64 [batch]."""
    empty = DistilledLinearModel(wavelet, n_largest, torch.zeros(0), 0.0)
    features = empty.features(X)
    mean, middle = features.mean(0), y.mean()
    weights = torch.linalg.lstsq(features - mean, (y - middle)[:, None], driver="gelsd").solution[
        :, 0
    ]
    return DistilledLinearModel(wavelet, n_largest, weights, float(middle - mean @ weights))
