"""The cooperative game that every method asks: v(S), and its extension v(w).

``v(S)`` is the explained output when only the players in S are present; ``v(w)`` for w in [0, 1]^n
puts each feature at ``baseline + w[player] * (input - baseline)``. A method builds a `Game` and
asks for `Game.values` of masks or `Game.gradients` at weights, for all examples of a batch at
once; how rows are made and run is settled here and in `pyxai.runner`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai._checks import FLOAT_DTYPES, check_bool, check_dtype, check_int, check_tensor, describe
from pyxai._inputs import flat_features, format_baselines, format_feature_mask, format_inputs
from pyxai._random import example_ids as name_examples
from pyxai.game.players import check_one_mask
from pyxai.game.rows import GameRows
from pyxai.imputers import Imputer
from pyxai.ops import pack_masks, permutation_prefixes, unpack_masks
from pyxai.runner import Estimate, Output, ProgressOption, Runner, takes_arrays

if TYPE_CHECKING:
    from pyxai.game.linear_prefix import LinearPrefix

__all__ = ["Game"]


class Game:
    """A model, its inputs and a way to remove features, as a cooperative game.

    Parameters
    ----------
    model : callable
        Takes the inputs and then the extra arguments; see `pyxai.runner.Runner`.
    inputs : Tensor or tuple of Tensor, shape [batch, *feat] each
        The examples; one game for each.
    baselines : None, float, Tensor or tuple of these, optional
        What absent features are replaced by: a number, or a tensor ``[1 or batch, *feat]`` or
        ``[*feat]``. Default 0.
    imputer : Imputer, optional
        Draws values for absent features instead; values are then means over its draws.
    feature_mask : Tensor or tuple of Tensor, optional
        Player number of each feature, from 0; features with the same number are one player, also
        over the tuple. Default: every feature is its own player.
    target : int, tuple, list or Tensor, optional
        Which output is explained; see `pyxai.runner.Target`.
    additional_forward_args : Any, optional
        Further arguments of the model. A tensor whose first size is that of the batch is taken to
        hold a row for each example; `pyxai.Shared` says that all rows share it.
    output : "logit", "probability", "log_probability" or callable
        Applied to the model's output before the target is selected.
    max_rows : int, optional
        Upper bound of rows in one call of the model; default: automatic.
    seed : int
        Seed of the imputer's draws.
    example_ids : Tensor, shape [batch], optional
        int64 names of the examples: draws depend on seed and id, not on the place in the batch.
        Default: a hash of the
        content, so that a row draws the same alone and in any batch.
    progress : bool or callable, optional
        See `pyxai.runner.Runner`.
    fast_path : bool
        Whether to run a first layer that is affine once for each example and player rather than
        for every mask, where the model begins with one and that pays; equal to rounding.

    Attributes
    ----------
    n_players, n_examples, n_draws : int
        Number of players, of games, and of model rows behind one value.
    player_ids : Tensor, shape [n_players]
        int64, the feature mask's number of each player, ascending.
    runner : pyxai.runner.Runner
        Of the model, for who asks it about rows that are not a game's.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as said above; the message names it.

    Notes
    -----
    Outputs come back in float32, or float64 if the model's are; they do not require gradients.

    References
    ----------
    .. [1] G. Owen, "Multilinear extensions of games", Management Science 18(5), 1972, for games on
       [0, 1]^n; v(w) here is the straight-line extension that path methods walk on.

    Examples
    --------
    >>> game = Game(lambda x: x.prod(1), torch.tensor([[2.0, 3.0]]))
    >>> game.values(torch.tensor([[False, False], [True, False], [True, True]]))
    tensor([[0., 0., 6.]])
    >>> game.gradients(torch.tensor([[0.5, 0.5]]))
    tensor([[[3., 3.]]])
    """

    @takes_arrays
    def __init__(
        self,
        model: Callable[..., Any],
        inputs: Tensor | tuple[Tensor, ...],
        *,
        baselines: Any = None,
        imputer: Imputer | None = None,
        feature_mask: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        output: Output = "logit",
        max_rows: int | None = None,
        seed: int = 0,
        example_ids: Tensor | None = None,
        progress: ProgressOption = None,
        fast_path: bool = True,
    ) -> None:
        self.inputs, self.is_tuple = format_inputs(inputs)
        self.n_examples = self.inputs[0].shape[0]
        players = format_feature_mask(feature_mask, self.inputs)
        self.player_ids, self.n_players = players.ids, players.n_players
        if imputer is not None and baselines is not None:
            raise ValueError("baselines must be None where an imputer is given, got both")
        self.baselines = format_baselines(baselines, self.inputs)
        self.imputer = _check_imputer(imputer, self.inputs)
        self.n_draws = 1 if self.imputer is None else self.imputer.n_draws
        self.seed = check_int("seed", seed, minimum=0)
        self.example_ids = name_examples(example_ids, self.inputs)
        self._rows = GameRows(
            self.inputs, players, self.baselines, self.imputer, self.seed, self.example_ids
        )
        self.runner = Runner(
            model,
            target=target,
            additional_forward_args=additional_forward_args,
            output=output,
            max_rows=max_rows,
            progress=progress,
        )
        self.runner.target.check_examples(self.n_examples, sums=True)
        self.fast_path = check_bool("fast_path", fast_path)

    @property
    def joined(self) -> bool:
        """Whether the last values were of outputs without rows, see `pyxai.runner.Runner`."""
        return self.runner.joined

    @property
    def player_maps(self) -> tuple[Tensor | None, ...]:
        """Player of each feature, int32 [1 or batch, *feat] per input; None: one each, in order."""
        return self._rows.players.maps

    def values(self, masks: Tensor) -> Tensor:
        """Return v(S) for every mask and example.

        Parameters
        ----------
        masks : Tensor, shape [n_masks, n_players] or [batch, n_masks, n_players]
            bool, True where the player is present; the same masks for every example, or masks for
            each. Packed masks (int32, last size ceil(n_players / 32), see `pyxai.ops.pack_masks`)
            are taken too.

        Returns
        -------
        Tensor, shape [batch, n_masks]
            In output units; ``[1, n_masks]`` if the model returns one scalar for the batch.

        Raises
        ------
        ValueError
            If a shape does not fit, or the model's output is not finite.
        TypeError
            If ``masks`` is neither bool nor int32.
        """
        packed = self._check_masks(masks)
        prefix = self._prefix(packed.shape[-2], sums=None)
        found = None if prefix is None else prefix.masked(packed)
        if found is not None:
            return found
        draws = self._direct_values(packed)
        return draws.squeeze(2) if self.n_draws == 1 else draws.mean(2)

    def values_along(self, orders: Tensor) -> Tensor:
        """Return v(S) as players come in one after another, for each of some orders.

        Parameters
        ----------
        orders : Tensor, shape [n_orders, n_some]
            int32: the players, or some of them while the others stay absent, each once in each
            order; see `pyxai.ops.sample_permutations`.

        Returns
        -------
        Tensor, shape [batch, n_orders * (n_some - 1)]
            In output units, order by order; the ends of the orders, which are the same for all of
            them, are left out.

        Raises
        ------
        ValueError
            If orders are not of the same players, or the model's output is not finite.
        TypeError
            If ``orders`` is not int32.
        """
        players = self._check_orders(orders)
        n_inner = orders.shape[1] - 1
        prefix = self._prefix(len(orders) * n_inner, sums=2)  # a step adds and writes a number
        found = None if prefix is None else prefix.along(orders.to(prefix.shown.device))
        if found is not None:
            return found
        ranks = torch.searchsorted(players, orders, out_int32=True)
        masks = permutation_prefixes(ranks)[:, 1:-1].flatten(0, 1)
        if len(players) < self.n_players:
            some = unpack_masks(masks, len(players))
            whole = some.new_zeros(len(some), self.n_players)
            masks = whole.index_copy_(1, players.long(), some)
        return self.values(masks)

    def values_and_errors(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Return v(S) as `values` does, and standard errors over the imputer's draws.

        Parameters
        ----------
        masks : Tensor, shape [n_masks, n_players] or [batch, n_masks, n_players]
            See `values`.

        Returns
        -------
        values, errors : Tensor, shape [batch, n_masks] each
            In output units. Errors are 0 without an imputer and for one that takes all there is,
            and infinite where fewer than two draws are independent.

        Raises
        ------
        ValueError, TypeError
            As `values` does.
        """
        draws = self._direct_values(self._check_masks(masks))
        return draws.mean(2), self._errors(draws)

    def gradients(self, weights: Tensor) -> Tensor:
        """Return dv/dw at points of the continuous extension.

        ``dv/dw[p] = sum over features f of player p of (input - baseline)[f] * df/dx[f]``

        Parameters
        ----------
        weights : Tensor, shape [n_points, n_players] or [batch, n_points, n_players]
            In [0, 1]: 0 puts a player at the baseline, 1 at the input.

        Returns
        -------
        Tensor, shape [batch, n_points, n_players]
            In output units; float64 for float64 inputs, else float32.

        Raises
        ------
        ValueError
            If a shape does not fit, a weight is outside [0, 1], or the output is not finite.
        TypeError
            If inputs or weights are not floating point.
        NotImplementedError
            If the imputer's draws depend on the mask: v(w) has no meaning then.
        """
        points = self._check_weights(weights)
        n_points = points.shape[-2]
        total = points.new_zeros((self.n_examples, n_points, self.n_players))
        if n_points == 0:
            return total

        def consume(examples: slice, repeats: slice, grads: tuple[Tensor, ...]) -> None:
            self._rows.add_gradients(total, points, examples, repeats, grads)

        build = self._rows.soft(points)
        width = n_points * self.n_draws
        self.runner.gradients(
            build, self.n_examples, width, consume, example_major=True, like=self.inputs
        )
        return total.div_(self.n_draws)

    def estimate(self, n_masks: int, *, gradients: bool = False) -> Estimate:
        """Tell what `values` of so many masks, or `gradients` at so many points, would cost."""
        check_bool("gradients", gradients)
        check_int("n_masks", n_masks, minimum=1)
        shape = (1, self.n_players)
        if gradients:
            build = self._rows.soft(self._check_weights(torch.ones(shape)).expand(n_masks, -1))
        else:
            full = self._check_masks(torch.ones(shape, dtype=torch.bool))
            build = self._rows.masked(full.expand(n_masks, -1))
        width = n_masks * self.n_draws
        return self.runner.estimate(build, self.n_examples, width, gradients=gradients)

    def to_features(self, values: Tensor) -> tuple[Tensor, ...]:
        """Give every feature the value of its player.

        Parameters
        ----------
        values : Tensor, shape [batch, n_players]

        Returns
        -------
        tuple of Tensor, shape [batch, *feat] each
        """
        check_one_mask(self.player_maps, len(values))
        spread = []
        for tensor, owners in zip(self.inputs, self._rows.players.maps, strict=True):
            if owners is None:
                spread.append(values.reshape(len(values), *tensor.shape[1:]))
                continue
            index = flat_features(owners).long().expand(values.shape[0], -1)
            spread.append(values.gather(1, index).view(len(values), *tensor.shape[1:]))
        return tuple(spread)

    def _prefix(self, n_masks: int, *, sums: int | None) -> LinearPrefix | None:
        """Return the model behind its first layer where this is asked for, exact, and pays."""
        if not self.fast_path or self.imputer is not None or n_masks == 0:
            return None
        from pyxai.game.linear_prefix import linear_prefix  # `import pyxai` waits with it

        return linear_prefix(
            self.runner,
            self.inputs,
            self.baselines,
            self.player_maps,
            self.n_players,
            n_rows=n_masks,
            sums=sums,
        )

    def _direct_values(self, packed: Tensor) -> Tensor:
        """Return outputs for each draw, ``[batch, n_masks, n_draws, ...]``."""
        n_masks = packed.shape[-2]
        if n_masks == 0:
            return self.runner.outputs(self.inputs)[:, None, None][:, :0]
        build = self._rows.masked(packed)
        values = self.runner.values(
            build, self.n_examples, n_masks * self.n_draws, like=self.inputs
        )
        return values.view(-1, n_masks, self.n_draws, *values.shape[2:])

    def _errors(self, draws: Tensor) -> Tensor:
        """Return standard errors of the means over draws; antithetic ones count in pairs."""
        if self.imputer is None or self.imputer.exact:
            return torch.zeros_like(draws[:, :, 0])
        if self.imputer.antithetic:
            pairs = draws[:, :, : self.n_draws // 2 * 2]
            draws = (pairs[:, :, 0::2] + pairs[:, :, 1::2]) / 2
        count = draws.shape[2]
        if count < 2:
            return torch.full_like(draws.sum(2), torch.inf)
        errors: Tensor = draws.std(2) / count**0.5
        return errors

    def _check_masks(self, masks: Tensor) -> Tensor:
        """Return packed masks, ``[(batch,) n_masks, n_words]``."""
        check_tensor("masks", masks)
        check_dtype("masks", masks, (torch.bool, torch.int32))
        width = self.n_players if masks.dtype == torch.bool else -(-self.n_players // 32)
        self._check_table("masks", "n_masks", masks, width)
        packed = pack_masks(masks) if masks.dtype == torch.bool else masks
        return packed.to(self.inputs[0].device)

    def _check_orders(self, orders: Tensor) -> Tensor:
        """Return the players of all orders, ascending."""
        check_tensor("orders", orders)
        check_dtype("orders", orders, (torch.int32,))
        if orders.dim() != 2 or not orders.numel():
            raise ValueError(f"orders must have shape [n_orders, n_some], got {list(orders.shape)}")
        players = orders.sort(1)[0]
        first = players[0]
        inside = bool(first[0] >= 0) and bool(first[-1] < self.n_players)
        if not inside or bool((players != first).any()) or bool((first.diff() == 0).any()):
            raise ValueError(
                f"orders must each have the same of {self.n_players} players once, got others"
            )
        return first

    def _check_weights(self, weights: Tensor) -> Tensor:
        """Return points, ``[(batch,) n_points, n_players]``, in the precision of the inputs."""
        for tensor in self.inputs:
            check_dtype("inputs", tensor, FLOAT_DTYPES)
        if self.imputer is not None and self.imputer.conditional:
            raise NotImplementedError(
                "imputer must draw without looking at the mask for gradients, "
                f"got {type(self.imputer).__name__}"
            )
        check_tensor("weights", weights)
        check_dtype("weights", weights, FLOAT_DTYPES)
        self._check_table("weights", "n_points", weights, self.n_players)
        if weights.numel():
            low, high = weights.aminmax()
            if not (bool(low >= 0) and bool(high <= 1)):
                raise ValueError(f"weights must be in [0, 1], got values from {low:g} to {high:g}")
        double = any(tensor.dtype == torch.float64 for tensor in self.inputs)
        return weights.detach().to(
            self.inputs[0].device, torch.float64 if double else torch.float32
        )

    def _check_table(self, name: str, count: str, table: Tensor, width: int) -> None:
        shape = tuple(table.shape)
        if len(shape) == 2 and shape[1] == width:
            return
        if len(shape) == 3 and shape[0] == self.n_examples and shape[2] == width:
            return
        raise ValueError(
            f"{name} must have shape [{count}, {width}] or [{self.n_examples}, {count}, {width}] "
            f"for {self.n_players} players, got {list(shape)}"
        )


def _check_imputer(imputer: Any, inputs: tuple[Tensor, ...]) -> Imputer | None:
    if imputer is None:
        return None
    if not isinstance(imputer, Imputer):
        raise TypeError(f"imputer must be a pyxai.imputers.Imputer, got {describe(imputer)}")
    return imputer.check(inputs)
