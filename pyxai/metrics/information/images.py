"""Checks of the arguments of information curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyxai._checks import check_finite, check_real, check_tensor, describe
from pyxai.metrics.information.partial_pictures import Mask
from pyxai.metrics.options import check_fractions

__all__ = ["check_images", "check_maps", "check_masks", "check_target", "check_thresholds"]


def check_images(images: Any) -> Tensor:
    """Return uint8 images on the CPU."""
    check_tensor("images", images)
    if images.dtype != torch.uint8:
        raise TypeError(f"images must have dtype torch.uint8, got {images.dtype}")
    if images.dim() not in (3, 4) or 0 in images.shape:
        raise ValueError(
            "images must have shape [batch, channels, height, width] or [batch, height, width], "
            f"got {list(images.shape)}"
        )
    if images.dim() == 4 and images.shape[1] not in (1, 3, 4):
        raise ValueError(f"images must have 1, 3 or 4 channels, got {images.shape[1]}")
    if min(images.shape[-2:]) < 2:  # no triangle lies between pixels of one line
        raise ValueError(
            f"images must have a height and a width of at least 2, got {list(images.shape)}"
        )
    result: Tensor = images.detach().cpu()
    return result


def check_target(target: Any, batch: int) -> Tensor:
    """Return one class per image."""
    message = f"target must be one class or one per image, got {describe(target)}"
    try:
        labels = torch.as_tensor(target)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(message) from None
    if labels.is_floating_point() or labels.dtype == torch.bool or labels.dim() > 1:
        raise TypeError(message)
    if labels.numel() == 1:
        labels = labels.reshape(1).expand(batch)
    if labels.shape != (batch,):
        raise ValueError(f"target must have {batch} entries, got {labels.numel()}")
    return labels.long().cpu()


def check_thresholds(thresholds: Sequence[float]) -> list[float]:
    """Return ascending fractions."""
    found: list[float] = check_fractions("thresholds", thresholds).tolist()
    if found != sorted(set(found)):
        raise ValueError(f"thresholds must ascend in (0, 1], got {found}")
    return found


def check_masks(masks: Any, shape: tuple[int, int, int]) -> list[Mask]:
    """Return one mask per image."""
    check_tensor("masks", masks)
    if masks.dtype != torch.bool:
        raise TypeError(f"masks must have dtype torch.bool, got {masks.dtype}")
    if tuple(masks.shape) != shape:
        raise ValueError(f"masks must have shape {list(shape)}, got {list(masks.shape)}")
    return list(masks.cpu().numpy())


def check_maps(
    attributions: Any, images: Tensor, channels: set[int]
) -> list[npt.NDArray[np.float64]]:
    """Return one float64 map per image; channels, of which there may be so many, are summed."""
    check_tensor("attributions", attributions)
    check_real("attributions", attributions)
    check_finite("attributions", attributions)
    batch, height, width = len(images), *images.shape[-2:]
    shapes = [[batch, height, width], *([batch, c, height, width] for c in sorted(channels))]
    if list(attributions.shape) not in shapes:
        raise ValueError(
            f"attributions must have shape {' or '.join(map(str, shapes))}, "
            f"got {list(attributions.shape)}"
        )
    maps = attributions.detach().cpu().double()
    return list((maps.sum(1) if maps.dim() == 4 else maps).numpy())
