"""From the arguments that all selections share to the objective that they maximise."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

from pyxai._checks import check_int
from pyxai.runner.state import device_of, find_modules
from pyxai.selection.data import DataSet
from pyxai.selection.features import name_features
from pyxai.selection.losses import Loss
from pyxai.selection.objective import Objective

__all__ = ["check_options", "objective_of"]


def objective_of(
    model: Callable[..., Any],
    data: Any,
    *,
    loss: str | Loss = "cross_entropy",
    baselines: Any = None,
    feature_mask: Any = None,
    fields: Any = None,
    feature_names: Sequence[str] | None = None,
    embed: Callable[..., Any] | None = None,
    batch_size: int | None = None,
    sample_size: int | None = None,
    seed: int = 0,
    sample_name: str = "sample_size",
) -> Objective:
    """Return the objective of a selection; see `greedy_feature_selection` for the arguments.

    ``sample_name`` is what an error calls ``sample_size``.
    """
    check_int("seed", seed)
    rows = DataSet(data, embed=embed, device=device_of(find_modules(model)))
    # The baseline is that of the whole set, so that a sample hides features as the set does.
    if sample_size is not None:
        baselines = rows.mean() if baselines is None else baselines
        rows = rows.sample(sample_size, seed=seed, name=sample_name)
    features = name_features(
        rows.first().inputs,
        feature_mask=feature_mask,
        fields=fields,
        feature_names=feature_names,
    )
    bound = None if batch_size is None else check_int("batch_size", batch_size, minimum=1)
    return Objective(model, rows, features, loss=loss, baselines=baselines, max_rows=bound)


def check_options(options: Collection[str]) -> None:
    """Raise ``TypeError`` if `objective_of` does not know an option that a user has given."""
    parameters = inspect.signature(objective_of).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "sample_name"]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(f"options must be among {', '.join(known)}, got {unknown[0]!r}")
