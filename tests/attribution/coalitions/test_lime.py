"""Lime: the Lasso against scikit-learn, the whole against captum, parts of the user's own."""

import captum.attr
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from sklearn.linear_model import Lasso

from pyxai import PyxaiWarning
from pyxai.attribution import Lime
from pyxai.attribution.coalitions.lasso import weighted_lasso
from pyxai.imputers import Marginal


def mlp(n_features, n_outputs=1):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Linear(n_features, 24), torch.nn.Tanh(), torch.nn.Linear(24, n_outputs)
    return torch.nn.Sequential(*layers).double().eval()


def rows(batch, n_features, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, n_features, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("n_samples", "n_features", "alpha"),
    [(100, 12, 0.01), (60, 40, 0.01), (40, 60, 0.05), (200, 10, 5.0), (300, 20, 1e-6)],
)
@pytest.mark.parametrize("shared", [True, False])
def test_lasso_equals_scikit_learn(n_samples, n_features, alpha, shared):
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(3, n_samples, n_features, generator=generator) < 0.5
    design = draws.double()[0] if shared else draws.double()
    each = [design if shared else part for part in draws.double()]
    weights = torch.rand(3, n_samples, generator=generator, dtype=torch.float64)
    outputs = torch.stack([part @ row for part, row in zip(each, rows(3, n_features), strict=True)])
    outputs = outputs + 0.3 * rows(3, n_samples, seed=2)
    found = weighted_lasso(design, outputs, weights, alpha)
    for row in range(3):
        model = Lasso(alpha=alpha, tol=1e-13, max_iter=200_000)
        model.fit(each[row].numpy(), outputs[row].numpy(), sample_weight=weights[row].numpy())
        expected = torch.from_numpy(model.coef_)
        torch.testing.assert_close(found[row], expected, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("baselines", [0.0, 0.7])
def test_agrees_with_captum_for_many_samples(baselines):
    net, x = mlp(4), rows(1, 4)
    torch.manual_seed(0)
    theirs = captum.attr.Lime(net).attribute(
        x, baselines=baselines, n_samples=3000, perturbations_per_eval=3000
    )
    spread = torch.stack(
        [Lime(net).attribute(x, baselines=baselines, n_samples=3000, seed=s) for s in range(4)]
    )
    # Four standard deviations of one run of captum's; pairs make ours smaller.
    assert (spread.mean(0) - theirs).abs().max() < 0.02
    assert spread.std(0).max() < 0.02


def test_captum_models_weights_and_masks_are_honoured():
    """The same masks and the same parts give the same coefficients."""
    net, x = mlp(5), rows(2, 5)
    table = (torch.rand(60, 5, generator=torch.Generator().manual_seed(3)) < 0.5).long()

    def masks(original, **options):
        assert options["num_interp_features"] == 5
        yield from (mask[None] for mask in table)

    def similarity(original, perturbed, mask, **options):
        assert original.shape == perturbed.shape == (1, 5)
        return torch.exp(-(original - perturbed).abs().sum())

    parts = {"similarity_func": similarity, "perturb_func": masks}
    ours = Lime(net, SkLearnRidge(alpha=0.1), **parts).attribute(x, n_samples=60)
    theirs = captum.attr.Lime(net, SkLearnRidge(alpha=0.1), **parts)
    with pytest.warns(UserWarning, match="multiple inputs"):
        expected = theirs.attribute(x, n_samples=60)
    torch.testing.assert_close(ours, expected.double(), atol=1e-5, rtol=1e-5)
    plain = Lime(net, **parts).attribute(x, n_samples=60)
    for row in range(2):
        alone = captum.attr.Lime(net, **parts).attribute(x[row : row + 1], n_samples=60)
        # scikit-learn stops at its default tolerance of 1e-4
        torch.testing.assert_close(plain[row : row + 1], alone.double(), atol=2e-4, rtol=1e-2)


def test_a_weight_may_be_0():
    """The samples of weight 0 say nothing: the others, given alone, say the same."""
    net, x = mlp(4), rows(1, 4)
    table = torch.rand(40, 4, generator=torch.Generator().manual_seed(3)) < 0.5

    def explained(kept, similarity):
        def masks(original, **options):
            yield from (mask[None].long() for mask in table[kept])

        made = Lime(net, similarity_func=similarity, perturb_func=masks)
        return made.attribute(x, n_samples=int(kept.sum()))

    everything = torch.ones(40, dtype=torch.bool)
    found = explained(everything, lambda original, perturbed, mask, **_: float(mask[0, 0]))
    torch.testing.assert_close(found, explained(table[:, 0], lambda *_, **__: 1.0))


def test_default_weights_are_those_of_captum():
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    net, x = mlp(6), rows(3, 6)
    options = {"baselines": rows(3, 6, seed=8), "feature_mask": torch.tensor([[0, 0, 1, 2, 2, 2]])}
    kernel = get_exp_kernel_similarity_function()
    ours = Lime(net).attribute(x, n_samples=50, **options)
    slow = Lime(net, similarity_func=kernel).attribute(x, n_samples=50, **options)
    torch.testing.assert_close(ours, slow, atol=1e-6, rtol=1e-5)


def test_sparse_where_the_penalty_says_so():
    weights = torch.tensor([2.0, 0.0, -1.0, 0.001], dtype=torch.float64)
    scores = Lime(lambda z: z @ weights).attribute(torch.ones(1, 4).double(), n_samples=400)
    assert (scores[0, [1, 3]] == 0).all()
    # A weighted Bernoulli feature has variance 1/4: the Lasso takes alpha / variance off.
    torch.testing.assert_close(
        scores[0, [0, 2]], torch.tensor([1.96, -0.96]).double(), atol=0.01, rtol=0
    )


def test_forms_of_the_result():
    net, x = mlp(4, 3), rows(2, 4)
    together = Lime(net).attribute(x, n_samples=80)
    assert together.shape == (2, 3, 4)
    torch.testing.assert_close(together[:, 1], Lime(net).attribute(x, target=1, n_samples=80))
    torch.testing.assert_close(together[1:, 1], Lime(net).attribute(x[1:], target=1, n_samples=80))
    mask = torch.tensor([[0, 0, 1, 1]])
    columns = Lime(net).attribute(
        x, target=0, feature_mask=mask, n_samples=80, return_input_shape=False
    )
    assert columns.shape == (2, 2)
    batch = Lime(lambda z: net(z)[:, 0].sum()).attribute(x, n_samples=80)
    assert batch.shape == (1, 4)
    imputed = Lime(net).attribute(x, target=0, n_samples=80, imputer=Marginal(rows(9, 4)))
    assert imputed.shape == (2, 4)
    assert not Lime(net).has_convergence_delta()


@pytest.mark.parametrize(("n_samples", "alpha"), [(60, 0.01), (200, 0.01), (200, 0.0)])
def test_standard_errors_are_calibrated_and_no_penalty_makes_them_too_small(n_samples, alpha):
    net, x = mlp(4), 2 * rows(3, 4)
    runs = [
        Lime(net, alpha=alpha).attribute(x, n_samples=n_samples, seed=seed, return_error=True)
        for seed in range(60)
    ]
    scores, errors = (torch.stack(parts) for parts in zip(*runs, strict=True))
    covered = ((scores - scores.mean(0)).abs() <= 2 * errors).double().mean((0, 1, 2))
    claimed, found = errors.mean(0), scores.std(0)
    assert covered > 0.91  # 0.954 if normal; 720 cases
    assert (claimed > 0.65 * found).all()  # 60 runs tell a standard deviation to 9 %
    if alpha == 0:
        assert covered < 0.985
        assert (claimed < 1.5 * found).all()


def test_errors_have_the_form_of_the_result_and_say_where_they_are_unknown():
    net, x = mlp(4, 2), rows(3, 4)
    whole, errors = Lime(net).attribute(x, n_samples=40, return_error=True)
    assert errors.shape == whole.shape == (3, 2, 4)
    assert (errors > 0).any()
    alone = Lime(net).attribute(x[1:2], target=1, n_samples=40, return_error=True)[1]
    torch.testing.assert_close(alone, errors[1:2, 1])
    _, players = Lime(net).attribute(
        x, target=0, n_samples=40, return_input_shape=False, return_error=True,
        feature_mask=torch.tensor([0, 0, 1, 1]),
    )  # fmt: skip
    assert players.shape == (3, 2)
    with pytest.warns(PyxaiWarning, match=r"^n_samples=8 leaves standard errors infinite: .* more"):
        few = Lime(net, alpha=0.0).attribute(x, target=0, n_samples=8, return_error=True)
    assert few[1].isinf().all()
    with pytest.raises(NotImplementedError, match="return_error must be False with an interp"):
        Lime(net, SkLearnRidge()).attribute(x, target=0, return_error=True)


def test_seeds():
    net, x = mlp(4), rows(2, 4)
    first = Lime(net).attribute(x, n_samples=30)
    assert torch.equal(first, Lime(net).attribute(x, n_samples=30))
    assert (first - Lime(net).attribute(x, n_samples=30, seed=1)).abs().max() > 1e-4


def test_bad_parts_are_named():
    net, x = mlp(4), rows(2, 4)
    with pytest.raises(TypeError, match="interpretable_model must have fit and representation"):
        Lime(net, interpretable_model=3)
    with pytest.raises(TypeError, match="similarity_func must be callable, got 3"):
        Lime(net, similarity_func=3)
    with pytest.raises(ValueError, match="alpha must be finite and at least 0, got -1"):
        Lime(net, alpha=-1)
    with pytest.raises(ValueError, match=r"perturb_func must return masks .*\[1, 4\], got shape"):
        Lime(net, perturb_func=lambda *_, **__: torch.ones(1, 3)).attribute(x)
    with pytest.raises(ValueError, match="similarity_func must give weights"):
        Lime(net, similarity_func=lambda *_, **__: -1.0).attribute(x)
    with pytest.raises(ValueError, match="n_samples must be at least 2, got 1"):
        Lime(net).attribute(x, n_samples=1)
    with pytest.raises(NotImplementedError, match="similarity_func must be None with an imputer"):
        Lime(net, similarity_func=lambda *_, **__: 1.0).attribute(x, imputer=Marginal(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sum_of_many_features_at_default_settings(dtype):
    """Fewer samples than features: 12 of these 20 seeds did not converge."""
    for seed in range(20):
        x = torch.ones(1, 32, dtype=dtype)
        assert Lime(lambda z: z.sum(1)).attribute(x, seed=seed).isfinite().all()


def test_the_pixels_of_a_photo_make_no_table_of_pairs():
    """A table of 150 528 x 150 528 would take 181 GB."""
    x = torch.ones(1, 3, 224, 224)
    scores = Lime(lambda z: z[:, 0, 0, :8].sum(1)).attribute(x)
    assert scores.shape == x.shape
    assert scores.isfinite().all()
    assert (scores != 0).any()
