"""Simulated data: constants of their laws, truths, seeds and exact conditionals."""

import pytest
import torch

from pyxai import datasets, imputers

# P(y = 1), accuracy and entropy of the labels given the inputs in nats, of two million rows.
ORACLE = {
    "Syn1": (0.500, 0.632, 0.620),
    "Syn2": (0.557, 0.824, 0.391),
    "Syn3": (0.521, 0.822, 0.385),
    "S1": (0.528, 0.728, 0.505),
    "S2": (0.510, 0.727, 0.503),
    "S3": (0.539, 0.823, 0.388),
}
TWINS = {"S1": "Syn4", "S2": "Syn5", "S3": "Syn6"}
ALL = [*ORACLE, *TWINS.values(), "XOR", "orange_skin", "additive", "switch"]


@pytest.mark.parametrize("name", ORACLE)
def test_laws_have_the_known_constants(name):
    made = getattr(datasets, name)(400_000, seed=3)
    p = made.probabilities.double()
    entropy = torch.special.entr(p) + torch.special.entr(1 - p)
    found = p.mean(), torch.maximum(p, 1 - p).mean(), entropy.mean()
    for value, known in zip(found, ORACLE[name], strict=True):
        assert abs(float(value) - known) < 0.003
    assert abs(made.labels.double().mean() - p.mean()) < 0.004


@pytest.mark.parametrize(("short", "long"), TWINS.items())
def test_two_names_are_one_data_set(short, long):
    one, other = getattr(datasets, short)(50), getattr(datasets, long)(50)
    assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("name", ALL)
def test_rows_depend_on_seed_and_number_alone(name):
    generate = getattr(datasets, name)
    few, many = generate(20, seed=1), generate(50, seed=1)
    for field in ("inputs", "labels", "truth", "probabilities"):
        assert torch.equal(getattr(few, field), getattr(many, field)[:20])
    assert not torch.equal(few.inputs, generate(20, seed=2).inputs)
    assert few.inputs.dtype == torch.float32
    assert generate(2, dtype=torch.float64).inputs.dtype == torch.float64


@pytest.mark.parametrize("name", ALL)
def test_labels_depend_on_the_true_features_alone(name):
    """Other values of the other features give the same probabilities: by the formulas, anew."""
    made = getattr(datasets, name)(300, seed=2, dtype=torch.float64)
    x, truth = made.inputs, made.truth
    moved = torch.where(truth, x, x.flip(0))
    again = torch.sigmoid(-score(name, moved, truth[:, 0]))
    torch.testing.assert_close(again, made.probabilities)
    sizes = truth.sum(1).unique().tolist()
    known = {"S1": [3, 5], "S2": [3, 5], "S3": [5], "Syn1": [2], "XOR": [2], "switch": [5]}
    assert sizes == known.get({v: k for k, v in TWINS.items()}.get(name, name), [4])


def score(name, x, is_orange=None):
    """Return l, written out once more and one-based."""
    x = torch.cat([x.new_zeros(len(x), 1), x], 1)
    a = x[:, 1] * x[:, 2]
    b = (x[:, 3:7] ** 2).sum(1) - 4
    c = -10 * torch.sin(0.2 * x[:, 7]) + x[:, 8].abs() + x[:, 9] + torch.exp(-x[:, 10]) - 2.4
    orange = (x[:, 1:5] ** 2).sum(1) - 4

    def additive(first):
        y = x[:, first : first + 4]
        return -100 * torch.sin(0.2 * y[:, 0]) + y[:, 1].abs() + y[:, 2] + torch.exp(-y[:, 3]) - 2.4

    pairs = {"S1": (a, b), "S2": (a, c), "S3": (b, c)}
    single = {"Syn1": a, "Syn2": b, "Syn3": c, "XOR": a, "orange_skin": orange}
    if name in single:
        return single[name]
    if name == "additive":
        return additive(1)
    if name == "switch":
        return torch.where(is_orange, orange, additive(5))
    first, second = pairs[{v: k for k, v in TWINS.items()}.get(name, name)]
    return torch.where(x[:, 11] < 0, first, second)


def test_conditionals_are_those_of_the_rows():
    names = torch.arange(4000)
    for name in ("S1", "switch"):
        made = getattr(datasets, name)(4000)
        law = made.conditional.check((made.inputs,))
        masks = (torch.zeros(4000, 1, made.inputs.shape[1], dtype=torch.bool),)
        shown = masks if law.conditional else None
        drawn = law.draw((made.inputs,), shown, seed=1, example_ids=names)
        flat = drawn[0].reshape(4000, -1)
        assert ((flat.mean(0) - made.inputs.mean(0)).abs() < 0.25).all()
        assert ((flat.std(0) / made.inputs.std(0) - 1).abs() < 0.06).all()
    assert flat[:, 9].abs().mean() > 2.5  # of two normals far apart, not of one between them


def test_correlated_rows_and_their_conditional():
    gaps = torch.arange(11)
    covariance = 0.6 ** (gaps[:, None] - gaps).abs().double()
    made = datasets.S3(20_000, mean=0.5, covariance=covariance)
    assert ((made.inputs.double().T.cov() - covariance).abs() < 0.05).all()
    assert ((made.inputs.mean(0) - 0.5).abs() < 0.04).all()
    assert isinstance(made.conditional, imputers.Gaussian)
    assert made.conditional.conditional


def test_more_features_count_for_nothing():
    made = datasets.S3(100, n_features=40)
    assert made.inputs.shape == made.truth.shape == (100, 40)
    assert not made.truth[:, 11:].any()


def test_regression_labels_are_scores_with_noise():
    made = datasets.S3(20_000, task="regression", noise=0.5, dtype=torch.float64)
    noise = made.labels - score("S3", made.inputs)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 0.5) < 0.01


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_one_frequency_decides(law):
    made = datasets.simulated_frequencies(2000, 20, 4, seed=1, law=law)
    size = torch.fft.rfft(made.inputs.double()).abs()
    assert made.truth.nonzero().tolist() == [[4]]
    assert size[made.labels == 1, 4].min() > size[made.labels == 0, 4].max()
    assert made.labels.sum() == 1000
    assert size[made.labels == 1, 5].min() < size[made.labels == 0, 5].max()


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="n_features must be at least 11, got 10"):
        datasets.S1(5, n_features=10)
    with pytest.raises(ValueError, match="n_rows must be at least 1, got 0"):
        datasets.XOR(0)
    with pytest.raises(ValueError, match="task must be one of 'classification', 'regression'"):
        datasets.Syn2(5, task="other")
    with pytest.raises(ValueError, match=r"covariance must have shape \[11, 11\], got \[2, 2\]"):
        datasets.Syn2(5, covariance=torch.eye(2))
    with pytest.raises(ValueError, match=r"mean must have shape \[11\], got \[3\]"):
        datasets.Syn2(5, mean=torch.ones(3))
    with pytest.raises(ValueError, match="frequency must be at most 10, got 11"):
        datasets.simulated_frequencies(5, 20, 11)
