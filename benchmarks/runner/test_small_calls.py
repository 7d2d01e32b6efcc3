"""What a call costs on a small model, against the loop that a user would write by hand.

One row through an MLP 10-32-3, and one image through 50 residual blocks. The aims, and what is
measured here on one thread in several runs: integrated gradients with 50 nodes 3 times the loop
(2.9 to 3.0), `explain`, with outputs and delta as well, 6 times (5.4 to 5.9), saliency 2.5 times
(2.3 to 2.45); on the blocks saliency 1.25 times (1.23 to 1.29), integrated gradients 1.08 times the
bare model on the same rows (1.01 to 1.14; in two passes of 25 rows instead of one of 50 it was 1.12
to 1.16). Much of what is left is that each step finds its code and data out of the caches: in such
a call the same forward and backward pass takes nearly twice as long as when it is repeated by
itself.
"""

import pytest
import torch
from _floor import bare_gradients, best_of, mlp
from _nets import residual_net
from _timing import compare

import pyxai
from pyxai._quadrature import nodes_and_weights
from pyxai.attribution import IntegratedGradients, Saliency

STEPS, LOOP = 50, 40


def small_net():
    return mlp(10, 32, 3).requires_grad_(), torch.randn(1, 10)


def plain_gradients(model, x):
    """The loop: a path of 50 points at once, the gradients, their weighted sum."""
    nodes, weights = (
        each.to(x.dtype).view(-1, *(1,) * (x.dim() - 1))
        for each in nodes_and_weights("gausslegendre", STEPS)
    )

    def run():
        points = (nodes * x).requires_grad_()
        (grads,) = torch.autograd.grad(model(points)[:, 0].sum(), points)
        return x * (weights * grads).sum(0, keepdim=True)

    return run


def plain_saliency(model, x):
    def run():
        leaf = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)
        return grad.abs()

    return run


def explained(model, x):
    return lambda: pyxai.explain(model, x, method="integrated_gradients", target=0).attributions


def integrated(model, x):
    method = IntegratedGradients(model)
    return lambda: method.attribute(x, target=0, n_steps=STEPS)


def saliency(model, x):
    method = Saliency(model)
    return lambda: method.attribute(x, target=0)


def repeated(run, times):
    """Time many calls as one: a single one takes less than a clock and a scheduler blur."""
    return lambda: [run() for _ in range(times)]


CALLS = {
    "integrated gradients, MLP": (small_net, integrated, plain_gradients, LOOP),
    "explain, MLP": (small_net, explained, plain_gradients, LOOP),
    "saliency, MLP": (small_net, saliency, plain_saliency, LOOP),
    "saliency, 50 residual blocks": (residual_net, saliency, plain_saliency, 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_small_calls(benchmark, name):
    torch.set_num_threads(1)
    make, ours, plain, times = CALLS[name]
    model, x = make()
    run, loop = ours(model, x), plain(model, x)
    torch.testing.assert_close(run(), loop().detach(), rtol=1e-4, atol=1e-5)
    compare(benchmark, repeated(run, times), {"plain loop": repeated(loop, times)}, rounds=31)


def test_one_image(benchmark):
    torch.set_num_threads(1)
    model, x = residual_net()
    run, loop = integrated(model, x), plain_gradients(model, x)
    torch.testing.assert_close(run(), loop().detach(), rtol=1e-3, atol=1e-4)
    rows = x * nodes_and_weights("gausslegendre", STEPS)[0].float().view(-1, 1, 1, 1)
    sizes = (8, 16, 32, STEPS)
    bare = best_of(lambda size: bare_gradients(model, rows, size), sizes)
    compare(benchmark, run, {"bare model": bare, "plain loop": loop}, rounds=9)
