"""Deep Taylor: relevance that is positive and conserved, and outputs that are not positive."""

import pytest
import torch
from relu_nets import convnet, images
from torch import nn

from pyxai.attribution import (
    DeepTaylor,
)


class TestDeepTaylor:
    def test_all_relevance_is_positive_and_conserved(self):
        net, x = convnet(), images()
        with torch.no_grad():
            net[-1].weight.abs_()
        relevance, delta = DeepTaylor(net, input_rule="z_box").attribute(
            x, target=0, return_convergence_delta=True
        )
        assert (relevance >= -1e-12).all()
        assert delta.abs().max() < 1e-9

    @pytest.mark.parametrize("input_rule", ["z_plus", "w_square", "z_box"])
    def test_input_rules_conserve(self, input_rule):
        net, x = convnet(), images()
        with torch.no_grad():
            net[-1].weight.abs_()
        delta = DeepTaylor(net, input_rule=input_rule).attribute(
            x, target=0, return_convergence_delta=True
        )[1]
        assert delta.abs().max() < 1e-9

    def test_outputs_that_are_not_positive(self):
        net = nn.Linear(2, 1, bias=False).double()
        with torch.no_grad():
            net.weight.copy_(torch.tensor([[1.0, -2.0]]))
        x = torch.tensor([[2.0, 0.5], [1.0, 1.0]], dtype=torch.float64)
        with pytest.raises(ValueError, match=r"must be positive for Deep Taylor.*got -1 in row 1"):
            DeepTaylor(net).attribute(x)
        found = DeepTaylor(net, on_negative="clamp").attribute(x)
        torch.testing.assert_close(
            found, torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
        )
