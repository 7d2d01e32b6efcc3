"""A model is left as found, and nothing that nobody wrote is written back."""

import threading

import pytest
import torch
from torch import nn

import pyxai
from pyxai.attribution import FeatureAblation, IntegratedGradients, Saliency
from pyxai.runner import Runner, one_scope
from pyxai.runner.state import (
    Found,
    find_modules,
    kept_values,
    left_as_found,
    open_scope,
    outside_scope,
    scope,
)
from pyxai.runner.state import found as found_state


@pytest.fixture(params=[False, True], ids=["compared", "as on a GPU"])
def on_gpu(request, monkeypatch):
    """Whether values are compared; where they are not, versions alone have to tell."""
    if request.param:
        monkeypatch.setattr(kept_values, "_comparable", lambda copy: False)
    return request.param


def net_with_buffers():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2)).eval()
    net.register_buffer("mask", torch.ones(3, 3))
    return net


def explain(model, x):
    IntegratedGradients(model).attribute(x, target=0, n_steps=60, internal_batch_size=16)
    pyxai.explain(model, x, method="feature_ablation", target=1)


def test_nothing_is_written_that_nobody_wrote(on_gpu, monkeypatch):
    net, x = net_with_buffers(), torch.rand(3, 4)
    written = []
    monkeypatch.setattr(kept_values.KeptValues, "_put_back", lambda self, p: written.append(p))
    explain(net, x)
    assert not written


def test_a_pending_backward_pass_survives(on_gpu):
    """Torch refuses it with "modified by an inplace operation" if a saved buffer was written."""
    net, x = net_with_buffers(), torch.rand(3, 4)
    versions = [buffer._version for buffer in net.buffers()]
    loss = (net(x) @ net.mask[:2, :2] * net.mask.sum()).sum()
    explain(net, x)
    assert [buffer._version for buffer in net.buffers()] == versions
    loss.backward()
    assert net[0].weight.grad is not None


def test_a_pending_backward_pass_survives_batch_norm_in_training_mode(on_gpu):
    """What a pass has moved is put back in a way that counts as no write."""
    net, x = net_with_buffers().train(), torch.rand(3, 4)
    loss = net(x).sum()
    before = [buffer.clone() for buffer in net.buffers()]
    with pytest.warns(pyxai.PyxaiWarning, match="training mode"):
        explain(net, x)
    assert all(map(torch.equal, before, net.buffers()))
    loss.backward()
    assert net[0].weight.grad is not None


class Writing(nn.Module):
    """Writes into a buffer, an attribute and batch norm's statistics in one of three ways."""

    def __init__(self, how, fails=False):
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 2).double(), nn.BatchNorm1d(2).double()
        self.register_buffer("counted", torch.zeros(2, dtype=torch.float64))
        self.plain = torch.ones(3, dtype=torch.float64)
        self.how, self.fails, self.starts = how, fails, []

    def forward(self, x):
        self.starts.append((self.counted + self.plain[:2] + self.norm.running_mean).tolist())
        outputs = self.linear(x)
        if self.how == "adapts":  # test-time adaptation: statistics move in eval mode
            self.norm.train()
        outputs = self.norm(outputs)
        self.norm.eval()
        self.counted += 1
        if self.how == "replaces":
            self.counted = torch.full((5,), 7.0)
            self.plain.resize_(1)
        elif self.how == "in a list":
            self.plain = [self.plain, outputs]
        self.plain = self.plain if self.how == "in a list" else self.plain.mul_(2)
        if self.fails:
            raise RuntimeError("as told")
        return outputs


@pytest.mark.filterwarnings("ignore:the model gives a row another output")  # batch norm does
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("how", ["adapts", "replaces", "in a list"])
def test_what_is_written_to_is_put_back_after_every_pass(how, fails, on_gpu):
    model, x = Writing(how, fails).eval(), torch.rand(20, 4, dtype=torch.float64)
    tensors = [*model.buffers(), model.plain]
    before = [tensor.clone() for tensor in tensors]
    runner = Runner(model, target=0, max_rows=None if fails else 7)
    for _ in range(2):
        if fails:
            with pytest.raises(RuntimeError, match="as told"):
                runner.outputs((x,))
        else:
            runner.outputs((x,))
            Saliency(model).attribute(x, target=1)
    assert len(model.starts) > 1
    assert model.starts == model.starts[:1] * len(model.starts)
    after = [*model.buffers(), model.plain]
    assert all(left is right for left, right in zip(tensors, after, strict=True))
    assert all(torch.equal(left, right) for left, right in zip(before, after, strict=True))
    assert not model.norm.training


def test_what_torch_does_not_count_is_put_back(on_gpu):
    """On a GPU this is known of batch norm only: it counts its batches, or is taken to write."""
    counting, silent = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    silent.num_batches_tracked = None
    for norm in (counting, silent):
        before = norm.running_mean.clone()
        with left_as_found(find_modules(norm)):
            norm(torch.rand(8, 4) + 3)
            assert not torch.equal(norm.running_mean, before)
        assert torch.equal(norm.running_mean, before)
    if not on_gpu:
        net = net_with_buffers()
        with left_as_found(find_modules(net)):
            net.mask.data[0, 0] = 9
            net[1].running_mean.data.fill_(3)
        assert torch.equal(net.mask, torch.ones(3, 3))
        assert torch.equal(net[1].running_mean, torch.zeros(8))


def test_buffers_made_in_inference_mode(on_gpu):
    """They count no writes; where values cannot be compared they are always written back."""
    net = nn.Linear(2, 2)
    with torch.inference_mode():
        net.register_buffer("state", torch.ones(2))
    with left_as_found(find_modules(net)), torch.inference_mode():
        net.state.fill_(5)
    assert torch.equal(net.state, torch.ones(2))
    assert net.state.is_inference()


@pytest.mark.parametrize(
    "value",
    [
        torch.eye(3).to_sparse(),
        torch.ones(1).expand(3),
        torch.ones((), dtype=torch.int64),
        torch.full((2, 2), torch.nan),
    ],
    ids=["sparse", "expanded", "integer", "nan"],
)
def test_buffers_of_any_kind_are_kept(value, on_gpu):
    net = nn.Linear(4, 2)
    net.register_buffer("odd", value)
    explain(net, torch.rand(3, 4))
    assert net.odd is value


class Mode(nn.Module):
    """Notes the modes that it runs in."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def forward(self, x):
        self.seen.add((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
        return x.sum(1)


@pytest.mark.parametrize("around", [torch.no_grad, torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("rows", [3, 40])
def test_modes_that_a_model_runs_in(around, rows):
    """Values without gradients and out of inference mode, whatever mode the caller is in."""
    model, x = Mode(), torch.rand(rows, 4)
    with around():
        Runner(model).outputs((x,))
        assert model.seen == {(False, False)}
        model.seen.clear()
        Saliency(model).attribute(x)
    assert model.seen == {(True, False)}


def test_one_call_holds_a_model_once(monkeypatch):
    net, x = net_with_buffers(), torch.rand(3, 4)
    made, looked = [], []
    first, modules = Found.__init__, scope.find_modules
    monkeypatch.setattr(Found, "__init__", lambda s, m: made.append(m) or first(s, m))
    monkeypatch.setattr(scope, "find_modules", lambda f: looked.append(f) or modules(f))
    for name in ("integrated_gradients", "shapley_values", "kernel_shap", "guided_ig", "idgi"):
        made.clear()
        looked.clear()
        pyxai.explain(net, x, method=name, target=0)
        assert len(made) == len(looked) == 1, name


def test_outputs_of_explain_serve_the_delta():
    """Three rows for each example beside the nodes of the path would be two too many."""
    calls = []

    def model(x):
        calls.append(len(x))
        return x.square().sum(1)

    x = torch.rand(3, 4)
    pyxai.explain(model, x, method="integrated_gradients")
    calls.clear()
    found = pyxai.explain(model, x, method="integrated_gradients", baselines=0.5)
    assert sum(calls) == 3 * (1 + 50 + 1)
    torch.testing.assert_close(found.outputs, x.square().sum(1))
    expected = found.attributions.sum(1) - (x.square() - 0.25).sum(1)
    torch.testing.assert_close(found.convergence_delta, expected, atol=1e-5, rtol=0)


def test_a_scope_is_left_after_an_exception_and_not_entered_from_other_threads():
    net, seen = net_with_buffers(), []

    @one_scope
    def work():
        Runner(net, target=0).outputs((torch.rand(3, 4),))
        seen.append(net[0].weight.requires_grad)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        raise KeyError

    def other():
        Runner(net, target=0).outputs((torch.rand(3, 4),))
        seen.append(net[0].weight.requires_grad)

    with pytest.raises(KeyError):
        work()
    assert seen == [False, False]
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not found_state._held
    assert not found_state._frozen


def test_results_are_not_part_of_what_a_model_writes_into_again():
    class Reusing(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("out", torch.zeros(3))

        def forward(self, x):
            self.out.copy_(x.sum(1))
            return self.out

    x = torch.rand(3, 4)
    assert torch.equal(Runner(Reusing()).outputs((x,)), x.sum(1))


def test_memory_that_was_found_is_given_to_nobody_else(on_gpu):
    """Else what is put back would be written into a tensor of somebody else's."""
    net = nn.Linear(2, 2)
    net.register_buffer("mask", torch.full((1000,), 0.3))
    address = net.mask.data_ptr()
    with left_as_found(find_modules(net)):
        net.mask.data = torch.zeros(1000)
        others = [torch.full((1000,), 7.0) for _ in range(20)]
        assert all(other.data_ptr() != address for other in others)
        net.mask.data = others[3]
        net.mask.add_(0)  # counted, for a look where values are not compared
    assert net.mask.data_ptr() == address
    assert torch.equal(net.mask, torch.full((1000,), 0.3))
    assert all(torch.equal(other, torch.full((1000,), 7.0)) for other in others)


@pytest.mark.parametrize("shape", [(), (3, 1), (1, 4)])
def test_expanded_tensors_are_put_back(shape, on_gpu):
    """Torch refuses to write all values of a tensor that has several at one place in memory."""
    net, start = nn.Linear(2, 2), torch.rand(shape)
    net.base, net.wide = start.clone(), None
    net.wide = net.base.expand(3, 4)
    net.__class__ = type("Remembering", (nn.Linear,), {"__module__": "users"})
    with left_as_found(find_modules(net)):
        net.base.mul_(3)
        net.wide.data = torch.rand(()).expand(3, 4)
    assert torch.equal(net.base, start)
    assert torch.equal(net.wide, start.expand(3, 4))
    assert net.wide.data_ptr() == net.base.data_ptr()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_flags_of_scripted_modules_are_put_back():
    """They are kept out of sight of Python's attributes."""

    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = torch.jit.script(nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.0)))

        def forward(self, rows):
            self.net.train()
            return self.net(rows)

    model = Wrapper().eval()
    Saliency(model).attribute(torch.rand(3, 4), target=0)
    assert not model.net.training
    assert not any(part.training for part in model.net.modules())


def test_a_block_outside_of_the_scope_knows_nothing_of_it():
    inputs, outputs = (torch.ones(2, 3),), torch.zeros(2)
    with open_scope() as opened:
        runner = Runner(nn.Linear(3, 1))
        runner.keep_outputs(inputs, outputs)
        with outside_scope(), open_scope() as other:
            assert other is not opened
            assert runner.known_outputs(inputs) is None
        assert runner.known_outputs(inputs) is outputs
        with pytest.raises(KeyError), outside_scope():
            raise KeyError
        assert runner.known_outputs(inputs) is outputs


@pytest.mark.parametrize("inside", [False, True])
def test_a_model_made_in_inference_mode(inside):
    with torch.inference_mode():
        model = nn.Linear(4, 2)
    for _ in range(2):
        with torch.inference_mode(inside):
            found = FeatureAblation(model).attribute(torch.ones(3, 4), target=0)
        torch.testing.assert_close(found[0], model.weight[0])
        assert all(parameter.requires_grad for parameter in model.parameters())
