import functools
import itertools
import sys
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn

import pyxai
from pyxai import PyxaiWarning
from pyxai.attribution import IntegratedGradients, Saliency, ShapleyValues
from pyxai.runner import Runner, Target, execution
from pyxai.runner.execution import prepare
from pyxai.runner.memory import LiveBytes, Measure, Schedule, is_out_of_memory, rows_for
from pyxai.runner.progress import progress_to

WEIGHT = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FACTORS = torch.linspace(0, 1, 7, dtype=torch.float64)


def linear(rows):  # [rows, 5] -> [rows, 3]
    return rows @ WEIGHT.to(rows.dtype)


def quadratic(rows):
    return rows.square().sum(1)


def sample_inputs(batch=4, dtype=torch.float64):
    return torch.randn(
        batch, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    ).to(dtype)


def example_major(inputs, factors=FACTORS):
    def build(examples, repeats):
        rows = inputs[examples, None] * factors[repeats, None].to(inputs.dtype)
        return (rows.flatten(0, 1),)

    return build


def node_major(inputs, factors=FACTORS):
    def build(examples, repeats):
        rows = inputs[examples] * factors[repeats, None, None].to(inputs.dtype)
        return (rows.flatten(0, 1),)

    return build


def collect(runner, inputs, factors=FACTORS):
    """Values [batch, nodes] and gradients [nodes, batch, 5]."""
    out = torch.full((len(factors), *inputs.shape), torch.nan, dtype=inputs.dtype)

    def consume(examples, repeats, grads):
        out[repeats, examples] = grads[0].view(-1, examples.stop - examples.start, 5)

    values = runner.gradients(node_major(inputs, factors), len(inputs), len(factors), consume)
    return values, out


MAX_ROWS = [None, 1, 3, 8, 11, 100]


@pytest.mark.parametrize("max_rows", MAX_ROWS)
def test_values_of_a_linear_model(max_rows):
    inputs, target = sample_inputs(), torch.tensor([0, 1, 2, 0])
    sizes = []

    def model(rows):
        sizes.append(len(rows))
        return linear(rows)

    runner = Runner(model, target=target, max_rows=max_rows)
    values = runner.values(example_major(inputs), 4, 7)
    expected = linear(inputs)[torch.arange(4), target][:, None] * FACTORS
    torch.testing.assert_close(values, expected)
    if max_rows is not None:
        assert max(sizes[PROBES:]) <= max_rows  # the first calls look at up to four rows


@pytest.mark.parametrize("max_rows", MAX_ROWS)
def test_gradients_of_a_quadratic_model(max_rows):
    inputs = sample_inputs()
    values, gradients = collect(Runner(quadratic, max_rows=max_rows), inputs)
    points = FACTORS[:, None, None] * inputs
    torch.testing.assert_close(gradients, 2 * points)
    torch.testing.assert_close(values, points.square().sum(-1).T)
    assert not values.requires_grad


def test_example_major_gradients_and_their_values():
    inputs, seen = sample_inputs(), []

    def consume(examples, repeats, grads, values):
        rows = example_major(inputs)(examples, repeats)[0]
        torch.testing.assert_close(grads[0], 2 * rows)
        torch.testing.assert_close(values.flatten(), rows.square().sum(1))
        seen.append(values.shape)

    runner = Runner(quadratic, max_rows=10)
    runner.gradients(example_major(inputs), 4, 7, consume, example_major=True, with_values=True)
    assert seen == [(1, 7)] * 4


def test_several_inputs_one_of_them_unused():
    inputs = sample_inputs()
    got = []
    Runner(lambda a, b: a.sum(1)).gradients(
        lambda examples, repeats: (inputs[examples], inputs[examples]),
        4,
        1,
        lambda examples, repeats, grads: got.append(grads),
    )
    assert torch.equal(got[0][0], torch.ones_like(inputs))
    assert torch.equal(got[0][1], torch.zeros_like(inputs))


def test_extra_arguments_follow_their_example():
    inputs, scale = sample_inputs(), torch.arange(1.0, 5.0, dtype=torch.float64)

    def model(rows, factor, shared, option):
        assert shared.shape == (3,)
        assert option == {"a": 1}
        return rows.sum(1) * factor

    for max_rows in MAX_ROWS:
        runner = Runner(
            model, additional_forward_args=(scale, torch.ones(3), {"a": 1}), max_rows=max_rows
        )
        values, gradients = collect(runner, inputs)
        torch.testing.assert_close(values, (inputs.sum(1) * scale)[:, None] * FACTORS)
        torch.testing.assert_close(gradients, scale[None, :, None].expand(7, 4, 5))
        values = runner.values(example_major(inputs), 4, 7)
        torch.testing.assert_close(values, (inputs.sum(1) * scale)[:, None] * FACTORS)


# One scalar for the whole batch, and other outputs.


@pytest.mark.parametrize("form", [lambda v: v, lambda v: v.reshape(1), lambda v: v.item()])
def test_one_scalar_for_the_batch(form):
    inputs = sample_inputs()
    runner = Runner(lambda rows: form(rows.square().mean()))
    assert runner.outputs((inputs,)).shape == (1,)
    values = runner.values(example_major(inputs), 4, 7)
    assert values.shape == (1, 7)
    torch.testing.assert_close(values[0], FACTORS.square() * inputs.square().mean())


def test_one_scalar_for_the_batch_has_gradients():
    inputs = sample_inputs()
    values, gradients = collect(Runner(lambda rows: rows.square().sum()), inputs)
    assert values.shape == (1, 7)
    torch.testing.assert_close(gradients, 2 * FACTORS[:, None, None] * inputs)


def test_one_scalar_for_the_batch_refuses():
    runner = Runner(lambda rows: rows.sum(), max_rows=2)
    with pytest.raises(ValueError, match=r"max_rows must be at least the batch size, 4, .* got 2"):
        runner.values(example_major(sample_inputs()), 4, 7)
    with pytest.raises(ValueError, match=r"target must be None for .* one scalar per batch, got"):
        Runner(lambda rows: rows.sum(), target=1).outputs((sample_inputs(),))


def test_model_that_takes_the_given_batch_only():
    inputs = sample_inputs()

    def model(rows):
        return rows.view(4, 5).sum(1)

    values, gradients = collect(Runner(model), inputs)
    torch.testing.assert_close(values, inputs.sum(1)[:, None] * FACTORS)
    torch.testing.assert_close(gradients, torch.ones(7, 4, 5, dtype=torch.float64))


BAD_MODELS = {
    "tuple": (lambda rows: (rows,), TypeError, "model must return a tensor, got a tuple of 1"),
    "rows": (
        lambda rows: rows[:-1].sum(1),
        ValueError,
        r"model must return one row for each of 4 input rows, or one scalar, got shape \[3\]",
    ),
    "complex": (
        lambda rows: rows.sum(1) + 1j,
        TypeError,
        r"model output must be real, got torch.complex128",
    ),
    "nan": (
        lambda rows: rows.sum(1) * float("nan"),
        ValueError,
        "model output must be finite, got 4 NaN or infinite",
    ),
    "inf": (lambda rows: rows.sum(1) / 0, ValueError, "model output must be finite, got 4"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_outputs_are_named(case):
    model, error, message = BAD_MODELS[case]
    with pytest.raises(error, match=message):
        Runner(model).outputs((sample_inputs(),))


@pytest.mark.parametrize(
    "model",
    [
        lambda rows: rows.detach().sum(1),
        lambda rows: rows.argmax(1),
        torch.no_grad()(quadratic),
    ],
)
def test_outputs_without_a_gradient_are_named(model):
    with pytest.raises(ValueError, match="model output must depend on the inputs in a way that"):
        collect(Runner(model), sample_inputs())


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="model must be callable, got 3"):
        Runner(3)
    with pytest.raises(ValueError, match="max_rows must be at least 1, got 0"):
        Runner(linear, max_rows=0)
    with pytest.raises(TypeError, match=r"progress must be True, False or a function .* got 3"):
        Runner(linear, progress=3)
    with pytest.raises(ValueError, match=r"output must be one of 'logit', .* got 'odds'"):
        Runner(linear, output="odds")
    with pytest.raises(ValueError, match="n_examples must be at least 1, got 0"):
        Runner(quadratic).values(example_major(sample_inputs(0)), 0, 7)
    with pytest.raises(TypeError, match=r"inputs must be floating point .* got torch.int64"):
        Runner(lambda rows: rows.float().sum(1)).gradients(
            lambda examples, repeats: (torch.ones(4, 5).long()[examples],), 4, 1, print
        )


def test_integer_outputs_have_values():
    inputs = sample_inputs()
    values = Runner(lambda rows: rows.sum(1) > 0).outputs((inputs,))
    assert values.dtype == torch.float32
    assert torch.equal(values, (inputs.sum(1) > 0).float())


# dtype


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_model_runs_in_its_own_dtype(dtype, result):
    inputs, net = sample_inputs(dtype=dtype), nn.Linear(5, 3).to(dtype)
    values, gradients = collect(Runner(net, target=1), inputs)
    assert values.dtype == result
    assert gradients.dtype == dtype
    assert torch.equal(gradients[3, 2], net.weight[1].detach())


def test_probability_of_a_half_model_is_computed_in_float32():
    net = nn.Linear(5, 3).to(torch.bfloat16)
    inputs = sample_inputs(dtype=torch.bfloat16)
    values = Runner(net, target=1, output="probability").outputs((inputs,))
    assert torch.equal(values, net(inputs).detach().float().softmax(1)[:, 1])


# The model is left as found.


class Restless(nn.Module):
    """Touches all that a model can touch, and fails where it is told to."""

    def __init__(self, fails=False):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.linear = nn.Linear(5, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.fails = fails

    def forward(self, rows):
        self.calls += 1
        self.register_buffer("cache", rows.sum())
        self.plain = rows.sum() + 1
        self.linear.eval()
        outputs = self.linear(self.norm(rows)) + torch.rand(3)
        if self.fails:
            raise RuntimeError("as told")
        return outputs


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: lambda rows: net(rows)])
def test_model_is_left_as_found(fails, gradients, wrap):
    net = Restless(fails)
    net.linear.bias.requires_grad_(False)
    net.linear.weight.grad = grad = torch.ones(3, 5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    buffers = dict(net.named_buffers())
    random, inputs = torch.get_rng_state(), sample_inputs(20, torch.float32).requires_grad_()
    with pytest.warns(PyxaiWarning, match="BatchNorm1d"):
        runner = Runner(wrap(net), target=0)
    with pytest.raises(RuntimeError, match="as told") if fails else nullcontext():
        collect(runner, inputs.detach()) if gradients else runner.outputs((inputs,))
    assert net.training
    assert net.linear.training
    assert net.linear.weight.requires_grad
    assert not net.linear.bias.requires_grad
    assert net.linear.weight.grad is grad
    assert torch.equal(grad, torch.ones(3, 5))
    assert inputs.requires_grad
    assert inputs.grad is None
    after = dict(net.named_buffers())
    assert after.keys() == buffers.keys()
    assert all(after[name] is buffers[name] for name in after)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(torch.get_rng_state(), random)
    net.fails = False
    net(inputs.detach()).sum().backward()  # nothing from inference mode is left in it


def test_no_parameter_needs_a_gradient_meanwhile():
    net, seen = nn.Linear(5, 3), []
    net.register_forward_hook(lambda *_: seen.append(net.weight.requires_grad))
    collect(Runner(net, target=0), sample_inputs(dtype=torch.float32))
    assert seen
    assert not any(seen)
    assert len(net._forward_hooks) == 1


def test_inputs_that_a_model_overwrites():
    for batch in (3, 40):
        inputs = sample_inputs(batch, torch.float32)
        before = inputs.clone()
        net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 1)).eval()
        values = Runner(net).outputs((inputs,))
        assert torch.equal(inputs, before)
        torch.testing.assert_close(values, net(before.clone())[:, 0].detach())
        values, gradients = collect(Runner(net), inputs, torch.ones(1))
        assert torch.equal(inputs, before)
        torch.testing.assert_close(gradients[0], (before > 0) * net[1].weight.detach())


def test_model_that_differentiates_inside_itself():
    inputs = sample_inputs(20)

    def by_autograd(rows):
        with torch.enable_grad():
            rows = rows.detach().requires_grad_()
            return torch.autograd.grad(rows.pow(3).sum(), rows)[0].sum(1)

    def by_jacobian(rows):  # silently zero in inference mode
        # Zero rows have zero gradients, so what goes wrong must not be told by the outputs.
        jacobian = torch.autograd.functional.jacobian(lambda r: r.pow(3).sum(), rows)
        return jacobian.sum(1)

    for model in (by_autograd, by_jacobian):
        values = Runner(model).values(example_major(inputs), 20, 7)
        torch.testing.assert_close(
            values, 3 * (inputs[:, None] * FACTORS[:, None]).square().sum(-1)
        )


def test_works_whatever_grad_mode_the_caller_is_in():
    inputs = sample_inputs(20)
    expected = collect(Runner(quadratic), inputs)
    for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with mode():
            values, gradients = collect(Runner(quadratic), inputs.clone())
        torch.testing.assert_close(values, expected[0])
        torch.testing.assert_close(gradients, expected[1])


def test_arguments_may_be_made_in_inference_mode():
    def model(rows, factors, more):
        return (rows * factors).sum(1) * more["scale"]

    inputs = sample_inputs(20)
    with torch.inference_mode():
        factors, scale = inputs.clone() + 1, torch.full((), 3.0, dtype=inputs.dtype)
    arguments = (factors, {"scale": scale})
    for mode in (torch.inference_mode, torch.enable_grad):
        with mode():
            runner = Runner(model, additional_forward_args=arguments)
            gradients = collect(runner, inputs)[1]
        torch.testing.assert_close(gradients, (3 * factors).expand_as(gradients))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_and_compiled_models():
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    inputs = sample_inputs(20, torch.float32)
    expected = collect(Runner(net, target=1), inputs)
    for model in (torch.jit.trace(net, inputs), torch.compile(net, backend="eager")):
        values, gradients = collect(Runner(model, target=1), inputs)
        torch.testing.assert_close(values, expected[0])
        torch.testing.assert_close(gradients, expected[1])
        torch.testing.assert_close(Runner(model, target=1).outputs((inputs,)), values[:, -1])


# Warnings


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(0.5), nn.BatchNorm1d(5), nn.RReLU(), nn.LSTM(5, 5, 2, dropout=0.1)],
)
def test_training_mode_is_named(layer):
    net = nn.Sequential(nn.Linear(5, 5), layer)
    kind = type(layer).__name__
    with pytest.warns(PyxaiWarning, match=rf"in training mode, .*: 1 \({kind}\); call") as caught:
        Runner(net)
    assert caught[0].filename == __file__
    with pytest.warns(PyxaiWarning, match=kind):
        Runner(functools.partial(net.forward))
    with pytest.warns(PyxaiWarning, match=kind):
        Runner(net.forward)
    Runner(net.eval())
    Runner(nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.0)))


def test_random_model_twice_gives_the_same():
    net = nn.Sequential(nn.Linear(5, 64), nn.Dropout(), nn.Linear(64, 1)).double()
    with pytest.warns(PyxaiWarning, match="Dropout"):
        runner = Runner(net)
    inputs = sample_inputs(20)
    assert torch.equal(runner.outputs((inputs,)), runner.outputs((inputs,)))


# Memory


def test_bytes_that_live_at_once():
    net = nn.Sequential(nn.Linear(5, 100), nn.ReLU(), nn.Linear(100, 1)).requires_grad_(False)
    counter = LiveBytes()
    with counter, torch.inference_mode():
        net(torch.zeros(10, 5))
    assert counter.peak == 10 * (5 + 2 * 100) * 4
    assert counter.live == 0


def test_parameters_count_as_nothing():
    net = nn.Linear(1000, 1)
    inputs = torch.zeros(1, 1000)
    counter = LiveBytes()
    with counter, torch.no_grad():
        net(inputs)
    assert counter.peak == 4


def test_rows_follow_the_memory(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert rows_for(Measure(1024.0), cpu, None) == 3072
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert rows_for(Measure(1024.0), cpu, None) == 8 * rows_for(Measure(8192.0), cpu, None)
    assert rows_for(Measure(1024.0), cpu, 17) == 17
    assert rows_for(Measure(5e4), cpu, None) == 512  # more than the caches, for convolutions
    assert rows_for(Measure(2.0**18), cpu, None) == 128  # 32 MiB
    assert rows_for(Measure(2.0**21), cpu, None) == 64
    assert rows_for(Measure(2.0**23), cpu, None) == 32  # 256 MiB
    assert rows_for(Measure(1e7), cpu, None) == 32
    assert rows_for(Measure(2e8), cpu, None) == 5  # 1 GiB
    assert rows_for(Measure(1e12), cpu, None) == 1
    assert rows_for(Measure(float("inf")), cpu, None) == 1
    assert rows_for(Measure(0.0), cpu, None) == 2**15


def test_rows_may_be_some_more_for_a_whole_example(monkeypatch):
    cpu, measure = torch.device("cpu"), Measure(2048.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    expected = {1: 1536, 785: 1570, 1600: 1600, 400: 1600, 845: 1536, 2000: 1536}
    found = {repeats: rows_for(measure, cpu, None, repeats) for repeats in expected}
    assert found == expected
    assert rows_for(measure, cpu, 1550, 785) == 1550
    assert rows_for(Measure(0.0), cpu, None, 3) == 2**15


def test_estimate_is_what_happens():
    calls = []

    def model(rows):
        calls.append(len(rows))
        return quadratic(rows)

    inputs, factors = sample_inputs(100), torch.linspace(0, 1, 900, dtype=torch.float64)
    runner = Runner(model)
    estimate = runner.estimate(example_major(inputs, factors), 100, 900)
    calls.clear()
    runner.values(example_major(inputs, factors), 100, 900)
    assert estimate.rows == sum(calls) == 90_000
    assert estimate.passes == len(calls) > 1
    assert estimate.rows_per_pass == max(calls)
    assert estimate.peak_bytes == max(calls) * (5 + 5 + 1) * 8  # rows, squares and sums
    single = runner.estimate(example_major(inputs, factors), 1, 1, gradients=True)
    assert single.rows == single.passes == single.rows_per_pass == 1


PROBES = 4  # passes that tell whether rows are apart, and what one needs


def test_same_call_twice_is_the_same_bits():
    net = nn.Sequential(nn.Linear(5, 300), nn.GELU(), nn.Linear(300, 1))
    inputs, factors = sample_inputs(64, torch.float32), torch.linspace(0, 1, 100)
    sizes = []
    net.register_forward_pre_hook(lambda _, rows: sizes.append(len(rows[0])))
    first = collect(Runner(net), inputs, factors)
    passes = len(sizes)
    second = collect(Runner(net), inputs, factors)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert sizes[:PROBES] == [2, 2, 2, 4]
    assert sizes[passes:] == sizes[PROBES:passes]


OUT_OF_MEMORY = [
    RuntimeError("CUDA error: out of memory"),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
    MemoryError(),
]


class Greedy(nn.Module):
    """Has memory for ``limit`` rows, or as many as ``limit(call)`` says."""

    def __init__(self, limit, error=OUT_OF_MEMORY[0]):
        super().__init__()
        self.limit, self.error, self.sizes = limit, error, []

    def forward(self, rows):
        self.sizes.append(len(rows))
        limit = self.limit(len(self.sizes)) if callable(self.limit) else self.limit
        if len(rows) > limit:
            raise self.error
        return quadratic(rows)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("limit", [1, 2, 5, 13, 50])
def test_out_of_memory_halves(limit, error):
    inputs, model = sample_inputs(9), Greedy(limit, error)
    values = Runner(model).values(example_major(inputs), 9, 7)
    expected = (inputs[:, None] * FACTORS[:, None]).square().sum(-1)
    torch.testing.assert_close(values, expected)
    values, gradients = collect(Runner(Greedy(limit, error)), inputs)
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(gradients, 2 * inputs * FACTORS[:, None, None])


def test_out_of_memory_twice_is_the_same():
    inputs, factors = sample_inputs(9), torch.linspace(0, 1, 100, dtype=torch.float64)
    model = Greedy(40)
    Runner(model).values(example_major(inputs, factors), 9, 100)
    first = model.sizes[PROBES:]
    model.sizes = []
    Runner(model).values(example_major(inputs, factors), 9, 100)
    assert model.sizes == first


def test_grows_back():
    """Memory is short at first only."""
    inputs, factors = sample_inputs(9), torch.linspace(0, 1, 5000, dtype=torch.float64)
    model = Greedy(lambda call: 10 if call < 20 else 10**9)
    Runner(model).values(example_major(inputs, factors), 9, 5000)
    assert min(model.sizes[PROBES:]) <= 10
    assert model.sizes[-1] > 1000


def test_growing_back_is_tried_ever_more_rarely():
    schedule = Schedule(1, 10_000, 64)
    failures = []
    for number, (_, repeats) in enumerate(schedule):
        rows = repeats.stop - repeats.start
        if rows > 40:
            failures.append(number)
            assert schedule.halve(rows)
        else:
            schedule.succeeded()
    gaps = [after - before for before, after in itertools.pairwise(failures)]
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 4 * gaps[0]


def test_out_of_memory_on_one_row_is_raised():
    with pytest.raises(RuntimeError, match="out of memory"):
        Runner(Greedy(0)).values(example_major(sample_inputs()), 4, 7)


def test_other_errors_are_not_swallowed():
    def model(rows):
        raise RuntimeError("a bug of the user's")

    with pytest.raises(RuntimeError, match="a bug of the user's"):
        Runner(model).values(example_major(sample_inputs()), 4, 7)
    assert not is_out_of_memory(RuntimeError("a bug"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("rows", [1, 2, 5, 7, 8, 20, 21, 1000])
def test_passes_cover_every_row_once(rows):
    seen = torch.zeros(13, 7)
    sizes = []
    for examples, repeats in Schedule(13, 7, rows):
        seen[examples, repeats] += 1
        sizes.append((examples.stop - examples.start) * (repeats.stop - repeats.start))
    assert (seen == 1).all()
    assert max(sizes) <= rows


# Progress


def test_progress_is_told():
    told = []
    inputs = sample_inputs()
    runner = Runner(quadratic, max_rows=10, progress=lambda done, total: told.append((done, total)))
    runner.values(example_major(inputs), 4, 7)
    assert told == [(7, 28), (14, 28), (21, 28), (28, 28)]


def test_runs_in_a_block_tell_whom_the_block_says_unless_they_have_their_own():
    outer, own, runs = [], [], example_major(sample_inputs())
    with progress_to(lambda done, total: outer.append((done, total))):
        Runner(quadratic, max_rows=14).values(runs, 4, 7)
        Runner(quadratic, progress=lambda done, total: own.append(done)).values(runs, 4, 7)
        with progress_to(None):
            Runner(quadratic).values(runs, 4, 7)
    Runner(quadratic).values(runs, 4, 7)
    assert outer == [(14, 28), (28, 28)]
    assert own == [28]


def test_bar_shows_nothing_on_a_short_run(capsys):
    Runner(quadratic, progress=True).values(example_major(sample_inputs()), 4, 7)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_bar_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.warns(PyxaiWarning, match="needs tqdm"):
        Runner(quadratic, progress=True).outputs((sample_inputs(),))


def test_execution_compiles_every_model_in_its_block():
    def model(x):
        shown = 100.0 if torch.compiler.is_compiling() else 0.0
        return (x.sin() * x).sum(1) + shown

    inputs = sample_inputs(50, torch.float32)
    plain_values, plain_gradients = collect(Runner(model, max_rows=16), inputs)
    with execution(compile=True, backend="aot_eager"):
        runner = Runner(model, max_rows=16)
    for _ in range(2):
        values, gradients = collect(runner, inputs)
        torch.testing.assert_close(values, plain_values + 100)
        torch.testing.assert_close(gradients, plain_gradients)
    torch.testing.assert_close(collect(Runner(model), inputs)[0], plain_values)


def test_execution_ends_with_its_block_after_an_exception():
    with pytest.raises(KeyError), execution(compile=True, backend="eager"):
        raise KeyError
    assert prepare(torch.sin) == (torch.sin, False)


class Replayed(torch.autograd.Function):
    """Sums of squares, whose results lie where those of the last call lay, as of a CUDA graph."""

    outputs, gradients = torch.zeros(2), torch.zeros(2, 1)

    @staticmethod
    def forward(ctx, rows):
        ctx.save_for_backward(rows)
        ctx.set_materialize_grads(False)
        return Replayed.outputs.copy_(rows.square().sum(1)).detach()

    @staticmethod
    def backward(ctx, grad):
        return Replayed.gradients.copy_(2 * ctx.saved_tensors[0] * grad[:, None])


def test_results_that_the_next_call_overwrites_are_copied(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, mode: Replayed.apply)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    x = torch.arange(4.0)[:, None]
    with execution(compile=True, cuda_graphs=True):
        method = Saliency(lambda rows: rows.square().sum(1))
        found = [method.attribute(part, abs=False) for part in x.split(2)]
        outputs = [Runner(method.forward_func).outputs((part,)) for part in x.split(2)]
    assert torch.cat(found).tolist() == [[0.0], [2.0], [4.0], [6.0]]
    assert torch.cat(outputs).tolist() == [0.0, 1.0, 4.0, 9.0]


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"cuda_graphs": True}, "cuda_graphs must come with compile=True"),
        ({"compile": True, "cuda_graphs": True, "backend": "eager"}, "backend='eager'"),
        ({"compile": True, "backend": "fast"}, r"backend must be one of .*got 'fast'"),
    ],
)
def test_execution_names_bad_switches(switches, message):
    with pytest.raises(ValueError, match=message), execution(**switches):
        pass


def test_a_few_rows_after_gradients_are_not_written_into():
    """Gradients hide that a model writes into its rows, as they copy what autograd refuses."""
    x = torch.ones(3, 2)

    def overwriting(rows):
        return rows.mul_(2).sum(1)

    runner = Runner(overwriting)

    def build(examples, repeats):
        return (x[examples].repeat_interleave(repeats.stop - repeats.start, 0),)

    runner.gradients(build, 3, 4, lambda *_: None)
    assert torch.equal(runner.outputs((x,)), torch.full((3,), 4.0))
    assert torch.equal(x, torch.ones(3, 2))


def test_rounding_is_not_taken_for_rows_that_mix():
    """Kernels for other numbers of rows round otherwise, whatever is in the rows."""

    def rounded(rows):
        return rows.sum(1) * (1.001 if len(rows) == 1 else 1.0)

    Runner(rounded).outputs((torch.rand(5, 3),))


def test_nothing_is_left_on_the_inputs_of_the_user():
    x = torch.randn(3, 6)
    storage = x.untyped_storage()
    for _ in range(3):
        Runner(torch.nn.Linear(6, 2), target=0).outputs((x,))
        pyxai.explain(torch.nn.Linear(6, 2), x, method="integrated_gradients", target=0)
    on_input = [
        each
        for each in weakref.finalize._registry
        if each.peek() is not None and each.peek()[0] is storage
    ]
    assert not on_input


class Negated(torch.autograd.Function):
    """The identity, whose outputs and gradients are negated views."""

    @staticmethod
    def forward(ctx, x):
        return torch._neg_view(-x)

    @staticmethod
    def backward(ctx, gradient):
        return torch._neg_view(-gradient)


@pytest.mark.parametrize("method", [IntegratedGradients, ShapleyValues])
def test_outputs_and_gradients_that_are_negated_views(method):
    x = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    found = method(lambda rows: Negated.apply(Negated.apply(rows.square()).sum(1))).attribute(x)
    torch.testing.assert_close(found, x.square())


@pytest.mark.parametrize("example_major", [True, False])
def test_targets_of_several_indices_in_one_pass(example_major):
    targets, n_repeats = [(1, 2), (0, 3), (2, 0)], 4
    outputs = torch.arange(12 * 3 * 4).view(12, 3, 4)
    found = Target(targets).select(outputs, slice(0, 3), n_repeats, example_major)
    rows = [(e, r) for e in range(3) for r in range(n_repeats)]
    rows = rows if example_major else sorted(rows, key=lambda each: each[1])
    assert found.tolist() == [outputs[i][targets[e]] for i, (e, _) in enumerate(rows)]
