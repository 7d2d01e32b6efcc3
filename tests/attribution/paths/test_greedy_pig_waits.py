"""How often Greedy PIG waits for the device, on one that is faked: no more with more rounds."""

import pytest
import torch
from backends import REQUIRED
from captum_peer import conv, rows
from faked_device import CUDA, Faked, faked_devices, moved
from first_layers import taken_always
from torch import nn

from pyxai.attribution import GreedyPIG
from pyxai.game import linear_path
from pyxai.runner import path_noted
from pyxai.runner.split import watch
from pyxai.selection import greedy_feature_selection

WIDE = torch.float64

pytestmark = pytest.mark.skipif("cuda" in REQUIRED, reason="a GPU does not tell who waits for it")
always = pytest.fixture(autouse=True)(taken_always)


@pytest.fixture(autouse=True)
def devices(monkeypatch):
    """Faked devices, whose tensors may be those of a model that is cut."""
    monkeypatch.setattr(linear_path, "may_be_cut", lambda inputs: len(inputs) == 1)
    monkeypatch.setattr(watch, "_WEIGHTS", {*watch._WEIGHTS, Faked})
    with faked_devices():
        yield


def table():
    """A model of 14 columns, rows and arguments."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(14, 8), nn.Tanh(), nn.Linear(8, 3))
    return model.to(WIDE).eval(), rows(3, 14, dtype=WIDE), {}


def images():
    """A model of images of 14 patches."""
    mask = torch.arange(56).view(1, 1, 7, 8) // 4
    return conv(WIDE), rows(3, 2, 7, 8, dtype=WIDE), {"feature_mask": mask}


def waits_of(work, monkeypatch):
    """Return how often a call waits, with 2 and with 6 rounds, and what it finds with 6."""
    counts = []
    for n_rounds in (2, 2, 6):  # the model is measured the first time
        monkeypatch.setattr(Faked, "waits", waits := [])
        found = work([1] * n_rounds)
        monkeypatch.setattr(Faked, "waits", None)
        counts.append(len(waits))
    return *counts[1:], found


OPTIONS = {
    "plain": {},
    "absolute": {"absolute": True},
    "several inputs of a round": {"internal_batch_size": 5},
    "targets": {"target": torch.tensor([0, 2, 1])},
    "divergence": {"output": "kl"},
    "end once": {"method": "trapezoid"},
    "start": {"method": "start"},
    "averaged": {"softmax_aware": True},
    "averaged, with values": {"softmax_aware": True, "return_convergence_delta": True},
    "telescoped": {"scores": "telescoped"},
    "shortlist": {"shortlist": 3},
    "some": {"n_select": 12},
}


CASES = [*((name, table) for name in OPTIONS), ("plain", images), ("averaged", images)]


@pytest.mark.parametrize("fast", [True, False], ids=["prefix", "direct"])
@pytest.mark.parametrize(("name", "make"), CASES)
def test_rounds_do_not_wait_for_the_device(name, make, fast, monkeypatch):
    model, x, call = make()
    call = {"target": 1, **call, **OPTIONS[name], "fast_path": fast}
    there = moved(model), moved(x), moved(call)

    def work(rounds):
        return GreedyPIG(there[0]).attribute(there[1], rounds=rounds, **there[2])

    with path_noted() as paths:
        few, many, found = waits_of(work, monkeypatch)
    assert few == many > 0  # what is given is looked at, and in the end what was found
    assert bool(paths) == fast
    expected = GreedyPIG(model).attribute(x, rounds=[1] * 6, **call)
    for one, other in zip(as_tuple(found), as_tuple(expected), strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-9, atol=1e-9)


def as_tuple(found):
    """Return scores, and deltas where they were asked for."""
    return found if isinstance(found, tuple) else (found,)


def test_masks_of_examples_wait_once_for_each_set_of_players(monkeypatch):
    model, x, _ = table()
    mask = torch.arange(14).repeat(3, 1)
    mask[0, 0] = 1  # 13 groups, the others 14
    model, x, mask = moved(model), moved(x), moved(mask)

    def work(rounds):
        return GreedyPIG(model).attribute(x, target=1, rounds=rounds, feature_mask=mask)

    few, many, _ = waits_of(work, monkeypatch)
    assert few == many


@pytest.mark.parametrize("option", [{"epsilon": 0.0}, {"tolerance": 1e3}])
def test_what_numbers_decide_waits_once_a_round(option, monkeypatch):
    """Who goes on, and who gets more nodes, is for the host to know."""
    there = moved(torch.ones(2, 14, dtype=WIDE))

    def work(rounds):
        GreedyPIG(lambda w: w.sum(1)).attribute(there, output="logit", rounds=rounds, **option)

    few, many, _ = waits_of(work, monkeypatch)
    assert many - few == 4


def test_a_selection_of_features_waits_no_more_with_more_rounds(monkeypatch):
    torch.manual_seed(0)
    x = torch.randn(40, 14, dtype=WIDE)
    given = moved(nn.Linear(14, 1).to(WIDE)), (moved(x), moved(x[:, 0]))
    call = {"loss": "squared_error", "curve": False}

    def work(rounds):
        greedy_feature_selection(*given, rounds=rounds, **call)

    few, many, _ = waits_of(work, monkeypatch)
    assert few == many > 0


def refused(model, device, **call):
    x = torch.tensor([[0.2, 0.3, 0.4], [0.9, 0.8, 0.7]], dtype=WIDE)
    with pytest.raises(ValueError, match="must be finite") as error:
        GreedyPIG(model).attribute(moved(x, device), rounds=1, output="logit", **call)
    return str(error.value)


@pytest.mark.parametrize("call", [{}, {"scores": "telescoped"}, {"softmax_aware": True}])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda w: (w - 0.5).sqrt().sum(1), "model output must be finite"),
        (lambda w: (w * 0).sqrt().sum(1), "gradients of the model must be finite"),
    ],
)
def test_what_is_not_finite_is_refused_in_the_same_words(model, message, call):
    here, there = (refused(model, device, **call) for device in (torch.device("cpu"), CUDA))
    assert here == there
    assert here.startswith(message)
