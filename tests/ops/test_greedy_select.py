import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxai.ops import greedy_select, greedy_select_reference, pack_masks, unpack_masks

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def sample(batch, features, dtype=torch.float64, device="cpu", share=0.3):
    generator = torch.Generator().manual_seed(batch + features)
    scores = torch.randn(batch, features, generator=generator, dtype=torch.float64).to(dtype)
    taken = torch.rand(batch, features, generator=generator) < share
    return scores.to(device), pack_masks(taken).to(device)


def compare(scores, selected, n_select, backend, players=None, **options):
    mine, theirs = selected.clone(), selected.cpu().clone()
    found = greedy_select(scores, mine, n_select, players, backend=backend, **options)
    owners = None if players is None else players.cpu()
    expected = greedy_select_reference(scores.cpu(), theirs, n_select, owners, **options)
    assert torch.equal(found[0].cpu(), expected[0])
    torch.testing.assert_close(found[1].cpu().double(), expected[1], rtol=1e-6, atol=1e-6)
    assert torch.equal(mine.cpu(), theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("batch", "features", "n_select"),
    [(1, 1, 1), (2, 33, 5), (3, 255, 7), (2, 257, 257), (0, 4, 2), (2, 5, 0), (2, 300, 120)],
)
def test_equals_reference(backend, device, dtype, batch, features, n_select):
    scores, selected = sample(batch, features, dtype, device)
    compare(scores, selected, n_select, backend)


def test_groups(backend, device):
    scores, _ = sample(3, 40, device=device)
    players = (torch.arange(40, dtype=torch.int32, device=device) * 7) % 36 - 1
    selected = pack_masks(torch.zeros(3, 35, dtype=torch.bool)).to(device)
    compare(scores, selected, 9, backend, players, n_players=35)


@pytest.mark.parametrize("absolute", [False, True])
def test_equal_scores_go_to_the_lower_number(backend, device, absolute):
    scores = torch.tensor([[1.0, -2.0, 1.0, 2.0, -0.0, 0.0, 2.0, -2.0]], device=device)
    selected = pack_masks(torch.zeros(1, 8, dtype=torch.bool)).to(device)
    indices, values = greedy_select(scores, selected, 8, absolute=absolute, backend=backend)
    expected = [1, 3, 6, 7, 0, 2, 4, 5] if absolute else [3, 6, 0, 2, 4, 5, 1, 7]
    assert indices[0].tolist() == expected
    start = pack_masks(torch.zeros(1, 8, dtype=torch.bool))
    reference = greedy_select_reference(scores.cpu(), start, 8, absolute=absolute)
    assert reference[0][0].tolist() == expected
    assert torch.equal(values[0], scores[0, indices[0]])
    assert unpack_masks(selected, 8).all()


def test_exhausted_players_and_nan(backend, device):
    nan = float("nan")
    scores = torch.tensor([[nan, 3.0, -float("inf"), 1.0]], device=device)
    selected = pack_masks(torch.tensor([[False, False, False, True]])).to(device)
    indices, values = greedy_select(scores, selected, 4, backend=backend)
    assert indices[0].tolist() == [1, 2, 0, -1]
    assert values[0, 2].isnan()
    assert values[0, 3] == -float("inf")
    again, _ = greedy_select(scores, selected, 1, backend=backend)
    assert again.tolist() == [[-1]]


def test_many_examples(backend, device):
    scores, selected = sample(66_000 if backend == "cpu" else 300, 2, device=device)
    before = unpack_masks(selected, 2)
    indices, _ = greedy_select(scores, selected, 1, backend=backend)
    masked = scores.masked_fill(before, -torch.inf)
    expected = torch.where(before.all(1), -1, masked.argmax(1))
    assert torch.equal(indices[:, 0], expected)


def test_non_contiguous_scores(backend, device):
    scores, selected = sample(4, 6, device=device)
    compare(scores.T.contiguous().T, selected, 3, backend)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0]), min_size=1, max_size=40),
    st.integers(0, 2**40 - 1),
    st.integers(0, 40),
)
def test_selecting_at_once_is_selecting_one_by_one(values, taken, n_select):
    scores = torch.tensor([values], dtype=torch.float64)
    n = len(values)
    selected = pack_masks(torch.tensor([[bool(taken >> i & 1) for i in range(n)]]))
    count, one_by_one = min(n_select, n), selected.clone()
    indices, _ = greedy_select(scores, selected, count)
    single = [greedy_select(scores, one_by_one, 1)[0].item() for _ in range(count)]
    assert indices[0].tolist() == single
    assert torch.equal(selected, one_by_one)


def test_bad_input_is_named():
    scores, selected = sample(2, 5)
    with pytest.raises(ValueError, match="n_select must be at most 5 players, got 6"):
        greedy_select(scores, selected, 6)
    with pytest.raises(ValueError, match=r"selected must have shape \[2, 1\], got \[1, 1\]"):
        greedy_select(scores, selected[:1], 1)
    with pytest.raises(TypeError, match=r"selected must have dtype torch.int32, got torch.int64"):
        greedy_select(scores, selected.long(), 1)
    with pytest.raises(ValueError, match="selected must be contiguous"):
        greedy_select(scores, torch.zeros(2, 2, dtype=torch.int32)[:, :1], 1)
    with pytest.raises(TypeError, match="scores must be a tensor, got 'x'"):
        greedy_select("x", selected, 1)
