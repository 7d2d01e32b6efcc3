"""Checks of the arguments of functional information."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, describe
from pyxai._errors import warn
from pyxai._inputs import format_feature_mask, format_inputs
from pyxai.attribution.sampled.functional_information.scores import SCORES, VARIANCE_SCORES, Groups

__all__ = ["Layout", "check_names", "grouping", "one_tensor", "pairing", "warn_if_lost"]


def check_names(names: Any) -> None:
    """Check the names of scores."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise TypeError(f"names must be a sequence of names of scores, got {describe(names)}")
    for name in names:
        check_choice("score", name, SCORES)


def one_tensor(inputs: Any) -> Tensor:
    """Return the inputs, which must be one tensor."""
    tensors, _ = format_inputs(inputs, gradients=True)
    if len(tensors) != 1:
        raise NotImplementedError(
            f"inputs must be one tensor for functional information, got {len(tensors)}; "
            "concatenate them, since one covariance speaks of all features"
        )
    return tensors[0]


def warn_if_lost(values: Tensor, result: Tensor) -> None:
    """Warn where all scores of an example were too small for the numbers of the result."""
    lost = ((values != 0).any(-1) & (result == 0).all(-1)).sum().item()
    if lost:
        warn(
            f"the scores of {lost} examples are too small for {result.dtype} and have become 0, "
            "as the output is; pass relative=True, or inputs and a model in float64"
        )


class Layout(NamedTuple):
    """Where scores are computed and where they are put."""

    groups: Groups | None
    shape: list[int]  # of the result
    spread: bool  # whether each feature gets the score of its group, else one score per group

    def place(self, found: Sequence[Tensor], dtype: torch.dtype) -> Any:
        """Put scores [batch, groups], and their errors if there are any, into the result.

        In the precision for inputs of ``dtype``.
        """
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        results = [values.to(wide) for values in found]
        warn_if_lost(found[0], results[0])
        if self.spread and self.groups is not None:
            results = [values[:, self.groups.owner] for values in results]
        placed = tuple(values.reshape(self.shape) for values in results)
        return placed if len(placed) > 1 else placed[0]


def grouping(
    x: Tensor, feature_mask: Tensor | None, parity: bool, layout: str | None = None
) -> Layout:
    """Return the groups and the shape of the result."""
    if check_bool("parity", parity):
        if feature_mask is not None:
            raise ValueError("feature_mask must be None with parity=True, which groups channels")
        return _parity(x, _kind(x, layout))
    if layout is not None:
        raise ValueError(f"layout must be None without parity=True, got {layout!r}")
    if feature_mask is None:
        return Layout(None, list(x.shape), spread=True)
    players = format_feature_mask(feature_mask, (x,))
    mask = players.maps[0]
    assert mask is not None
    if mask.shape[0] != 1 and bool((mask != mask[:1]).any()):
        raise ValueError("feature_mask must be the same for all examples, got one per example")
    groups = Groups(mask[0].reshape(-1).long(), players.n_players)
    return Layout(groups, list(x.shape), spread=True)


def _kind(x: Tensor, layout: str | None) -> str:
    """Return what the inputs are; their shape tells all but text from sound."""
    if layout is None:
        if x.dim() == 3:
            raise ValueError(
                "layout must be 'text' ([batch, tokens, embedding]) or 'audio' ([batch, channels, "
                f"time]) for parity=True with inputs of 3 dimensions, got None for {list(x.shape)}"
            )
        return "image" if x.dim() > 3 else "audio"
    check_choice("layout", layout, ("image", "text", "audio"))
    if layout != "audio" and x.dim() < 3:
        raise ValueError(
            f"inputs must have at least 3 dimensions for layout {layout!r}, got {list(x.shape)}"
        )
    return layout


def _parity(x: Tensor, kind: str) -> Layout:
    """Group channels or embeddings as the authors do; sounds stay as they are."""
    if kind == "audio":
        return Layout(None, list(x.shape), spread=True)
    axis = 1 if kind == "image" else x.dim() - 1
    kept = [size for index, size in enumerate(x.shape) if index not in (0, axis)]
    ids = torch.arange(prod(kept), device=x.device).reshape(kept).unsqueeze(axis - 1)
    groups = Groups(ids.expand(x.shape[1:]).reshape(-1), prod(kept))
    return Layout(groups, [x.shape[0], *kept], spread=False)


def pairing(
    antithetic: bool | None,
    return_error: bool,
    relative: bool,
    n_samples: int,
    names: Sequence[str],
) -> bool:
    """Tell whether samples come in opposite pairs; variances need independent ones."""
    check_bool("return_error", return_error)
    if antithetic is not None:
        check_bool("antithetic", antithetic)
    if check_bool("relative", relative) and return_error:
        raise ValueError("return_error must be False with relative=True, got True")
    variances = [name for name in names if name in VARIANCE_SCORES]
    if antithetic and variances:
        raise ValueError(
            f"antithetic must be False for score {variances[0]!r}, a variance over independent "
            "samples, got True"
        )
    paired = not variances if antithetic is None else antithetic
    if antithetic and n_samples % 2:
        raise ValueError(f"n_samples must be even for antithetic pairs, got {n_samples}")
    return paired and n_samples % 2 == 0
