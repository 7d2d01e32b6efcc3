"""Memory: methods stay within a limit at which captum runs out, and leave nothing behind."""

from __future__ import annotations

import gc

import captum.attr
import pytest
import torch
from captum_peer import peer
from deep_nets import NETS, build
from torch import nn

from pyxai import attribution
from pyxai.runner.memory import Measure, Schedule, rows_for
from pyxai.tracing import trace
from pyxai.tracing.interpreter import Values

LIMIT, BATCH, N_FEATURES = 40, 60, 6


def out_of_memory():
    return RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB (simulated)")


def small_net(limited=False):
    """Return a net; if limited, one for which memory runs out above some rows."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(N_FEATURES, 8), nn.ReLU(), nn.Linear(8, 3)]
    net = nn.Sequential(*layers).double().eval()
    if limited:
        net[0].register_forward_pre_hook(check_rows)
    return net


def check_rows(module, given):
    if given[0].shape[0] > LIMIT:
        raise out_of_memory()


def rows(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, N_FEATURES, generator=generator, dtype=torch.float64)


@pytest.fixture
def limited(monkeypatch):
    """Make a traced graph run out of memory too: above so many rows of one value."""
    original, seen = Values.__setitem__, []

    def guarded(self, node, value):
        if isinstance(value, torch.Tensor) and node.depends and value.dim():
            seen.append(value.shape[0])
            if node.kind == "call" and value.shape[0] > LIMIT:
                raise out_of_memory()
        original(self, node, value)

    monkeypatch.setattr(Values, "__setitem__", guarded)
    return seen


def arguments(name, x):
    if name in ("GradientShap", "DeepLiftShap"):
        return (x, rows(LIMIT // 2, 1))
    return (x,)


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("GradientShap", LIMIT // 2), ("DeepLiftShap", LIMIT // 2), ("LRP", BATCH),
        ("IntegratedGradients", LIMIT // 2), ("DeepLift", BATCH), ("GuidedBackprop", BATCH),
    ],
)  # fmt: skip
def test_batches_stay_within_a_limit_at_which_captum_runs_out(name, batch, limited):
    x = rows(batch)
    given = arguments(name, x)
    with pytest.raises(RuntimeError, match="out of memory"):
        peer(getattr(captum.attr, name)(small_net(limited=True)), *given, target=1)
    calls_the_model = name in ("GradientShap", "IntegratedGradients", "GuidedBackprop")
    options = {"epsilon": 0.0} if name == "LRP" else {}
    explainer = getattr(attribution, name)(small_net(limited=calls_the_model), **options)
    found = explainer.attribute(*given, target=1)
    assert found.shape == x.shape
    assert calls_the_model or limited
    # Rows alone never come near the limit.
    alone = explainer.attribute(x[-1:], *given[1:], target=1)
    torch.testing.assert_close(found[-1:], alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_a_row_is_as_large_as_its_values(name):
    """Passes are sized by what one example takes: views count twice, unrolled layers roughly."""
    model, x, _ = build(name)
    graph = trace(model, x)
    values = graph.run((x,))
    found = [values[node] for node in graph.calls()]
    elements = sum(value.numel() for value in found if isinstance(value, torch.Tensor)) / len(x)
    assert 0.5 * elements < graph.program.row_elements < 2.5 * elements
    assert graph.program.rows_apart


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = small_net()

    def forward(self, x, scale):
        return self.net(x) * scale["factor"]


def test_parts_of_a_batch_take_their_targets_arguments_and_baselines_along(limited):
    model, x, start = Scaled().eval(), rows(BATCH), rows(BATCH, 1)
    target = torch.arange(BATCH) % 3
    scale = torch.linspace(1, 2, BATCH, dtype=torch.float64)[:, None]

    def explain(part):
        given = {"target": target[part], "additional_forward_args": {"factor": scale[part]}}
        lift = attribution.DeepLift(model).attribute(
            x[part], start[part], return_convergence_delta=True, **given
        )
        return [*lift, attribution.LRP(model).attribute(x[part], **given)]

    whole, halves = explain(slice(None)), [explain(slice(0, 30)), explain(slice(30, BATCH))]
    for found, first, second in zip(whole, *halves, strict=True):
        torch.testing.assert_close(found, torch.cat([first, second]), rtol=1e-10, atol=1e-12)


def test_rows_of_later_parts_are_named_by_their_place_in_the_batch(limited):
    net, x = small_net(), rows(4 * BATCH)
    with torch.no_grad():
        net[2].bias[1] -= net(x)[:, 1].median()
    outputs = net(x)[:, 1]
    order = outputs.argsort(descending=True)  # the first row that is not positive comes late
    row = int((outputs > 0).sum())
    assert row > LIMIT
    with pytest.raises(ValueError, match=f"in row {row};"):
        attribution.DeepTaylor(net).attribute(x[order], target=1)


def live_tensors():
    gc.collect()
    # isinstance would wake lazy objects of other packages
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


METHODS = {
    "IntegratedGradients": {"n_steps": 5}, "GradientShap": {}, "ExpectedGradients": {"n_steps": 5},
    "DeepLift": {}, "DeepLiftShap": {}, "LRP": {}, "DeepTaylor": {}, "GuidedBackprop": {},
    "InputXGradient": {}, "FeatureAblation": {}, "KernelShap": {}, "ShapleyValueSampling": {},
}  # fmt: skip
BACKGROUND = ("GradientShap", "ExpectedGradients", "DeepLiftShap")


@pytest.mark.parametrize("name", METHODS)
def test_two_hundred_calls_leave_no_tensor_behind(name):
    net, x = small_net(), rows(2)
    options = {"on_negative": "clamp"} if name == "DeepTaylor" else {}
    explainer = getattr(attribution, name)(net, **options)
    given = (x, rows(3, 1)) if name in BACKGROUND else (x,)

    def run(calls):
        for _ in range(calls):
            explainer.attribute(*given, target=0, **METHODS[name])
        return live_tensors()

    before = run(2)
    assert run(200) == before
    for module in net.modules():
        assert not any(vars(module)[key] for key in vars(module) if key.endswith("_hooks"))


@pytest.mark.parametrize("batch", [BATCH, 7 * LIMIT])
def test_steps_start_where_memory_last_sufficed(batch):
    """A path that goes step by step runs out in its first step only."""
    x, tried = rows(batch), []
    net = small_net()
    expected = attribution.GuidedIG(net).attribute(x, target=1, n_steps=20)

    def check(module, given):
        tried.append(len(given[0]))
        check_rows(module, given)

    net[0].register_forward_pre_hook(check)
    found = attribution.GuidedIG(net).attribute(x, target=1, n_steps=20)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    failed = [place for place, count in enumerate(tried) if count > LIMIT]
    assert 1 <= len(failed) <= 4
    assert failed == list(range(failed[0], failed[0] + len(failed)))


@pytest.mark.parametrize(
    ("free", "reserved", "allocated", "rows"),
    [
        (64 * 2**30, 0, 0, 2048),  # 2 GiB of 1 MiB rows
        (2**30, 0, 0, 512),  # half of what is free
        (3 * 2**28, 0, 0, 256),  # down to a power of two
        (2**28, 2**30, 2**28, 512),  # torch holds 3/4 GiB that it does not use
        (2**10, 0, 0, 1),
    ],
)
def test_passes_on_a_gpu_fit_what_is_free(monkeypatch, free, reserved, allocated, rows):
    for name, value in (
        ("mem_get_info", (free, 80 * 2**30)),
        ("memory_reserved", reserved),
        ("memory_allocated", allocated),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    measure = Measure(bytes_per_row=2.0**20)
    assert rows_for(measure, torch.device("cuda"), None) == rows
    assert rows_for(measure, torch.device("cuda"), 7) == min(rows, 7)


def test_a_halved_pass_grows_after_eight_that_went_well():
    """One that fails as soon as it has grown waits twice as long the next time."""
    schedule = Schedule(10_000, 1, 64)
    sizes = []
    for examples, _ in schedule:
        size = examples.stop - examples.start
        if size > 40:
            assert schedule.halve(size)
        else:
            schedule.succeeded()
        sizes.append(size > 40)
    grown = [place for place, large in enumerate(sizes) if large][:4]
    assert grown == [0, 9, 9 + 17, 9 + 17 + 33]


def test_a_job_after_one_that_ran_out_grows_again():
    """What was learned is a start, not a limit: other processes may free memory."""
    schedule = Schedule(1000, 1, 1000)
    schedule.start_at(10)
    sizes = []
    for examples, _ in schedule:
        sizes.append(examples.stop - examples.start)
        schedule.succeeded()
    assert sizes[0] == 10
    assert max(sizes) > 10
    assert sum(sizes) == 1000
    whole = Schedule(1000, 1, 1000, whole_batch=True)
    whole.start_at(10)
    assert [examples for examples, _ in whole] == [slice(0, 1000)]
