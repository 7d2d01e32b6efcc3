"""Functional information of images, texts and sounds, as the method's authors reduce them."""

import math

import pytest
import torch
from torch import nn

from pyxai.attribution import FunctionalInformation
from pyxai.covariance import (
    BlockCovariance,
    DenseCovariance,
    LowRankCovariance,
    SampleCovariance,
    ToeplitzCovariance,
)

NAMES = (
    "plain",
    "additive",
    "smoothgrad",
    "smoothgrad_sq",
    "vargrad",
    "vargrad_sq",
    "covariance_gradients",
)


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spd(size, seed=0):
    root = draws(size, size, seed=seed) / size**0.5
    return root @ root.T + 0.2 * torch.eye(size, dtype=torch.float64)


def authors(model, points, target, blocks, axis):
    """All methods in the order of the authors' code: sum channels or embedding, then square.

    ``points`` [samples, *features] of one example; ``blocks`` one matrix for each channel (axis 0),
    or one of the embedding for all tokens (axis 1); fresh noise at every sample.
    """
    grads, products, values = [], [], []
    for point in points:
        leaf = point[None].clone().requires_grad_()
        f = model(leaf).softmax(1)[0, target]
        g = torch.autograd.grad(f, leaf)[0][0]
        if axis == 0:
            flat = zip(g.flatten(1), blocks, strict=True)
            product = torch.stack([matrix @ row for row, matrix in flat]).view_as(g)
        else:
            product = g @ blocks
        grads.append(g.sum(axis))
        products.append(product.sum(axis))
        values.append(f.detach())
    g, p = torch.stack(grads), torch.stack(products)
    f = torch.stack(values).view(-1, *[1] * (g.dim() - 1))
    return {
        "plain": (g**2 / f).mean(0),
        "additive": (p * g / f).mean(0),
        "smoothgrad": g.mean(0),
        "smoothgrad_sq": (g**2).mean(0),
        "vargrad": g.var(0),
        "vargrad_sq": (g**2).var(0),  # what the released code calls VarGrad
        "covariance_gradients": p.mean(0),
    }


@pytest.mark.parametrize("kind", ["image", "text"])
def test_parity_with_the_authors_estimators(kind):
    shape, axis = ((3, 4, 4), 0) if kind == "image" else ((5, 6), 1)
    weight = draws(math.prod(shape), 3, seed=1) / 4
    x = draws(2, *shape, seed=2)

    def model(rows):
        return rows.flatten(1).tanh() @ weight

    if kind == "image":
        blocks = [spd(16, seed) for seed in range(3)]
        covariance = BlockCovariance([DenseCovariance(matrix) for matrix in blocks])
    else:
        blocks = spd(6)
        covariance = BlockCovariance([DenseCovariance(blocks)], repeats=5)
    method = FunctionalInformation(model, covariance=covariance)
    found = method.scores(
        x,
        1,
        names=NAMES,
        n_samples=12,
        scale=0.3,
        parity=True,
        layout=kind,
        antithetic=False,
        seed=4,
    )
    law = method._noise(x, 1, 0.3, "covariance", needs=True)
    points = law.points(slice(0, 2), slice(0, 12), seed=4, paired=False).view(12, 2, *shape)
    for example in range(2):
        expected = authors(model, points[:, example], 1, blocks, axis)
        for name in NAMES:
            torch.testing.assert_close(found[name][example], expected[name], rtol=1e-8, atol=1e-12)


class Text(nn.Module):
    """An embedding, a bidirectional LSTM and a head; `rest` takes embedded tokens."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.encoder = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
        self.head = nn.Linear(10, 2)

    def rest(self, embedded):
        return self.head(self.encoder(embedded)[0].mean(1))


@pytest.fixture(scope="module")
def text():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Text().double().eval()
    ids = torch.randint(20, (40, 7), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        embedded = model.embedding(ids)
    return model, embedded, torch.arange(40) % 2


def test_embedded_text(text):
    """Tokens are independent blocks: additive, marginal and conditional scores of a token agree."""
    model, embedded, labels = text
    method = FunctionalInformation(model.rest).fit(
        [(embedded, labels)], form="dense", structure="per_token", ridge=1e-3
    )
    tokens = torch.arange(7)[None, :, None].expand(1, 7, 6)
    found = method.scores(
        embedded[:3],
        labels[:3],
        names=("additive", "marginal", "conditional"),
        n_samples=20,
        feature_mask=tokens,
    )
    assert found["additive"].shape == embedded[:3].shape
    for name in ("marginal", "conditional"):
        torch.testing.assert_close(found[name], found["additive"], rtol=1e-6, atol=1e-14)
    assert (found["additive"] >= 0).all()
    by_token = method.attribute(
        embedded[:3], labels[:3], score="additive", n_samples=20, parity=True, layout="text"
    )
    assert by_token.shape == (3, 7)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_padding_that_the_model_does_not_read_has_no_information(text):
    model, embedded, labels = text

    def without_padding(rows):
        return model.rest(rows[:, :5])

    method = FunctionalInformation(without_padding).fit(
        [(embedded, labels)], form="sample", structure="per_token", shrinkage=0.1
    )
    found = method.attribute(embedded[:2], 0, score="additive", n_samples=10)
    assert (found[:, 5:] == 0).all()
    assert (found[:, :5] != 0).any()


@pytest.mark.parametrize("form", ["toeplitz", "sample"])
def test_waveform(form):
    """A net that listens to one stretch of a sound; its covariance is never a full matrix."""
    length = 400
    lags = torch.arange(length, dtype=torch.float64)
    column = 0.9**lags * torch.cos(0.3 * lags)
    rows = ToeplitzCovariance(column).color(draws(60, 2 * length))[:, None]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv1d(1, 4, 9, 3), nn.Tanh(), nn.AdaptiveAvgPool1d(4))
        net = nn.Sequential(net, nn.Flatten(), nn.Linear(16, 2)).double().eval()

    def model(sound):
        return 20 * net(sound[..., 100:200])

    method = FunctionalInformation(model)
    if form == "toeplitz":
        method.covariance = ToeplitzCovariance(column)
    else:
        method.fit([(rows, torch.zeros(60, dtype=torch.int64))], shrinkage=0.1)
    names = ("additive", "conditional", "marginal", "covariance_gradients")
    found = method.scores(rows[:2], 0, names=names, n_samples=20)
    listened = torch.zeros(length, dtype=torch.bool)
    listened[100:200] = True
    for name in ("additive", "conditional", "marginal"):
        assert (found[name][..., ~listened] == 0).all(), name
    # The gradient times the covariance reaches what is heard together with the stretch.
    assert (found["covariance_gradients"][..., 95:100] != 0).all()
    assert (found["conditional"] <= found["marginal"] * (1 + 1e-9)).all()
    whole = torch.zeros(1, 1, length, dtype=torch.int64)
    information = method.attribute(rows[:2], 0, score="marginal", n_samples=20, feature_mask=whole)
    torch.testing.assert_close(found["additive"].sum((1, 2)), information[:, 0, 0])


def test_parity_of_a_sound_is_value_by_value():
    """The authors reduce nothing of a waveform; [batch, 1, time] could be a text of one token."""
    x, weight = draws(2, 1, 30), draws(30, 2, seed=1)
    method = FunctionalInformation(
        lambda rows: rows.flatten(1).tanh() @ weight,
        covariance=ToeplitzCovariance(draws(1).abs(), features=30),
    )
    options = {"names": NAMES, "n_samples": 6}
    found = method.scores(x, 0, parity=True, layout="audio", **options)
    plain = method.scores(x, 0, **options)
    flat = FunctionalInformation(lambda rows: rows.tanh() @ weight, covariance=method.covariance)
    for name, values in flat.scores(x[:, 0], 0, parity=True, **options).items():
        assert found[name].shape == x.shape
        torch.testing.assert_close(found[name], plain[name])
        torch.testing.assert_close(found[name][:, 0], values)
    with pytest.raises(ValueError, match=r"layout must be 'text' .* or 'audio' .*, got None for"):
        method.scores(x, 0, parity=True, **options)


def test_large_groups_of_a_large_image_need_no_square_matrix():
    """Half of 3 x 64 x 64 features in one group: its block alone would take 302 MB."""
    rows = draws(6, 3 * 64 * 64).float()
    covariance = SampleCovariance(rows, shrinkage=0.2)

    def model(x):
        return torch.stack([x.mean((1, 2, 3)), -x.amax((1, 2, 3))], 1)

    mask = (torch.arange(3 * 64 * 64) % 2).view(1, 3, 64, 64)
    method = FunctionalInformation(model, covariance=covariance)
    names = ("conditional", "marginal", "additive")
    found = method.scores(
        rows[:1].view(1, 3, 64, 64), 0, names=names, n_samples=2, feature_mask=mask
    )
    assert (found["conditional"] <= found["marginal"]).all()
    assert (found["conditional"] > 0).all()


def test_low_rank_conditional_form_is_that_of_the_dense_matrix():
    factor, extra = draws(3, 8), draws(8, seed=1).abs() + 0.1
    thin = LowRankCovariance(factor, extra)
    dense = DenseCovariance(factor.T @ factor + torch.diag(extra))
    x, weight = draws(2, 8, seed=2), draws(8, 2, seed=3)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2]])
    options = {"names": ("conditional", "marginal"), "n_samples": 10, "noise": "isotropic"}
    found = [
        FunctionalInformation(lambda rows: rows.tanh() @ weight, covariance=each).scores(
            x, 0, feature_mask=mask, **options
        )
        for each in (thin, dense)
    ]
    for name in options["names"]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-9, atol=1e-15)
