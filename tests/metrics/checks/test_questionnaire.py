"""Questions to readers: sides and order by hand, and what their answers come to."""

import pytest
import torch
from torch import nn

from pyxai.metrics import Questionnaire, reality_checks

X = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
MODEL, OTHER = nn.Linear(4, 2), nn.Linear(4, 2)
METHODS = {"saliency": {"abs": False}, "input_x_gradient": {}, "integrated_gradients": {}}


def made(**options):
    return Questionnaire(MODEL, OTHER, X, methods=METHODS, target=1, **options)


def test_sides_are_drawn_and_kept():
    asked = made()
    assert asked.sides.shape == (3, 7)
    assert set(asked.sides.flatten().tolist()) == {0, 1}
    for example, side in enumerate(asked.sides[0].tolist()):
        pair = asked.shown("saliency", example)
        assert torch.equal(pair[side].attributions[0], MODEL.weight[1].detach())
        assert torch.equal(pair[1 - side].attributions[0], OTHER.weight[1].detach())
    assert torch.equal(made().sides, asked.sides)
    assert not torch.equal(made(seed=1).sides, asked.sides)


def test_choices_become_answers():
    asked = made()
    choices = torch.stack([asked.sides[1], 1 - asked.sides[1]])
    answers = asked.answers("input_x_gradient", choices)
    assert torch.equal(answers, torch.tensor([[True], [False]]).expand(2, 7))
    call = {"method": "input_x_gradient", "target": 1, "checks": ["human_study"]}
    found = reality_checks(MODEL, X, answers=answers, **call)["human_study"]
    assert (found.value, found.error) == (0.5, 0.5)


def test_ranks_go_to_the_methods_that_were_shown():
    asked = made()
    ranks = asked.order + 1  # method 0 is always first, method 2 always last
    found = asked.trust(ranks.expand(2, -1, -1))
    assert found == {"saliency": (1, 0), "input_x_gradient": (2, 0), "integrated_gradients": (3, 0)}
    shown = torch.tensor([1, 2, 3]).expand(1, 7, 3)
    places = asked.order.argsort(1)
    assert asked.trust(shown)["saliency"][0] == pytest.approx(
        float(places[:, 0].double().mean()) + 1
    )


def test_what_does_not_fit():
    asked = made()
    with pytest.raises(ValueError, match=r"method must be one of saliency, .* got 'lime'"):
        asked.answers("lime", torch.zeros(1, 7))
    with pytest.raises(ValueError, match=r"choices must hold 0 or 1 in shape \[readers, 7\]"):
        asked.answers("saliency", torch.zeros(1, 6))
    with pytest.raises(ValueError, match=r"choices must hold 0 or 1 in shape \[readers, 7\]"):
        asked.answers("saliency", torch.full((1, 7), 2))
    with pytest.raises(ValueError, match=r"ranks must hold 1 to 3 in shape \[readers, 7, 3\]"):
        asked.trust(torch.ones(1, 7, 3))
    with pytest.raises(TypeError, match="methods must be a mapping of names to options"):
        Questionnaire(MODEL, OTHER, X, methods=["saliency"], target=1)


@pytest.mark.parametrize("shape", [(1, 6, 3), (1, 8, 3), (7, 3), (1, 1, 7, 3)])
def test_ranks_of_other_examples(shape):
    ranks = torch.arange(1, 4).expand(shape)
    with pytest.raises(ValueError, match=r"ranks must hold 1 to 3 in shape \[readers, 7, 3\]"):
        made().trust(ranks)
