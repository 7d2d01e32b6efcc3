"""The demonstration's section on fourteen methods: its numbers, and the sentences made of them."""

from __future__ import annotations

import matplotlib as mpl
import pytest
import torch
from torch import nn

from pyxai.demo import tasks
from pyxai.demo.fourteen import comparison as fourteen
from pyxai.demo.fourteen import figures as fourteen_figures
from pyxai.demo.fourteen import page as fourteen_page
from pyxai.demo.fourteen import players as fourteen_players
from pyxai.demo.fourteen.methods import METHODS
from pyxai.taylor import METHOD_NAMES

mpl.use("Agg")
NAMES = ("a", "b", "c", "d")


def task_of(model: nn.Module, inputs: torch.Tensor) -> tasks.Task:
    model = model.eval().requires_grad_(False)
    return tasks.Task(
        name="rows",
        model=model,
        inputs=inputs,
        labels=model(inputs).argmax(1),
        class_names=("one", "other"),
        feature_names=None,
        baseline_words="nothing",
        accuracy=1.0,
        n_train=0,
    )


@pytest.fixture(scope="module")
def linear():
    """A model without interactions: 4 a + 3 b + 2 c + d."""
    model = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[4.0, 3.0, 2.0, 1.0], [0.0] * 4]))
    task = task_of(model, torch.ones(1, 4))
    return fourteen.compare(task, 0, torch.arange(4)[None], NAMES)


@pytest.fixture(scope="module")
def pair():
    """2 relu(a + b - 1): a and b act together only; c and d do nothing."""
    with torch.no_grad():
        first, last = nn.Linear(4, 1), nn.Linear(1, 2, bias=False)
        first.weight.copy_(torch.tensor([[1.0, 1.0, 0.0, 0.0]]))
        first.bias.fill_(-1.0)
        last.weight.copy_(torch.tensor([[2.0], [0.0]]))
    task = task_of(nn.Sequential(first, nn.ReLU(), last), torch.ones(1, 4))
    return fourteen.compare(task, 0, torch.arange(4)[None], NAMES)


def test_there_are_fourteen():
    assert len(METHODS) == len(METHOD_NAMES) == 14


def test_without_interactions_all_agree_but_those_that_mix_players(linear):
    expected = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    for name, row in zip(linear.names_of_methods, linear.values, strict=True):
        if name == "Occlusion of patches":
            torch.testing.assert_close(row, torch.tensor([7.0, 7.0, 3.0, 3.0]).double())
        elif name == "LRP alpha-beta":
            torch.testing.assert_close(row, 2 * expected)  # no negative part to take away
        elif name == "Grad-CAM":  # the mean gradient for all places
            torch.testing.assert_close(row, torch.full((4,), 2.5).double())
        else:
            torch.testing.assert_close(row, expected, atol=1e-5, rtol=1e-5)


def test_weights_of_a_joint_effect(pair):
    assert pair.strongest_pair == (0, 1)
    assert pair.effects.effect((0, 1)).item() == pytest.approx(2, abs=1e-6)
    weights = dict(zip(pair.names_of_methods, pair.weights((0, 1)).tolist(), strict=True))
    for name in ("Shapley values", "Integrated gradients", "DeepLIFT Rescale", "Deep SHAP"):
        assert weights[name] == pytest.approx([0.5, 0.5, 0, 0], abs=0.02)
    assert weights["Occlusion-1"] == pytest.approx([1, 1, 0, 0], abs=1e-6)
    assert weights["Occlusion of patches"] == pytest.approx([1, 1, 0, 0], abs=1e-6)
    assert set(pair.fair) >= {"Shapley values", "Integrated gradients", "DeepLIFT Rescale"}
    assert not {"Occlusion-1", "Gradient x input", "LRP epsilon"} & set(pair.fair)


def test_players_of_both_tasks_cover_every_feature():
    mask, names = fourteen_players.digit_patches()
    assert mask.unique().tolist() == list(range(len(names))) == list(range(8))
    assert mask.flatten().bincount().tolist() == [8] * 8
    assert names[int(mask[0, 0, 2, 5])] == "right 2"
    mask, names = fourteen_players.tumour_properties()
    assert mask.unique().tolist() == list(range(len(names)))
    # mean radius, radius error, worst area; mean concave points
    assert mask[0, [0, 10, 23]].tolist() == [names.index("size")] * 3
    assert mask[0, 7] == names.index("concavity")


def test_the_example_is_one_that_the_model_gets_right(linear):
    assert fourteen_players.example(linear.task) == 0


def test_sentences_follow_from_the_numbers(linear, pair):
    can, cannot = (" ".join(part) for part in fourteen_page.conclusions(pair, linear))
    assert "Shapley values" in can
    assert "LRP epsilon" not in can
    assert "100.0 % of the digit's effects and 0.0 % of the tumour's" in can
    assert "sum to 4.00, the output differs by 2.00" in can
    assert "joint effect of “a” and “b”" in cannot
    assert "Grad-CAM" not in cannot  # on a single channel it keeps to the parts of an effect
    assert "“nothing” for the digit" in cannot


def test_figures_show_every_method(pair):
    for figure in (
        fourteen_figures.values(pair),
        fourteen_figures.weights(pair, (0, 1)),
        fourteen_figures.principles(pair),
    ):
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        assert [label.split("  ")[0] for label in labels] == list(METHODS)
    assert fourteen_figures.marks(pair, "Shapley values") == "\u2713 \u2713 \u2713"
    bars = fourteen_figures.effects(pair).axes[1]
    assert bars.get_yticklabels()[-1].get_text() == "a + b"
