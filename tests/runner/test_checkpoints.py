"""Models that recompute values: without re-entering autograd they are as any, with it refused."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import pyxai

METHODS = {
    "saliency": {}, "input_x_gradient": {}, "integrated_gradients": {"n_steps": 4},
    "guided_backprop": {}, "deconvolution": {}, "gradient_shap": {"baselines": torch.zeros(2, 3)},
    "greedy_pig": {}, "guided_ig": {}, "smooth": {},
}  # fmt: skip


class Net(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)
        self.reentrant = reentrant

    def forward(self, x):
        return checkpoint(self.body, x, use_reentrant=self.reentrant)

    def body(self, x):
        return self.last(self.first(x).relu())


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")
@pytest.mark.parametrize("name", METHODS)
def test_reentrant_checkpoints_are_named(name):
    x, options = torch.ones(2, 3), METHODS[name]
    for reentrant in (False, True):
        net = Net(reentrant).eval()
        method = name
        if name == "smooth":
            method = pyxai.attribution.NoiseTunnel(pyxai.attribution.Saliency(net))

        def explained(net=net, method=method):
            return pyxai.explain(net, x, method=method, target=1, **options)

        if reentrant:
            with pytest.raises(ValueError, match=r"model must call .* with use_reentrant=False"):
                explained()
        else:
            assert explained().attributions.isfinite().all()
