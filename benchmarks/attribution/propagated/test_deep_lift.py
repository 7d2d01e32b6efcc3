"""DeepLIFT against one forward and backward pass of the model, and against captum 0.9.0.

Once the model is traced, Rescale is to take at most 3 times one forward plus backward pass, and
RevealCancel, which needs one product more each way, at most 4 times. captum's result is not
complete on most of these nets, so that its time alone is shown. Tracing time is printed apart: it
is paid once for a model and a shape.
"""

import time
import warnings

import captum.attr
import pytest
import torch
from _nets import NETS
from _timing import compare

from pyxai.attribution import DeepLift
from pyxai.tracing import trace


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize("name", NETS)
def test_deep_lift(benchmark, name, rule):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make, shape = NETS[name]
    model = make().eval().requires_grad_(False)
    x, b = torch.randn(2, *shape)
    start = time.process_time()
    trace(model, x)
    print(f"\ntraced in {time.process_time() - start:.2f} s of processor time")
    ours, theirs = DeepLift(model, rule=rule), captum.attr.DeepLift(model)

    def bare():
        leaf = x.clone().requires_grad_()
        torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)

    peers = {"one forward and backward": bare}
    _, delta = ours.attribute(x, b, target=1, return_convergence_delta=True)
    change = (model(x) - model(b))[:, 1].abs()
    assert (delta.abs() / torch.maximum(change, model(x)[:, 1].abs())).max() < 1e-5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's, about hooks
        if rule == "rescale" and name != "resnet18":  # captum refuses re-used modules
            theirs.attribute(x, b, target=1)
            peers["captum"] = lambda: theirs.attribute(x, b, target=1)
        compare(benchmark, lambda: ours.attribute(x, b, target=1), peers, rounds=7)
