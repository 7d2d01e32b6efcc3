"""LRP and Deep Taylor against one forward and backward pass of the model.

Once the model is traced, a call is to take at most 3 times one forward plus backward pass. captum
refuses these nets (functional activations, modules used twice), so there is no peer. Tracing time
is printed apart: it is paid once for a model and a shape.
"""

import time

import pytest
import torch
from _nets import NETS
from _timing import compare

from pyxai.attribution import LRP
from pyxai.tracing import trace

RULES = {"epsilon": {}, "alpha_beta": {"alpha": 2.0, "beta": 1.0}, "z_plus": {}}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", NETS)
def test_lrp(benchmark, name, rule):
    if name == "transformer" and rule != "epsilon":
        pytest.skip("rules by sign are meant for nets of rectifiers")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make, shape = NETS[name]
    model = make().eval().requires_grad_(False)
    x = torch.randn(*shape)
    start = time.process_time()
    trace(model, x)
    print(f"\ntraced in {time.process_time() - start:.2f} s of processor time")
    ours = LRP(model, rule=rule, **RULES[rule])

    def bare():
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)[0]

    found = ours.attribute(x, target=1)
    assert found.shape == x.shape
    assert found.isfinite().all()
    compare(
        benchmark,
        lambda: ours.attribute(x, target=1),
        {"one forward and backward": bare},
        rounds=7,
    )
