import pytest
import torch

from pyxai.imputers import Constant, Marginal, Mean

X = torch.zeros(4, 3)
IDS = torch.arange(4)
BACKGROUND = torch.arange(30.0).view(10, 3)


def test_constant():
    (value,) = Constant(2.0).check((X,)).draw((X,), None, seed=0, example_ids=IDS)
    assert value == 2.0
    (value,) = Constant(torch.ones(3)).check((X,)).draw((X,), None, seed=0, example_ids=IDS)
    assert value.shape == (1, 1, 3)
    two = Constant((1.0, torch.ones(1, 3))).check((X, X)).draw((X, X), seed=0, example_ids=IDS)
    assert two[0] == 1.0


def test_mean():
    (value,) = Mean(BACKGROUND).check((X,)).draw((X,), None, seed=0, example_ids=IDS)
    torch.testing.assert_close(value, BACKGROUND.mean(0).view(1, 1, 3))
    (value,) = Mean(BACKGROUND.double()).check((X,)).draw((X,), None, seed=0, example_ids=IDS)
    assert value.dtype == torch.float32


def test_marginal_takes_every_row_once():
    (value,) = Marginal(BACKGROUND).check((X,)).draw((X,), None, seed=0, example_ids=IDS)
    torch.testing.assert_close(value, BACKGROUND[None])


def test_marginal_draws_rows():
    imputer = Marginal((BACKGROUND, BACKGROUND + 100), n_draws=200).check((X, X))
    first, second = imputer.draw((X, X), None, seed=3, example_ids=IDS)
    assert first.shape == (4, 200, 3)
    assert torch.equal(second, first + 100)  # one background row for both tensors
    rows = (first[..., 0] / 3).long()
    assert torch.equal(first, BACKGROUND[rows])
    # 800 draws from ten rows: a fair count is 80 with a deviation of 8.5; five of them is a bug.
    assert (rows.flatten().bincount(minlength=10) - 80).abs().max() < 43


def test_marginal_draws_depend_on_seed_and_id_alone():
    imputer = Marginal(BACKGROUND, n_draws=5).check((X,))

    def draws(ids, seed=0):
        ids = torch.tensor(ids)
        return imputer.draw((X[: len(ids)],), None, seed=seed, example_ids=ids)[0]

    whole = draws([10, 11, 12])
    assert torch.equal(draws([12, 10]), whole[[2, 0]])
    assert not torch.equal(draws([10, 11, 12], seed=1), whole)
    more = Marginal(BACKGROUND, n_draws=9).check((X,))
    longer = more.draw((X[:3],), None, seed=0, example_ids=torch.tensor([10, 11, 12]))[0]
    assert torch.equal(longer[:, :5], whole)


def test_draws_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    Marginal(BACKGROUND, n_draws=5).check((X,)).draw((X,), None, seed=0, example_ids=IDS)
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"background must have shape \[\*, 3\], got \[10, 2\]"):
        Marginal(BACKGROUND[:, :2]).check((X,))
    with pytest.raises(ValueError, match="n_draws must be at least 1, got 0"):
        Marginal(BACKGROUND, n_draws=0)
    with pytest.raises(TypeError, match="background must be a tensor, got None"):
        Marginal(None)
    with pytest.raises(TypeError, match="background must be floating point to take a mean"):
        Mean(BACKGROUND.long())
    with pytest.raises(ValueError, match=r"value must be a number or have shape .* got \[2\]"):
        Constant(torch.ones(2)).check((X,))
    with pytest.raises(ValueError, match=r"value must be a number or have shape .* got \[4, 3\]"):
        Constant(torch.ones(4, 3)).check((X,))
