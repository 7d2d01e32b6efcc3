"""Pictures of which a part is known: the fast interpolation against scipy's, random pixels."""

import numpy as np
import pytest
from photographs import photograph

from pyxai import metrics
from pyxai.metrics.information.partial_pictures import blurred


@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.3, 0.9])
@pytest.mark.parametrize("channels", [1, 3])
def test_fast_interpolation_equals_griddata(fraction, channels):
    picture = photograph(33, channels).permute(1, 2, 0).numpy()
    known = np.random.default_rng(0).random((33, 33)) < fraction
    slow, fast = blurred(picture, known), blurred(picture, known, fast=True)
    assert np.abs(slow.astype(int) - fast.astype(int)).max() <= 1
    assert (slow != fast).mean() < 0.005
    np.testing.assert_array_equal(fast[known], picture[known])


def test_random_masks_do_not_depend_on_the_batch():
    masks = metrics.random_pixel_masks(3, 20, 30, fraction=0.1, seed=1)
    assert masks.flatten(1).sum(1).tolist() == [60, 60, 60]
    assert (metrics.random_pixel_masks(1, 20, 30, fraction=0.1, seed=1)[0] == masks[0]).all()
    assert not (masks[0] == masks[1]).all()


def test_a_picture_of_which_everything_is_known_stays():
    picture = np.arange(24, dtype=np.uint8).reshape(3, 4, 2)
    for fast in (False, True):
        assert np.array_equal(blurred(picture, np.ones((3, 4), bool), fast=fast), picture)
    corners = np.arange(4, dtype=np.uint8).reshape(2, 2)  # always known
    assert np.array_equal(blurred(corners, np.zeros((2, 2), bool)), corners)
