"""Phrases of a text, by what the model makes of groups of its units."""

from __future__ import annotations

from typing import Any

import torch

from pyxai.adapters.text.baselines import Baseline
from pyxai.adapters.text.batches import Batch
from pyxai.adapters.text.text_model import UnitGame
from pyxai.attribution.layers.cuts.cut import Cut
from pyxai.attribution.layers.cuts.from_layers import FromLayersModule
from pyxai.decomposition import AgglomerativeDecomposition, Hierarchy

__all__ = ["hierarchy_of"]


def hierarchy_of(
    rest: FromLayersModule,
    baseline: Baseline,
    batch: Batch,
    cut: Cut,
    target: int | None,
    options: dict[str, Any],
) -> Hierarchy:
    """Return the hierarchy of the one text of a batch; ``options`` are those of ACD."""
    [values] = cut.values
    presence = torch.ones(1, batch.n_units, dtype=values.dtype, device=values.device)
    [found] = AgglomerativeDecomposition(UnitGame(rest, False), **options).agglomerate(
        presence,
        target,
        (values, baseline.values(batch, cut), batch.owners, batch.ids, batch.mask),
        layout="text",
        names=batch.texts[0].units.labels,
    )
    return found
