"""Which calls run the first layer once a round: those in which that saves enough."""

import pytest
import torch
from captum_peer import rows
from torch import nn

import pyxai
from pyxai.attribution import GreedyPIG
from pyxai.game import linear_path
from pyxai.runner import path_noted
from pyxai.runner.split import LayerSizes
from pyxai.selection import greedy_feature_selection


class Counted(nn.Sequential):
    """Counts its passes."""

    calls = 0

    def forward(self, x):
        Counted.calls += 1
        return super().forward(x)


def net(*first):
    torch.manual_seed(0)
    return Counted(*first, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()


WIDE = (nn.Linear(1024, 512), (64, 1024))


@pytest.mark.parametrize(
    ("first", "shape", "options", "taken"),
    [
        (*WIDE, {}, True),
        (*WIDE, {"rounds": "adaptive", "output": "logit"}, True),
        (*WIDE, {"rule": "start"}, False),
        (*WIDE, {"n_steps": 1}, False),
        (WIDE[0], (1, 1024), {}, False),
        (nn.Linear(6, 512), (64, 6), {}, False),
        (nn.Conv2d(16, 32, 5), (8, 16, 12, 12), {}, True),
        (nn.Conv2d(1, 64, 3), (8, 1, 12, 12), {}, False),
    ],
)
def test_taken_only_where_it_saves(first, shape, options, taken):
    x = rows(*shape)
    model = net(first)
    model(x)
    found = pyxai.explain(model, x, method="greedy_pig", target=0, **options)
    assert found.path == ("linear prefix" if taken else "direct")


def test_other_devices_need_more_to_save():
    sizes = LayerSizes(1024, 512, 1024, has_matrix=True)
    cpu, cuda = map(torch.device, ("cpu", "cuda"))
    assert linear_path._pays(sizes, 64, 11, 4, cpu)
    assert not linear_path._pays(sizes, 64, 11, 4, cuda)
    assert linear_path._pays(sizes, 4096, 11, 4, cuda)


@pytest.mark.parametrize("wide", [False, True])
def test_selections_take_it_too(wide):
    x = rows(200, 800 if wide else 6)
    model = net(nn.Linear(x.shape[1], 256))
    labels = model(x).argmax(1)
    with path_noted() as paths:
        greedy_feature_selection(model, (x, labels), rounds="geometric", curve=False)
    assert paths == ["linear prefix"] * wide


def test_a_second_call_does_not_look_again():
    model, x = net(nn.Linear(20, 8)), rows(64, 20)
    model(x)
    counts = []
    for fast in (True, True, False):
        before = Counted.calls
        GreedyPIG(model).attribute(x, target=0, n_steps=16, fast_path=fast)
        counts.append(Counted.calls - before)
    assert counts[0] > counts[1] == counts[2]
