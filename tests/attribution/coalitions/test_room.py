"""More samples than memory holds are refused with what they would take, before the model runs."""

import pytest
import torch

from pyxai.attribution import KernelShap, Lime


@pytest.mark.parametrize("cls", [KernelShap, Lime])
@pytest.mark.parametrize("n_samples", [10**10, 10**12])
def test_samples_that_memory_cannot_hold(cls, n_samples):
    rows = []

    def model(z):
        rows.append(len(z))
        return z.sum(1)

    message = rf"^n_samples must fit into memory, of which .* GB may .*, got {n_samples}, which"
    with pytest.raises(ValueError, match=message):
        cls(model).attribute(torch.ones(1, 64), n_samples=n_samples)
    assert sum(rows) < 20  # the ends of the game, and what the runner looks at


def test_all_coalitions_of_few_players_are_few_however_many_are_asked_for():
    found = KernelShap(lambda z: z.prod(1)).attribute(torch.ones(1, 8), n_samples=10**12)
    torch.testing.assert_close(found, torch.full((1, 8), 1 / 8))
