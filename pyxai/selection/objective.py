"""How well a model does when only some features of all rows are shown: minus the mean loss."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import format_baselines
from pyxai.game.linear_path import LinearPaths, linear_paths
from pyxai.ops import masked_perturb, path_accumulate, path_points
from pyxai.runner import Runner
from pyxai.runner.split import ModelChanged
from pyxai.selection.data import Batch, DataSet
from pyxai.selection.features import Features
from pyxai.selection.losses import Loss, RowGains

__all__ = ["Objective"]


class Objective:
    """``G(S) = -(1/N) sum_i loss(f(x_i restricted to S), y_i)`` and its gradient on paths.

    Parameters
    ----------
    model : callable
        Takes the input tensors of some rows.
    data : DataSet
        What the mean is taken over.
    features : Features
        What is shown or hidden.
    loss : str or callable
        See `RowGains`: a name, or a function of outputs and labels that returns one loss per row.
    baselines : None, float, Tensor or tuple of those
        What stands for a hidden feature; None: the mean of the data set.
    max_rows : int, optional
        Upper bound of the rows in one call of the model.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        data: DataSet,
        features: Features,
        *,
        loss: str | Loss,
        baselines: Any,
        max_rows: int | None,
    ) -> None:
        self.data, self.features = data, features
        self.gains = RowGains(model, loss)
        self.max_rows = max_rows
        self.paths: LinearPaths | None = None
        self.rest_gains = self.gains
        one = tuple(value[:1] for value in data.first().inputs)
        self.baselines = data.mean() if baselines is None else format_baselines(baselines, one)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.features.owners[0].device

    def of(self, data: DataSet) -> Objective:
        """Return the same objective over other rows."""
        other = copy(self)
        other.data = data
        return other

    def of_model(self, model: Callable[..., Any]) -> Objective:
        """Return the same objective of another model."""
        other = copy(self)
        other.gains = RowGains(model, self.gains.loss)
        other.paths = None
        return other

    def on_linear_paths(self, n_rounds: int, n_nodes: int) -> Objective:
        """Return the same objective with the first layer set apart, where it is exact and pays.

        Parameters
        ----------
        n_rounds, n_nodes : int
            How many paths lead to each row, and how many gradients are taken on each.
        """
        paths = linear_paths(
            self.gains.model,
            self.data.first().inputs,
            self.baselines,
            (),
            n_rounds=n_rounds,
            n_nodes=n_nodes,
        )
        if paths is None:
            return self
        other = copy(self)
        other.paths, other.rest_gains = paths, RowGains(paths.split, self.gains.loss)
        return other

    def values(self, masks: Tensor) -> Tensor:
        """Return G of each packed mask: int32 [n_masks, n_words] to float64 [n_masks]."""
        total = torch.zeros(len(masks), dtype=torch.float64, device=self.device)
        count = 0
        for batch in self.data.batches():
            runner = self._runner(self.gains, batch)
            found = runner.values(self._shown(batch, masks), len(batch.labels), len(masks))
            total += found.double().sum(0)
            count += len(batch.labels)
        return total / count

    def outputs(self, model: Callable[..., Any], masks: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``model``'s one number per row for each mask, [N, n_masks], and the labels."""
        found = []
        for batch in self.data.batches():
            runner = self._runner(model, batch)
            rows = runner.values(self._shown(batch, masks), len(batch.labels), len(masks))
            found.append((rows, batch.labels))
        columns = list(zip(*found, strict=True))
        return torch.cat(columns[0]), torch.cat(columns[1])

    def path_gains(
        self, selected: Tensor, nodes: Tensor, weights: Tensor, *, absolute: bool = False
    ) -> Tensor:
        """Integrate the gradient of G from a selection to all features.

        Parameters
        ----------
        selected : Tensor, shape [1, n_words]
            int32 packed mask of what sits at its values all along.
        nodes, weights : Tensor, shape [n_nodes]
            float64, a rule on [0, 1].
        absolute : bool
            Whether the mean is over the absolute attributions of the rows.

        Returns
        -------
        Tensor, shape [n_features]
            float64, in units of the loss; they sum to ``G([n]) - G(S)`` up to the rule, unless
            ``absolute``. 0 for selected features.
        """
        total = torch.zeros(self.features.count, dtype=torch.float64, device=self.device)
        count = 0
        for batch in self.data.batches():
            sums = self._batch_gains(batch, selected, nodes, weights)
            total += (sums.abs() if absolute else sums).sum(0)
            count += len(batch.labels)
        return total / count

    def row_gains(self, selected: Tensor, nodes: Tensor, weights: Tensor) -> Tensor:
        """Return what `path_gains` averages, float64 [N, n_features]."""
        parts = (self._batch_gains(b, selected, nodes, weights) for b in self.data.batches())
        return torch.cat(list(parts))

    def _batch_gains(
        self, batch: Batch, selected: Tensor, nodes: Tensor, weights: Tensor
    ) -> Tensor:
        """Return attributions of the rows of a batch, float64 [rows, n_features]."""
        rows, n_features = len(batch.labels), self.features.count
        if self.paths is not None:
            blocks = self.paths.blocks(rows)
            try:
                found = [
                    self._linear_gains(self.paths, batch.rows(block), selected, nodes, weights)
                    for block in blocks
                ]
                return torch.cat(found).double()
            except ModelChanged:
                pass  # to be asked directly
        sums = torch.zeros(rows, n_features, dtype=torch.float64, device=self.device)
        parts = list(zip(batch.inputs, self.baselines, self.features.owners, strict=True))

        def chosen(examples: slice) -> Tensor:
            return selected.expand(examples.stop - examples.start, -1).contiguous()

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return tuple(
                path_points(x[examples], b, nodes[repeats], owners, chosen(examples)).flatten(0, 1)
                for x, b, owners in parts
            )

        def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
            for (x, b, owners), grad in zip(parts, grads, strict=True):
                sums[examples] += path_accumulate(
                    grad.reshape(-1, *x[examples].shape),
                    weights[repeats],
                    x[examples],
                    b,
                    owners,
                    chosen(examples),
                    n_players=n_features,
                ).double()

        self._runner(self.gains, batch).gradients(build, rows, len(nodes), consume)
        return sums

    def _linear_gains(
        self, paths: LinearPaths, batch: Batch, selected: Tensor, nodes: Tensor, weights: Tensor
    ) -> Tensor:
        (x,) = batch.inputs
        return paths.sums(
            self._runner(self.rest_gains, batch),
            x,
            self.baselines[0],
            self.features.owners[0],
            selected.expand(len(x), -1).contiguous(),
            nodes,
            weights,
            n_players=self.features.count,
            ends=paths.ends(x),
        )

    def _shown(self, batch: Batch, masks: Tensor) -> Callable[[slice, slice], tuple[Tensor, ...]]:
        parts = list(zip(batch.inputs, self.baselines, self.features.owners, strict=True))

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return tuple(
                masked_perturb(
                    x[examples], b, masks[repeats], owners, n_players=self.features.count
                ).flatten(0, 2)
                for x, b, owners in parts
            )

        return build

    def _runner(self, function: Callable[..., Any], batch: Batch) -> Runner:
        return Runner(function, additional_forward_args=batch.labels, max_rows=self.max_rows)
