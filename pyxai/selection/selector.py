"""The selection as a selector of scikit-learn, which is imported here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pyxai._checks import check_int
from pyxai._extras import optional
from pyxai.selection.features import name_features
from pyxai.selection.greedy import greedy_feature_selection

with optional("GreedyFeatureSelector needs", "scikit-learn>=1.6", "selection"):
    from sklearn.base import BaseEstimator
    from sklearn.feature_selection import SelectorMixin
    from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["GreedyFeatureSelector"]


class GreedyFeatureSelector(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Select the columns of a table that a trained torch model needs most.

    The model is given and stays as it is: `fit` orders the columns with
    `pyxai.selection.greedy_feature_selection`, it trains nothing.

    Parameters
    ----------
    model : callable
        Takes a float tensor ``[rows, n_features]``, in the dtype of its parameters, and returns
        logits ``[rows, n_classes]``, or what ``loss`` takes.
    n_features_to_select : int or float, optional
        How many features to keep, or which share of them; default: half.
    loss : str or callable
        As for `greedy_feature_selection`. For the cross-entropy ``y`` holds class numbers.
    baselines : float or array, shape [n_features], optional
        What stands for a column that is not selected; default: its mean.
    feature_mask : array or Tensor, shape [n_features], optional
        Integers: columns of the same number are one feature, kept or left together.
    fields : sequence of int, or mapping of str to int, optional
        Widths of features that are consecutive columns, as one-hot columns are.
    rounds, n_steps, method, absolute, epsilon, shortlist, batch_size, sample_size, fast_path
        As for `greedy_feature_selection`.
    random_state : int
        Seed of the sample of rows.

    Attributes
    ----------
    selection_ : FeatureSelection
        All that was found, with its curve.
    support_ : array, shape [n_features]
        bool, the columns that are kept.
    ranking_ : array, shape [n_features]
        Place of each column's feature in the order, from 1; those not selected share the last.
    n_features_in_ : int
        Columns seen by `fit`.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        *,
        n_features_to_select: int | float | None = None,
        loss: Any = "cross_entropy",
        baselines: Any = None,
        feature_mask: Any = None,
        fields: Any = None,
        rounds: Any = 1,
        n_steps: int = 4,
        method: str = "midpoint",
        absolute: bool = False,
        epsilon: float | None = None,
        shortlist: int | None = None,
        batch_size: int | None = None,
        sample_size: int | None = None,
        random_state: int = 0,
        fast_path: bool = True,
    ) -> None:
        self.model = model
        self.n_features_to_select = n_features_to_select
        self.loss = loss
        self.baselines = baselines
        self.feature_mask = feature_mask
        self.fields = fields
        self.rounds = rounds
        self.n_steps = n_steps
        self.method = method
        self.absolute = absolute
        self.epsilon = epsilon
        self.shortlist = shortlist
        self.batch_size = batch_size
        self.sample_size = sample_size
        self.random_state = random_state
        self.fast_path = fast_path

    def fit(self, X: Any, y: Any) -> GreedyFeatureSelector:
        """Order the columns.

        Parameters
        ----------
        X : array or data frame, shape [rows, n_features]
            Numbers, as the model takes them.
        y : array, shape [rows]
            Class numbers, or targets of a regression.

        Returns
        -------
        GreedyFeatureSelector
            This object.

        Raises
        ------
        ValueError
            If shapes or numbers do not fit.
        TypeError
            If an argument is of another kind, a ``random_state`` that is no integer among them.
        """
        table, labels = validate_data(self, X, y, dtype="numeric", multi_output=True)
        rows = torch.from_numpy(np.array(table, dtype=np.float64)).to(_dtype_of(self.model))
        seed = check_int("random_state", self.random_state)
        mask = None if self.feature_mask is None else _as_tensor(self.feature_mask)
        features = name_features((rows[:1],), feature_mask=mask, fields=self.fields)
        owners = features.owners[0][0].numpy()
        count = self._count(features.count)
        baselines = self.baselines
        if baselines is not None and not isinstance(baselines, (int, float)):
            baselines = _as_tensor(baselines).to(rows.dtype)
        grouped = mask is not None or self.fields is not None
        names = None if grouped else getattr(self, "feature_names_in_", None)
        self.selection_ = greedy_feature_selection(
            self.model,
            (rows, _labels(labels)),
            n_select=count,
            loss=self.loss,
            baselines=baselines,
            feature_mask=mask,
            fields=self.fields,
            rounds=self.rounds,
            n_steps=self.n_steps,
            method=self.method,
            absolute=self.absolute,
            epsilon=self.epsilon,
            shortlist=self.shortlist,
            batch_size=self.batch_size,
            sample_size=self.sample_size,
            seed=seed,
            fast_path=self.fast_path,
            feature_names=None if names is None else list(names),
        )
        self.support_: npt.NDArray[np.bool_] = self.selection_.support().numpy()[owners]
        places = np.full(features.count, count + 1)
        places[self.selection_.order.numpy()] = np.arange(1, count + 1)
        self.ranking_ = places[owners]
        return self

    def _count(self, n_features: int) -> int:
        wanted = self.n_features_to_select
        if wanted is None:
            return max(1, n_features // 2)
        if isinstance(wanted, (float, np.floating)):
            if not 0 < wanted <= 1:
                raise ValueError(
                    f"n_features_to_select must be a number or in (0, 1], got {wanted}"
                )
            return max(1, int(wanted * n_features))
        if not 1 <= check_int("n_features_to_select", wanted) <= n_features:
            raise ValueError(
                f"n_features_to_select must be in 1 .. {n_features}, the features of X, "
                f"got {wanted}"
            )
        return int(wanted)

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


def _dtype_of(model: Any) -> torch.dtype:
    """Return the dtype of a module's parameters; float32 for others."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    found = (p.dtype for p in parameters if p.is_floating_point())
    return next(found, torch.float32)


def _as_tensor(values: Any) -> torch.Tensor:
    # A copy: torch warns of arrays that it may not write to, such as rows of a data frame.
    return values if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))


def _labels(labels: Any) -> torch.Tensor:
    values = np.array(labels)
    if values.dtype.kind not in "iufb":
        raise ValueError(
            "Unknown label type: y must hold class numbers of the model or targets, "
            f"got dtype {values.dtype}"
        )
    if values.dtype.kind in "ub":
        values = values.astype(np.int64)
    return torch.from_numpy(values)
