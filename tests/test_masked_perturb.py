import math

import pytest
import torch

from pyxai.ops import masked_perturb, masked_perturb_reference, pack_masks

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def sample(dtype, batch, n_masks, feature_shape, n_players=None, device="cpu", seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(batch, *feature_shape, generator=generator).to(dtype)
    count = math.prod(feature_shape) if n_players is None else n_players
    masks = torch.rand(batch, n_masks, count, generator=generator) < 0.5
    return inputs.to(device), pack_masks(masks).to(device)


def assert_equals_reference(actual, *args, **options):
    moved = [arg.cpu() if isinstance(arg, torch.Tensor) else arg for arg in args]
    expected = masked_perturb_reference(*moved, **options)
    torch.testing.assert_close(actual.cpu().double(), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "n_masks", "features"),
    [(1, 1, (1,)), (2, 3, (7,)), (2, 35, (33,)), (0, 2, (5,)), (2, 0, (5,)), (2, 2, (0,)),
     (1, 2, (255,)), (1, 33, (257,)), (3, 2, (3, 5, 4)), (1, 2, (2, 2050))],
)  # fmt: skip
def test_equals_reference(backend, device, dtype, batch, n_masks, features):
    inputs, masks = sample(dtype, batch, n_masks, features, device=device)
    baselines = inputs.flip(-1)
    actual = masked_perturb(inputs, baselines, masks, backend=backend)
    assert actual.dtype == dtype
    assert actual.shape == (batch, n_masks, 1, *features)
    assert_equals_reference(actual, inputs, baselines, masks)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_example", [False, True])
def test_players(backend, device, dtype, per_example):
    inputs, masks = sample(dtype, 3, 4, (41,), n_players=70, device=device)
    generator = torch.Generator().manual_seed(1)
    shape = (3, 41) if per_example else (41,)
    players = torch.randint(-1, 70, shape, generator=generator, dtype=torch.int32).to(device)
    actual = masked_perturb(inputs, 0.25, masks, players, n_players=70, backend=backend)
    assert_equals_reference(actual, inputs, 0.25, masks, players)
    shared = masks[0]
    actual = masked_perturb(inputs, 0.25, shared, players, backend=backend)
    assert_equals_reference(actual, inputs, 0.25, shared, players)
