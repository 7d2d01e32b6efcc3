"""Laws of masks against enumeration; the relaxed top-k against plain torch."""

import importlib
import itertools
import math

import pytest
import torch

from pyxai.imputers import Constant
from pyxai.lex import (
    LEX,
    Bernoulli,
    Concrete,
    FixedBernoulli,
    Groups,
    MaxOfK,
    Oracle,
    Patches,
    RelaxedSubset,
    SoftmaxRate,
    StraightThrough,
    Subset,
    relaxed_top_k,
    tabular_networks,
)

LAWS = [
    Bernoulli(),
    SoftmaxRate(2),
    Concrete(0.5),
    StraightThrough(0.5),
    Subset(2),
    Subset(2, "straight_through"),
    RelaxedSubset(2),
    MaxOfK(2),
    FixedBernoulli(0.3),
    Oracle(),
]
NAMES = [f"{type(law).__name__}-{number}" for number, law in enumerate(LAWS)]


def rows_of(values, count):
    """Return the same scores for many rows, and names of these rows."""
    scores = torch.tensor(values, dtype=torch.float64).expand(count, -1)
    return scores, torch.arange(count)


@pytest.mark.parametrize("law", LAWS, ids=NAMES)
def test_a_row_draws_alone_what_it_draws_in_a_batch(law):
    scores = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(6) * 17
    whole = law.sample(scores, 4, seed=3, example_ids=ids)
    assert whole.shape == (6, 4, 5)
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 1 or isinstance(law, RelaxedSubset)
    alone = law.sample(scores[2:3], 4, seed=3, example_ids=ids[2:3])
    torch.testing.assert_close(alone, whole[2:3], rtol=0, atol=1e-6)
    few = law.sample(scores, 2, seed=3, example_ids=ids)
    torch.testing.assert_close(few, whole[:, :2], rtol=0, atol=1e-6)


@pytest.mark.parametrize("law", [law for law in LAWS if law.pathwise])
def test_laws_with_a_gradient_have_one(law):
    scores = torch.zeros(2, 5, requires_grad=True)
    drawn = law.sample(scores, 3, seed=0, example_ids=torch.arange(2))
    (drawn * torch.randn(5)).sum().backward()
    assert bool((scores.grad != 0).any())


@pytest.mark.parametrize("law", [Bernoulli(), SoftmaxRate(2), FixedBernoulli(0.3)])
def test_frequencies_of_independent_bits_are_the_marginals(law):
    scores, ids = rows_of([-1.0, 0.0, 0.5, 2.0], 40_000)
    frequency = law.sample(scores, 1, seed=1, example_ids=ids).mean((0, 1))
    expected = law.marginals(scores[:1])[0]
    error = (expected * (1 - expected) / 40_000).sqrt()
    assert bool(((frequency - expected).abs() < 4 * error + 1e-9).all())


def test_probabilities_of_independent_bits_sum_to_one():
    law, scores = Bernoulli(), torch.tensor([[-1.0, 0.3, 2.0]], dtype=torch.float64)
    masks = law.support(3, scores)
    assert masks.shape == (8, 3)
    chances = law.log_prob(scores, masks[None]).exp()[0]
    p = scores[0].sigmoid()
    expected = torch.stack([torch.where(mask > 0, p, 1 - p).prod() for mask in masks])
    torch.testing.assert_close(chances, expected)
    torch.testing.assert_close(chances.sum(), torch.ones((), dtype=torch.float64))


def sequential(weights, subset):
    """Return the chance to draw a set without replacement, in any order."""
    total = 0.0
    for order in itertools.permutations(subset):
        left, chance = weights.sum(), 1.0
        for item in order:
            chance = chance * weights[item] / left
            left = left - weights[item]
        total = total + chance
    return total


def test_probabilities_of_subsets_are_those_of_drawing_without_replacement():
    scores = torch.tensor([[-3.0, 0.5, 2.0, 0.0, 6.0]], dtype=torch.float64, requires_grad=True)
    for k in (1, 2, 3, 5):
        law = Subset(k)
        masks = law.support(5, scores)
        assert len(masks) == math.comb(5, k)
        weights = scores[0].exp()
        wanted = torch.stack(
            [
                torch.as_tensor(sequential(weights, mask.nonzero().flatten().tolist()))
                for mask in masks
            ]
        )
        chances = law.log_prob(scores, masks[None]).exp()[0]
        torch.testing.assert_close(chances, wanted, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match=r"sets must be at most \d+ to enumerate, got 155117520"):
        Subset(15).support(30, scores)
    law = Subset(2)
    masks = law.support(5, scores)[None]
    (slope,) = torch.autograd.grad(law.log_prob(scores, masks)[0, 3], scores)
    mask = masks[0, 3].nonzero().flatten().tolist()
    (wanted,) = torch.autograd.grad(sequential(scores[0].exp(), mask).log(), scores)
    torch.testing.assert_close(slope, wanted, rtol=1e-8, atol=1e-10)


def test_frequencies_of_subsets_are_those_of_drawing_without_replacement():
    law, count = Subset(2), 40_000
    scores, ids = rows_of([0.0, 1.0, -1.0, 2.0, 0.5], count)
    drawn = law.sample(scores, 1, seed=5, example_ids=ids)[:, 0]
    assert bool((drawn.sum(1) == 2).all())
    weights = scores[0].exp()
    pairs = list(itertools.combinations(range(5), 2))
    expected = torch.tensor(
        [sum(float(sequential(weights, p)) for p in pairs if d in p) for d in range(5)]
    )
    error = (expected * (1 - expected) / count).sqrt()
    assert bool(((drawn.mean(0) - expected).abs() < 4 * error).all())


def test_relaxed_subsets_sum_to_k_and_l2x_to_k_at_most():
    scores, ids = rows_of([0.0, 1.0, -1.0, 2.0, 0.5, 3.0, -2.0], 200)
    soft = RelaxedSubset(3).sample(scores, 2, seed=0, example_ids=ids)
    torch.testing.assert_close(soft.sum(-1), torch.full((200, 2), 3.0).double(), rtol=0, atol=1e-4)
    l2x = MaxOfK(3).sample(scores, 2, seed=0, example_ids=ids)
    assert float(l2x.max()) <= 1
    assert float(l2x.sum(-1).max()) <= 3 + 1e-9


def test_straight_through_masks_are_exactly_hard():
    scores = torch.randn(50, 8, requires_grad=True)
    for law in (StraightThrough(0.3), Subset(3), Subset(3, "straight_through")):
        drawn = law.sample(scores, 4, seed=0, example_ids=torch.arange(50))
        assert drawn.requires_grad
        assert set(drawn.detach().unique().tolist()) == {0.0, 1.0}
    assert set(drawn.detach().sum(-1).unique().tolist()) == {3.0}


def plain_top_k(scores, k, temperature):
    total = torch.zeros_like(scores)
    for _ in range(k):
        weights = (scores / temperature).softmax(-1)
        total = total + weights
        scores = scores + (1 - weights).clamp(min=torch.finfo(scores.dtype).eps).log()
    return total


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.5), (3, 0.5), (5, 0.1), (6, 1.0)])
def test_relaxed_top_k_is_that_of_plain_torch(k, temperature, monkeypatch):
    module = importlib.import_module("pyxai.lex.masks.relaxed_top_k")
    monkeypatch.setattr(module, "_ELEMENTS", 40)  # several blocks of rows
    generator = torch.Generator().manual_seed(k)
    scores = torch.randn(5, 4, 7, dtype=torch.float64, generator=generator).requires_grad_()
    grads = torch.randn(5, 4, 7, dtype=torch.float64, generator=generator)
    found, wanted = relaxed_top_k(scores, k, temperature), plain_top_k(scores, k, temperature)
    torch.testing.assert_close(found, wanted)
    (ours,) = torch.autograd.grad(found, scores, grads)
    (theirs,) = torch.autograd.grad(wanted, scores, grads)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert torch.autograd.gradcheck(lambda s: relaxed_top_k(s, k, temperature), scores[:1, :1])


def test_relaxed_top_k_saves_nothing_but_the_scores():
    # Plain torch keeps several tensors of this size for each of the k steps.
    saved = []
    scores = torch.randn(10, 30, requires_grad=True)
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t)
    with hooks:
        relaxed_top_k(scores, 20)
    assert sum(each.numel() for each in saved) == scores.numel()
    saved.clear()
    with hooks:
        plain_top_k(scores, 20, 0.5)
    assert sum(each.numel() for each in saved) > 20 * scores.numel()


def test_oracle_and_hard_masks():
    scores = torch.tensor([[1.0, -1.0, 0.5, 0.5]])
    ids = torch.zeros(1, dtype=torch.int64)
    assert Oracle().marginals(scores).tolist() == [[1, 0, 1, 1]]
    assert Oracle().sample(scores, 2, seed=0, example_ids=ids).tolist() == [[[1, 0, 1, 1]] * 2]
    assert Bernoulli().hard(scores).tolist() == [[True, False, True, True]]
    assert Subset(2).hard(scores).tolist() == [[True, False, True, False]]  # ties: lower index
    assert MaxOfK(2).hard(scores, 1).tolist() == [[True, False, False, False]]
    assert float(SoftmaxRate(2).marginals(torch.randn(3, 6) * 5).sum(1).max()) <= 2 + 1e-5


def test_groups_share_a_bit():
    groups, x = Groups(torch.tensor([[0, 0, 1], [2, 2, 1]])), torch.arange(6.0).view(1, 2, 3)
    assert groups.count(x) == 3
    shown = groups.on_features(torch.tensor([[0.1, 0.2, 0.3]]), x)
    torch.testing.assert_close(shown, torch.tensor([[[0.1, 0.1, 0.2], [0.3, 0.3, 0.2]]]))


def test_patches_that_do_not_overlap_are_groups():
    x = torch.randn(2, 3, 4, 6)
    assert Patches(2).grid(x) == (2, 3)
    values = torch.rand(2, 6)
    rows = (torch.arange(4)[:, None] // 2) * 3 + torch.arange(6)[None] // 2
    expected = Groups(rows.expand(1, 4, 6)).on_features(values, x)
    torch.testing.assert_close(Patches(2).on_features(values, x), expected)


def test_overlapping_patches_add_up_to_one_at_most():
    x = torch.zeros(1, 1, 5, 5)
    patches = Patches(3, stride=1)
    assert patches.grid(x) == (3, 3)
    values = torch.zeros(1, 9)
    values[0, 0], values[0, 1] = 0.4, 0.8
    shown = patches.on_features(values, x)[0, 0]
    assert shown[0].tolist() == pytest.approx([0.4, 1, 1, 0.8, 0])
    assert float(shown[3:].max()) == 0


def test_a_group_counts_if_any_of_its_features_does():
    values = torch.tensor([[True, False, False, False], [False, False, True, True]])
    found = Groups(torch.tensor([2, 0, 5, 0])).of_features(values, torch.zeros(2, 4))
    assert found.tolist() == [[False, True, False], [True, False, True]]
    assert torch.equal(Groups().of_features(values, torch.zeros(2, 4)), values)
    assert Groups().of_features(values[:1], torch.zeros(2, 4)).tolist() == values[:1].tolist() * 2


@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (3, 1), (2, 3)])
def test_a_patch_counts_if_it_shows_any_pixel_that_does(kernel, stride):
    x, patches = torch.zeros(3, 2, 7, 8), Patches(kernel, stride)
    values = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.05
    found = patches.of_features(values, x)
    alone = torch.eye(patches.count(x))
    for patch, one in enumerate(alone):  # the pixels that a patch shows by itself
        shown = patches.on_features(one.expand(3, -1), x) > 0
        assert torch.equal(found[:, patch], (shown & values).flatten(1).any(1))
    of_pixels = patches.of_features(values.any(1, keepdim=True), x)
    assert torch.equal(of_pixels, found)


def test_a_gradient_reaches_the_scores_of_overlapping_patches():
    networks = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(25, 2))
    selector = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(25, 9))
    lex = LEX(networks, selector, law=Concrete(), groups=Patches(3, 1), imputer=Constant(0.0))
    loss = lex.loss(torch.randn(4, 1, 5, 5), torch.tensor([0, 1, 0, 1]), seed=0)
    loss.backward()
    assert bool((selector[1].weight.grad != 0).any())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Subset(0), "k must be at least 1, got 0"),
        (lambda: Subset(2, "none"), "gradient must be one of"),
        (lambda: Concrete(0.0), r"temperature must be above 0, got 0\.0"),
        (lambda: FixedBernoulli(1.5), "rate must be from 0 to 1, got 1.5"),
        (lambda: SoftmaxRate(0.5), "k must be at least 1, got 0.5"),
        (lambda: relaxed_top_k(torch.zeros(2, 3), 4), "k must be from 1 to 3, the groups, got 4"),
        (lambda: Bernoulli().support(40, torch.zeros(1)), "groups must be at most 16"),
        (lambda: Patches(3).count(torch.zeros(1, 1, 2, 2)), "inputs must be images"),
    ],
)
def test_wrong_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("law", [Subset(6), RelaxedSubset(6), MaxOfK(6), SoftmaxRate(6)])
def test_more_groups_than_there_are_is_an_error(law):
    lex = LEX(*tabular_networks(5, 2), law=law)
    with pytest.raises(ValueError, match="k must be at most 5, the number of groups, got 6"):
        lex.loss(torch.zeros(2, 5), torch.tensor([0, 1]), seed=0)
