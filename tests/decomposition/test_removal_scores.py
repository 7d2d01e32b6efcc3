"""Scores of groups by showing or hiding them, against the model itself."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn

from pyxai.decomposition import BuildUp, GroupOcclusion

F64 = torch.float64
X = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=F64)
GROUPS = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(1)) > 0.5


def net():
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)).double()


def shown(model, masks, baseline):
    """Return outputs where masks [batch, groups, 5] are shown, one row at a time."""
    with torch.no_grad():
        rows = [
            [model(torch.where(mask, x, baseline)[None])[0] for mask in masks[row]]
            for row, x in enumerate(X)
        ]
    return torch.stack([torch.stack(row) for row in rows])


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_groups_alone_and_groups_left_out(baseline):
    model, b = net(), torch.full((5,), baseline, dtype=F64)
    found = BuildUp(model).scores(X, GROUPS, baselines=baseline)
    assert_close(found, shown(model, GROUPS, b))
    assert_close(BuildUp(model).scores(X, GROUPS, 1, baselines=baseline), found[..., 1])
    expected = model(X).detach()[:, None] - shown(model, ~GROUPS, b)
    left_out = GroupOcclusion(model)
    assert_close(left_out.scores(X, GROUPS, baselines=baseline), expected)
    few = left_out.scores(X, GROUPS, [0, 1, 0], baselines=baseline, internal_batch_size=2)
    assert_close(few, expected[range(3), :, [0, 1, 0]])


@pytest.mark.parametrize("scorer", [BuildUp, GroupOcclusion])
def test_interactions_of_a_product(scorer):
    groups = torch.eye(3).bool()[None]
    x = torch.tensor([[2.0, 3.0, 5.0]], dtype=F64)
    found = scorer(lambda rows: rows[:, 0] * rows[:, 1] + rows[:, 2]).interactions(x, groups)
    # Both have all of the product: shown together it appears, without either it is gone.
    pair = 6.0 if scorer is BuildUp else -6.0
    expected = torch.zeros(1, 3, 3, dtype=F64)
    expected[0, 0, 1] = expected[0, 1, 0] = pair
    assert_close(found, expected)


def test_refusals():
    with pytest.raises(TypeError, match=r"^forward_func must be callable, got 3"):
        BuildUp(3)
    with pytest.raises(ValueError, match=r"^groups must have shape .*got \[3, 4, 4\]"):
        BuildUp(net()).scores(X, GROUPS[..., :4])
    with pytest.raises(ValueError, match=r"^groups must have no feature in common"):
        GroupOcclusion(net()).interactions(X, torch.ones(1, 2, 5).bool())
