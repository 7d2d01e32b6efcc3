"""Fourteen methods on one example: what each gives to whom of which effect."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyxai.demo.fourteen.methods import FIRST_ORDER, TOLERANCE, adapted_methods, neuron_tests
from pyxai.demo.fourteen.players import digit_patches, example, tumour_properties
from pyxai.demo.tasks import Task
from pyxai.taylor import HarsanyiDividends, PrinciplesTable, harsanyi_dividends, principles_table

__all__ = ["Fourteen", "compare", "measure_fourteen"]


@dataclass(frozen=True)
class Fourteen:
    """All methods on one example of a task.

    Attributes
    ----------
    task : Task
    row : int
        Which test row.
    target : int
        Class explained: the predicted one.
    names : tuple of str
        Of the players.
    mask : Tensor, shape [1, *features]
        The player of each feature.
    effects : HarsanyiDividends
        The effects, of one example.
    table : PrinciplesTable
        Tests A and C for each method, B for the layer rules.
    """

    task: Task
    row: int
    target: int
    names: tuple[str, ...]
    mask: Tensor
    effects: HarsanyiDividends
    table: PrinciplesTable

    @property
    def values(self) -> Tensor:
        """Attribution of each player by each method, float64 [n_methods, n_players]."""
        return self._shares.sum(2)

    def weights(self, players: tuple[int, ...]) -> Tensor:
        """Return which part of one effect each method gives to each player.

        Parameters
        ----------
        players : tuple of int
            Whose joint effect.

        Returns
        -------
        Tensor, float64, shape [n_methods, n_players]
            A fair method's row adds up to 1 over these players and is 0 elsewhere.
        """
        index = sum(1 << player for player in players)
        effect = self.effects.values[0, index]
        return self._shares[:, :, index] / effect

    @property
    def _shares(self) -> Tensor:
        """What each player gets of each effect, [n_methods, n_players, 2**n_players]."""
        found = [row.allocation.shares[0] for row in self.table.rows if row.allocation is not None]
        return torch.stack(found)

    @property
    def names_of_methods(self) -> list[str]:
        """Names in the order of the table."""
        return [row.name for row in self.table.rows]

    @property
    def fair(self) -> list[str]:
        """Methods with all three marks."""
        return [row.name for row in self.table.rows if all(row.marks())]

    @property
    def strongest_pair(self) -> tuple[int, int]:
        """The two players with the largest effect together."""
        pairs = self.effects.pair_matrix()[0].abs().fill_diagonal_(0)
        first, second = divmod(int(pairs.argmax()), len(self.names))
        return first, second


def measure_fourteen(digits: Task, tumours: Task) -> tuple[Fourteen, Fourteen]:
    """Run all methods on one digit in patches and on one tumour in properties."""
    return (
        compare(digits, example(digits), *digit_patches()),
        compare(tumours, example(tumours), *tumour_properties()),
    )


def compare(task: Task, row: int, mask: Tensor, names: tuple[str, ...]) -> Fourteen:
    """Run all methods on all sub-inputs of one row, with the baseline 0.

    Parameters
    ----------
    task : Task
        Model and rows.
    row : int
        Which test row.
    mask : Tensor, shape [1, *features]
        The player of each feature.
    names : tuple of str
        Of the players.

    Returns
    -------
    Fourteen
    """
    inputs = task.inputs[row : row + 1]
    target = int(task.predictions[row])
    effects = harsanyi_dividends(task.model, inputs, target=target, feature_mask=mask, names=names)
    table = principles_table(
        adapted_methods(mask, image=inputs.dim() > 2),
        task.model,
        inputs,
        0.0,
        target=target,
        feature_mask=mask,
        first_order=FIRST_ORDER,
        tolerance=TOLERANCE,
    )
    tests = neuron_tests()
    rows = tuple(replace(each, neuron=tests.get(each.name)) for each in table.rows)
    return Fourteen(task, row, target, names, mask, effects, PrinciplesTable(rows))
