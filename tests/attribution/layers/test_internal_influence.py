"""Mean gradients along the path: captum's, and those of a closed form."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_float_layers
from torch import nn

from pyxai.attribution import InternalInfluence

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@on_float_layers
def test_equals_captum(kind, name, at_input):
    case = make(kind)
    given = {"n_steps": 11, "attribute_to_layer_input": at_input}
    assert_same(
        InternalInfluence(case.model, name).attribute(case.inputs, case.baselines, 1, **given),
        captum.InternalInfluence(case.model, case.layer(name)).attribute(
            case.inputs, case.baselines, 1, **given
        ),
    )


def test_of_a_square_it_is_the_value_at_the_input():
    class Squared(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2, bias=False)

        def forward(self, x):
            return self.inner(x).square().sum(1)

    net = Squared().double()
    x = torch.randn(3, 2, dtype=torch.float64)
    found = InternalInfluence(net, "inner").attribute(x, internal_batch_size=7)
    torch.testing.assert_close(found, net.inner(x).detach())  # the mean of 2 t z over t
