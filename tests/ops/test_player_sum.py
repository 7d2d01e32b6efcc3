import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.ops import player_sum, player_sum_reference
from pyxai.ops._segments import segments_of

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def draw(batch, features, n_players, dtype=torch.float32, device="cpu", per_example=False):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(batch, features, generator=generator, dtype=torch.float64).to(dtype)
    shape = (batch, features) if per_example else (features,)
    players = torch.randint(-1, max(n_players, 1), shape, generator=generator, dtype=torch.int32)
    return values.to(device), players.to(device)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_example", [False, True])
@pytest.mark.parametrize(
    ("batch", "features", "n_players"),
    [(1, 1, 1), (3, 7, 4), (2, 300, 3), (2, 1100, 1), (2, 257, 300), (0, 4, 2), (2, 0, 2)],
)
def test_equals_reference(backend, device, dtype, per_example, batch, features, n_players):
    values, players = draw(batch, features, n_players, dtype, device, per_example)
    actual = player_sum(values, players, n_players=n_players, backend=backend)
    reference = player_sum_reference(values.cpu(), players.cpu(), n_players=n_players)
    # Sums are kept in float64, so what is left is one rounding to the dtype of the result.
    step = torch.finfo(actual.dtype).eps
    torch.testing.assert_close(actual.cpu().double(), reference, rtol=step, atol=1e-13)
    assert actual.dtype == torch.promote_types(dtype, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_small", "members", "sizes"), [(500, 2, (70, 900)), (20, 30, (2100, 2049))]
)
def test_large_players_among_small_ones(backend, device, dtype, n_small, members, sizes):
    """Two players that are no work for the threads that suit the others."""
    small = torch.arange(n_small).repeat_interleave(members)
    large = [torch.full((size,), n_small + i) for i, size in enumerate(sizes)]
    owners = torch.cat([*large, small])
    n_players = n_small + len(sizes)
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(len(owners), generator=generator)
    players = owners[order].to(device, torch.int32)
    values = torch.randn(3, len(owners), generator=generator, dtype=torch.float64)
    values = values.to(device, dtype)
    actual = player_sum(values, players, n_players=n_players, backend=backend)
    reference = player_sum_reference(values.cpu(), players.cpu(), n_players=n_players)
    step = torch.finfo(actual.dtype).eps
    torch.testing.assert_close(actual.cpu().double(), reference, rtol=step, atol=1e-12)
    alone = player_sum(values[1:2], players, n_players=n_players, backend=backend)
    assert torch.equal(actual[1:2], alone)


def test_identity_and_out(backend, device):
    values, _ = draw(2, 5, 5, torch.bfloat16, device)
    out = torch.ones(2, 5, device=device)
    assert player_sum(values, out=out, backend=backend) is out
    torch.testing.assert_close(out, 1 + values.float())


def test_out_of_players_is_added_to(backend, device):
    values, players = draw(2, 50, 4, device=device)
    out = player_sum(values, players, n_players=4, backend=backend)
    player_sum(values, players, n_players=4, out=out, backend=backend)
    torch.testing.assert_close(out, 2 * player_sum(values, players, n_players=4, backend=backend))


def test_many_rows(backend, device):
    values, _ = draw(70_000, 2, 1, device=device)
    players = torch.zeros(2, dtype=torch.int32, device=device)
    actual = player_sum(values, players, n_players=1, backend=backend)
    torch.testing.assert_close(actual, values.sum(1, keepdim=True))


def test_a_map_that_was_written_to_is_read_again(device):
    values, players = draw(1, 6, 3, device=device)
    name = "cuda" if device.type == "cuda" else "host_run"
    player_sum(values, players, n_players=3, backend=name)
    players.fill_(2)
    actual = player_sum(values, players, n_players=3, backend=name)
    torch.testing.assert_close(actual[0, 2], values.sum())


def test_a_map_made_in_inference_mode(backend, device):
    with torch.inference_mode():
        values, players = draw(1, 6, 3, device=device)
        actual = player_sum(values, players, n_players=3, backend=backend)
    reference = player_sum_reference(values.cpu(), players.cpu(), n_players=3)
    torch.testing.assert_close(actual.cpu().double(), reference, rtol=1e-6, atol=1e-6)


def test_segments_turn_the_map_around():
    players = torch.tensor([2, 0, -1, 2, 0, 0], dtype=torch.int32)
    segments = segments_of(players, players.view(1, -1), 4)
    assert segments.offsets.tolist() == [[1, 4, 4, 6, 6]]
    assert segments.order.tolist() == [[2, 1, 4, 5, 0, 3]]


@given(st.lists(st.integers(-1, 5), min_size=1, max_size=80), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_sums_are_complete(owners, batch):
    """Integers add up exactly, so every backend gives the same and nothing is lost."""
    players = torch.tensor(owners, dtype=torch.int32)
    values = torch.arange(1.0, batch * len(owners) + 1).view(batch, -1)
    cpu = player_sum(values, players, n_players=6, backend="cpu")
    assert torch.equal(cpu, player_sum(values, players, n_players=6, backend="host_run"))
    assert torch.equal(cpu.sum(1), (values * (players >= 0)).sum(1))


def test_bad_input_is_named():
    values, players = draw(2, 5, 3)
    with pytest.raises(ValueError, match="n_players must be given with players, got None"):
        player_sum(values, players)
    with pytest.raises(ValueError, match="n_players must be 5 without players, got 4"):
        player_sum(values, n_players=4)
    with pytest.raises(ValueError, match="players must be below n_players = 1, got 2"):
        player_sum(values, players.clamp(min=0).fill_(2), n_players=1)
    with pytest.raises(ValueError, match=r"players must be at least -1 \(nobody\), got -2"):
        player_sum(values, players.fill_(-2), n_players=3)
    with pytest.raises(TypeError, match=r"players must have dtype torch.int32, got torch.int64"):
        player_sum(values, players.long(), n_players=3)
    with pytest.raises(ValueError, match=r"players must have shape \[5\], got \[4\]"):
        player_sum(values, players[:4], n_players=3)
    with pytest.raises(TypeError, match=r"values must be a tensor, got 1.0"):
        player_sum(1.0, n_players=1)
