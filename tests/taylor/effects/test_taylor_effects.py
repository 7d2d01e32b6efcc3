"""Effects by masking and by derivatives against nets whose effects are known exactly."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from closed_forms import CASES, E3, SHIFTED_POLYNOMIAL, e3_function, one_layer
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pyxai import PyxaiWarning
from pyxai.ops import zeta_transform
from pyxai.taylor import Polynomial, harsanyi_dividends, taylor_effects, taylor_jet

ANALYTIC = [name for name, case in CASES.items() if not case.piecewise_linear]
POLYNOMIAL = [name for name, case in CASES.items() if case.polynomial]


def smooth_net(n: int, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(n, 7), nn.Tanh(), nn.Linear(7, 1), nn.Flatten(0)]
    net = nn.Sequential(*layers).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / n**0.5)
    return net.eval()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_dividends_of_closed_forms(name, dtype, tolerance):
    case = CASES[name]
    effects = harsanyi_dividends(case.net(dtype), case.inputs(dtype))
    assert effects.values.dtype == torch.float64
    torch.testing.assert_close(
        effects.values[0], case.effects_table(), atol=tolerance * 10, rtol=tolerance
    )
    assert effects.residual.abs().max() <= effects.noise_floor.max()
    floor = effects.noise_floor[0]
    error = (effects.values[0] - case.effects_table()).abs()
    sizes = torch.tensor([bin(mask).count("1") for mask in range(2**case.n)])
    assert bool((error <= 4 * floor[sizes]).all())


@pytest.mark.parametrize("name", CASES)
def test_dual_system_sums_the_primal_one_from_above(name):
    case = CASES[name]
    primal = harsanyi_dividends(case.net(), case.inputs())
    dual = harsanyi_dividends(case.net(), case.inputs(), anchor="input")
    for mask in range(1, 2**case.n):
        above = [r for r in range(2**case.n) if r & mask == mask]
        expected = (-1) ** (bin(mask).count("1") + 1) * primal.values[0, above].sum()
        torch.testing.assert_close(dual.values[0, mask], expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(dual.independent(), case.expected("occlusion_1"))
    assert dual.residual.abs().max() < 1e-12


def test_dividends_are_the_naive_subset_sums_and_their_sums_the_game():
    net, n = smooth_net(5), 5
    x, b = torch.randn(2, 3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    effects = harsanyi_dividends(net, x, baselines=b)

    def v(players):
        keep = torch.tensor([i in players for i in range(n)])
        return net(torch.where(keep, x, b))

    for size in range(n + 1):
        for subset in itertools.combinations(range(n), size):
            naive = sum(
                (-1) ** (size - len(inner)) * v(inner)
                for k in range(size + 1)
                for inner in itertools.combinations(subset, k)
            )
            torch.testing.assert_close(effects.effect(subset), naive, atol=1e-12, rtol=0)
            mask = sum(1 << i for i in subset)
            summed = zeta_transform(effects.values)[:, mask]
            torch.testing.assert_close(summed, v(subset), atol=1e-12, rtol=0)


def test_dividends_of_patches_batches_targets_and_outputs():
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double()
    x = torch.randn(4, 1, 3, 4, dtype=torch.float64, generator=generator)
    mask = torch.tensor([0, 0, 1, 1]).expand(1, 1, 3, 4)
    effects = harsanyi_dividends(
        net,
        x,
        feature_mask=mask,
        target=[0, 1, 2, 0],
        output="probability",
        names=["left", "right"],
    )
    alone = harsanyi_dividends(net, x[2:3], feature_mask=mask, target=2, output="probability")
    torch.testing.assert_close(effects.values[2:3], alone.values)
    left = torch.where(mask == 0, x, torch.zeros_like(x))
    expected = net(left).softmax(1)[:, 1] - net(0 * x).softmax(1)[:, 1]
    torch.testing.assert_close(effects.effect([0])[1], expected[1])
    assert "{left}" in str(effects)


def test_null_players_and_equal_ends_have_no_effects():
    net = smooth_net(4)
    x = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    start = x.clone()
    start[:, 1:] = 0
    effects = harsanyi_dividends(net, x, baselines=start)
    assert effects.values[:, 1::2].abs().max() < 1e-14  # every set that holds player 0
    same = harsanyi_dividends(net, x, baselines=x)
    assert same.values[:, 1:].abs().max() < 1e-14


def test_whole_number_inputs_and_a_single_player():
    table = torch.tensor([0.0, 1.0, 10.0, 100.0], dtype=torch.float64)
    tokens = torch.tensor([[3, 2]])
    effects = harsanyi_dividends(lambda ids: table[ids].prod(1), tokens, baselines=1)
    assert effects.values[0].tolist() == [1.0, 99.0, 9.0, 891.0]
    one = harsanyi_dividends(lambda x: x[:, 0] ** 2, torch.tensor([[3.0]]), baselines=1.0)
    assert one.values[0].tolist() == [1.0, 8.0]


def test_readable_results():
    effects = harsanyi_dividends(CASES["T3"].net(), CASES["T3"].inputs(), names=["a", "b", "c"])
    text = str(effects)
    assert "{a, b}" in text
    assert "+18" in text
    assert effects.top(1) == [((0, 1), 18.0)]
    assert effects.to_dict()[(1, 2)] == pytest.approx(-6)
    assert effects.strength_by_size()[0].tolist() == pytest.approx([0, 10, 24, 12])
    assert effects.pair_matrix()[0, 2].tolist() == pytest.approx([0, -6, -1])


@pytest.mark.parametrize("name", POLYNOMIAL)
@pytest.mark.parametrize("anchor", ["baseline", "input"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_terms_of_polynomials_are_exact(name, anchor, dtype, tolerance):
    case = CASES[name]
    terms = taylor_effects(
        case.net(dtype), case.inputs(dtype), kind="kappa", max_order=3, anchor=anchor
    )
    near = {"rtol": tolerance, "atol": tolerance}
    assert terms.analytic
    assert terms.residual.abs().max() < tolerance
    if anchor == "baseline":
        expected = Polynomial(case.polynomial).taylor_terms(case.inputs())
        for kappa in terms.kappas.tolist():
            known = expected.to_dict().get(tuple(kappa), 0.0)
            found = terms.term(tuple(kappa)).item()
            assert found == pytest.approx(known, abs=tolerance, rel=tolerance)
        torch.testing.assert_close(terms.generic()[0], case.effects_table(), **near)


def test_terms_of_a_polynomial_around_another_baseline():
    known = SHIFTED_POLYNOMIAL
    polynomial = Polynomial(known["polynomial"])
    x = torch.tensor([known["x"]], dtype=torch.float64)
    b = torch.tensor(known["baseline"], dtype=torch.float64)
    exact = polynomial.taylor_terms(x, known["baseline"])
    assert exact.to_dict() == {kappa: float(value) for kappa, value in known["terms"].items()}
    terms = taylor_effects(polynomial, x, kind="kappa", max_order=3, baselines=b)
    for kappa, value in known["terms"].items():
        assert terms.term(kappa).item() == pytest.approx(value, abs=1e-12)
    effects = harsanyi_dividends(polynomial, x, baselines=b)
    for players, value in known["effects"].items():
        assert effects.effect(players).item() == pytest.approx(value, abs=1e-12)
    torch.testing.assert_close(exact.generic(), effects.values, atol=1e-12, rtol=0)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 4), degree=st.integers(1, 3), seed=st.integers(0, 10**6))
def test_random_polynomials_terms_dividends_and_orders_agree(n, degree, seed):
    generator = torch.Generator().manual_seed(seed)
    polynomial = Polynomial.random(n, degree, generator=generator, density=0.6)
    x, b = torch.randn(2, 1, n, generator=generator, dtype=torch.float64)
    exact = polynomial.taylor_terms(x, b[0].tolist())
    scale = 1 + exact.values.abs().sum().item()
    by_masks = harsanyi_dividends(polynomial, x, baselines=b)
    torch.testing.assert_close(by_masks.values, exact.generic(), atol=1e-12 * scale, rtol=0)
    terms = taylor_effects(polynomial, x, kind="kappa", max_order=degree, baselines=b)
    torch.testing.assert_close(terms.generic(), exact.generic(), atol=1e-11 * scale, rtol=0)
    orders = taylor_effects(polynomial, x, kind="order", max_order=degree, baselines=b)
    torch.testing.assert_close(orders.order_sums(), terms.order_sums(), atol=1e-11 * scale, rtol=0)
    torch.testing.assert_close(orders.generic(), exact.generic(), atol=1e-11 * scale, rtol=0)


def test_jets_of_a_product_with_exp_in_float32():
    jet = taylor_jet(e3_function, torch.tensor([E3["x"]]), max_order=5)
    assert jet.order_sums[0].tolist() == pytest.approx(E3["order_sums"], abs=1e-7, rel=1e-5)
    for order, moments in E3["moments"].items():
        found = jet.moments[0, order - 1].tolist()
        assert found == pytest.approx(moments, abs=1e-7, rel=1e-5)


def test_jets_of_a_product_with_exp():
    x = torch.tensor([E3["x"]], dtype=torch.float64)
    jet = taylor_jet(e3_function, x, max_order=5)
    torch.testing.assert_close(
        jet.order_sums[0], torch.tensor(E3["order_sums"], dtype=torch.float64), atol=1e-14, rtol=0
    )
    for order, moments in E3["moments"].items():
        found = jet.moments[0, order - 1].tolist()
        assert found == pytest.approx(moments, abs=1e-14)
    assert jet.residual.item() == pytest.approx(
        e3_function(x).item() - sum(E3["order_sums"]), abs=1e-14
    )
    terms = taylor_effects(e3_function, x, kind="kappa", max_order=5)
    torch.testing.assert_close(terms.order_sums(), jet.order_sums, atol=1e-14, rtol=0)
    torch.testing.assert_close(terms.moments(), jet.moments, atol=1e-14, rtol=0)
    assert "sums of orders" in str(jet)
    assert "missing" in str(terms)


@pytest.mark.parametrize("name", ANALYTIC)
def test_truncation_gap_is_reported_and_falls_with_the_order(name):
    case = CASES[name]
    gaps = []
    for order in (1, 3, 5):
        orders = taylor_effects(case.net(), case.inputs(), kind="order", max_order=order)
        exact = case.value - case.baseline_value - orders.values.sum().item()
        assert orders.residual.item() == pytest.approx(exact, abs=1e-12)
        gaps.append(abs(exact))
    assert gaps[2] <= gaps[1] + 1e-12
    assert gaps[2] < 0.05 * max(1.0, gaps[0])


def test_order_effects_of_exp_are_its_series():
    case = CASES["T7"]
    orders = taylor_effects(case.net(), case.inputs(), kind="order", max_order=4)
    a, b = case.x
    for k in range(1, 5):
        whole = (a + b) ** k / math.factorial(k)
        alone = [a**k / math.factorial(k), b**k / math.factorial(k)]
        found = orders.values[0, k - 1].tolist()
        assert found == pytest.approx([0, *alone, whole - sum(alone)], abs=1e-14)
    assert "x0" in str(orders)


@pytest.mark.parametrize("name", ["T4", "T5", "T8"])
@pytest.mark.parametrize("kind", ["kappa", "order"])
def test_derivatives_of_a_relu_net_warn_and_show_the_gap(name, kind):
    case = CASES[name]
    with pytest.warns(PyxaiWarning, match=r"kinks \(Relu\).*harsanyi_dividends"):
        effects = taylor_effects(case.net(), case.inputs(), kind=kind, max_order=3)
    assert not effects.analytic
    assert effects.residual.abs().max() > 0.5
    generic = taylor_effects(case.net(), case.inputs())  # by masks: no warning
    assert generic.residual.abs().max() < 1e-12


@pytest.mark.parametrize(
    ("activation", "kink"),
    [
        (nn.GELU(), None), (nn.Softplus(), None), (nn.Sigmoid(), None), (nn.SiLU(), None),
        (nn.Softmax(-1), None), (nn.LayerNorm(6, dtype=torch.float64), None),
        (torch.abs, "Abs"), (nn.LeakyReLU(), "LeakyRelu"), (nn.Hardtanh(), "Hardtanh"),
        (lambda z: z.clamp(min=0), "Clamp"), (lambda z: torch.maximum(z, -z), "Maximum"),
        (lambda z: nn.functional.max_pool1d(z[:, None], 2)[:, 0].repeat(1, 2), "MaxPool"),
        (lambda z: torch.where(z > 0, z, 0 * z), "Where"), (nn.ELU(), "Elu"),
    ],
)  # fmt: skip
def test_kinks_are_found_in_what_the_model_does(activation, kink):
    generator = torch.Generator().manual_seed(0)
    first, last = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ((6, 3), (6,)))

    def model(x):
        return activation(x @ first.T + 0.3) @ last

    x = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    if kink is None:
        assert taylor_effects(model, x, kind="kappa", max_order=1).analytic
    else:
        with pytest.warns(PyxaiWarning, match=kink):
            assert not taylor_effects(model, x, kind="kappa", max_order=1).analytic


def test_terms_of_a_transformer_block_with_reverse_mode_where_needed():
    """Attention and LSTM have no fused forward rules; derivatives agree with finite differences."""
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True, dropout=0)
    lstm = nn.LSTM(4, 3, batch_first=True)
    block, lstm = block.double().eval(), lstm.double().eval()

    def model(x):
        tokens = x[:, :, None] * torch.arange(1.0, 5.0)
        return lstm(block(tokens))[0][:, -1].sum(1)

    x = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    base = torch.tensor([[0.1, 0.4, -0.3]], dtype=torch.float64)
    terms = taylor_effects(model, x, kind="kappa", max_order=2, baselines=base)
    step, total = 1e-3, {}
    delta = x - base
    for sign in (1, -1):
        total[sign] = model(base + sign * step * delta)
    second = (total[1] - 2 * model(base) + total[-1]) / (2 * step**2)
    first = (total[1] - total[-1]) / (2 * step)
    torch.testing.assert_close(terms.order_sums()[:, 0], first, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(terms.order_sums()[:, 1], second, atol=1e-5, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in block.parameters())


def test_float32_terms_and_players_over_two_inputs():
    def model(a, b):
        return (a * b).sum(1) ** 2

    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.5]])
    mask = (torch.tensor([[0, 1]]), torch.tensor([[0, 1]]))
    terms = taylor_effects(model, (a, b), kind="kappa", max_order=4, feature_mask=mask)
    # (3 p^2 + q^2)^2 with both factors of a product in one player
    found = {kappa: value for kappa, value in terms.to_dict().items() if abs(value) > 1e-4}
    assert found == pytest.approx({(4, 0): 9.0, (2, 2): 6.0, (0, 4): 1.0}, rel=1e-5)


def test_errors_say_what_to_do():
    net = one_layer([1.0] * 30, 0, None)
    x = torch.ones(2, 30, dtype=torch.float64)
    with pytest.raises(
        ValueError, match=r"at most 24 players.*got 30.*1\.07e\+09 evaluations"
    ) as e:
        harsanyi_dividends(net, x)
    assert "pairwise_terms (466 evaluations" in str(e.value)
    assert "ShapleyValueSampling" in str(e.value)
    with pytest.raises(ValueError, match="max_order must be lower for 30 players"):
        taylor_effects(net, x, kind="kappa", max_order=8)
    with pytest.raises(ValueError, match="at most 16 players"):
        taylor_effects(net, x, kind="order")
    with pytest.raises(ValueError, match="kind must be one of"):
        taylor_effects(net, x, kind="all")
    with pytest.raises(ValueError, match="anchor must be one of"):
        harsanyi_dividends(net, x[:, :3], anchor="middle")
    with pytest.raises(ValueError, match="max_order must be at least 1"):
        taylor_effects(net, x, kind="kappa", max_order=0)
    with pytest.raises(ValueError, match=r"baselines must .* got \[4\]"):
        harsanyi_dividends(one_layer([1, 2, 3], 0, None), x[:, :3], baselines=torch.ones(4))
    with pytest.raises(ValueError, match="names must have 3 entries"):
        harsanyi_dividends(one_layer([1, 2, 3], 0, None), x[:, :3], names=["a"])
    with pytest.raises(ValueError, match="players must be in"):
        harsanyi_dividends(one_layer([1, 2, 3], 0, None), x[:, :3]).effect([3])
    with pytest.raises(TypeError, match="inputs must have dtype"):
        taylor_effects(lambda t: t.sum(1), torch.ones(1, 3, dtype=torch.int64), kind="kappa")
    with pytest.raises(ValueError, match="one output for each example"):
        harsanyi_dividends(lambda t: t.sum(), x[:, :3])
    with pytest.raises(ValueError, match="kappa must have 2 entries"):
        Polynomial({(1, 1): 1.0}).taylor_terms(x[:, :2]).term((1, 2))
    with pytest.raises(ValueError, match="exponents of one positive length"):
        Polynomial({(1, 1): 1.0, (2,): 1.0})


def test_jet_says_whether_the_model_has_kinks():
    smooth = taylor_jet(e3_function, torch.tensor([E3["x"]]), max_order=2)
    assert smooth.analytic
    with pytest.warns(PyxaiWarning, match="the model has kinks"):
        kinked = taylor_jet(lambda x: (x[:, 0] - x[:, 1]).relu(), torch.ones(1, 2), max_order=2)
    assert not kinked.analytic
