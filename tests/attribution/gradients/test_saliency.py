import captum.attr
import pytest
import torch
from captum_peer import TwoInputs, assert_equals_captum, conv, mlp, peer, rows
from closed_forms import CASES

from pyxai.attribution import Saliency


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_closed_forms(case):
    # Input times gradient is known; dividing by the input leaves the gradient.
    x = case.inputs()
    signed = Saliency(case.net()).attribute(x, abs=False)
    torch.testing.assert_close(signed * x, case.expected("gradient_x_input"))
    assert torch.equal(Saliency(case.net()).attribute(x), signed.abs())


@pytest.mark.parametrize("absolute", [True, False])
def test_equals_captum(absolute):
    model, x = conv(), rows(3, 2, 7, 8)
    ours = Saliency(model).attribute(x, [0, 2, 1], absolute)
    assert_equals_captum(ours, peer(captum.attr.Saliency(model), x, [0, 2, 1], absolute))


def test_several_inputs_equal_captum():
    inputs = rows(4, 4), rows(4, 2, 3, seed=1)
    call = {"target": 2, "additional_forward_args": 3.0}
    ours = Saliency(TwoInputs()).attribute(inputs, **call)
    assert_equals_captum(ours, peer(captum.attr.Saliency(TwoInputs()), inputs, **call))


def test_inputs_that_the_model_does_not_read_get_zero():
    values = Saliency(lambda left, right: left.sum(1)).attribute((rows(2, 3), rows(2, 4)))
    assert torch.equal(values[0], torch.ones(2, 3))
    assert torch.equal(values[1], torch.zeros(2, 4))


def test_one_row_more_does_not_change_the_others():
    model, x = mlp(), rows(9, 6)
    whole = Saliency(model).attribute(x, target=1)
    torch.testing.assert_close(Saliency(model).attribute(x[:8], target=1), whole[:8])


def test_bad_input_is_named():
    with pytest.raises(TypeError, match=r"inputs must be floating point .* got torch\.int64"):
        Saliency(mlp()).attribute(torch.zeros(2, 6, dtype=torch.int64), target=0)
    with pytest.raises(ValueError, match=r"inputs\[1\] must have 2 examples in dimension 0"):
        Saliency(TwoInputs()).attribute((rows(2, 4), rows(3, 2, 3)), target=0)
    with pytest.raises(ValueError, match="output must depend on the inputs in a way that autograd"):
        Saliency(lambda x: x.detach().sum(1)).attribute(rows(2, 3))
