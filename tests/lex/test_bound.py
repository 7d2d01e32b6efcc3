"""The bound against enumeration, special cases of each other, rows alone, errors by name."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lex_problems import small_data, small_lex, small_networks, standard_normal
from torch import nn

import pyxai
from pyxai.imputers import Constant, Gaussian, Marginal
from pyxai.lex import (
    L1,
    LEX,
    REBAR,
    REINFORCE,
    RELAX,
    Bernoulli,
    CategoricalLikelihood,
    Concrete,
    Continuity,
    Enumeration,
    FixedBernoulli,
    GaussianLikelihood,
    Groups,
    LeaveOneOut,
    MaxOfK,
    Oracle,
    Patches,
    Rate,
    Regime,
    Subset,
    accumulate,
    image_networks,
    invase,
    invase_minus,
    l2x,
    lex,
    rationale,
    realx,
    tabular_networks,
    text_networks,
)

ROOT = Path(__file__).parents[2]


def likelihoods(model, x, y, background):
    """Return log p(z) and p(y | x, z, u) of one row, for all masks and draws."""
    scores = model.selector(x)
    masks = model.law.support(x.shape[1], scores)
    chances = model.law.log_prob(scores, masks[None])[0].exp()
    rows = torch.where(masks[:, None] > 0, x[0], background)  # [masks, draws, features]
    return chances, model.predictor(rows).softmax(-1)[..., y]


def exact_bound(chances, p, n_masks, n_draws):
    """Return the expected bound, over all tuples of masks and of draws of each."""
    draws = range(p.shape[1])
    inner = torch.tensor(list(itertools.product(draws, repeat=n_draws)))
    mean = p[:, inner].mean(-1)  # [masks, tuples of draws]
    weight = (chances[:, None] / len(inner)).expand_as(mean).flatten()
    values, total = mean.flatten(), weight
    for _ in range(n_masks - 1):
        values = (values[..., None] + mean.flatten()).flatten()
        total = (total[..., None] * weight).flatten()
    return float((total * (values / n_masks).log()).sum())


@torch.no_grad()
def test_the_bound_is_that_of_enumeration_and_grows():
    x, y = small_data(1, 3)
    background = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    rows, ids = x.expand(20_000, -1), torch.arange(20_000)
    model = small_lex(3, regulariser=(), imputer=Marginal(background, 1))
    model.predictor[2].weight.mul_(6)  # likelihoods that differ
    chances, p = likelihoods(model, x, int(y), background)
    true = math.log(float((chances[:, None] * p).sum()) / 2)
    found = []
    for sizes in ((1, 1), (2, 1), (1, 2), (2, 2), (16, 4)):
        model.n_masks, model.n_imputations = sizes
        bound = -model.score(rows, y.expand(20_000), seed=1, example_ids=ids)
        error = float(bound.std()) / 20_000**0.5
        if sizes != (16, 4):
            assert abs(float(bound.mean()) - exact_bound(chances, p, *sizes)) < 3.5 * error, sizes
        assert float(bound.mean()) <= true + 4 * error
        found.append(float(bound.mean()))
    assert found[0] < min(found[1:3])
    assert max(found[1:3]) < found[3] < found[4] < true + 1e-3
    assert true - found[4] < 0.2 * (true - found[0])


def test_outer_samples_are_a_plain_mean():
    x, y = small_data(4)
    model = small_lex(regulariser=(), imputer=standard_normal(), outer_masks=400)
    many = float(model.score(x, y).mean())
    model.outer_masks, model.outer_imputations = 1, 400
    assert float(model.score(x, y).mean()) == pytest.approx(many, abs=0.2)
    model.outer_imputations = 1
    single = torch.stack([model.score(x, y, seed=seed).mean() for seed in range(100)])
    assert float(single.mean()) == pytest.approx(many, abs=0.2)


def test_aggregation_is_that_of_the_likelihood_or_of_its_inverse():
    p = torch.tensor([0.9, 0.9, 0.05], dtype=torch.float64)
    outputs = torch.stack([p, 1 - p], -1).log()[None]
    target = torch.tensor([0])
    likelihood = CategoricalLikelihood()
    for sizes in ((1, 3, 1, 1), (1, 1, 1, 3)):
        assert float(likelihood.bound(outputs, target, sizes).loss) == pytest.approx(
            0.48343, abs=1e-5
        )
        harmonic = likelihood.bound(outputs, target, sizes, "harmonic").loss
        assert float(harmonic) == pytest.approx(2.00248, abs=1e-5)
    for sizes in ((3, 1, 1, 1), (1, 1, 3, 1)):
        for how in ("mean", "harmonic"):
            loss = likelihood.bound(outputs, target, sizes, how).loss.mean()
            assert float(loss) == pytest.approx(1.06882, abs=1e-5)


def test_soft_targets_have_a_bound_for_each_class():
    outputs = torch.randn(2, 6, 3, dtype=torch.float64)
    shares = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], dtype=torch.float64)
    likelihood = CategoricalLikelihood()
    found = likelihood.bound(outputs, shares, (1, 3, 1, 2)).loss[:, 0]
    expected = -(shares * outputs.softmax(-1).mean(1).log()).sum(1)
    torch.testing.assert_close(found, expected)
    hard = likelihood.bound(outputs, torch.tensor([0, 0]), (1, 3, 1, 2)).loss[1]
    torch.testing.assert_close(found[1:], hard)
    harmonic = likelihood.bound(outputs, shares, (1, 3, 1, 2), "harmonic").loss[:, 0]
    each = -(shares[:, None] * outputs.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(harmonic, each.exp().mean(1).log())
    torch.testing.assert_close(likelihood.predictive(outputs), outputs.softmax(-1).mean(1))


def test_normal_labels_have_normal_densities():
    outputs = torch.randn(3, 4, 2, dtype=torch.float64)
    target = torch.randn(3, 2, dtype=torch.float64)
    square = (outputs - target[:, None]).square().sum(-1)
    each = -square / (2 * 0.3) - math.log(2 * math.pi * 0.3)
    expected = -(each.logsumexp(1) - math.log(4))
    found = GaussianLikelihood(0.3).bound(outputs, target, (1, 2, 1, 2)).loss[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    pair = (outputs, torch.full_like(outputs, 0.3))
    predicted = GaussianLikelihood("predicted")
    torch.testing.assert_close(predicted.bound(pair, target, (1, 2, 1, 2)).loss[:, 0], expected)
    torch.testing.assert_close(predicted.predictive(pair), outputs.mean(1))


def test_a_variance_is_learnt():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=generator)
    y = 0.5 * torch.randn(400, 1, generator=generator)
    predictor = nn.Linear(2, 1)
    nn.init.zeros_(predictor.weight), nn.init.zeros_(predictor.bias)
    model = LEX(predictor, nn.Linear(2, 2), likelihood=GaussianLikelihood("learnt"))
    optimiser = torch.optim.Adam([model.likelihood.log_variance], lr=0.1)
    for seed in range(60):
        optimiser.zero_grad()
        model.loss(x, y, seed=seed).backward()
        optimiser.step()
    assert model.likelihood.log_variance.exp().item() == pytest.approx(0.25, rel=0.1)


VARIANTS = {
    "reinforce": {},
    "rebar": {"estimator": REBAR()},
    "relax": {"estimator": RELAX()},
    "leave_one_out": {"estimator": LeaveOneOut()},
    "concrete": {"law": Concrete()},
    "subset": {"law": Subset(2)},
    "l2x": {"law": MaxOfK(2)},
    "enumeration": {"estimator": Enumeration(), "n_masks": 1},
    "random_masks": {"regime": Regime(predictor="random_masks")},
    "gaussian": {"imputer": Gaussian(mean=torch.zeros(5), covariance=torch.eye(5) + 0.5)},
    "groups": {"groups": Groups(torch.tensor([0, 1, 1, 2, 2]))},
}


def variant(name):
    options = {"imputer": standard_normal(), "n_masks": 2, "n_imputations": 2, **VARIANTS[name]}
    model = small_lex(**options)
    if name == "groups":
        model.selector[2] = nn.Linear(6, 3).double()
    return model


@pytest.mark.parametrize("name", VARIANTS)
def test_a_row_costs_alone_what_it_costs_in_a_batch(name):
    model, (x, y) = variant(name), small_data(6)
    whole = model.score(x, y, seed=4)
    torch.testing.assert_close(model.score(x[2:3], y[2:3], seed=4), whole[2:3])
    attributions = model.attribute(x)
    torch.testing.assert_close(model.attribute(x[2:3]), attributions[2:3])
    assert attributions.shape == x.shape


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_do_not_depend_on_how_rows_are_put_together(name):
    x, y = small_data(6)
    found = []
    for max_rows in (None, 9, 1):
        torch.manual_seed(0)
        model = variant(name)
        accumulate(model, x, y, seed=4, max_rows=max_rows)
        found.append([each.grad for each in model.parameters() if each.grad is not None])
    torch.manual_seed(0)
    model = variant(name)
    loss = model.loss(x, y, seed=4)
    loss.backward()
    found.append([each.grad for each in model.parameters() if each.grad is not None])
    assert all(len(grads) == len(found[0]) > 4 for grads in found)
    for grads in found[1:]:
        torch.testing.assert_close(grads, found[0])
    terms = accumulate(model, x, y, seed=4)
    assert sum(terms.values()) == pytest.approx(loss.item())


def gradients(model, x, y, parts=("predictor", "selector")):
    model.zero_grad()
    model.loss(x, y, seed=2, parts=parts).backward()
    return {
        name: None if each.grad is None else each.grad.clone()
        for name, each in model.named_parameters()
    }


def same(first, second):
    assert first.keys() == second.keys()
    for name, grad in first.items():
        torch.testing.assert_close(grad, second[name], msg=name)


def test_parts_of_a_step_are_trained_apart():
    x, y = small_data()
    model = small_lex(imputer=standard_normal())
    both, theta, gamma = (
        gradients(model, x, y, parts)
        for parts in (("predictor", "selector"), ("predictor",), ("selector",))
    )
    for name, grad in both.items():
        mine, other = (theta, gamma) if name.startswith("predictor") else (gamma, theta)
        torch.testing.assert_close(mine[name], grad)
        assert other[name] is None
    frozen = small_lex(regime=Regime(predictor="frozen"), imputer=standard_normal())
    same(gradients(frozen, x, y), gamma)


def test_methods_that_differ_in_nothing_are_the_same():
    x, y = small_data()
    one = {"n_masks": 1, "n_imputations": 1}
    networks = small_networks(5, 3)
    # INVASE without a baseline is LEX with zeros, independent bits and REINFORCE.
    ours = lex(*networks, Constant(0.0), weight=0.1, estimator=REINFORCE(), **one)
    same(gradients(ours, x, y), gradients(invase_minus(*networks), x, y))
    # INVASE with a baseline that costs nothing is the same, but for the baseline's own gradient.
    sure = nn.Linear(5, 3).double()
    nn.init.zeros_(sure.weight)
    first = gradients(invase(*networks, sure), x, torch.zeros_like(y))
    assert first.pop("estimator.model.weight") is not None
    assert first.pop("estimator.model.bias") is not None
    # L2X is LEX with the larger of k draws, a black box's output as target, and zeros.
    black_box = nn.Linear(5, 3).double()
    regime = Regime(target="black_box")
    ours = LEX(*networks, law=MaxOfK(2), regime=regime, black_box=black_box)
    theirs = l2x(*networks, black_box, k=2)
    same(gradients(ours, x, None), gradients(theirs, x, None))
    by_hand = LEX(*networks, law=MaxOfK(2))
    same(gradients(by_hand, x, black_box(x).softmax(1).detach()), gradients(theirs, x, None))
    # REAL-X is LEX with a frozen predictor, REBAR and zeros.
    regime = Regime(predictor="frozen", pretraining="random_masks", pretrain_epochs=1)
    ours = LEX(*networks, estimator=REBAR(0.1), regime=regime, regulariser=L1(5.0))
    same(gradients(ours, x, y), gradients(realx(*networks), x, y))
    # One mask and one imputation know no difference between the two aggregations.
    first = small_lex(imputer=standard_normal())
    second = small_lex(imputer=standard_normal(), aggregation="harmonic")
    same(gradients(first, x, y), gradients(second, x, y))


def test_keeping_everything_is_the_predictor_itself():
    x, y = small_data()
    predictor, _ = small_networks(5, 3)
    model = LEX(
        predictor, lambda rows: rows * 0 + 1, law=Oracle(), imputer=standard_normal(), n_masks=3
    )
    expected = nn.functional.cross_entropy(predictor(x), y, reduction="none")
    torch.testing.assert_close(model.score(x, y), expected)
    torch.testing.assert_close(model.predict(x), predictor(x).softmax(1))


def test_its_own_output_can_be_the_target():
    x, _ = small_data()
    regime = Regime(target="self", predictor="frozen")
    model = small_lex(regime=regime)
    soft = small_lex().score(x, model.predictor(x).softmax(1).detach())
    torch.testing.assert_close(model.score(x), soft)
    hard = small_lex(regime=Regime(target="self", predictor="frozen", hard_target=True))
    torch.testing.assert_close(hard.score(x), small_lex().score(x, hard.predictor(x).argmax(1)))


def test_penalties():
    p = torch.tensor([[0.5, 1.0, 0.0], [0.2, 0.2, 0.2]])
    assert L1(2.0).penalty(p).tolist() == pytest.approx([1.0, 0.4])
    assert L1(2.0, "sum").penalty(p).tolist() == pytest.approx([3.0, 1.2])
    assert Rate(2.0, 0.3).penalty(p).tolist() == pytest.approx([0.4, 0.2])
    assert Rate(2.0, 0.3, power=2).penalty(p).tolist() == pytest.approx([0.08, 0.02])
    each = Rate(3.0, 0.5, per_feature=True).penalty(p)
    assert each.tolist() == pytest.approx([1.0, 0.9])
    # Two neighbours differ with probability p (1 - q) + q (1 - p).
    assert Continuity(1.0).penalty(p).tolist() == pytest.approx([1.5, 0.64])
    x, y = small_data()
    model = small_lex(regulariser=(L1(1.0), Rate(2.0, 0.5)))
    plain = small_lex(regulariser=())
    marginals = model.attribute(x)
    extra = L1(1.0).penalty(marginals) + Rate(2.0, 0.5).penalty(marginals)
    torch.testing.assert_close(model.score(x, y), plain.score(x, y) + extra)
    assert model.loss(x, y, seed=0).item() == pytest.approx(model.score(x, y).mean().item())


def test_images_and_words():
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(3, 1, 6, 8, generator=generator), torch.tensor([0, 1, 2])
    networks = image_networks((1, 6, 8), 3, patch=2, width=4, seed=0)
    model = LEX(*networks, groups=Patches(2), law=Subset(4), imputer=standard_normal(), n_masks=2)
    model.loss(images, labels, seed=0).backward()
    assert all(each.grad is not None for each in model.parameters())
    shown = model.attribute(images)
    torch.testing.assert_close(shown[:, :, ::2, ::2], shown[:, :, 1::2, 1::2])
    words = torch.randn(3, 7, 4, generator=generator)
    model = rationale(*text_networks(4, 3, width=5), groups=Groups(torch.arange(7)[:, None]))
    model.loss(words, labels, seed=0).backward()
    assert all(each.grad is not None for each in model.parameters())
    shown = model.attribute(words)
    assert shown.shape == words.shape
    assert bool((shown == shown[:, :, :1]).all())


def test_token_ids_are_imputed_as_they_are():
    tokens = torch.randint(0, 9, (4, 6), generator=torch.Generator().manual_seed(0))
    embed = nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(18, 2))
    selector = nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(18, 6))
    model = LEX(embed, selector, imputer=Marginal(tokens, 2), n_imputations=2)
    model.loss(tokens, torch.tensor([0, 1, 0, 1]), seed=0).backward()
    assert bool((selector[2].weight.grad != 0).any())


@pytest.mark.parametrize(
    "options",
    [{"law": Subset(2)}, {"law": Concrete()}, {"estimator": REBAR()}, {"estimator": RELAX()}],
    ids=["subset", "concrete", "rebar", "relax"],
)
def test_token_ids_have_no_gradient_along_masks(options):
    tokens = torch.randint(0, 9, (4, 6), generator=torch.Generator().manual_seed(0))
    networks = [
        nn.Sequential(nn.Embedding(9, 3), nn.Flatten(), nn.Linear(18, n_outputs))
        for n_outputs in (2, 6)
    ]
    model = LEX(*networks, imputer=Marginal(tokens, 2), **options)
    labels = torch.tensor([0, 1, 0, 1])
    with pytest.raises(TypeError, match=r"inputs must be floating point for .* such as REINFORCE"):
        model.loss(tokens, labels, seed=0)
    assert bool(model.score(tokens, labels).isfinite().all())


def test_it_is_a_method_like_others():
    x, _ = small_data()
    model = small_lex(law=Subset(2))
    result = pyxai.explain(model.predictor, x, method=model, target=0)
    torch.testing.assert_close(result.attributions, model.attribute(x))
    assert 0 <= float(result.attributions.min()) <= float(result.attributions.max()) <= 1
    torch.testing.assert_close(result.attributions.sum(1), torch.full((12,), 2.0).double())
    selected = model.select(x)
    assert bool((selected.sum(1) == 2).all())
    rates = pyxai.metrics.selection_rates(result.attributions, selected, k=2)
    assert float(rates.tpr.mean()) > 0.7
    curve = pyxai.metrics.deletion(model.predictor, x, result.attributions, target=0)
    assert curve.y.shape[0] == 12


def test_explaining_leaves_all_as_found():
    x, y = small_data()
    model = small_lex(law=Subset(2), imputer=standard_normal())
    model.eval()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    state = torch.random.get_rng_state()
    model.attribute(x), model.select(x), model.predict(x), model.score(x, y)
    assert torch.equal(state, torch.random.get_rng_state())
    for name, each in model.state_dict().items():
        assert torch.equal(each, before[name])
    assert not model.training
    assert all(each.grad is None and each.requires_grad for each in model.parameters())


def test_predictions_are_those_of_evaluation():
    x, y = small_data()
    selector = small_networks(5, 3)[1]
    predictor = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3))
    model = LEX(predictor.double(), selector, law=Subset(2), imputer=standard_normal())
    before = {name: each.clone() for name, each in model.state_dict().items()}
    state = torch.random.get_rng_state()
    found = model.predict(x), model.score(x, y)
    assert model.training
    assert predictor[1].training
    assert torch.equal(state, torch.random.get_rng_state())
    for name, each in model.state_dict().items():
        assert torch.equal(each, before[name])
    model.eval()
    for one, other in zip(found, (model.predict(x), model.score(x, y)), strict=True):
        torch.testing.assert_close(one, other)


def test_one_group_is_enough():
    x, _ = small_data()
    model = LEX(
        small_networks(5, 3)[0], nn.Linear(5, 1).double(), groups=Groups(torch.zeros(5).long())
    )
    assert model.select(x).shape == (12, 1)
    assert model.attribute(x).shape == (12, 5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"law": 3}, TypeError, "law must be of class MaskLaw, got 3"),
        ({"imputer": 0.0}, TypeError, "imputer must be of class Imputer, got 0.0"),
        ({"n_masks": 0}, ValueError, "n_masks must be at least 1, got 0"),
        ({"aggregation": "median"}, ValueError, "aggregation must be one of 'mean', 'harmonic'"),
        ({"law": Subset(2), "regulariser": L1(1.0)}, ValueError, "regulariser must be none"),
        ({"regulariser": (3,)}, TypeError, "regulariser must be of class Regulariser, got 3"),
        ({"black_box": nn.Identity()}, ValueError, "black_box must be None for target 'label'"),
        ({"regime": Regime(target="black_box")}, ValueError, "black_box must be given"),
        ({"law": FixedBernoulli(), "estimator": REBAR(), "n_masks": 2}, None, ""),
    ],
)
def test_wrong_arguments_of_the_model(options, error, message):
    if error is None:
        small_lex(**options)
        return
    with pytest.raises(error, match=message):
        small_lex(**options)


def loss_of(x=None, y=None, **options):
    data = small_data()
    model = small_lex(**options)
    return model.loss(data[0] if x is None else x, data[1] if y is None else y, seed=0)


def asked(what, law=None, **options):
    return getattr(small_lex(law=law or Bernoulli()), what)(small_data()[0], **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: loss_of(y=torch.full((12,), 3)), ValueError, "targets must be from 0 to 2, the"),
        (lambda: loss_of(y=torch.full((12,), -1)), ValueError, "of the predictor, got -1"),
        (lambda: loss_of(y=torch.zeros(3, dtype=torch.int64)), ValueError, r"shape \[12\], got"),
        (lambda: loss_of(y=torch.full((12, 3), 0.5)), ValueError, "probabilities that sum to 1"),
        (lambda: loss_of(y=torch.full((12, 3), 0.2)), ValueError, "probabilities that sum to 1"),
        (lambda: loss_of(y=torch.zeros(12, dtype=torch.int32)), TypeError, "targets must have dty"),
        (lambda: loss_of(x=torch.full((12, 5), torch.nan)), ValueError, "inputs must be finite"),
        (lambda: loss_of(x=torch.zeros(12)), ValueError, "inputs must have examples and features"),
        (lambda: small_lex().loss(small_data()[0], seed=0), ValueError, "targets must be given"),
        (
            lambda: loss_of(y=torch.zeros(3, 12).double(), likelihood=GaussianLikelihood()),
            ValueError,
            r"targets must be floating point of shape \[12, 3\], got",
        ),
        (lambda: asked("predict", n_imputations=0), ValueError, "n_imputations must be at least 1"),
        (lambda: asked("predict", masks=[1, 0]), TypeError, "masks must be a tensor, got a list"),
        (
            lambda: asked("predict", masks=torch.ones(12, 4, dtype=torch.bool)),
            ValueError,
            r"masks must have shape \[12, 5\], got \[12, 4\]",
        ),
        (
            lambda: asked("attribute", law=Subset(2), n_samples=0),
            ValueError,
            "n_samples must be at least 1, got 0",
        ),
        (lambda: asked("attribute", law=Subset(9)), ValueError, "k must be at most 5, the number"),
        (lambda: Groups([0, 1]), TypeError, "ids must be a tensor, got a list"),
        (lambda: GaussianLikelihood(-1.0), ValueError, r"variance must be above 0, got -1\.0"),
        (lambda: GaussianLikelihood(0), ValueError, "variance must be above 0, got 0"),
        (lambda: L1(-1.0), ValueError, r"weight must be at least 0, got -1\.0"),
        (lambda: Rate(1.0, 2.0), ValueError, "rate must be from 0 to 1, got 2.0"),
        (lambda: Regime(target="self"), ValueError, "predictor must be 'frozen' where it is its"),
        (lambda: Regime(order="random"), ValueError, "order must be one of"),
    ],
)
def test_wrong_data_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_predicted_variance_must_be_positive():
    likelihood = GaussianLikelihood("predicted")
    outputs = (torch.zeros(2, 1, 1), torch.tensor([[[1.0]], [[-0.5]]]))
    with pytest.raises(ValueError, match=r"variances of the predictor must be above 0, got -0\.5"):
        likelihood.bound(outputs, torch.zeros(2, 1), (1, 1, 1, 1))


def test_a_selector_of_another_size_is_named():
    predictor, _ = small_networks(5, 3)
    model = LEX(predictor, nn.Linear(5, 4).double())
    x, y = small_data()
    with pytest.raises(ValueError, match="selector must return 5 scores for each row"):
        model.loss(x, y, seed=0)
    with pytest.raises(ValueError, match="selector must return 5 scores for each row"):
        model.attribute(x)


DISTRIBUTED = """
import os, sys, torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
sys.path.insert(0, "tests/helpers")
from lex_problems import small_data, small_lex, standard_normal
rank = int(sys.argv[1])
distributed.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
model = small_lex(imputer=standard_normal(), n_masks=2)
x, y = small_data(8)
half = slice(4 * rank, 4 * rank + 4)
wrapped = DistributedDataParallel(model)
for _ in range(2):  # a second step finds what the first left
    model.zero_grad()
    wrapped(x[half], y[half], seed=4).backward()
if rank == 0:
    torch.save([each.grad for each in model.parameters()], sys.argv[3])
distributed.destroy_process_group()
"""


def test_two_processes_share_a_batch(tmp_path):
    meeting, out = tmp_path / "meeting", tmp_path / "grads.pt"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DISTRIBUTED, str(rank), str(meeting), str(out)], cwd=ROOT
        )
        for rank in range(2)
    ]
    assert [each.wait(timeout=120) for each in processes] == [0, 0]
    model = small_lex(imputer=standard_normal(), n_masks=2)
    x, y = small_data(8)
    model.loss(x, y, seed=4).backward()
    torch.testing.assert_close(torch.load(out), [each.grad for each in model.parameters()])


def test_tabular_networks_are_those_of_the_papers():
    with torch.random.fork_rng():
        predictor, selector = tabular_networks(11, 2, seed=3)
    sizes = [tuple(each.weight.shape) for each in predictor if isinstance(each, nn.Linear)]
    assert sizes == [(200, 11), (200, 200), (2, 200)]
    assert sum(each.numel() for each in selector.parameters()) == 11 * 100 + 100 * 100 + 1100 + 211
    again, _ = tabular_networks(11, 2, seed=3)
    torch.testing.assert_close(list(again.parameters()), list(predictor.parameters()))
