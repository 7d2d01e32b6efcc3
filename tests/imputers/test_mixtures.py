"""Mixtures against exact formulas, enumeration and float64 references."""

import itertools

import pytest
import torch
from imputer_cases import drawn

from pyxai import imputers
from pyxai.imputers.conditions import Conditions
from pyxai.imputers.mixtures.alias import alias_tables, draw_alias
from pyxai.imputers.mixtures.factors import FactorModel, fit_factors
from pyxai.imputers.mixtures.logistic import level_log_probabilities
from pyxai.imputers.mixtures.scores import quadratic_scores

WEIGHTS = torch.tensor([0.3, 0.5, 0.2]).double()
MEANS = drawn(3, 4).double()
ROOTS = drawn(3, 4, 4, seed=1).double() / 2
FULL = ROOTS @ ROOTS.transpose(1, 2) + 0.3 * torch.eye(4).double()
DIAGONAL = torch.diagonal(FULL, dim1=1, dim2=2).contiguous()
X = torch.tensor([[0.5, -1.0, 0.3, 1.2]]).double()
SHOWN = torch.tensor([[[True, False, True, False]]])
NOTHING = torch.zeros(1, 1, 4, dtype=torch.bool)
N = 40_000


def exact(matrices, mask):
    """Return mean and covariance of the mixture given the present features of X."""
    kept, gone = mask.flatten().nonzero().flatten(), (~mask.flatten()).nonzero().flatten()
    logs, means, covariances = [], [], []
    for weight, mean, matrix in zip(WEIGHTS, MEANS, matrices, strict=True):
        gap = X[0, kept] - mean[kept]
        inner, cross = matrix[kept][:, kept], matrix[gone][:, kept]
        gain = cross @ torch.linalg.inv(inner) if len(kept) else cross
        means.append(mean[gone] + gain @ gap)
        covariances.append(matrix[gone][:, gone] - gain @ cross.T)
        density = weight.log()
        if len(kept):
            normal = torch.distributions.MultivariateNormal(torch.zeros_like(gap), inner)
            density = density + normal.log_prob(gap)
        logs.append(density)
    shares = torch.stack(logs).softmax(0)
    means, covariances = torch.stack(means), torch.stack(covariances)
    centre = (shares[:, None] * means).sum(0)
    spread = means - centre
    inner = covariances + spread[:, :, None] * spread[:, None, :]
    return shares, centre, (shares[:, None, None] * inner).sum(0)


def many(imputer, mask, x=X):
    """Return N draws of the absent features, [N, absent]."""
    ready = imputer.with_draws(N).check((x,))
    (found,) = ready.draw((x,), (mask,), seed=5, example_ids=torch.tensor([3]))
    return found[0, 0][:, ~mask.flatten()]


def assert_moments(draws, centre, covariance):
    """Compare with five standard errors."""
    deviations = covariance.diagonal().sqrt()
    assert ((draws.mean(0) - centre).abs() < 5 * deviations / N**0.5).all()
    fourth = (draws - centre).pow(4).mean(0)
    bound = 5 * (fourth[:, None] * fourth).sqrt().sqrt() / N**0.5 * 2
    assert ((draws.T.cov() - covariance).abs() < bound).all()


@pytest.mark.parametrize("mask", [SHOWN, NOTHING], ids=["some", "nothing"])
@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_draws_have_the_moments_of_the_exact_conditional(kind, mask):
    given = DIAGONAL if kind == "diagonal" else FULL
    imputer = imputers.GaussianMixture.from_parameters(WEIGHTS, MEANS, given, kind)
    matrices = torch.diag_embed(DIAGONAL) if kind == "diagonal" else FULL
    shares, centre, covariance = exact(matrices, mask)
    torch.testing.assert_close(imputer.responsibilities(X, mask)[0, 0], shares)
    assert_moments(many(imputer, mask), centre, covariance)


def test_means_are_those_of_the_components_given_what_is_present():
    imputer = imputers.GaussianMixture.from_parameters(WEIGHTS, MEANS, FULL, "full", values="mean")
    found = many(imputer, SHOWN)
    shares, centre, _ = exact(FULL, SHOWN)
    values, counts = found.unique(dim=0, return_counts=True)
    assert len(values) == 3
    one = imputers.Gaussian(mean=MEANS[0], covariance=FULL[0], n_draws=2).check((X,))
    (pair,) = one.draw((X,), (SHOWN,), seed=0, example_ids=torch.tensor([0]))
    own = pair.mean(2).flatten()[[1, 3]]  # of an antithetic pair
    nearest = (values - own).abs().sum(1).argmin()
    torch.testing.assert_close(values[nearest], own)
    assert abs(counts[nearest] / N - shares[0]) < 0.01
    assert ((found.mean(0) - centre).abs() < 0.05).all()


def test_one_full_component_is_the_normal_conditional():
    one = imputers.GaussianMixture.from_parameters(torch.ones(1), MEANS[:1], FULL[:1], "full")
    normal = torch.distributions.MultivariateNormal(MEANS[0, [0, 2]], FULL[0][[0, 2]][:, [0, 2]])
    expected = normal.log_prob(X[:, [0, 2]])
    torch.testing.assert_close(one.log_likelihood(X, SHOWN)[:, 0], expected)
    inverse = torch.linalg.inv(FULL[0][[0, 2]][:, [0, 2]])
    gain = FULL[0][[1, 3]][:, [0, 2]] @ inverse
    centre = MEANS[0, [1, 3]] + gain @ (X[0, [0, 2]] - MEANS[0, [0, 2]])
    covariance = FULL[0][[1, 3]][:, [1, 3]] - gain @ FULL[0][[0, 2]][:, [1, 3]]
    assert_moments(many(one, SHOWN), centre, covariance)


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_log_likelihood_is_that_of_torch(kind):
    given = DIAGONAL if kind == "diagonal" else FULL
    matrices = torch.diag_embed(DIAGONAL) if kind == "diagonal" else FULL
    imputer = imputers.GaussianMixture.from_parameters(WEIGHTS, MEANS, given, kind)
    model = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(WEIGHTS),
        torch.distributions.MultivariateNormal(MEANS, matrices),
    )
    rows = drawn(5, 4, seed=3).double()
    torch.testing.assert_close(imputer.log_likelihood(rows)[:, 0], model.log_prob(rows))


def test_products_of_matrices_are_the_sum_over_features():
    flat, present = drawn(6, 7).double() * 3, drawn(6, 4, 7, seed=1) > 0
    means, precisions = drawn(5, 7, seed=2).double() * 3, drawn(5, 7, seed=3).double().exp() * 50
    offsets = drawn(5, 7, seed=4).double()
    square = precisions * (flat[:, None, None] - means).square() + offsets
    expected = -0.5 * (present.unsqueeze(2) * square).sum(3)
    found = quadratic_scores(flat, present, means, precisions, offsets)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-9)


def test_conditions_are_those_of_the_inverse():
    present = torch.tensor(list(itertools.product([False, True], repeat=4)))
    gaps = drawn(16, 4, 2, seed=4).double()
    found = Conditions(FULL[0], present)
    moves, densities = found.moves(gaps), found.log_density(gaps)
    for mask, gap, move, density in zip(present, gaps, moves, densities, strict=True):
        kept, gone = mask.nonzero().flatten(), (~mask).nonzero().flatten()
        inner = FULL[0][kept][:, kept]
        expected = FULL[0][gone][:, kept] @ torch.linalg.inv(inner) @ gap[kept]
        torch.testing.assert_close(move[gone], expected)
        assert not move[kept].any()
        if len(kept):
            normal = torch.distributions.MultivariateNormal(inner.new_zeros(len(kept)), inner)
            torch.testing.assert_close(density, normal.log_prob(gap[kept].T))
        else:
            assert not density.any()


@pytest.mark.parametrize(
    "weights",
    [
        torch.rand(3, 9, generator=torch.Generator().manual_seed(0)).double(),
        torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]]).double(),
        torch.ones(2, 7).double(),
        torch.full((1, 3), 1 / 3).double(),
        torch.tensor([[1e-300, 1.0, 1e-9]]).double(),
        torch.ones(1, 1).double(),
        torch.logspace(-30, 0, 300).double().unsqueeze(0),
    ],
    ids=["any", "zeros", "equal", "thirds", "tiny", "one", "many"],
)
def test_alias_tables_hold_the_weights(weights):
    shares, others = alias_tables(weights)
    count = weights.shape[1]
    assert ((shares >= 0) & (shares <= 1)).all()
    held = shares.clone().scatter_add_(1, others, 1 - shares) / count
    torch.testing.assert_close(held, weights / weights.sum(1, keepdim=True), rtol=1e-9, atol=1e-12)


def test_alias_draws_follow_the_weights():
    weights = torch.tensor([[1.0, 5.0, 0.0, 2.0], [1.0, 1.0, 1.0, 1.0]]).double()
    grid = (torch.arange(400) + 0.5).double() / 400
    uniform = torch.cartesian_prod(grid, grid)
    for table in (0, 1):
        chosen = draw_alias(*alias_tables(weights), torch.full((len(uniform),), table), uniform)
        found = chosen.bincount(minlength=4).double() / len(uniform)
        torch.testing.assert_close(found, weights[table] / weights[table].sum(), atol=2e-3, rtol=0)


def test_rows_come_as_often_as_their_components_say():
    rows = torch.cat([drawn(30, 2, seed=1) - 2, drawn(30, 2, seed=2) + 2]).double()
    imputer = imputers.GaussianMixture(2, values="rows", n_draws=N).fit(rows)
    x, mask = torch.tensor([[0.4, 9.0]]).double(), torch.tensor([[[True, False]]])
    (found,) = imputer.check((x,)).draw((x,), (mask,), seed=0, example_ids=torch.tensor([1]))
    given = imputer.responsibilities(x, mask)[0, 0]
    of_rows = imputer.responsibilities(rows)[:, 0]
    expected = (of_rows / of_rows.sum(0)) @ given
    counts = (found[0, 0, :, None] == rows).all(2).double().mean(0)
    assert abs(counts.sum() - 1) < 1e-12
    assert ((counts - expected).abs() < 5 * (expected / N).sqrt() + 1e-9).all()


def test_clusters_are_chosen_by_present_features_alone_and_give_their_rows():
    rows = torch.tensor([[0.0, 5.0], [0.2, 6.0], [9.0, -5.0], [9.2, -6.0], [9.4, -7.0]])
    imputer = imputers.KMeans(2, n_draws=3000).fit(rows)
    x = torch.tensor([[8.0, 5.0]])

    def found(mask):
        ready = imputer.check((x,))
        (draws,) = ready.draw((x,), (mask,), seed=0, example_ids=torch.tensor([1]))
        return draws[0, 0]

    near = found(torch.tensor([[[True, False]]]))
    assert set(near[:, 1].tolist()) == {-5.0, -6.0, -7.0}
    counts = (near[:, 1, None] == rows[2:, 1]).double().mean(0)
    assert ((counts - 1 / 3).abs() < 0.05).all()
    of_all = (
        (found(torch.zeros(1, 1, 2, dtype=torch.bool))[:, None] == rows).all(2).double().mean(0)
    )
    assert ((of_all - 0.2).abs() < 0.05).all()


def test_a_cluster_without_kept_rows_gives_the_nearest():
    rows = torch.cat([torch.zeros(50, 1), torch.full((1, 1), 9.0)]) + drawn(51, 1) / 100
    imputer = imputers.KMeans(2, n_rows=5).fit(rows)
    assert imputer._shares.shape == (2, 5)
    far = torch.tensor([[9.0]])
    mask = torch.ones(1, 1, 1, dtype=torch.bool)
    (found,) = imputer.check((far,)).draw((far,), (mask,), seed=0, example_ids=torch.tensor([1]))
    assert found.isfinite().all()


def test_fits_are_those_of_scikit_learn():
    from sklearn.mixture import GaussianMixture

    rows = torch.cat([drawn(80, 3, seed=1) - 2, drawn(80, 3, seed=2) + 2]).double()
    for kind, theirs in (("diagonal", "diag"), ("full", "full")):
        model = GaussianMixture(2, covariance_type=theirs, reg_covar=1e-3, random_state=0).fit(rows)
        imputer = imputers.GaussianMixture(2, kind).fit(rows)
        expected = torch.from_numpy(model.predict_proba(rows.numpy()))
        torch.testing.assert_close(imputer.responsibilities(rows)[:, 0], expected)
        found = imputer.log_likelihood(rows).mean().item()
        assert found == pytest.approx(model.score(rows.numpy()))


def test_levels_have_probabilities_that_sum_to_one():
    levels = torch.linspace(-1, 1, 256, dtype=torch.float64)
    means = torch.tensor([-1.3, -0.2, 0.0, 0.999, 3.0]).double()
    scales = torch.tensor([-9.0, -3.0, 0.0, 2.0]).double()
    logs = level_log_probabilities(levels[:, None, None], means[:, None], scales, 256)
    assert logs.isfinite().all()
    torch.testing.assert_close(logs.exp().sum(0), torch.ones(5, 4).double())
    # Against the plain difference, where that has digits left.
    inside = logs[100, 2, 2].exp()
    edges = torch.sigmoid(levels[100] + 1 / 255) - torch.sigmoid(levels[100] - 1 / 255)
    torch.testing.assert_close(inside, edges)


def logistic_mixture(n_levels=5, **options):
    """Return a mixture of two components over two features, fitted a little."""
    steps = torch.arange(n_levels).double()
    rows = steps[torch.randint(0, n_levels, (60, 2), generator=torch.Generator().manual_seed(0))]
    rows[:30] = rows[:30] * 0.4
    rows = rows.round()
    return imputers.LogisticMixture(
        2, low=0, high=n_levels - 1, levels=n_levels, epochs=3, batch_size=20, **options
    ).fit(rows), rows


def test_draws_of_levels_have_the_probabilities_of_enumeration():
    imputer, _ = logistic_mixture(n_draws=N)
    states = torch.cartesian_prod(torch.arange(5), torch.arange(5)).double()
    joint = imputer.log_likelihood(states)[:, 0].exp()
    assert joint.sum().item() == pytest.approx(1)
    x = torch.tensor([[1.0, 4.0]]).double()
    mask = torch.tensor([[[True, False]]])
    (found,) = imputer.check((x,)).draw((x,), (mask,), seed=0, example_ids=torch.tensor([1]))
    expected = joint.view(5, 5)[1] / joint.view(5, 5)[1].sum()
    counts = (found[0, 0, :, 1, None] == torch.arange(5)).double().mean(0)
    assert counts.sum().item() == pytest.approx(1)
    assert ((counts - expected).abs() < 5 * (expected / N).sqrt()).all()
    marginal = imputer.log_likelihood(x, mask)[0, 0].exp()
    assert marginal.item() == pytest.approx(joint.view(5, 5)[1].sum().item())


def test_steps_raise_the_likelihood_and_leave_the_random_state():
    state = torch.get_rng_state()
    trained, rows = logistic_mixture()
    start = imputers.LogisticMixture(2, low=0, high=4, levels=5, epochs=0).fit(rows)
    assert trained.log_likelihood(rows).mean() > start.log_likelihood(rows).mean()
    assert torch.equal(torch.get_rng_state(), state)
    again, _ = logistic_mixture()
    assert torch.equal(again._means, trained._means)


def factor_rows(n=400, seed=0):
    """Return rows of one analyser of two factors, and its mean and covariance."""
    loadings = drawn(5, 2, seed=seed + 1).double()
    mean = torch.arange(5.0).double()
    noise = 0.3 * drawn(n, 5, seed=seed + 2).double()
    rows = mean + drawn(n, 2, seed=seed + 3).double() @ loadings.T + noise
    return rows, mean, loadings @ loadings.T + 0.09 * torch.eye(5).double()


def test_ppca_is_that_of_scikit_learn_where_nothing_is_missing():
    from sklearn.decomposition import PCA

    rows, _, _ = factor_rows()
    imputer = imputers.PPCAMixture(1, 2, tolerance=1e-9, n_steps=500).fit(rows)
    model = PCA(2).fit(rows.numpy())
    # Maximum likelihood divides by n, scikit-learn's variances by n - 1.
    covariance = torch.from_numpy(model.get_covariance()) * (len(rows) - 1) / len(rows)
    normal = torch.distributions.MultivariateNormal(rows.mean(0), covariance)
    found = imputer.log_likelihood(rows)[:, 0]
    torch.testing.assert_close(found, normal.log_prob(rows), rtol=1e-4, atol=1e-3)


def test_gaps_are_fitted_by_their_likelihood_which_every_step_raises():
    rows, mean, covariance = factor_rows(1500)
    gaps = torch.rand(rows.shape, generator=torch.Generator().manual_seed(4)) < 0.3
    missing = rows.masked_fill(gaps, torch.nan)
    start = FactorModel(
        torch.zeros(1).double(),
        torch.zeros(1, 5).double(),
        drawn(1, 5, 2, seed=9).double(),
        torch.ones(1, 5).double(),
    )
    model, history = fit_factors(
        missing, start, isotropic=False, floor=1e-6, n_steps=60, tolerance=1e-7
    )
    steps = torch.tensor(history).diff()
    assert len(steps) > 10
    assert (steps > -1e-9).all()
    found = model.loadings[0] @ model.loadings[0].T + torch.diag(model.variances[0])
    torch.testing.assert_close(model.means[0], mean, atol=0.15, rtol=0)
    assert (found - covariance).abs().max() < 0.15 * covariance.abs().max()


def test_a_feature_that_no_row_of_a_component_has_is_there_what_it_is_elsewhere():
    """Half of the rows have no last feature; they are a component of their own."""
    rows = drawn(40, 4, seed=5).double()
    rows[:20, 3], rows[20:, :3] = torch.nan, rows[20:, :3] + 50
    start = FactorModel(
        torch.full((2,), 0.5).double().log(),
        torch.stack([torch.zeros(4), torch.full((4,), 50.0)]).double(),
        drawn(2, 4, 1, seed=9).double(),
        torch.ones(2, 4).double(),
    )
    model, _ = fit_factors(rows, start, isotropic=False, floor=1e-6, n_steps=3, tolerance=0.0)
    torch.testing.assert_close(model.means[0, 3], rows[20:, 3].mean(), rtol=1e-6, atol=0)
    assert float(model.loadings[0, 3].abs().max()) < 1e-6
    assert float(model.variances[0, 3]) == pytest.approx(1e-6)


@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
@pytest.mark.parametrize("mask", [SHOWN, NOTHING], ids=["some", "nothing"])
def test_factors_give_the_exact_conditional_of_their_covariance(noise, mask):
    rows = torch.cat([drawn(60, 4, seed=1) - 1, drawn(60, 4, seed=2) @ ROOTS[0].float() + 1])
    imputer = imputers.PPCAMixture(2, 2, noise, n_steps=10).fit(rows.double())
    loadings, noises = imputer._loadings, torch.diag_embed(imputer._variances)
    twin = imputers.GaussianMixture.from_parameters(
        imputer._log_weights.exp(),
        imputer._means,
        loadings @ loadings.transpose(1, 2) + noises,
        "full",
    )
    torch.testing.assert_close(
        imputer.responsibilities(X, mask), twin.responsibilities(X, mask), atol=1e-9, rtol=1e-9
    )
    torch.testing.assert_close(imputer.log_likelihood(X, mask), twin.log_likelihood(X, mask))
    own, other = many(imputer, mask), many(twin, mask)
    scale = other.std(0)
    assert ((own.mean(0) - other.mean(0)).abs() < 7 * scale / N**0.5).all()
    assert ((own.T.cov() - other.T.cov()).abs() < 0.06 * scale[:, None] * scale).all()


def test_what_does_not_fit_is_said():
    rows = drawn(6, 3)
    with pytest.raises(ValueError, match="n_components must be at most the 6 rows of data, got 7"):
        imputers.GaussianMixture(7).fit(rows)
    with pytest.raises(ValueError, match="imputer must be fitted, got a KMeans before fit"):
        imputers.KMeans(2).check((rows,))
    with pytest.raises(ValueError, match=r"inputs must have rows of shape \[3\] like the data"):
        imputers.KMeans(2).fit(rows).check((rows[:, :2],))
    with pytest.raises(ValueError, match="data must be finite, got 1 NaN"):
        imputers.GaussianMixture(2).fit(
            rows.masked_fill(torch.eye(6, 3).bool() & (rows == rows[0]), torch.nan)
        )
    with pytest.raises(TypeError, match="data must be floating point"):
        imputers.KMeans(2).fit(torch.ones(4, 2).long())
    with pytest.raises(ValueError, match="values must be one of 'rows', 'mean', got 'draws'"):
        imputers.KMeans(2, values="draws")
    with pytest.raises(ValueError, match="n_factors must be below the 3 features of data, got 3"):
        imputers.PPCAMixture(2, 3).fit(rows)
    with pytest.raises(
        ValueError, match=r"data must have a value in every feature, got none in \[1\]"
    ):
        imputers.PPCAMixture(2, 2).fit(
            torch.where(torch.tensor([False, True, False]), torch.nan, rows)
        )
    with pytest.raises(ValueError, match="high must be above low = 1, got 0"):
        imputers.LogisticMixture(2, low=1, high=0)
    with pytest.raises(ValueError, match="covariances must be positive definite, got others at"):
        imputers.GaussianMixture.from_parameters(WEIGHTS, MEANS, -FULL, "full")
    with pytest.raises(ValueError, match="data must give at least one batch, got none"):
        imputers.KMeans(2).fit([])


def test_loaders_are_read_as_tensors_are():
    rows, labels = drawn(40, 3), torch.arange(40)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(rows, labels), batch_size=16
    )
    state = torch.get_rng_state()
    whole, batched = imputers.KMeans(3).fit(rows), imputers.KMeans(3).fit(loader)
    assert torch.equal(whole._means, batched._means)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(imputers.KMeans(3).fit(rows.numpy())._means, whole._means)
    assert torch.equal(imputers.KMeans(3).fit([rows[:10], rows[10:]])._means, whole._means)
