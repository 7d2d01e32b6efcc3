"""Covariances that functional information estimates from a data set."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from pyxai._random import quiet_batches
from pyxai.attribution import FunctionalInformation
from pyxai.attribution.sampled.functional_information.scatter import Rows
from pyxai.covariance import BandedCovariance, Covariance, ToeplitzCovariance

EYE = torch.eye(6, dtype=torch.float64)


def data(n=60, d=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64).cumsum(1) + 5


def batches(x, labels, size=7):
    return [(x[i : i + size], labels[i : i + size]) for i in range(0, len(x), size)]


def shrunk(matrix, a=0.6, ridge=0.2):
    variances = matrix.diagonal()
    return (1 - a) * matrix + a * torch.diag(variances) + ridge * variances.mean() * EYE


def expected(rows, form, bandwidth):
    """The sample covariance in full, then cut, averaged and shrunk."""
    matrix = torch.cov(rows.T)
    gaps = (torch.arange(6)[:, None] - torch.arange(6)).abs()
    if form == "toeplitz":
        column = torch.stack([matrix.diagonal(k).sum() / 6 for k in range(6)])
        matrix = column[gaps]
    if form == "diagonal":
        return torch.diag(matrix.diagonal()) + 0.2 * matrix.diagonal().mean() * EYE
    return shrunk(matrix if bandwidth is None else matrix * (gaps <= bandwidth))


@pytest.mark.parametrize("per", ["class", "data"])
@pytest.mark.parametrize(
    ("form", "bandwidth"),
    [
        ("dense", None),
        ("sample", None),
        ("diagonal", None),
        ("banded", 0),
        ("banded", 2),
        ("banded", 9),
        ("toeplitz", None),
        ("toeplitz", 1),
    ],
)
def test_fit_of_classes_and_of_all_data(per, form, bandwidth):
    x, labels = data(), torch.arange(60) % 3
    method = FunctionalInformation(nn.Linear(6, 3).double()).fit(
        batches(x, labels), per=per, form=form, bandwidth=bandwidth, shrinkage=0.6, ridge=0.2
    )
    if per == "data":
        assert isinstance(method.covariance, Covariance)
        found = {None: (method.covariance, x)}
    else:
        found = {c: (method.covariance[c], x[labels == c]) for c in range(3)}
    for covariance, rows in found.values():
        torch.testing.assert_close(covariance.product(EYE), expected(rows, form, bandwidth))
    kinds = {"banded": BandedCovariance, "toeplitz": ToeplitzCovariance}
    assert isinstance(covariance, kinds.get(form, Covariance))
    scores = method.attribute(x[:2], labels[:2], score="conditional", n_samples=4)
    assert torch.isfinite(scores).all()


def test_covariance_of_all_data_needs_no_labels():
    x = data()
    method = FunctionalInformation(nn.Linear(6, 3).double())
    of_pairs = method.fit(batches(x, torch.arange(60)), per="data").covariance.product(EYE)
    for loader in ([x[:20], x[20:]], [(x,)], DataLoader(TensorDataset(x), batch_size=9)):
        found = method.fit(loader, per="data").covariance
        torch.testing.assert_close(found.product(EYE), of_pairs)


def test_toeplitz_of_a_long_sound_is_positive():
    """16,000 lags of few sounds: the estimate must be one that can be drawn from."""
    x = data(3, 16_000).diff(dim=1)
    covariance = FunctionalInformation(nn.Identity()).fit([x], per="data", form="toeplitz")
    assert (
        covariance.covariance.color(torch.ones(1, covariance.covariance.n_normals)).isfinite().all()
    )


class Noisy(Dataset):
    """Examples that draw, as augmentation does."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return torch.randn(6), index % 2


@pytest.mark.parametrize("shuffle", [False, True])
def test_fit_leaves_the_random_state(shuffle):
    loader, model = DataLoader(Noisy(), batch_size=5, shuffle=shuffle), nn.Linear(6, 2)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        free = [inputs for inputs, _ in loader]
        torch.manual_seed(3)
        before = torch.get_rng_state()
        FunctionalInformation(model).fit(loader)
        assert torch.equal(torch.get_rng_state(), before)
        quiet = []
        for inputs, _ in quiet_batches(loader):
            quiet.append(inputs)
            torch.rand(1)  # the caller's draws and the loader's do not mix
        torch.testing.assert_close(quiet, free, rtol=0, atol=0)
        after = torch.rand(1)
        torch.set_rng_state(before)
        assert torch.equal(torch.rand(4)[3:], after)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per": "batch"}, "per must be one of 'class', 'data', got 'batch'"),
        ({"form": "banded"}, "bandwidth must be an int"),
        ({"form": "dense", "bandwidth": 2}, "bandwidth must be None for form 'dense', got 2"),
        ({"form": "banded", "bandwidth": -1}, "bandwidth must be at least 0, got -1"),
        ({"form": "toeplitz", "rank": 2}, "rank must be None for form 'toeplitz', got 2"),
        ({"form": "diagonal", "shrinkage": 2.0}, r"shrinkage must be in \[0, 1\], got 2.0"),
        ({"form": "diagonal", "ridge": -2}, "ridge must not be negative, got -2"),
        ({"shrinkage": "a"}, "shrinkage must be a number, got 'a'"),
        ({"ridge": float("nan")}, "ridge must be finite, got nan"),
        ({"max_rows": -3}, "max_rows must be at least 2, got -3"),
        ({"max_rows": 1}, "max_rows must be at least 2, got 1"),
        ({"max_rows": 2.5}, "max_rows must be an integer, got 2.5"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_options_are_named(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        FunctionalInformation(nn.Linear(6, 2)).fit([(data(), torch.zeros(60).long())], **options)


def test_one_example_is_too_few():
    with pytest.raises(ValueError, match="loader must give at least 2 examples, got 1"):
        FunctionalInformation(nn.Linear(6, 2)).fit([data(1)], per="data")


def test_empty_batches_hold_no_rows():
    x, labels = data(), torch.arange(60) % 2
    method = FunctionalInformation(nn.Linear(6, 2))
    expected = method.fit([(x, labels)]).covariance[1].product(EYE)
    found = method.fit([(x[:0], labels[:0]), (x, labels), (x[:0], labels[:0])]).covariance[1]
    torch.testing.assert_close(found.product(EYE), expected)
    with pytest.raises(ValueError, match="loader must give at least one example, got none"):
        method.fit([(x[:0], labels[:0])])


@pytest.mark.parametrize("form", ["sample", "low_rank"])
@pytest.mark.parametrize("structure", ["joint", "per_channel"])
def test_rows_kept_of_a_class_do_not_depend_on_the_batches(form, structure):
    x, labels = data(90).view(90, 2, 3), torch.arange(90) % 2
    found = []
    for size in (1, 7, 90):
        method = FunctionalInformation(nn.Identity()).fit(
            batches(x, labels, size),
            form=form,
            structure=structure,
            rank=3 if form == "low_rank" else None,
            max_rows=11,
        )
        found.append(torch.stack([method.covariance[c].product(EYE) for c in range(2)]))
    torch.testing.assert_close(found[1:], [found[0]] * 2, rtol=0, atol=0)
    all_rows = torch.stack([torch.cov(x[labels == c].flatten(1).T) for c in range(2)])
    assert not torch.allclose(found[0][:, :3, :3], all_rows[:, :3, :3])


@pytest.mark.parametrize("size", [3, 40])
def test_every_row_is_kept_as_often(size):
    """20 of 40 rows in 400 draws: binomial counts, and no pair of neighbours is preferred."""
    rows, counts, both = torch.arange(40.0)[:, None], torch.zeros(40), 0.0
    for seed in range(400):
        kept = Rows(20, seed)
        for part in rows.split(size):
            kept.update(part)
        places = kept.rows()[:, 0].long()
        assert (places.diff() > 0).all()
        assert len(places) == 20
        counts[places] += 1
        both += float((places.diff() == 1).sum())
    z = (counts - 200) / (400 * 0.25) ** 0.5
    assert z.abs().max() < 3.8
    assert abs(z.std() - 1) < 0.34  # 3 standard errors
    assert abs(both / 400 - 39 * (20 * 19) / (40 * 39)) < 0.5
