"""Inputs that mix an example and a baseline, evaluated behind the model's first layer.

The first layer is affine, so what it returns for such a mixture is what it returns for the
baseline and a contribution of each player that is present. These are computed once for each
example; a mask costs a sum of them, and the rest of the model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyxai._inputs import add_at, flat_features
from pyxai.game.live_units import Write, behind_second, features_out_of_second
from pyxai.game.path import rows_of
from pyxai.ops import masked_affine, masked_perturb, ordered_affine, pack_masks
from pyxai.runner import Runner, note_path
from pyxai.runner.split import (
    PATH,
    LayerSizes,
    ModelChanged,
    PartedModel,
    may_be_cut,
    part_model,
)

__all__ = ["LinearPrefix", "linear_prefix"]

# Products that must be saved in a call: looking for the first layer and checking it takes as long
# as about so many.
_LEAST_SAVED = 2**24
# How many products of a product of matrices take the time in which one number is added, multiplied
# or copied by itself.
_ADDED = 24
# How many times what else a layer adds up a player may be, that is taken out of the sum again: so
# many times its rounding is left.
_OUTWEIGHS = {torch.float32: 2.0**5, torch.float64: 2.0**20}
# Numbers read of the inputs of all rows; below, not even a look is worth it.
_LEAST_READ = 2**14
# Elements of the contributions of one example, and of those that are made at once.
_MOST_HELD = 2**24
_MADE_AT_ONCE = 2**22

Rows = Callable[[slice, slice], Tensor]


@dataclass(frozen=True, eq=False)
class LinearPrefix:
    """The rest of a model, asked about masks.

    What is asked is None where the model turns out to use its input otherwise in some passes.

    Attributes
    ----------
    whole : Runner
        Of the model.
    split : PartedModel
    shown, hidden : Tensor, shape [batch, *sizes] and [1 or batch or n_draws, *sizes]
        What the first layer gets for inputs and baselines.
    owners : Tensor or None, shape [1 or batch, n_features]
        int32 player of each feature; None: each its own.
    n_players : int
    matrix : Tensor or None, shape [n_features, size]
        What each feature is multiplied with, where contributions come from that; None: from
        running the layer.
    n_draws : int or None
        Tells that the baselines are so many, each for all examples. Only `without` knows of it.
    """

    whole: Runner
    split: PartedModel
    shown: Tensor
    hidden: Tensor
    owners: Tensor | None
    n_players: int
    matrix: Tensor | None
    n_draws: int | None = None

    def masked(self, packed: Tensor) -> Tensor | None:
        """Return outputs [batch, n_masks, ...] for packed masks ``[(batch,) n_masks, n_words]``."""

        def rows(examples: slice, repeats: slice) -> Tensor:
            start, parts = self._parts(examples)
            part = packed[repeats] if packed.dim() == 2 else packed[examples, repeats]
            return masked_affine(start, parts, part, activation=self.split.activation)

        return self._run(self._held_apart(rows), packed.shape[-2])

    def in_order(self, order: Tensor, counts: Tensor) -> Tensor | None:
        """Return outputs [batch, n_points, ...] as players come in, in an order of each example.

        ``order`` is int64 [batch, n_players], and ``counts``, [n_points] or [batch, n_points], says
        how many are present at each point.
        """
        n_points = counts.shape[-1]
        counts, by_count = counts.to(order.device).expand(len(order), n_points).sort(1)
        point = by_count.argsort(1)[..., None]
        rank = torch.empty_like(order).scatter_(
            1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
        )
        # Those that come in between two points go together.
        owners = torch.searchsorted(counts, rank, right=True, out_int32=True)
        if self.owners is not None:
            owners = owners.gather(1, self.owners.long().expand(len(order), -1))
        grouped = replace(self, owners=owners, n_players=n_points + 1)  # the last come in nowhere

        inner = torch.arange(n_points, dtype=torch.int32, device=order.device)[None]

        @functools.lru_cache(maxsize=1)  # short passes lie in one example
        def sums(first: int, last: int) -> Tensor:
            start, parts = grouped._contributions(slice(first, last))
            return ordered_affine(start, parts, inner, activation=self.split.activation)[:, 0]

        def rows(examples: slice, repeats: slice) -> Tensor:
            total = sums(examples.start, examples.stop)
            return total.gather(1, point[examples, repeats].expand(-1, -1, total.shape[2]))

        return self._run(rows, n_points)

    def along(self, orders: Tensor) -> Tensor | None:
        """Return outputs as players come in, [batch, n_orders * (n_some - 1), ...].

        The ends of ``orders``, int32 [n_orders, n_some], are left out.
        """
        inner = orders.shape[1] - 1

        def sums(begin: int, end: int, first: int, last: int) -> Tensor:
            start, parts = self._parts(slice(begin, end))
            return ordered_affine(
                start, parts, orders[first:last, :-1], activation=self.split.activation
            ).flatten(1, 2)

        kept = functools.lru_cache(maxsize=1)(sums)  # short passes lie in one order

        def rows(examples: slice, repeats: slice) -> Tensor:
            first, last = repeats.start // inner, -(-repeats.stop // inner)
            asked = examples.start, examples.stop, first, last
            skip, count = repeats.start - first * inner, repeats.stop - repeats.start
            if count == (last - first) * inner:
                return sums(*asked)
            # A copy, as the model may write into it.
            return kept(*asked)[:, skip : skip + count].clone()

        return self._run(rows, len(orders) * inner)

    def without(self, players: Tensor) -> Tensor | None:
        """Return outputs of everything, and without each of some players: [batch, 1 + n, ...].

        Of several draws ``[batch, 1 + n_draws * n, ...]``, those of a draw side by side.
        """
        if self.split.second is not None:
            write = features_out_of_second(
                self.split, self.shown, self.hidden, players, drawn=self.n_draws is not None
            )
        elif self.matrix is not None and self.owners is None:
            write = self._features_out(players)
        else:
            write = self._players_out(players)
        wholes = functools.cache(lambda: self._after(self.shown))  # reads the weights once
        few = len(self.shown) * self.split.sizes.size <= _MADE_AT_ONCE

        def rows(examples: slice, repeats: slice) -> Tensor:
            whole = wholes()[examples] if few else self._after(self.shown[examples])
            width = self.split.asked_with[0].numel()
            made = whole.new_empty(len(whole), repeats.stop - repeats.start, width)
            at = 0
            if repeats.start == 0:
                made[:, 0] = self._asked_with(whole)
                at = 1
            for draws, some in _boxes(repeats.start + at - 1, repeats.stop - 1, len(players)):
                sizes = draws.stop - draws.start, some.stop - some.start
                out = made[:, at : at + sizes[0] * sizes[1]].view(len(whole), *sizes, -1)
                write(whole, examples, draws, some, out)
                at += sizes[0] * sizes[1]
            return made

        return self._run(rows, 1 + (self.n_draws or 1) * len(players))

    def _features_out(self, features: Tensor) -> Write:
        """Return what writes rows without features that each have a row of the matrix."""
        matrix, shown, hidden = self.matrix, self.shown, self.hidden
        assert matrix is not None
        if len(features) < self.n_players:
            matrix, shown, hidden = matrix[features], shown[:, features], hidden[:, features]
        hidden = hidden[:, None] if self.n_draws is None else hidden[None]
        parts = matrix[None]

        def write(whole: Tensor, examples: slice, draws: slice, some: slice, out: Tensor) -> None:
            change = rows_of(hidden, examples)[:, draws, some] - shown[examples, None, some]
            start = whole[:, None].expand(-1, out.shape[1], -1)
            axis = int(out.shape[0] > out.shape[1])  # examples or draws, of which there are fewer
            for each in zip(start.unbind(axis), change.unbind(axis), out.unbind(axis), strict=True):
                masked_affine(
                    each[0], parts[:, some], None, each[1],
                    activation=self.split.activation, out=each[2],
                )  # fmt: skip

        return write

    def _players_out(self, players: Tensor) -> Write:
        """Return what writes rows without players by their contributions."""
        if self.n_draws is None:

            def write(
                whole: Tensor, examples: slice, draws: slice, some: slice, out: Tensor
            ) -> None:
                parts = self._parts(examples)[1][:, players[some]]
                minus = whole.new_full((), -1.0).expand(parts.shape[:2])
                masked_affine(
                    whole, parts, None, minus, activation=self.split.activation, out=out[:, 0]
                )

            return write
        # What a player of the input adds to zeros, and what one of a draw does.
        zeros = replace(self, hidden=torch.zeros_like(self.hidden[:1]), n_draws=None)
        _, drawn = replace(zeros, shown=self.hidden)._parts(slice(0, self.n_draws))
        drawn = drawn[None, :, players]

        def write_drawn(
            whole: Tensor, examples: slice, draws: slice, some: slice, out: Tensor
        ) -> None:
            _, parts = zeros._parts(examples)
            torch.add(whole[:, None, None], drawn[:, draws, some], out=out)
            self._activated(out.sub_(parts[:, None, players[some]]))

        return write_drawn

    @functools.cached_property
    def _rest(self) -> Runner:
        return self.whole.of(self.split)

    def _run(self, rows: Rows, n_repeats: int) -> Tensor | None:
        form = self.split.asked_with

        def build(examples: slice, repeats: slice) -> tuple[Tensor, ...]:
            return (rows(examples, repeats).reshape(-1, *form.shape[1:]),)

        try:
            found = self._rest.values(
                build, len(self.shown), n_repeats, like=(form,), own_rows=True
            )
        except ModelChanged:
            return None
        note_path(PATH)
        return found

    def _activated(self, after: Tensor) -> Tensor:
        """Return, in place, what follows the first layer, as far as it is left out of the rest."""
        return after if self.split.activation is None else after.relu_()

    def _asked_with(self, after: Tensor) -> Tensor:
        """Return what the rest of the model is asked with where the first layer returns this."""
        after = self._activated(after.clone())
        return after if self.split.second is None else self.split.second(after)

    def _held_apart(self, rows: Rows) -> Rows:
        """Return a function that makes rows of so many examples at once as memory holds."""
        step = max(1, _MOST_HELD // (self.n_players * self.split.sizes.size))

        def few_at_once(examples: slice, repeats: slice) -> Tensor:
            parts = [
                rows(slice(first, min(first + step, examples.stop)), repeats)
                for first in range(examples.start, examples.stop, step)
            ]
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        return few_at_once

    def _after(self, before: Tensor) -> Tensor:
        return self.split.layer(before).flatten(1)

    def _change(self, examples: slice) -> Tensor:
        """Return how inputs differ from baselines where the layer reads them, [n, n_features]."""
        return (self.shown[examples] - rows_of(self.hidden, examples)).flatten(1)

    @functools.cached_property
    def _parts(self) -> Callable[[slice], tuple[Tensor, Tensor]]:
        """Gives what the layer makes of baselines, and contributions [n, n_players, size]."""
        # Passes that hold some repeats of one example all need those of this one.
        kept = functools.lru_cache(maxsize=1)(
            lambda first, last: self._contributions(slice(first, last))
        )
        return lambda examples: kept(examples.start, examples.stop)

    def _contributions(self, examples: slice) -> tuple[Tensor, Tensor]:
        count = examples.stop - examples.start
        start = self._after(rows_of(self.hidden, examples)).expand(count, -1)
        made, n_rows = self._differences, self.n_players
        if self.matrix is not None:
            made, n_rows = self._products, self.shown[0].numel()
        step = max(1, _MADE_AT_ONCE // (n_rows * max(start.shape[1], self.shown[0].numel())))
        parts = [
            made(slice(first, min(first + step, examples.stop)))
            for first in range(examples.start, examples.stop, step)
        ]
        return start, parts[0] if len(parts) == 1 else torch.cat(parts)

    def _products(self, examples: slice) -> Tensor:
        """Return contributions by the rows of the matrix."""
        assert self.matrix is not None
        each = self._change(examples)[:, :, None] * self.matrix
        if self.owners is None:
            return each
        count = len(each)
        shift = torch.arange(count, device=each.device)[:, None] * self.n_players
        place = (rows_of(self.owners, examples) + shift).flatten()
        total = each.new_zeros(count * self.n_players, each.shape[2])
        return add_at(total, place, each.flatten(0, 1)).view(count, self.n_players, -1)

    def _differences(self, examples: slice) -> Tensor:
        """Return contributions as what the layer does to each player alone."""
        shown, hidden = self.shown[examples], rows_of(self.hidden, examples)
        alone = torch.eye(self.n_players, dtype=torch.bool, device=shown.device)
        owners = self.owners
        if owners is not None:
            owners = rows_of(owners, examples).view(-1, *shown.shape[1:])
        rows = masked_perturb(
            shown, hidden, pack_masks(alone), owners, n_players=self.n_players
        ).flatten(1, 2)
        after = self._after(rows.flatten(0, 1)).view(len(shown), self.n_players, -1)
        return after.sub_(self._after(hidden)[:, None])


def linear_prefix(
    runner: Runner,
    inputs: Sequence[Tensor],
    baselines: Sequence[Tensor | float],
    maps: Sequence[Tensor | None],
    n_players: int,
    *,
    n_rows: int,
    sums: int | None,
    n_draws: int | None = None,
) -> LinearPrefix | None:
    """Return the model cut behind its first layer, where that is exact and pays.

    Parameters
    ----------
    runner : Runner
        Of the model.
    inputs : sequence of Tensor, shape [batch, *features]
    baselines : sequence of float or Tensor, shape [1 or batch, *features]
    maps : sequence of Tensor or None, shape [1 or batch, *features]
        int32 player of each feature; None: each its own.
    n_players : int
        How many players there are.
    n_rows : int
        How many masks are asked about for each example.
    sums : int or None
        How many numbers a mask adds or copies one by one for each that the layer returns; 1 where
        one player at a time is out, as `LinearPrefix.without` asks. None: those of all players,
        counted as in a product of matrices.
    n_draws : int, optional
        Tells that the baselines are so many, each for all examples.

    Returns
    -------
    LinearPrefix or None
        None where the model must be asked directly: it has several inputs or further arguments,
        or inputs that are not float32 or float64, does not begin with a linear layer or a
        convolution that alone reads them, or the products saved, counted from sizes, are too few;
        where one player at a time is out, also if one is by far larger than all others, as what it
        is taken out of has lost the digits of these.
    """
    x, batch = inputs[0], len(inputs[0])
    known = may_be_cut(inputs)
    if not known or batch * n_rows * x[0].numel() < _LEAST_READ or not runner.is_plain:
        return None
    owners = None if maps[0] is None else flat_features(maps[0])
    if n_draws is not None and owners is not None and len(owners) > 1:
        return None  # what a player of a draw adds differs from example to example
    asked = _Asked(batch, n_players, n_rows, sums, n_draws, owners is None)
    start = baselines[0]

    def base() -> Tensor:
        return start if isinstance(start, Tensor) else torch.full_like(x[:1], start)

    split = part_model(runner.forward_func, x, lambda: torch.cat([x[:1], base()[:1]]), asked.pays)
    if split is None:
        return None
    shown, hidden = split.before_of(x), split.before_of(base())
    matrix = split.matrix if _by_rows(split.sizes) else None
    if matrix is not None:
        matrix = matrix.detach()
        if sums == 1 and owners is None:
            at_once = min(n_rows // (n_draws or 1), runner.max_rows or n_rows)
            split = behind_second(split, at_once) or split
        if split.second is None:
            matrix = matrix.contiguous()  # so are products with it
    prefix = LinearPrefix(runner, split, shown, hidden, owners, n_players, matrix, n_draws)
    return None if sums == 1 and _one_outweighs(prefix) else prefix


@torch.no_grad()
def _one_outweighs(prefix: LinearPrefix) -> bool:
    """Whether in some example the rest of the sums is lost in what one player adds to them."""
    split, shown, base = prefix.split, prefix.shown, prefix.hidden.flatten(1)
    drawn = prefix.n_draws is not None
    largest = _OUTWEIGHS[shown.dtype]
    if prefix.matrix is not None:
        weight = split.magnitudes.amax(1)
    elif split.matrix is not None:  # too large for a copy
        weight = torch.maximum(split.matrix.amax(1), split.matrix.amin(1).neg_())
    else:
        weight = split.layer.weight.abs().amax()
    step = max(1, _MADE_AT_ONCE // base.shape[1])
    for first in range(0, len(shown), step):
        examples = slice(first, min(first + step, len(shown)))
        x, start = shown[examples].flatten(1), base if drawn else rows_of(base, examples)
        if drawn:
            away = torch.maximum(x - base.amin(0), base.amax(0) - x)
            start = base.abs().amin(0)
        else:
            away = x - start
            if prefix.owners is None and _are_alike(away * weight, x * weight, largest):
                continue
        # [3, n, n_features]
        sizes = torch.stack([away, x, start.expand_as(x)]).mul_(weight).double().square_()
        if prefix.owners is not None:
            total = sizes.new_zeros(3, len(x), prefix.n_players)
            index = rows_of(prefix.owners, examples).long().expand_as(sizes)
            sizes = total.scatter_add_(2, index, sizes)
        out, stays, comes = sizes
        rest = comes.sub_(stays).add_(stays.sum(1, keepdim=True)).clamp_(min=0).sqrt_()
        excess = out.sqrt_().sub_(rest, alpha=largest).amax()
        if excess > 0:  # the bias is in every sum
            bias = split.layer(torch.zeros_like(shown[:1])).abs().amax()
            if excess > largest * bias:
                return True
    return False


def _are_alike(out: Tensor, stays: Tensor, largest: float) -> bool:
    """Whether it is plain, with what comes left aside, that no player outweighs the rest.

    By the largest of all, and so in fewer steps. Numbers too small or large to tell are not alike.
    """
    out, stays = out.square_().amax(1), stays.square_()
    rest = stays.sum(1) - stays.amax(1)
    return bool((2 * out < largest**2 * rest).all())


def _by_rows(layer: LayerSizes) -> bool:
    return layer.has_matrix and layer.n_features * layer.size <= _MOST_HELD


@dataclass(frozen=True)
class _Asked:
    """How much is asked for, to be weighed when the first layer is known."""

    batch: int
    n_players: int
    n_rows: int
    sums: int | None
    n_draws: int | None
    are_features: bool

    def pays(self, layer: LayerSizes) -> bool:
        """Whether the products that are saved are many, and the contributions fit into memory."""
        by_rows, n_draws = _by_rows(layer), self.n_draws or 0
        made = layer.n_features * _ADDED if by_rows else self.n_players * layer.n_terms
        made *= self.batch + n_draws
        # Where the layer is run for each player, it is given all features for each.
        width = 0 if by_rows else layer.n_features
        held = self.n_players * max(layer.size * (self.n_draws or 1), width)
        sums = self.n_players if self.sums is None else _ADDED * self.sums
        if self.sums == 1 and self.are_features and by_rows:
            made = held = 0  # see `LinearPrefix._features_out`
        elif n_draws:
            sums += _ADDED
        saved = layer.size * (self.batch * self.n_rows * (layer.n_terms - sums) - made)
        return saved >= _LEAST_SAVED and held <= _MOST_HELD


def _boxes(start: int, stop: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Yield what makes up some rows of a table with ``size`` columns, at most three boxes."""
    while start < stop:
        row, column = divmod(start, size)
        if column or stop - start < size:  # the rest of a row, or the start of one
            end = min(stop, (row + 1) * size)
            yield slice(row, row + 1), slice(column, column + end - start)
        else:
            end = stop // size * size
            yield slice(row, end // size), slice(0, size)
        start = end
