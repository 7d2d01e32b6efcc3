"""What the runner sees to, whatever the model does: bounds, warnings, threads, gradients."""

import threading

import pytest
import torch
from torch import nn

from pyxai import Game, PyxaiWarning, metrics
from pyxai.attribution import IntegratedGradients, Saliency
from pyxai.runner import Runner
from pyxai.runner.state import find_modules, left_as_found


class Counting(nn.Module):
    """A linear model that notes how many rows it gets."""

    def __init__(self, whole=False):
        super().__init__()
        self.seen, self.whole = [], whole

    def forward(self, x):
        self.seen.append(len(x))
        return x.sum() if self.whole else x.sum(1)


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("bound", [1, 2, 3, 5])
def test_no_pass_has_more_rows_than_asked_for(gradients, bound):
    model, x = Counting(), torch.rand(3, 4)
    if gradients:
        found = IntegratedGradients(model).attribute(x, internal_batch_size=bound)
        torch.testing.assert_close(found, x)
    else:
        found = Game(model, x, baselines=0, max_rows=bound).values(torch.eye(4, dtype=torch.bool))
        torch.testing.assert_close(found, x.double(), rtol=1e-6, atol=0, check_dtype=False)
    assert max(model.seen) <= bound


def test_a_bound_of_one_leaves_no_wrong_measure_behind():
    """One row cannot tell a scalar for each row from one for the batch; later runs look anew."""
    model, x = Counting(whole=True), torch.rand(3, 4)
    one_by_one = IntegratedGradients(model).attribute(x, internal_batch_size=1)
    together = IntegratedGradients(model).attribute(x)
    torch.testing.assert_close(one_by_one, x)
    torch.testing.assert_close(together, x)
    assert model.seen[-1] == 3


@pytest.mark.parametrize("power", [0.5, -1.0])
def test_infinite_and_undefined_gradients_are_refused(power):
    x = torch.tensor([[0.0, 1.0], [1.0, 4.0]])

    def model(x):
        return torch.where(x > 0, x**power, torch.zeros_like(x)).sum(1)

    with pytest.raises(ValueError, match="gradients of the model must be finite, got NaN or inf"):
        Saliency(model).attribute(x)
    expected = power * x[1:] ** (power - 1)
    torch.testing.assert_close(
        Saliency(
            model,
        ).attribute(x[1:], abs=False),
        expected,
    )


def test_huge_gradients_are_not_refused():
    """Their sum overflows, they do not."""
    x = torch.ones(1, 8)
    runner = Runner(lambda x: (3e38 * x).sum(1) / 8)
    taken = []

    def build(examples, repeats):
        return (x * 0.01,)

    runner.gradients(build, 1, 1, lambda e, r, grads: taken.append(grads[0]))
    torch.testing.assert_close(taken[0], torch.full((1, 8), 3e38 / 8))


def test_functional_dropout_is_warned_of_at_the_users_line():
    def model(x):
        return nn.functional.dropout(x, 0.5, True).sum(1)

    with pytest.warns(PyxaiWarning, match="the model draws random numbers") as caught:
        IntegratedGradients(model).attribute(torch.ones(2, 3))
    assert caught[0].filename == __file__


class Inside(nn.Module):
    """A model that forgets gradients, or leaves some, as it differentiates inside itself."""

    def __init__(self, leaves):
        super().__init__()
        self.linear, self.leaves = nn.Linear(4, 3), leaves

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            self.zero_grad()
            if self.leaves:
                self.linear.requires_grad_()
            self.linear(x).square().sum().backward()
        return x.grad


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_gradients_stay_when_a_model_calls_backward(leaves, kept):
    net, x = Inside(leaves).eval(), torch.rand(5, 4)
    mine = torch.ones_like(net.linear.weight) if kept else None
    net.linear.weight.grad = mine
    found = Runner(net, target=0).outputs((x,))
    assert net.linear.weight.grad is mine
    assert net.linear.bias.grad is None
    assert mine is None or bool((mine == 1).all())
    assert found.shape == (5,)


class Remembering(nn.Module):
    """A model that keeps its last hidden values."""

    def __init__(self, first):
        super().__init__()
        self.linear, self.out = nn.Linear(4, 3), nn.Linear(3, 1)
        if first is not None:
            self.hidden = first

    def forward(self, x):
        self.hidden = self.linear(x)
        return self.out(self.hidden)


@pytest.mark.parametrize("first", [None, torch.ones(1, 3)])
def test_what_inference_mode_leaves_in_a_model_is_taken_out(first):
    """A later training step could not use it; what was there before is there again."""
    net = Remembering(first).eval()
    with left_as_found(find_modules(net)), torch.inference_mode():
        net(torch.rand(5, 4))
        assert net.hidden.is_inference()
    if first is None:
        assert "hidden" not in vars(net)
    else:
        assert net.hidden is first


def test_names_of_layers_in_training_mode_do_not_depend_on_how_the_model_is_wrapped():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout())
    with pytest.warns(PyxaiWarning, match=r"1 \(Dropout\)"):
        IntegratedGradients(lambda x: model(x)).attribute(torch.ones(2, 3), target=0)


def test_threads_may_explain_one_model_at_once():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3)).eval()
    frozen = model[0].bias.requires_grad_(False)
    flags = [parameter.requires_grad for parameter in model.parameters()]
    x = torch.randn(4, 8)
    expected = IntegratedGradients(model).attribute(x, target=0)
    start, found = threading.Barrier(4), []

    def run():
        start.wait()
        found.extend(IntegratedGradients(model).attribute(x, target=0) for _ in range(10))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(torch.equal(each, expected) for each in found)
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert not frozen.requires_grad


def test_a_model_that_starts_to_write_into_its_input_leaves_the_users_alone():
    model = nn.Sequential(nn.ReLU(), nn.Linear(3, 1)).eval()
    x = torch.tensor([[-1.0, 2.0, -3.0]] * 9)
    before = x.clone()
    Runner(model).outputs((x,))
    model[0].inplace = True
    Runner(model).outputs((x,))
    metrics.completeness(model, x, torch.zeros_like(x), baselines=torch.zeros_like(x))
    assert torch.equal(x, before)


@pytest.mark.parametrize("n_examples", [1, 2])
def test_a_scalar_for_a_part_of_the_rows_is_refused(n_examples):
    """Such a model gave one output for each row of the few that were looked at first."""

    def model(rows):
        return rows.sum(1) if len(rows) <= 4 else rows.sum()

    def build(examples, repeats):
        return (
            torch.ones(examples.stop - examples.start, repeats.stop - repeats.start, 3).flatten(
                0, 1
            ),
        )

    runner = Runner(model, max_rows=7)
    with pytest.raises(ValueError, match=r"^model must return one .* row.*, got"):
        runner.values(build, n_examples, 14)
    if n_examples > 1:
        with pytest.raises(ValueError, match="one scalar for the whole batch at once, got one sc"):
            runner.values(build, n_examples, 14)
