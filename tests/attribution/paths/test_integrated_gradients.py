import captum.attr
import pytest
import torch
from captum_peer import TwoInputs, assert_equals_captum, conv, mlp, peer, rows
from closed_forms import CASES, SHIFTED_POLYNOMIAL
from hypothesis import given, settings
from hypothesis import strategies as st

import pyxai
from pyxai._quadrature import RULES, nodes_and_weights
from pyxai.attribution import IntegratedGradients

# The weights of captum's trapezoid sum to (n - 1) / n; ours to 1, see nodes_and_weights.
_NOT_CAPTUMS = ("clenshawcurtis", "midpoint", "riemann_trapezoid")
CAPTUM_RULES = [rule for rule in RULES if rule not in _NOT_CAPTUMS]


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_closed_forms(case):
    # The nets are polynomials, analytic, or piecewise linear with kinks of the path at multiples of
    # 1/60: there the midpoints of 60 intervals give the exact mean.
    rule = {"n_steps": 60, "method": "midpoint"} if case.piecewise_linear else {"n_steps": 20}
    values, delta = IntegratedGradients(case.net()).attribute(
        case.inputs(), return_convergence_delta=True, **rule
    )
    torch.testing.assert_close(
        values, case.expected("integrated_gradients"), rtol=1e-13, atol=1e-13
    )
    assert abs(float(delta)) < 1e-13


def test_baseline_that_is_not_zero():
    def polynomial(x):
        terms = SHIFTED_POLYNOMIAL["polynomial"].items()
        return sum(value * (x ** torch.tensor(powers)).prod(1) for powers, value in terms)

    x = torch.tensor([SHIFTED_POLYNOMIAL["x"]], dtype=torch.float64)
    start = torch.tensor(SHIFTED_POLYNOMIAL["baseline"], dtype=torch.float64)
    values = SHIFTED_POLYNOMIAL["methods"]["integrated_gradients"]
    expected = torch.tensor([values], dtype=torch.float64)
    for baselines in (start, start[None]):
        values = IntegratedGradients(polynomial).attribute(x, baselines, n_steps=2)
        torch.testing.assert_close(values, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("rule", CAPTUM_RULES)
@pytest.mark.parametrize("n_steps", [7, 50])
def test_rules_equal_captum(rule, n_steps):
    model, x, start = mlp(), rows(5, 6), rows(5, 6, seed=1)
    call = {
        "baselines": start,
        "target": torch.tensor([0, 1, 2, 0, 1]),
        "n_steps": n_steps,
        "method": rule,
        "return_convergence_delta": True,
    }
    ours = IntegratedGradients(model).attribute(x, **call)
    theirs = peer(captum.attr.IntegratedGradients(model), x, **call)
    assert_equals_captum(ours, theirs)


def test_trapezoid_differs_from_captum_by_its_weights():
    model, x = mlp(), rows(5, 6)
    ours = IntegratedGradients(model).attribute(x, target=1, n_steps=10, method="riemann_trapezoid")
    theirs = peer(
        captum.attr.IntegratedGradients(model), x, target=1, n_steps=10, method="riemann_trapezoid"
    )
    assert_equals_captum(ours * 9 / 10, theirs)
    linear = torch.tensor([1.0, -2.0, 3.0])
    values = IntegratedGradients(lambda x: x @ linear).attribute(
        torch.ones(1, 3), method="riemann_trapezoid", n_steps=10
    )
    torch.testing.assert_close(values, linear[None])


@pytest.mark.parametrize("multiply", [True, False])
def test_images_equal_captum(multiply):
    model, x, start = conv(), rows(3, 2, 7, 8), rows(1, 2, 7, 8, seed=1)
    call = {"baselines": start, "target": [2, 0, 1], "internal_batch_size": 8}
    ours = IntegratedGradients(model, multiply).attribute(x, **call)
    theirs = peer(captum.attr.IntegratedGradients(model, multiply), x, **call)
    assert_equals_captum(ours, theirs)


def test_several_inputs_and_arguments_equal_captum():
    inputs = rows(4, 4), rows(4, 2, 3, seed=1)
    call = {
        "baselines": (0.5, rows(4, 2, 3, seed=2)),
        "target": [(0,), (2,), (2,), (1,)],
        "additional_forward_args": (torch.arange(4.0),),
        "return_convergence_delta": True,
    }
    ours = IntegratedGradients(TwoInputs()).attribute(inputs, **call)
    theirs = peer(captum.attr.IntegratedGradients(TwoInputs()), inputs, **call)
    assert_equals_captum(ours[0], theirs[0], 1e-5)  # outputs are of size 10
    assert_equals_captum(ours[1], theirs[1], 1e-4)  # a sum of ten of those


def test_float64_is_exact_to_float64():
    model, x = mlp(torch.float64, activation=torch.nn.Tanh), rows(8, 6, dtype=torch.float64)
    _, delta = IntegratedGradients(model).attribute(x, target=1, return_convergence_delta=True)
    assert delta.abs().max() < 4e-15
    _, theirs = peer(
        captum.attr.IntegratedGradients(model), x, target=1, return_convergence_delta=True
    )
    assert theirs.abs().max() > 1e-10  # why the weights are not kept in float32


def test_rules_are_exact_to_their_degree():
    for rule in RULES:
        nodes, weights = nodes_and_weights(rule, 5)
        assert nodes.dtype == weights.dtype == torch.float64
        assert float(weights.sum()) == pytest.approx(1, abs=1e-15)
        assert nodes.min() >= 0
        assert nodes.max() <= 1
        degrees = {"clenshawcurtis": 5, "gausslegendre": 9, "riemann_left": 0, "riemann_right": 0}
        degree = degrees.get(rule, 1)
        for power in range(degree + 1):
            exact = 1 / (power + 1)
            assert float(weights @ nodes**power) == pytest.approx(exact, abs=1e-15)
        assert float(weights @ nodes ** (degree + 1)) != pytest.approx(1 / (degree + 2), abs=1e-6)


@pytest.mark.parametrize("n_nodes", [2, 3, 4, 5, 8, 9, 33, 1025])
def test_clenshaw_curtis_is_exact_to_its_degree_and_nested(n_nodes):
    nodes, weights = nodes_and_weights("clenshawcurtis", n_nodes)
    assert (weights > 0).all()
    # Chebyshev polynomials, as powers of so high degree differ by rounding alone.
    angles = torch.arccos(2 * nodes - 1)
    for degree in {0, 1, n_nodes // 2, n_nodes - 1}:
        exact = 0.0 if degree % 2 else 1 / (1 - degree**2)
        assert float(weights @ torch.cos(degree * angles)) == pytest.approx(exact, abs=1e-13)
    finer, _ = nodes_and_weights("clenshawcurtis", 2 * n_nodes - 1)
    assert torch.equal(finer[::2], nodes)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-10, 10), min_size=3, max_size=3),
    st.lists(st.floats(-10, 10), min_size=3, max_size=3),
    st.lists(st.floats(-10, 10), min_size=3, max_size=3),
    st.sampled_from(RULES),
    st.integers(2, 9),
)
def test_every_rule_is_exact_for_linear_models(weight, x, start, rule, n_steps):
    weight, x, start = (torch.tensor([v], dtype=torch.float64) for v in (weight, x, start))
    values = IntegratedGradients(lambda rows: rows @ weight[0]).attribute(
        x, start, n_steps=n_steps, method=rule
    )
    torch.testing.assert_close(values, weight * (x - start), rtol=1e-12, atol=1e-12)


class Counting(torch.nn.Module):
    """Count the rows of each call."""

    def __init__(self, model):
        super().__init__()
        self.model, self.rows = model, []

    def forward(self, x):
        self.rows.append(len(x))
        return self.model(x)


def test_internal_batch_size_bounds_the_rows():
    model, x = Counting(mlp(torch.float64)), rows(5, 6, dtype=torch.float64)
    whole = IntegratedGradients(model).attribute(x, target=0)
    for size in (1, 3, 64):
        model.rows.clear()
        values = IntegratedGradients(model).attribute(x, target=0, internal_batch_size=size)
        assert max(model.rows) <= size
        torch.testing.assert_close(values, whole, rtol=1e-13, atol=1e-13)


def test_tolerance_is_met_row_by_row():
    model, x = mlp(torch.float64), rows(12, 6, dtype=torch.float64)
    coarse, delta = IntegratedGradients(model).attribute(
        x, target=1, n_steps=4, return_convergence_delta=True
    )
    bound = float(delta.abs().median())
    call = {"n_steps": 4, "tolerance": bound}
    fine, refined = IntegratedGradients(model).attribute(
        x, target=[1] * 12, return_convergence_delta=True, **call
    )
    assert delta.abs().max() > bound >= refined.abs().max()
    kept = delta.abs() <= bound
    assert 0 < kept.sum() < 12
    assert torch.equal(fine[kept], coarse[kept])
    for row in range(12):
        alone = IntegratedGradients(model).attribute(x[row : row + 1], target=1, **call)
        torch.testing.assert_close(alone, fine[row : row + 1])


def test_tolerance_that_is_not_met_is_told():
    def jump(x):
        return (x[:, 0] > 0.3).double() + x[:, 0]

    with pytest.warns(pyxai.PyxaiWarning, match="miss the tolerance of 0.01 in 1 of 2 example"):
        values = IntegratedGradients(jump).attribute(
            torch.tensor([[1.0], [0.2]], dtype=torch.float64),
            n_steps=4,
            tolerance=1e-2,
            max_steps=16,
        )
    torch.testing.assert_close(values[1], torch.tensor([0.2], dtype=torch.float64))


def test_one_output_for_the_whole_batch():
    x = rows(3, 4, dtype=torch.float64)
    values, delta = IntegratedGradients(lambda x: x.pow(2).sum()).attribute(
        x, return_convergence_delta=True
    )
    torch.testing.assert_close(values, x**2)
    assert delta.shape == (1,)
    assert abs(float(delta)) < 1e-13


def test_rule_is_another_word_for_method():
    model, x = mlp(), rows(2, 6)
    explained = pyxai.explain(
        model, x, method="integrated_gradients", target=0, rule="riemann_left", n_steps=9
    )
    values = IntegratedGradients(model).attribute(x, target=0, method="riemann_left", n_steps=9)
    assert torch.equal(explained.attributions, values)


def test_bad_arguments_are_named():
    method, x = IntegratedGradients(mlp()), rows(2, 6)
    with pytest.raises(
        ValueError, match=r"method must be one of 'clenshawcurtis', .*got 'simpson'"
    ):
        method.attribute(x, target=0, method="simpson")
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        method.attribute(x, target=0, n_steps=0)
    with pytest.raises(ValueError, match="n_steps must be at least 2, got 1"):
        method.attribute(x, target=0, n_steps=1, method="riemann_trapezoid")
    with pytest.raises(TypeError, match=r"n_steps must be an integer, got 2\.5"):
        method.attribute(x, target=0, n_steps=2.5)
    with pytest.raises(ValueError, match="tolerance must be positive, got 0"):
        method.attribute(x, target=0, tolerance=0)
    with pytest.raises(ValueError, match="max_steps must be at least 50, got 10"):
        method.attribute(x, target=0, tolerance=0.1, max_steps=10)
    with pytest.raises(ValueError, match="tolerance must be None when multiply_by_inputs is False"):
        IntegratedGradients(mlp(), False).attribute(x, target=0, tolerance=0.1)
    with pytest.raises(ValueError, match="internal_batch_size must be at least 1, got 0"):
        method.attribute(x, target=0, internal_batch_size=0)
    with pytest.raises(TypeError, match=r"inputs must be floating point .* got torch\.int64"):
        method.attribute(torch.zeros(2, 6, dtype=torch.int64), target=0)
    with pytest.raises(NotImplementedError, match="attribute_future is not implemented for Integ"):
        method.attribute_future(x)
