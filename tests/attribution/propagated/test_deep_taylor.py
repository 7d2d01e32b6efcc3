"""Deep Taylor: relevance that is positive and conserved, and outputs that are not positive."""

import pytest
import torch
from relu_nets import convnet, images
from torch import nn

from pyxai.attribution import LRP, DeepTaylor

TINY = {torch.float32: (1e-38, 1e-40, 1e-44), torch.float64: (1e-308, 1e-310, 1e-320)}
RULES = [
    (DeepTaylor, {"on_negative": "clamp"}),
    (LRP, {"rule": "alpha_beta", "bias": "ignore"}),
    (LRP, {"rule": "epsilon", "epsilon": 0.0, "bias": "ignore"}),
    (LRP, {"rule": "z_plus"}),
    (LRP, {"rule": "gamma"}),
]


@pytest.mark.parametrize("dtype", TINY)
@pytest.mark.parametrize(("method", "options"), RULES)
def test_inputs_as_small_as_the_dtype_has_them(method, options, dtype):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).to(dtype).eval()
    plain = torch.tensor([[0.25, 0.5, 0.75, 1.0]], dtype=dtype)
    explainer = method(net, **options)
    larger = explainer.attribute(plain * TINY[dtype][0] * 2.0**20, target=1)
    for scale in TINY[dtype]:
        some = torch.tensor([scale, 1, scale, 1], dtype=torch.float64)
        x = torch.cat([plain * scale, plain, (plain * some).to(dtype)])
        values = explainer.attribute(x, target=1)
        assert bool(values.isfinite().all())
        torch.testing.assert_close(values[:1], explainer.attribute(x[:1], target=1))
        if scale == TINY[dtype][0] and options.get("rule") != "gamma":  # whose bias takes part
            # Shares do not depend on the size of the inputs.
            torch.testing.assert_close(values[:1], larger, rtol=1e-3, atol=1e-6)


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
