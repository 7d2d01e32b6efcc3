import math

import pytest
import torch
from backends import REQUIRED
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.ops import masked_perturb, masked_perturb_reference, pack_masks, unpack_masks

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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shared", [False, True])
def test_several_baselines_per_example(backend, device, dtype, shared):
    inputs, masks = sample(dtype, 3, 5, (2, 9), device=device)
    draws, _ = sample(dtype, 1 if shared else 3, 1, (4, 2, 9), device=device, seed=1)
    actual = masked_perturb(inputs, draws, masks, backend=backend)
    assert actual.shape == (3, 5, 4, 2, 9)
    assert_equals_reference(actual, inputs, draws, masks)
    for draw in range(4):
        single = masked_perturb(inputs, draws[:, draw].contiguous(), masks, backend=backend)
        assert torch.equal(actual[:, :, draw], single[:, :, 0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("players", [None, "channels", "per example"])
def test_channels_last(backend, device, dtype, players):
    inputs, masks = sample(dtype, 2, 5, (3, 4, 6), device=device)
    owners = {
        None: None,
        "channels": torch.arange(3).view(3, 1, 1).expand(3, 4, 6).int().contiguous(),
        "per example": torch.randint(-1, 72, (2, 3, 4, 6)).int(),
    }[players]
    owners = None if owners is None else owners.to(device)
    draws, _ = sample(dtype, 2, 1, (2, 3, 4, 6), device=device, seed=1)
    for baselines in (0.5, draws[:, 0].contiguous(), draws):
        arguments = (inputs, baselines, masks, owners)
        plain = masked_perturb(*arguments, backend=backend)
        rows = masked_perturb(*arguments, channels_last=True, backend=backend)
        assert rows.flatten(0, 2).is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(rows, plain)
        out = torch.empty_like(rows)
        found = masked_perturb(*arguments, channels_last=True, out=out, backend=backend)
        assert found is out
        assert torch.equal(out, plain)


def test_more_rows_than_a_grid_has_blocks(backend, device):
    count = 70_000  # a grid's second dimension ends at 65 535
    inputs = torch.arange(3.0, device=device).unsqueeze(0) + 1
    numbers = torch.arange(count) % 8
    keep = (numbers.unsqueeze(1) >> torch.arange(3)) % 2 == 1
    rows = masked_perturb(inputs, 0.0, pack_masks(keep).to(device), backend=backend)
    assert torch.equal(rows[0, :, 0].cpu(), inputs.cpu() * keep)
    batch = inputs.expand(count, 3).contiguous()
    rows = masked_perturb(batch, 0.0, pack_masks(keep[:8]).to(device), backend=backend)
    assert torch.equal(rows[:, 5, 0].cpu(), batch.cpu() * keep[5])


def test_memory_layout_of_the_arguments_does_not_matter(backend, device):
    inputs, masks = sample(torch.float32, 3, 4, (5, 6), device=device)
    strided = inputs.transpose(0, 2).contiguous().transpose(0, 2)
    spread = masks.repeat_interleave(2, dim=2)[..., ::2]
    assert not strided.is_contiguous()
    expected = masked_perturb(inputs, inputs.flip(0), masks, backend=backend)
    actual = masked_perturb(strided, strided.flip(0), spread, backend=backend)
    assert torch.equal(actual, expected)


def test_bits_survive(backend, device):
    values = torch.tensor([[float("nan"), -0.0, float("inf"), 1e-45]], device=device)
    masks = pack_masks(torch.tensor([[True] * 4, [False] * 4])).to(device)
    rows = masked_perturb(values, values.flip(1), masks, backend=backend)[0, :, 0]
    expected = torch.cat((values, values.flip(1)))
    assert torch.equal(rows.view(torch.int32), expected.view(torch.int32))


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    n_masks=st.integers(1, 40),
    n_features=st.integers(1, 70),
    n_players=st.integers(1, 67),
    n_draws=st.integers(1, 3),
    seed=st.integers(0, 2**20),
    name=st.sampled_from([name for name in REQUIRED if name != "cuda"]),
)
def test_any_players_and_masks(batch, n_masks, n_features, n_players, n_draws, seed, name):
    generator = torch.Generator().manual_seed(seed)
    inputs, masks = sample(torch.float32, batch, n_masks, (n_features,), n_players, seed=seed)
    draws = torch.randn(batch, n_draws, n_features, generator=generator)
    players = torch.randint(-1, n_players, (n_features,), generator=generator).int()
    actual = masked_perturb(inputs, draws, masks, players, n_players=n_players, backend=name)
    keep = unpack_masks(masks, n_players)[:, :, players.clamp(min=0).long()] | (players < 0)
    expected = torch.where(keep.unsqueeze(2), inputs[:, None, None], draws[:, None])
    assert torch.equal(actual, expected)


GOOD = {
    "inputs": torch.zeros(2, 6),
    "baselines": 0.0,
    "masks": torch.zeros(3, 1, dtype=torch.int32),
    "players": torch.zeros(6, dtype=torch.int32),
}
BAD = {
    "inputs that are no tensor": ({"inputs": [1.0]}, TypeError, "inputs must be a tensor"),
    "integer inputs": ({"inputs": torch.zeros(2, 6).int()}, TypeError, "inputs must .*torch.int32"),
    "inputs without a batch": ({"inputs": torch.tensor(1.0)}, ValueError, "inputs must have a bat"),
    "baselines of another dtype": (
        {"baselines": torch.zeros(6).double()},
        TypeError,
        "baselines must have the dtype of inputs, torch.float32, got torch.float64",
    ),
    "baselines of another shape": (
        {"baselines": torch.zeros(5)},
        ValueError,
        r"baselines must be a number or have shape .*, got \[5\]",
    ),
    "masks of bools": (
        {"masks": torch.zeros(3, 6, dtype=torch.bool)},
        TypeError,
        "masks must .*got torch.bool",
    ),
    "masks of another batch": (
        {"masks": torch.zeros(3, 3, 1, dtype=torch.int32)},
        ValueError,
        r"masks must have shape .*got \[3, 3, 1\]",
    ),
    "masks of too many words": (
        {"masks": torch.zeros(3, 2, dtype=torch.int32), "n_players": 6},
        ValueError,
        r"masks must have 1 word\(s\) for 6 players, got 2",
    ),
    "players of another dtype": (
        {"players": torch.zeros(6)},
        TypeError,
        "players must .*got torch.float32",
    ),
    "players of another shape": (
        {"players": torch.zeros(5).int()},
        ValueError,
        r"players must .*got \[5\]",
    ),
    "negative players": (
        {"players": torch.full((6,), -2).int()},
        ValueError,
        r"players must be at least -1 \(nobody\), got -2",
    ),
    "players without a mask bit": (
        {"players": torch.full((6,), 7).int(), "n_players": 7},
        ValueError,
        "players must be below n_players = 7, got 7",
    ),
    "rows that are no images": (
        {"channels_last": True},
        ValueError,
        r"inputs must have shape \[batch, channels, height, width\] for channels_last, got \[2, 6",
    ),
    "out of another shape": (
        {"out": torch.zeros(2, 3, 6)},
        ValueError,
        r"out must have shape \[2, 3, 1, 6\], got \[2, 3, 6\]",
    ),
    "out of another dtype": (
        {"out": torch.zeros(2, 3, 1, 6).double()},
        TypeError,
        "out must have dtype torch.float32, got torch.float64",
    ),
    "an unknown backend": ({"backend": "abacus"}, ValueError, "backend must .*got 'abacus'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, error, message = BAD[case]
    with pytest.raises(error, match=message):
        masked_perturb(**{**GOOD, **changes})
