"""Which groups of pixels are computed in windows of a conv net, and which on whole maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from pyxai.decomposition.groups import Groups
from pyxai.propagation.decomposed import DecompositionEngine
from pyxai.propagation.decomposed.windowed import Part, plans_of
from pyxai.propagation.windows import arithmetic
from pyxai.propagation.windows.spans import Ints

__all__ = ["layouts_of"]

# Of the direct way's work that windows may take, so that they are worth it: small maps take longer
# than their products tell.
_GAIN = 0.6
_SAVED = 0.85  # the same for all groups of an example, of which only some go by windows
_OVERHEAD = 2.0  # times that of an op of a model, for the rule of one on windows
_MAPS_BYTES = 2 * 2**30  # that the values of one example may take


def layouts_of(
    engine: DecompositionEngine,
    inputs: tuple[Tensor, ...],
    groups: Groups,
    rows_of: Callable[..., int],
) -> list[list[Part]] | None:
    """Return how the groups of each example are computed; None if all are on whole maps.

    Parameters
    ----------
    engine : DecompositionEngine
        Of a model without further arguments.
    inputs : tuple of Tensor
    groups : Groups
    rows_of : callable
        Returns how many rows fit in a pass; of windows from the elements of a row.
    """
    x = inputs[0].detach()
    if len(inputs) > 1 or groups.starts is not None or groups.count < 2:
        return None
    if not _has_windows(engine, x):
        return None
    plans = plans_of(engine, x[:1].clone())
    rate = arithmetic.rate(x.device)
    direct = plans.whole * groups.count
    if direct < arithmetic.TRACED * rate:
        return None
    if plans.of(engine, 1, 1)[1] >= _GAIN * plans.whole:  # not even for single pixels
        return None
    found, some = [], False
    for example in range(len(x)):
        boxes = np.concatenate(list(_boxes(groups, example, rows_of())))
        overhead = _OVERHEAD * arithmetic.STEP * rate
        parts, work = plans.parts(engine, boxes, overhead, _GAIN, rows_of)
        # The parts of an empty group are computed too.
        if work + plans.whole > max(_GAIN, _SAVED) * direct:
            every = np.arange(groups.count)
            parts = [Part(every, None, every, every, None)]
        some = some or any(part.plan is not None for part in parts)
        found.append(parts)
    return found if some else None


def _has_windows(engine: DecompositionEngine, x: Tensor) -> bool:
    """Whether the parts of an image are computed by a graph that could have windows."""
    if x.dim() != 4 or x.dtype not in (torch.float32, torch.float64) or not x.numel():
        return False
    if engine.whole_batch or engine.has_streams or not engine.end.depends:
        return False
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return False
    if 4 * x.element_size() * engine.graph.program.row_elements > _MAPS_BYTES:
        return False
    return any(node.op == "convolution" and node.depends for node in engine.graph.calls())


def _boxes(groups: Groups, example: int, rows: int) -> Iterator[Ints]:
    """Yield the ends of groups along both axes, int64 [n, 4], as many at a time as fit."""
    one = slice(example, example + 1)
    for first in range(0, groups.count, rows):
        (masks,) = groups.masks(one, slice(first, min(first + rows, groups.count)))
        lit = (masks[0] != 0).any(1)
        ends = []
        for axis in (2, 1):
            along = lit.any(axis)
            length = along.shape[1]
            nowhere = ~along.any(1)
            low = along.int().argmax(1).masked_fill(nowhere, 0)
            high = (length - along.flip(1).int().argmax(1)).masked_fill(nowhere, 0)
            ends += [low, high]
        yield torch.stack(ends, 1).cpu().numpy()
