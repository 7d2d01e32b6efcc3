"""A scene whose maps are drawn, and scipy on one thread."""

import pytest
import torch
from photographs import photograph
from threadpoolctl import threadpool_limits

from pyxai import metrics


@pytest.fixture(autouse=True, scope="module")
def one_blas_thread():
    """scipy calls LAPACK once for each triangle; on a busy machine its threads stall each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def scene():
    images = torch.stack([photograph(), photograph().flip(1)])
    maps = torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    masks = metrics.random_pixel_masks(2, 40, 40, seed=3)
    return images, maps, masks
