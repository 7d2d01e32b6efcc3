"""KernelShap against enumeration: exact when complete, unbiased and calibrated when not."""

import functools

import pytest
import torch
from closed_forms import CASES

import pyxai
from pyxai import PyxaiWarning
from pyxai.attribution import KernelShap, ShapleyValues
from pyxai.attribution.coalitions import pair_process as process_module
from pyxai.attribution.coalitions.coalitions import kernel_pairs
from pyxai.attribution.coalitions.pair_process import DECAYS, _prior, pair_process
from pyxai.attribution.coalitions.pair_regression import pair_regression
from pyxai.imputers import Gaussian, Marginal

ESTIMATORS = ("least_squares", "gaussian_process")


def mlp(n_features, n_outputs=1, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    layers = torch.nn.Linear(n_features, 32), torch.nn.Tanh(), torch.nn.Linear(32, n_outputs)
    net = torch.nn.Sequential(*layers).to(dtype).eval()
    with torch.no_grad():
        net[0].weight.mul_(3)
    return net


def rows(batch, n_features, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, n_features, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_closed_forms(case):
    scores = KernelShap(case.net()).attribute(case.inputs(), n_samples=2**case.n)
    torch.testing.assert_close(scores, case.expected("shapley_value"), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_all_coalitions_give_the_exact_values(estimator):
    net, x = mlp(7), rows(3, 7)
    exact = ShapleyValues(net).attribute(x, baselines=0.3)
    scores, error = KernelShap(net).attribute(
        x, baselines=0.3, n_samples=128, estimator=estimator, return_error=True
    )
    torch.testing.assert_close(scores, exact, atol=1e-10, rtol=1e-10)
    assert (error < 1e-10).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("n_samples", [24, 31, 60, 200])
def test_values_add_up_at_any_budget(estimator, n_samples):
    net, x = mlp(12), rows(3, 12)
    scores = KernelShap(net).attribute(x, n_samples=n_samples, estimator=estimator)
    gain = (net(x) - net(torch.zeros_like(x)))[:, 0].detach()
    torch.testing.assert_close(scores.sum(1), gain, atol=1e-12, rtol=1e-12)


def test_additive_games_are_exact_at_the_smallest_budget():
    weights = rows(1, 20)[0]
    x = rows(2, 20, seed=3)
    scores = KernelShap(lambda z: z @ weights).attribute(x, n_samples=40)
    torch.testing.assert_close(scores, x * weights)


@pytest.mark.parametrize("n_players", [1, 2, 3])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_few_players(n_players, estimator):
    net, x = mlp(n_players), rows(2, n_players)
    scores = KernelShap(net).attribute(x, n_samples=25, estimator=estimator)
    torch.testing.assert_close(scores, ShapleyValues(net).attribute(x))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_rows_do_not_depend_on_the_batch(estimator):
    net, x = mlp(12), rows(5, 12)
    explain = lambda z, **options: KernelShap(net).attribute(  # noqa: E731
        z, n_samples=60, estimator=estimator, **options
    )
    whole = explain(x)
    torch.testing.assert_close(explain(x[2:3]), whole[2:3])
    torch.testing.assert_close(explain(x.flip(0)), whole.flip(0))
    torch.testing.assert_close(explain(x, perturbations_per_eval=7), whole)
    assert (explain(x, seed=1) - whole).abs().max() > 1e-4


def test_global_random_state_is_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    KernelShap(mlp(5)).attribute(rows(1, 5), n_samples=14)
    torch.manual_seed(3)
    assert torch.equal(before, torch.get_rng_state())


def test_outputs_in_one_pass_equal_targets_one_by_one():
    net, x = mlp(6, n_outputs=3), rows(2, 6)
    together = KernelShap(net).attribute(x, n_samples=20)
    assert together.shape == (2, 3, 6)
    for target in range(3):
        alone = KernelShap(net).attribute(x, target=target, n_samples=20)
        torch.testing.assert_close(together[:, target], alone)


def test_feature_mask_groups_across_a_tuple():
    net = mlp(6)
    x = rows(2, 6)
    mask = torch.tensor([[0, 0, 1]]), torch.tensor([[1, 2, 3]])
    scores = KernelShap(lambda a, b: net(torch.cat([a, b], 1))).attribute(
        (x[:, :3], x[:, 3:]), feature_mask=mask, n_samples=16
    )
    grouped = torch.tensor([[0, 0, 1, 1, 2, 3]])
    exact = ShapleyValues(net).attribute(x, feature_mask=grouped)
    torch.testing.assert_close(torch.cat(scores, 1), exact)
    columns = KernelShap(net).attribute(
        x, feature_mask=grouped, n_samples=16, return_input_shape=False
    )
    torch.testing.assert_close(columns, exact[:, [0, 2, 4, 5]])


def test_one_scalar_for_the_batch():
    net, x = mlp(4), rows(3, 4)
    scores = KernelShap(lambda z: net(z).sum()).attribute(x, n_samples=16)
    assert scores.shape == (1, 4)
    exact = ShapleyValues(net).attribute(x).sum(0, keepdim=True)
    torch.testing.assert_close(scores, exact)


@pytest.mark.parametrize("make", [Marginal, lambda data: Gaussian(data, n_draws=6)])
def test_imputers_stand_for_absent_features(make):
    net, x, background = mlp(5), rows(2, 5), rows(20, 5, seed=7)
    imputer = make(background)
    scores = KernelShap(net).attribute(x, n_samples=32, imputer=imputer)
    exact = ShapleyValues(net).attribute(x, imputer=imputer)
    torch.testing.assert_close(scores, exact)
    torch.testing.assert_close(
        KernelShap(net).attribute(x[1:], n_samples=32, imputer=imputer), scores[1:]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_low_precision_models_give_float32(dtype):
    net, x = mlp(6), rows(2, 6)
    exact = ShapleyValues(net).attribute(x)
    low = mlp(6).to(dtype)
    scores = KernelShap(low).attribute(x.to(dtype), n_samples=64)
    assert scores.dtype == torch.float32
    # 64 outputs, each off by a rounding or two of the model's dtype, averaged
    assert (scores - exact).abs().max() < 4 * torch.finfo(dtype).eps * net(x).abs().max() + 1e-5


def game_tables(n_players, generator):
    """A net's game, sums of products, and a maximum; [3, 2**n_players]."""
    bits = (torch.arange(2**n_players)[:, None] >> torch.arange(n_players)) & 1
    on = bits.double()
    products = torch.zeros(2**n_players, dtype=torch.float64)
    for _ in range(30):
        size = int(torch.randint(1, 6, (), generator=generator))
        members = torch.randperm(n_players, generator=generator)[:size]
        weight = torch.randn((), generator=generator, dtype=torch.float64)
        products += weight * on[:, members].prod(1)
    scale = torch.rand(n_players, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        smooth = mlp(n_players)(on * rows(1, n_players))[:, 0]
    return torch.stack([smooth, products, (on * scale).amax(1)])


def many_tables(n_players, generator):
    """Nets of several roughness, their probabilities, products, a maximum, trees, a majority."""
    bits = (torch.arange(2**n_players)[:, None] >> torch.arange(n_players)) & 1
    on = bits.double()
    draw = functools.partial(torch.randn, generator=generator, dtype=torch.float64)

    def net(scale, activation):
        first = draw(n_players, 32) / n_players**0.5 * scale
        hidden = activation((on * draw(n_players)) @ first + 0.3 * draw(32))
        return hidden @ draw(32) / 32**0.5

    trees = torch.zeros(2**n_players, dtype=torch.float64)
    for _ in range(20):
        picked = torch.randint(0, n_players, (3,), generator=generator)
        trees += draw(8)[(bits[:, picked] * torch.tensor([1, 2, 4])).sum(1)]
    tables = [net(1, torch.tanh), net(3, torch.tanh), net(6, torch.tanh), net(3, torch.relu)]
    tables += [torch.sigmoid(2 * net(3, torch.relu)), torch.sigmoid(6 * net(3, torch.tanh))]
    majority = (on.sum(1) > n_players // 2).double() + 0.1 * net(1, torch.tanh)
    tables += [trees, trees.sigmoid(), majority, *game_tables(n_players, generator)[1:]]
    return torch.stack(tables)


@functools.cache
def errors_over_seeds(fit, n_pairs, n_seeds=40, n_players=10):
    tables = game_tables(n_players, torch.Generator().manual_seed(5))
    return errors_of(fit, tables, n_pairs, n_seeds)


def errors_of(fit, tables, n_pairs, n_seeds):
    n_players = tables.shape[1].bit_length() - 1
    powers = 2 ** torch.arange(n_players)
    played = torch.ones(1, n_players, dtype=torch.float64)
    exact = ShapleyValues(lambda z: tables[:, (z.long() * powers).sum(1)].T).attribute(played)[0]
    misses, claims = [], []
    for seed in range(n_seeds):
        pairs = kernel_pairs(n_players, n_pairs, seed)
        index = (pairs.masks * powers).sum(1)
        differences = tables[:, index] - tables[:, 2**n_players - 1 - index]
        values, error = fit(pairs, differences, tables[:, -1] - tables[:, 0])
        misses.append(values - exact)
        claims.append(error)
    return torch.stack(misses), torch.stack(claims)


@pytest.mark.parametrize("n_pairs", [25, 60, 400])
def test_standard_errors_are_calibrated(n_pairs):
    misses, claims = errors_over_seeds(pair_regression, n_pairs)
    covered = (misses.abs() <= 1.96 * claims).double().mean((0, 2))
    # 95 % nominal; 400 correlated trials a game put the sampling error at two or three percent.
    assert (covered > 0.9).all(), covered
    assert (covered < 0.99).all(), covered
    ratio = claims.square().mean((0, 2)).sqrt() / misses.square().mean((0, 2)).sqrt()
    assert ((ratio > 0.85) & (ratio < 1.4)).all(), ratio


@pytest.mark.parametrize("n_pairs", [25, 60, 400])
def test_estimates_are_unbiased(n_pairs):
    misses, _ = errors_over_seeds(pair_regression, n_pairs)
    mean_error = misses.std(0) / len(misses) ** 0.5
    # 30 numbers, each a mean with a known error: none beyond four of them.
    assert (misses.mean(0).abs() < 4 * mean_error + 0.15 * misses.std(0)).all()


@pytest.mark.parametrize("n_pairs", [25, 60])
def test_gaussian_process_has_the_smaller_error(n_pairs):
    regression, _ = errors_over_seeds(pair_regression, n_pairs, n_seeds=12)
    process, _ = errors_over_seeds(pair_process, n_pairs, n_seeds=12)
    size = lambda misses: misses.square().mean((0, 2)).sqrt()  # noqa: E731
    assert (size(process) < size(regression)).all()
    assert size(process)[0] < 0.75 * size(regression)[0]


@functools.cache
def process_over_games(n_pairs, n_seeds, n_players=10):
    """Misses and errors over 44 games of eleven kinds, [n_seeds * 4, 11, n_players]."""
    parts = []
    for kind in range(4):
        tables = many_tables(n_players, torch.Generator().manual_seed(kind))
        parts.append(errors_of(pair_process, tables, n_pairs, n_seeds))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


@pytest.mark.parametrize("n_pairs", [15, 25, 60, 200])
def test_intervals_of_the_gaussian_process_hold_what_they_say(n_pairs):
    misses, claims = process_over_games(n_pairs, 10)
    covered = (misses.abs() <= 1.96 * claims).double().mean((0, 2))
    # 4400 cases, of which those of one set of coalitions hang together: one percent.
    assert covered.mean() > 0.94
    assert covered.min() > 0.89  # 400 cases of one kind of game
    # The price of holding is that they are not much wider than they must be.
    ratio = claims.square().mean((0, 2)).sqrt() / misses.square().mean((0, 2)).sqrt()
    assert ratio.median() < 1.5


def test_the_prior_of_many_players_takes_few_nodes():
    """Equal to the quadrature that is exact, with half as many nodes as there are players."""
    for n_players in (81, 200, 401):
        masks = kernel_pairs(n_players, 12, 0).masks
        signs = torch.cat([torch.ones(1, n_players), 2.0 * masks - 1]).double()
        for decay in DECAYS:
            _, weights, variance = _prior(signs, decay / n_players)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(process_module, "MAX_NODES", n_players)
                _, exact_weights, exact_variance = _prior(signs, decay / n_players)
            torch.testing.assert_close(weights, exact_weights, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(variance, exact_variance, rtol=1e-9, atol=1e-12)


def test_a_game_of_very_many_players():
    """Cost is linear in the players: 4608 took ten seconds, these would have taken an hour."""
    n = 40_000
    x = torch.ones(1, n, dtype=torch.float64)
    weights = rows(1, n)[0] / n**0.5
    scores = KernelShap(lambda z: torch.tanh(z @ weights)).attribute(
        x, estimator="gaussian_process"
    )
    assert scores.sum().item() == pytest.approx(torch.tanh(weights.sum()).item())


def test_no_coalition_twice_and_complements_apart():
    for n_players, n_pairs in ((5, 9), (8, 100), (12, 700), (30, 400), (64, 300)):
        masks = kernel_pairs(n_players, n_pairs, 0).masks
        both = torch.cat([masks, ~masks])
        assert torch.unique(both, dim=0).shape == both.shape
        assert masks.any(1).all()
        assert abs(masks.shape[0] - n_pairs) <= 1


def test_more_coalitions_contain_the_fewer():
    small = kernel_pairs(14, 60, 3)
    large = kernel_pairs(14, 200, 3, small.counts)
    seen = {tuple(mask) for mask in large.masks.tolist()}
    assert all(tuple(mask) in seen for mask in small.masks.tolist())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_tolerance_is_met_row_by_row(estimator):
    net, x = mlp(12), rows(4, 12) * torch.tensor([[0.1], [0.5], [1.0], [2.0]])
    explain = lambda z: KernelShap(net).attribute(  # noqa: E731
        z, n_samples=30, tolerance=0.02, return_error=True, max_evals=4096, estimator=estimator
    )
    scores, error = explain(x)
    assert error.max() <= 0.02
    alone, alone_error = explain(x[3:])
    torch.testing.assert_close(alone, scores[3:])
    torch.testing.assert_close(alone_error, error[3:])
    exact = ShapleyValues(net).attribute(x)
    assert (scores - exact).abs().max() < 4 * 0.02
    one_round = KernelShap(net).attribute(x, n_samples=30, estimator=estimator)
    torch.testing.assert_close(scores[0], one_round[0])  # the easy row stopped at once
    assert (scores[3] - one_round[3]).abs().max() > 1e-4


def test_tolerance_that_costs_too_much_warns():
    with pytest.warns(PyxaiWarning, match=r"tolerance 1e-09 is not reached for 2 example\(s\)"):
        KernelShap(mlp(12)).attribute(rows(2, 12), n_samples=30, tolerance=1e-9, max_evals=100)


def test_model_calls_stay_within_the_budget():
    calls = []
    net = mlp(12)

    def counting(z):
        calls.append(len(z))
        return net(z)

    KernelShap(counting).attribute(rows(1, 12), n_samples=101)
    first = sum(calls)
    # The runner measures the model's memory on two and on four rows, and looks at two rows twice.
    assert first <= 101 + 6 + 4


@pytest.mark.parametrize("n", [1, 4, 11, 12, 30, 100])
def test_the_default_number_of_samples_grows_with_the_players(n):
    x = rows(3, n)
    n_samples = max(4, 2**n) if n <= 11 else 2 * n + 2048
    expected = KernelShap(mlp(n)).attribute(x, n_samples=n_samples)
    assert torch.equal(KernelShap(mlp(n)).attribute(x), expected)
    assert torch.equal(pyxai.explain(mlp(n), x, method="kernel_shap").attributions, expected)
    process = KernelShap(mlp(n)).attribute(x, estimator="gaussian_process")  # takes any number
    given = KernelShap(mlp(n)).attribute(x, estimator="gaussian_process", n_samples=25)
    assert torch.equal(process, given)


def test_the_default_is_near_the_exact_values():
    net, x = mlp(12), 3 * rows(8, 12)
    found, error = KernelShap(net).attribute(x, return_error=True)
    exact = ShapleyValues(net).attribute(x)
    assert (found - exact).abs().max() < 0.02 * exact.abs().max()
    assert error.isfinite().all()
    few = KernelShap(mlp(11)).attribute(rows(2, 11), return_error=True)
    torch.testing.assert_close(few[0], ShapleyValues(mlp(11)).attribute(rows(2, 11)))
    assert (few[1] == 0).all()


def test_errors_that_are_infinite_are_said():
    with pytest.warns(PyxaiWarning, match=r"^n_samples=60 leaves standard errors infinite"):
        _, error = KernelShap(mlp(30)).attribute(rows(1, 30), n_samples=60, return_error=True)
    assert error.isinf().any()


def test_a_default_is_not_a_decision_for_the_pixels_of_a_photo():
    with pytest.raises(ValueError, match=r"n_samples must be at least 2 \* n_players = 10000"):
        KernelShap(lambda z: z.sum(1)).attribute(rows(1, 5000))


def test_bad_arguments_are_named():
    net, x = mlp(20), rows(2, 20)
    shap = KernelShap(net)
    with pytest.raises(ValueError, match=r"n_samples must be at least 2 \* n_players = 40"):
        shap.attribute(x, n_samples=25)
    with pytest.raises(ValueError, match="estimator must be one of 'least_squares'"):
        shap.attribute(x, n_samples=50, estimator="lars")
    with pytest.raises(ValueError, match="n_samples must be at most 8194"):
        shap.attribute(x, n_samples=10_000, estimator="gaussian_process")
    with pytest.raises(ValueError, match="tolerance must be positive and finite, got 0"):
        shap.attribute(x, n_samples=50, tolerance=0)
    with pytest.raises(ValueError, match="max_evals must come with a tolerance"):
        shap.attribute(x, n_samples=50, max_evals=100)
    with pytest.raises(ValueError, match=r"baselines must be a number or have shape"):
        shap.attribute(x, baselines=torch.zeros(2, 7, dtype=torch.float64), n_samples=50)
    with pytest.raises(ValueError, match="baselines must be None where an imputer is given"):
        shap.attribute(x, baselines=0.0, imputer=Marginal(x), n_samples=50)
