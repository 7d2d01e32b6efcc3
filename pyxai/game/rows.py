"""The rows behind the values of a game: inputs with some players replaced."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyxai._checks import FLOAT_DTYPES
from pyxai._inputs import Players
from pyxai.imputers.base import Draws, Imputer
from pyxai.imputers.blend import kept_or_drawn, shown_features
from pyxai.ops import masked_perturb, soft_perturb, unpack_masks
from pyxai.runner import Build

__all__ = ["GameRows"]


@dataclass(frozen=True)
class GameRows:
    """Make the rows of masks or of points, for any part of the examples.

    Attributes
    ----------
    inputs : tuple of Tensor, shape [batch, *feat] each
    players : Players
        Which player each feature belongs to.
    baselines : tuple of float or Tensor, shape [1 or batch, *feat]
        Used where there is no imputer.
    imputer : Imputer or None
    seed : int
    example_ids : Tensor, shape [batch]
        int64; with the seed they decide what the imputer draws.
    """

    inputs: tuple[Tensor, ...]
    players: Players
    baselines: Draws
    imputer: Imputer | None
    seed: int
    example_ids: Tensor

    @property
    def n_draws(self) -> int:
        """Rows for each mask."""
        return 1 if self.imputer is None else self.imputer.n_draws

    def masked(self, packed: Tensor) -> Build:
        """Return the function that makes rows for packed masks ``[(batch,) n_masks, n_words]``.

        Its repeats count masks x draws; rows are example-major.
        """

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            part, rows = self._cover(repeats)
            masks = _of_examples(packed[..., part, :], examples)
            kept = self._kept(masks, examples)
            draws = self._draws(examples, kept)
            return tuple(
                self._masked(index, examples, masks, draws[index], kept)[:, rows].flatten(0, 1)
                for index in range(len(self.inputs))
            )

        return build

    def soft(self, points: Tensor) -> Build:
        """Return the function that makes rows for weights ``[(batch,) n_points, n_players]``."""

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            part, rows = self._cover(repeats)
            weights = _of_examples(points[..., part, :], examples)
            soft = self._soft(examples, weights)
            return tuple(each[:, rows].flatten(0, 1) for each in soft)

        return build

    def add_gradients(
        self,
        total: Tensor,  # [batch, n_points, n_players]
        points: Tensor,  # [(batch,) n_points, n_players]
        examples: slice,
        repeats: slice,
        grads: tuple[Tensor, ...],  # [rows, *feat] each
    ) -> None:
        """Add ``sum over features of a player of grads * (input - draw)`` to ``total``."""
        part, rows = self._cover(repeats)
        count = examples.stop - examples.start
        with torch.inference_mode(False), torch.enable_grad():
            # A row of weights for each example, so that the gradient is one for each example.
            cut = _of_examples(points[..., part, :], examples)
            weights = cut.detach().expand(count, *cut.shape[-2:]).clone().requires_grad_()
            soft = [each[:, rows] for each in self._soft(examples, weights)]
            shaped = [grad.view_as(each) for grad, each in zip(grads, soft, strict=True)]
            found = torch.autograd.grad(soft, weights, shaped)[0]
        total[examples, part] += found

    def _cover(self, repeats: slice) -> tuple[slice, slice]:
        """Return the masks that repeats lie in, and where they lie in the rows of these."""
        first, last = repeats.start // self.n_draws, -(-repeats.stop // self.n_draws)
        skip = repeats.start - first * self.n_draws
        return slice(first, last), slice(skip, skip + repeats.stop - repeats.start)

    def _draws(self, examples: slice, kept: tuple[Tensor, ...] | None) -> Draws:
        if self.imputer is None:
            return tuple(
                _of_batch(baseline, examples) if isinstance(baseline, Tensor) else baseline
                for baseline in self.baselines
            )
        return self.imputer.draw(
            self._cut(examples),
            kept,
            seed=self.seed,
            example_ids=self.example_ids[examples],
        )

    def _owners(self, examples: slice) -> tuple[Tensor | None, ...]:
        """Return the player of each feature, int32 ``[1 or examples, *feat]`` for each input."""
        return tuple(
            None if owners is None else _of_batch(owners, examples) for owners in self.players.maps
        )

    def _kept(self, masks: Tensor, examples: slice) -> tuple[Tensor, ...] | None:
        """Return which features are present, bool ``[examples, n_masks, *feat]``, where needed."""
        conditional = self.imputer is not None and self.imputer.conditional
        if not conditional and all(tensor.dtype in FLOAT_DTYPES for tensor in self.inputs):
            return None
        count = examples.stop - examples.start
        present = unpack_masks(masks, self.players.n_players)
        present = present.expand(count, *present.shape[-2:])
        return shown_features(present, self._owners(examples), self._cut(examples))

    def _cut(self, examples: slice) -> tuple[Tensor, ...]:
        return tuple(tensor[examples] for tensor in self.inputs)

    def _masked(
        self,
        index: int,
        examples: slice,
        masks: Tensor,
        draws: Tensor | float,
        kept: tuple[Tensor, ...] | None,
    ) -> Tensor:
        """Return rows ``[examples, n_masks * n_draws, *feat]`` of one input tensor."""
        inputs, owners = self.inputs[index][examples], self._owners(examples)[index]
        if kept is None:
            rows = masked_perturb(
                inputs,
                draws,
                masks,
                owners,
                n_players=self.players.n_players,
                channels_last=_is_channels_last(inputs),
            )
            return rows.flatten(1, 2)
        return kept_or_drawn(inputs, draws, kept[index]).flatten(1, 2)

    def _soft(self, examples: slice, weights: Tensor) -> list[Tensor]:
        """Return rows ``[examples, n_points * n_draws, *feat]`` of each input tensor."""
        draws = self._draws(examples, None)
        return [
            soft_perturb(
                tensor[examples],
                draw,
                weights.to(tensor.dtype),
                owners,
            ).flatten(1, 2)
            for tensor, draw, owners in zip(self.inputs, draws, self._owners(examples), strict=True)
        ]


def _of_examples(table: Tensor, examples: slice) -> Tensor:
    """Cut a table that is shared, ``[n_masks, *]``, or given for each example."""
    return table if table.dim() == 2 else table[examples]


def _of_batch(value: Tensor, examples: slice) -> Tensor:
    """Cut a tensor whose first dimension is 1 or the batch."""
    return value if value.shape[0] == 1 else value[examples]


def _is_channels_last(inputs: Tensor) -> bool:
    """Tell whether images lie in NHWC order, so that their rows should too."""
    return (
        inputs.dim() == 4
        and inputs.is_contiguous(memory_format=torch.channels_last)
        and not inputs.is_contiguous()
    )
