"""Every method where its tensors live: on a GPU, or on one that is faked where there is none."""

import functools
import re

import pytest
import torch
from backends import REQUIRED
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, makes, run, summing
from faked_device import CUDA, OTHER, Faked, faked_devices, moved
from torch import nn

from pyxai import registry

REAL = "cuda" in REQUIRED
HERE = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")  # another would have models traced anew
def devices():
    """A GPU, else a faked one."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if REAL else faked_devices():
        yield


@functools.cache  # so that a model is traced once on each device
def net_of(name, device=HERE, dtype=torch.float64):
    return moved(make_net(example_of(name)).to(dtype), device)


def inputs_of(name, device=HERE, rows=4):
    return moved(make_inputs(example_of(name), rows), device)


def assert_same(there, here, tolerance=1e-9):
    """Compare two explanations, of which all that belongs to the rows is in its place."""
    for kind in ("attributions", "convergence_delta", "error", "outputs"):
        found, expected = getattr(there, kind), getattr(here, kind)
        if expected is None:
            assert found is None
            continue
        assert found.device == CUDA, f"{kind} on {found.device}"
        torch.testing.assert_close(found.cpu(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_methods_find_there_what_they_find_here(name, dtype):
    found = [
        run(name, net_of(name, device, dtype), inputs_of(name, device).to(dtype), 1)
        for device in (CUDA, HERE)
    ]
    # In float32 a method that ranks may take another of two that are nearly alike.
    assert_same(*found, 1e-9 if dtype == torch.float64 else 1e-3)


def value_of(option, x):
    """Return the value of an option for some rows."""
    return {
        "baselines": x * 0.1 + 0.05,
        "feature_mask": (torch.arange(x[0].numel()) // 2).view(1, *x.shape[1:]),
        "segments": torch.arange(36).view(6, 6) // 6,
        "tolerance": 0.5,
        "return_error": True,
        "labels": torch.tensor([0, 1, 2, 0]),
        "attributions": x.square(),
    }[option]


OPTIONS = ("baselines", "feature_mask", "segments", "labels", "attributions")
SUMMING = [name for name in summing(images=True) if name not in ("grad_cam", "layer_grad_cam")]
WITH_OPTIONS = [
    (name, option)
    for name in NAMES
    for option in (*OPTIONS, "tolerance", "return_error")
    if (option in makes(name).option_names() or (option == "feature_mask" and name in SUMMING))
    and (option, registry.get(name).baselines) != ("baselines", "distribution")
]


@pytest.mark.parametrize(("name", "option"), WITH_OPTIONS)
def test_options_find_there_what_they_find_here(name, option):
    options = {option: value_of(option, inputs_of(name))}
    if (name, option) == ("feature_permutation", "return_error"):
        options["n_samples"] = 3
    found = [
        run(name, net_of(name, at), inputs_of(name, at), 1, **moved(options, at))
        for at in (CUDA, HERE)
    ]
    assert_same(*found)


@pytest.mark.parametrize(("name", "option"), [each for each in WITH_OPTIONS if each[1] in OPTIONS])
def test_options_on_the_cpu_are_refused_or_moved(name, option):
    value = value_of(option, inputs_of(name))
    try:
        there = run(name, net_of(name, CUDA), inputs_of(name, CUDA), 1, **{option: value})
    except ValueError as error:
        assert str(error) == f"{option} must be on cuda:0, got cpu"  # noqa: PT017
        return
    assert_same(there, run(name, net_of(name), inputs_of(name), 1, **{option: value}))


@pytest.mark.parametrize("at", [HERE, CUDA], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_targets_of_rows_may_be_on_any_device(name, at):
    targets = torch.tensor([0, 2, 1, 1])
    there = run(name, net_of(name, CUDA), inputs_of(name, CUDA), moved(targets, at))
    assert_same(there, run(name, net_of(name), inputs_of(name), targets))


class Down(nn.Module):
    """Brings what the net says back to the CPU."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, rows):
        return self.net(rows).cpu()


class Spread(nn.Module):
    """A net over two devices, whose output stays on the second."""

    def __init__(self, net):
        super().__init__()
        self.first, self.rest = moved(net[:1], CUDA), moved(net[1:], OTHER)

    def forward(self, rows):
        return self.rest(self.first(rows).to(OTHER))


@pytest.mark.parametrize("form", [Down, Spread])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_on_another_device_are_brought_to_the_inputs(name, form):
    if REAL and form is Spread and torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    model = form(net_of(name, CUDA)).eval()
    there = run(name, model, inputs_of(name, CUDA), 1)
    assert_same(there, run(name, net_of(name), inputs_of(name), 1))


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", [n for n in NAMES if registry.get(n).needs == "callable"])
def test_a_number_is_an_output_too(name):
    def explain(device):
        net, x = net_of(name, device), inputs_of(name, device, 1)
        return run(name, lambda rows: float(net(rows)[:, 1].sum()), x, None)

    try:
        here = explain(HERE)
    except ValueError as error:  # it has no gradient
        with pytest.raises(type(error), match=re.escape(str(error))):
            explain(CUDA)
        return
    assert_same(explain(CUDA), here)


@pytest.mark.skipif(REAL, reason="a GPU does not tell who waits for it")
@pytest.mark.parametrize("name", ["guided_ig", "idgi"])
def test_a_guided_path_does_not_wait_for_the_device_at_each_step(name, monkeypatch):
    waits = []
    options = {"path": "guided"} if name == "idgi" else {}
    for n_steps in (5, 5, 40):  # the model is measured the first time
        monkeypatch.setattr(Faked, "waits", waits_now := [])
        run(name, net_of(name, CUDA), inputs_of(name, CUDA), 1, n_steps=n_steps, **options)
        waits.append(len(waits_now))
    assert waits[1] == waits[2]


def test_a_guided_path_still_refuses_what_is_not_finite():
    def root(rows):
        return rows.abs().sub(0.5).sqrt().sum(1)

    for device in (HERE, CUDA):
        with pytest.raises(ValueError, match="model output must be finite, got 3 NaN"):
            run("guided_ig", root, inputs_of("guided_ig", device), None)
