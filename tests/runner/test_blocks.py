"""Examples that come once for each target: equal rows go through once, whatever else happens."""

import pytest
import torch
from torch import nn

from pyxai.runner import Runner, execution, in_blocks

N, BLOCKS, REPEATS = 3, 4, 5
TARGETS = [number for number in range(BLOCKS) for _ in range(N)]


class Squares(nn.Module):
    """Output k is the sum of (k + 1) * x^2; notes how many rows it gets."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x, *more):
        self.seen.append(len(x))
        return self.squared(x).sum(1, keepdim=True) * torch.arange(1.0, BLOCKS + 1) + sum(more)

    def squared(self, x):
        return x * x


X = torch.arange(1.0, 7.0).view(N, 2).repeat(BLOCKS, 1)


def rows(examples, repeats, x=X):
    """Example e of repeat r is (r + 1) * x[e], node-major."""
    scales = torch.arange(repeats.start + 1.0, repeats.stop + 1.0)
    return ((scales[:, None, None] * x[examples]).flatten(0, 1),)


def sums(model, build=rows, **options):
    """Return values, sums of gradients over repeats, and the passes in which they came."""
    totals, passes = torch.zeros_like(X), []

    def consume(examples, repeats, grads):
        passes.append((examples, repeats))
        totals[examples] += grads[0].view(repeats.stop - repeats.start, -1, 2).sum(0)

    runner = Runner(model, target=TARGETS, **options)
    with in_blocks(BLOCKS):
        values = runner.gradients(build, len(X), REPEATS, consume)
    cells = torch.zeros(len(X), REPEATS)
    for examples, repeats in passes:
        cells[examples, repeats] += 1
    assert torch.equal(cells, torch.ones_like(cells))  # each row once, and none twice
    return values, totals


SCALES = torch.arange(1.0, REPEATS + 1)
FACTORS = torch.tensor(TARGETS)[:, None] + 1.0
VALUES = FACTORS * (X * X).sum(1, keepdim=True) * SCALES**2
GRADIENTS = 2 * FACTORS * X * SCALES.sum()


def assert_right(found):
    torch.testing.assert_close(found[0], VALUES, rtol=1e-6, atol=0)
    torch.testing.assert_close(found[1], GRADIENTS, rtol=1e-6, atol=0)


@pytest.mark.parametrize("bound", [None, 1, 2, 4, 7])
def test_rows_go_through_once_for_all_targets(bound):
    model = Squares()
    sums(model)
    model.seen.clear()
    assert_right(sums(model, max_rows=bound))
    assert sum(model.seen) <= N * REPEATS + 2  # two rows tell whether they mix
    assert bound is None or max(model.seen[1:]) <= bound


def test_rows_of_their_own_are_run_for_their_targets():
    """Those of targets 1 and 3 are the same as of target 0; those of target 2 are not."""
    x = X.clone()
    x[2 * N : 3 * N] += 1

    model = Squares()
    values, totals = sums(model, lambda examples, repeats: rows(examples, repeats, x))
    torch.testing.assert_close(values, FACTORS * (x * x).sum(1, keepdim=True) * SCALES**2)
    torch.testing.assert_close(totals, 2 * FACTORS * x * SCALES.sum())
    model.seen.clear()
    sums(model, lambda examples, repeats: rows(examples, repeats, x))
    assert sum(model.seen) == 2 * N * REPEATS


def test_zeros_of_different_signs_are_different_rows():
    """The sign of a zero decides what its inverse is."""

    class Inverse(Squares):
        def squared(self, x):
            return torch.atan2(torch.zeros_like(x), x)  # 0, or pi for -0.0

    x = torch.zeros_like(X)
    x[N:] = -0.0
    with in_blocks(BLOCKS):
        found = Runner(Inverse(), target=TARGETS).outputs((x,))
    expected = torch.cat([torch.zeros(N), 2 * torch.pi * (torch.tensor(TARGETS[N:]) + 1.0)])
    torch.testing.assert_close(found, expected)


def test_arguments_of_their_own_are_given_to_the_model():
    more = torch.arange(float(len(X)))[:, None]
    with in_blocks(BLOCKS):
        found = Runner(Squares(), target=TARGETS, additional_forward_args=more).outputs((X,))
    torch.testing.assert_close(found, VALUES[:, 0] + more[:, 0])


class Once(torch.autograd.Function):
    """A square that lets itself be differentiated once."""

    @staticmethod
    def forward(context, x):
        context.x = x.detach()
        return x * x

    @staticmethod
    def backward(context, gradient):
        if context.x is None:
            raise RuntimeError("gone through before")
        x, context.x = context.x, None
        return 2 * x * gradient


def test_functions_that_are_differentiated_once():
    class OnceDifferentiable(Squares):
        def squared(self, x):
            return Once.apply(x)

    assert_right(sums(OnceDifferentiable()))


class Failing(torch.autograd.Function):
    """A square whose gradient does not always find memory, or fails for good."""

    left, lasts = 0, False
    error = "CUDA out of memory"

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(context, gradient):
        Failing.left -= 1
        if Failing.left == 0 or (Failing.lasts and Failing.left < 0):
            raise RuntimeError(Failing.error)
        return 2 * context.saved_tensors[0] * gradient


class Short(Squares):
    def squared(self, x):
        return Failing.apply(x)


@pytest.mark.parametrize("at", range(1, BLOCKS + 2))
def test_no_gradient_is_counted_twice_where_memory_runs_out(at, monkeypatch):
    model = Short()
    sums(model)  # so that nothing is measured below
    monkeypatch.setattr(Failing, "left", at)
    assert_right(sums(model))


def test_errors_of_the_model_are_raised(monkeypatch):
    model = Short()
    sums(model)
    monkeypatch.setattr(Failing, "left", 1)
    monkeypatch.setattr(Failing, "error", "the model is broken")
    monkeypatch.setattr(Failing, "lasts", True)
    with pytest.raises(RuntimeError, match="the model is broken"):
        sums(model)


def test_memory_that_runs_out_on_the_way_forward():
    class Narrow(Squares):
        def squared(self, x):
            if len(x) > 4:
                raise RuntimeError("out of memory")
            return x * x

    assert_right(sums(Narrow()))


def test_models_that_write_into_their_rows():
    class Writes(Squares):
        def squared(self, x):
            x.mul_(2)
            return x * x / 4

    model = Writes()
    assert_right(sums(model))
    with in_blocks(BLOCKS):
        values = Runner(model, target=TARGETS).values(rows, len(X), 1)
    torch.testing.assert_close(values[:, 0], VALUES[:, 0])


def test_buffers_are_put_back_after_the_last_gradient():
    class Remembers(Squares):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", torch.ones(1))

        def squared(self, x):
            found = x * x * self.scale
            self.scale = self.scale + 1  # the next pass must not see it
            return found

    model = Remembers()
    assert_right(sums(model))
    assert torch.equal(model.scale, torch.ones(1))


def test_compiled_models():
    with execution(compile=True, backend="aot_eager"):
        assert_right(sums(Squares()))


def test_batches_that_are_no_copies():
    """Two examples of eight cannot be there three times."""
    x = torch.rand(8, 2)
    with in_blocks(3):
        found = Runner(Squares(), target=1).outputs((x,))
    torch.testing.assert_close(found, 2 * (x * x).sum(1))


def test_all_rows_are_counted():
    seen = []
    with in_blocks(BLOCKS):
        runner = Runner(
            Squares(), target=TARGETS, progress=lambda done, total: seen.append((done, total))
        )
        runner.gradients(rows, len(X), REPEATS, lambda *_: None)
    assert seen[-1] == (len(X) * REPEATS, len(X) * REPEATS)
