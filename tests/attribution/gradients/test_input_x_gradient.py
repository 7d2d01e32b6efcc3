import captum.attr
import pytest
import torch
from captum_peer import TwoInputs, assert_equals_captum, conv, mlp, peer, rows
from closed_forms import CASES, SHIFTED_POLYNOMIAL

from pyxai.attribution import FeatureAblation, InputXGradient, IntegratedGradients


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
@pytest.mark.parametrize("at", ["input", "baseline"])
def test_closed_forms(case, at):
    if case.name == "T5" and at == "baseline":
        # relu(x1 - x2) at 0 has no derivative; torch takes 0, the table too.
        assert case.expected("gradient_x_input_at_baseline").tolist() == [[3.0, 0.0]]
    name = "gradient_x_input" if at == "input" else "gradient_x_input_at_baseline"
    values = InputXGradient(case.net()).attribute(case.inputs(), at=at)
    torch.testing.assert_close(values, case.expected(name), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_of_an_affine_model_both_places_are_the_same(dtype, turned):
    torch.manual_seed(0)
    model = torch.nn.Linear(5, 2).to(dtype)
    x = torch.randn(3, 5).to(dtype)
    x = x.T.contiguous().T if turned else x
    explain = InputXGradient(model).attribute
    found = [explain(x, 1, baselines=0.3, at=at) for at in ("input", "baseline")]
    assert torch.equal(*found)
    assert all(each.is_contiguous() for each in found)


@pytest.mark.parametrize("method", [InputXGradient, IntegratedGradients, FeatureAblation])
def test_negated_views(method):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    x, start = torch.randn(3, 5), torch.randn(1, 5)
    views = torch._neg_view(x), torch._neg_view(start)  # as the imaginary part of a conjugate
    assert all(view.is_neg() for view in views)
    explain = method(model).attribute
    found = explain(views[0], baselines=views[1], target=1)
    assert torch.equal(found, explain(-x, baselines=-start, target=1))


@pytest.mark.parametrize("at", ["input", "baseline"])
def test_baseline_that_is_not_zero(at):
    def polynomial(x):
        terms = SHIFTED_POLYNOMIAL["polynomial"].items()
        return sum(value * (x ** torch.tensor(powers)).prod(1) for powers, value in terms)

    x = torch.tensor([SHIFTED_POLYNOMIAL["x"]], dtype=torch.float64)
    start = torch.tensor([SHIFTED_POLYNOMIAL["baseline"]], dtype=torch.float64)
    name = "gradient_x_input" if at == "input" else "gradient_x_input_at_baseline"
    values = InputXGradient(polynomial).attribute(x, baselines=start, at=at)
    assert values.tolist() == [list(map(float, SHIFTED_POLYNOMIAL["methods"][name]))]


def test_first_order_effects_are_exact_only_at_the_baseline():
    # f = x + x**2 around 1: the effect of degree 1 is 3 * (x - 1), that of degree 2 is (x - 1)**2.
    x = torch.tensor([[3.0]], dtype=torch.float64)
    method = InputXGradient(lambda rows: (rows + rows**2)[:, 0])
    assert method.attribute(x, baselines=1.0, at="baseline").item() == 3 * 2
    assert method.attribute(x, baselines=1.0, at="input").item() == 3 * 2 + 2 * 2**2


def test_equals_captum():
    model, x = conv(), rows(3, 2, 7, 8)
    ours = InputXGradient(model).attribute(x, [0, 2, 1])
    assert_equals_captum(ours, peer(captum.attr.InputXGradient(model), x, [0, 2, 1]))
    inputs = rows(4, 4), rows(4, 2, 3, seed=1)
    call = {"target": (2,), "additional_forward_args": 3.0}
    ours = InputXGradient(TwoInputs()).attribute(inputs, **call)
    assert_equals_captum(ours, peer(captum.attr.InputXGradient(TwoInputs()), inputs, **call))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="at must be one of 'input', 'baseline', got 'middle'"):
        InputXGradient(mlp()).attribute(rows(2, 6), target=0, at="middle")
