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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("absolute", [False, True])
def test_many_in_order(backend, device, dtype, absolute):
    """More than a block has threads: equal scores, NaN and both signs of zero and infinity."""
    scores, selected = sample(2, 1500, dtype, device, share=0.1)
    scores[0, :400] = scores[0, 400:800]
    scores[:, 900:930] = torch.tensor([0.0, -0.0, torch.inf]).to(scores).repeat(10)
    scores[:, 930:940] = -torch.inf
    scores[1, 1000:1300] = torch.nan
    sums, taken = scores.cpu().double(), unpack_masks(selected.cpu(), 1500)
    judged = sums.abs() if absolute else sums
    for n_select in (1100, 1500):
        mine = selected.clone()
        options = {"absolute": absolute, "backend": backend}
        indices, values = greedy_select(scores, mine, n_select, **options)
        for b in range(2):
            row = judged[b].nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-1e300)
            order = row.sort(descending=True, stable=True)[1]  # equal ones by number
            best = order[~taken[b, order]][:n_select]
            assert torch.equal(indices[b, : len(best)].cpu(), best)
            assert (indices[b, len(best) :] == -1).all()
            found = values[b, : len(best)].cpu().double()
            torch.testing.assert_close(found, sums[b, best], rtol=0, atol=0, equal_nan=True)
            assert torch.equal(
                unpack_masks(mine[b].cpu(), 1500), taken[b].index_fill(0, best, True)
            )


def test_all_of_equal_scores(backend, device):
    scores = torch.full((1, 600), -2.5, dtype=torch.float64, device=device)
    selected = pack_masks(torch.zeros(1, 600, dtype=torch.bool)).to(device)
    indices, _ = greedy_select(scores, selected, 600, backend=backend)
    assert torch.equal(indices[0].cpu(), torch.arange(600))


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
