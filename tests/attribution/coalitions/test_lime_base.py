"""LIME with parts of the user's own; captum is the reference."""

import captum.attr
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLinearRegression, SkLearnRidge
from tanh_nets import rows

from pyxai import PyxaiWarning
from pyxai.attribution import LimeBase

WEIGHT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])


def model(x):
    return (x.float() @ WEIGHT.T).sin()


def near(x, near_x, sample, **options):
    return torch.exp(-(x - near_x).square().sum() / options.get("width", 1.0) ** 2)


def noise(x, **_):
    return x + torch.randn_like(x)


def itself(sample, x, **_):
    return sample


def both(forward, parts, x, **options):
    """What our class and captum's find, the random numbers of the parts being the same."""
    found = []
    for cls in (LimeBase, captum.attr.LimeBase):
        torch.manual_seed(0)
        found.append(cls(forward, SkLearnRidge(alpha=0.1), *parts).attribute(x, **options))
    return found


@pytest.fixture
def x():
    return rows(1, 3).float()


@pytest.mark.parametrize("per_eval", [1, 7])
def test_samples_of_the_inputs(x, per_eval):
    parts = near, noise, False, None, itself
    options = {"target": 1, "n_samples": 30, "perturbations_per_eval": per_eval, "width": 2.0}
    ours, theirs = both(model, parts, x, **options)
    assert ours.shape == (1, 3)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def masks(x, **_):
    while True:
        yield torch.bernoulli(torch.full((1, 2), 0.5))


def from_mask(mask, x, **_):
    return x * torch.tensor([[mask[0, 0], mask[0, 0], mask[0, 1]]])


def test_interpretable_samples_of_a_generator(x):
    parts = (lambda *_: 1.0), masks, True, from_mask, None
    ours, theirs = both(model, parts, x, target=0, n_samples=20)
    assert ours.shape == (1, 2)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_several_inputs_and_further_arguments(x):
    def pair(left, right, scale):
        return left.sum(1) * right.sum(1) * scale

    def perturb(inputs, **_):
        return tuple(noise(part) for part in inputs)

    def weight(inputs, perturbed, sample):
        return float(sum(near(a, b, None) for a, b in zip(inputs, perturbed, strict=True)))

    parts = weight, perturb, False, None, (lambda sample, _: torch.cat(sample, 1))
    given = (x, x[:, :2])
    ours, theirs = both(pair, parts, given, additional_forward_args=(2.0,), n_samples=25)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_batch_is_explained_together_by_its_one_output():
    parts = near, noise, False, None, (lambda sample, x, **_: sample.mean(0, keepdim=True))
    ours, theirs = both(lambda x: model(x).sum(), parts, rows(4, 3).float(), n_samples=25)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_what_the_fitted_model_says_is_returned(x):
    """A linear function is found, by regression, whatever the samples weigh."""

    class Said(SkLearnLinearRegression):
        def representation(self):
            return {"weight": super().representation(), "bias": self.bias()}

    explainer = LimeBase(lambda z: z @ WEIGHT[0] + 4, Said(), near, noise, False, None, itself)
    found = explainer.attribute(x, n_samples=20)
    torch.testing.assert_close(found["weight"], WEIGHT[:1], rtol=0, atol=1e-4)
    assert float(found["bias"]) == pytest.approx(4, abs=1e-4)
    assert not explainer.multiplies_by_inputs
    assert not explainer.has_convergence_delta()


def test_a_generator_that_ends_is_said(x):
    def few(x, **_):
        for _ in range(12):
            yield noise(x)

    parts = near, few, False, None, itself
    explainer = LimeBase(model, SkLearnLinearRegression(), *parts)
    with pytest.warns(PyxaiWarning, match="perturb_func ended after 12 of 50 samples"):
        found = explainer.attribute(x, target=0)
    assert found.isfinite().all()
    explainer.perturb_func = lambda x: iter_nothing()
    with pytest.raises(ValueError, match="perturb_func must make a sample, got a generator witho"):
        explainer.attribute(x, target=0)


def iter_nothing():
    yield from ()


@pytest.mark.parametrize(
    ("place", "part", "error", "message"),
    [
        (1, object(), TypeError, "interpretable_model must have fit and representation, got a ob"),
        (2, 3.0, TypeError, "similarity_func must be callable, got 3.0"),
        (3, None, TypeError, "perturb_func must be given with perturb_interpretable_space=False"),
        (4, True, TypeError, "from_interp_rep_transform must be given with perturb_interpretab"),
        (6, None, TypeError, "to_interp_rep_transform must be given with"),
    ],
)
def test_refused_parts(place, part, error, message):
    parts = [model, SkLearnLinearRegression(), near, noise, False, None, itself]
    parts[place] = part
    with pytest.raises(error, match=message):
        LimeBase(*parts)


@pytest.mark.parametrize(
    ("place", "part", "error", "message"),
    [
        (3, lambda x: x[:, :2], ValueError, r"shapes of inputs, \[\[1, 3\]\], got \[\[1, 2\]\]"),
        (3, lambda x: 3, TypeError, "perturbed inputs must be tensors, got 3"),
        (6, lambda s, x: s[0], ValueError, r"samples must have shape \[1, n_features\], got \[3\]"),
        (6, lambda s, x: 3, TypeError, "interpretable samples must be tensors, got 3"),
    ],
)
def test_refused_samples(x, place, part, error, message):
    parts = [model, SkLearnLinearRegression(), near, noise, False, None, itself]
    parts[place] = part
    with pytest.raises(error, match=message):
        LimeBase(*parts).attribute(x, target=0)


def test_outputs_of_each_of_several_examples_are_refused():
    parts = [model, SkLearnLinearRegression(), near, noise, False, None]
    explainer = LimeBase(*parts, lambda sample, _: sample[:1])
    with pytest.raises(ValueError, match="model must return one scalar for 2 examples"):
        explainer.attribute(rows(2, 3).float(), target=0, n_samples=3)
    with pytest.raises(ValueError, match="target must"):
        explainer.attribute(rows(1, 3).float(), n_samples=3)
