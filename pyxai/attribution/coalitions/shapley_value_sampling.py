"""Shapley values from random orders of the players, in antithetic pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai.attribution.coalitions.coalition_method import CoalitionMethod, Found, Stop
from pyxai.attribution.coalitions.question import Coalitions, Question
from pyxai.methods.base import warn_if_infinite
from pyxai.methods.store import register
from pyxai.ops import sample_permutations

__all__ = ["ShapleyValueSampling"]

# Bytes of masks and elements of contributions that are held at once, whatever the number of orders.
_ELEMENTS = 2**25


@register(
    "shapley_value_sampling",
    summary="Shapley values from random orders and their reverses",
    cost="n_samples * (n_features - 1) + 2 outputs",
    use=(
        "unbiased Shapley values of any model, with standard errors; of few features take "
        "shapley_values, which are exact"
    ),
    complete=True,
    baselines="optional",
    stochastic=True,
    axioms=("completeness", "null_player", "linearity", "implementation_invariance"),
)
class ShapleyValueSampling(CoalitionMethod):
    """Average a player's marginal contribution over random orders.

    ``a_i = mean over orders of v(players before i, and i) - v(players before i)``. Orders come in
    pairs, one the reverse of the other, which removes from the error all that pairs of players do
    together [2]_. Exact for games in which no three players
    interact, unbiased for all.

    Parameters
    ----------
    forward_func : callable
        The model.

    Notes
    -----
    ``n_samples * (n_players - 1) + 2`` evaluations per example, all batched over examples and
    orders. The orders are the same for all examples, so a row does not depend on its batch.

    References
    ----------
    .. [1] J. Castro, D. Gómez, J. Tejada, "Polynomial calculation of the Shapley value based on
       sampling", Computers & Operations Research 36, 2009.
    .. [2] R. Mitchell, J. Cooper, E. Frank, G. Holmes, "Sampling Permutations for Shapley Value
       Estimation", JMLR 23, 2022, section 4.1.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import ShapleyValueSampling
    >>> model = lambda z: z[:, 0] + 2 * z[:, 1]  # each order gives the same, so sampling is exact
    >>> ShapleyValueSampling(model).attribute(torch.tensor([[2.0, 3.0]]))
    tensor([[2., 6.]])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        n_samples: int = 25,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        imputer: Any = None,
        seed: int = 0,
        return_convergence_delta: bool = False,
        return_error: bool = False,
        tolerance: float | None = None,
        max_evals: int | None = None,
        fast_path: bool = True,
    ) -> Any:
        """Attribute the output to the inputs.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain.
        baselines : float, Tensor or tuple of those, optional
            What stands for absent features; default 0.
        target : int, tuple, list or Tensor, optional
            Which output is explained; ``None`` with several outputs: all of them.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        feature_mask : Tensor or tuple of Tensor, optional
            Features with the same number are one player. Default: each by itself.
        n_samples : int
            Number of orders; with a tolerance, of each round (then rounded up to whole pairs).
        perturbations_per_eval : int
            Above 1: upper bound of the coalitions in one pass. 1: chosen by memory.
        show_progress : bool
            Whether to show a progress bar.
        imputer : Imputer, optional
            How absent features are filled, instead of ``baselines``.
        seed : int
            Fixes the orders and the draws of the imputer.
        return_convergence_delta : bool
            Whether to return how far the values are from adding up.
        return_error : bool
            Whether to return standard errors.
        tolerance : float, optional
            Sample until every standard error of an example is at most this, in output units.
        max_evals : int, optional
            With a tolerance: evaluations per example at most; default 100 rounds.
        fast_path : bool
            Whether to run a first layer that is affine once for each example and player rather than
            for every coalition, where the model begins with one and that pays; equal to rounding.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In output units, every feature with the value of its player; float64 for float64
            inputs, else float32. [batch, n_outputs, *features] for several outputs.
        delta : Tensor, shape [batch] or [batch, n_outputs]
            If asked for: sum over players of their values less ``v(all) - v(none)``; rounding only.
        error : like ``attributions``
            If asked for: standard errors over the pairs of orders; infinite for fewer than two.

        Raises
        ------
        ValueError
            If a shape does not fit, or ``n_samples``, ``tolerance`` or ``max_evals`` is too small.

        Warns
        -----
        PyxaiWarning
            If the tolerance is not reached, or standard errors are infinite.
        """
        check_int("n_samples", n_samples, minimum=1)
        question = Question(
            self.forward_func,
            inputs,
            baselines,
            target,
            additional_forward_args,
            feature_mask,
            perturbations_per_eval,
            show_progress,
            imputer,
            seed,
            fast_path,
        )
        if tolerance is not None:
            n_samples += n_samples % 2

        def solve(part: Question, game: Coalitions, corners: Tensor) -> Found:
            stop = Stop(tolerance, max_evals, 100 * n_samples * (game.n_players - 1) + 2)
            sampler = _Orders(corners, game.n_players, n_samples, seed)
            values, errors = self._sample(part, game, sampler, stop, return_error)
            return Found(values, errors, values.sum(-1) - (corners[:, 1] - corners[:, 0]))

        game, found = self._solve(question, solve)
        if found.errors is not None:
            warn_if_infinite(
                found.errors,
                f"n_samples={n_samples}",
                "they are a spread over pairs of orders; give at least 4",
            )
        return self._result(
            game, found, with_delta=return_convergence_delta, with_errors=return_error
        )


class _Orders:
    """Running mean and variance of contributions, in units of antithetic pairs."""

    def __init__(self, corners: Tensor, n_players: int, n_orders: int, seed: int) -> None:
        self._n_players, self._n_orders, self._seed = n_players, n_orders, seed
        self._ends = corners  # float64 [batch, 2, ...]
        self._drawn = 0
        self._mean = torch.zeros(())
        self._squares = torch.zeros(())
        self._weight = 0.0  # pairs; a single order counts one half
        self._pairs = 0

    @property
    def next_evals(self) -> int | None:
        return (self._drawn + self._n_orders) * (self._n_players - 1) + 2

    def ask(self, game: Coalitions) -> None:
        ids = torch.zeros(1, dtype=torch.int64, device=game.device)
        per_order = self._n_players * max(self._n_players // 8, self._ends[:, 0].numel())
        step = max(2, _ELEMENTS // per_order // 2 * 2)
        stop = self._drawn + self._n_orders
        for first in range(self._drawn, stop, step):
            drawn = sample_permutations(
                self._n_players,
                min(step, stop - first),
                seed=self._seed,
                example_ids=ids,
                antithetic=True,
                start=first,
            )
            self._add(_contributions(game, drawn[0], self._ends))
        self._drawn = stop

    def estimate(self, errors: bool) -> tuple[Tensor, Tensor | None]:
        if not errors:
            return self._mean, None
        if self._pairs < 2:
            return self._mean.clone(), torch.full_like(self._mean, torch.inf)
        return self._mean.clone(), (self._squares / (self._pairs - 1) / self._weight).sqrt()

    def take(self, rows: Tensor) -> None:
        self._ends, self._mean, self._squares = (
            part[rows] for part in (self._ends, self._mean, self._squares)
        )

    def _add(self, contributions: Tensor) -> None:
        """Add orders, [batch, ..., n_orders, n_players]; a last one without partner is single."""
        n_orders = contributions.shape[-2]
        pairs = contributions[..., : n_orders - n_orders % 2, :]
        if pairs.shape[-2]:
            pairs = (pairs[..., 0::2, :] + pairs[..., 1::2, :]) / 2
            self._merge(pairs.mean(-2), float(pairs.shape[-2]), pairs.var(-2, correction=0))
            self._pairs += pairs.shape[-2]
        if n_orders % 2:
            self._merge(contributions[..., -1, :], 0.5, None)

    def _merge(self, mean: Tensor, weight: float, variance: Tensor | None) -> None:
        """Combine with the moments of another part [1]_.

        .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm
           for computing sample variances", 1979, eq. 2.1.
        """
        both = self._weight + weight
        step = mean - self._mean
        if variance is not None:
            between = step.square() * (self._weight * weight / both)
            self._squares = self._squares + variance * weight + between
        self._mean = self._mean + step * (weight / both)
        self._weight = both


def _contributions(game: Coalitions, orders: Tensor, corners: Tensor) -> Tensor:
    """Return marginal contributions, float64 [batch, ..., n_orders, n_players]."""
    n_orders, n_players = orders.shape
    inner = n_players - 1
    empty, full = (corners[:, side, None].unsqueeze(1) for side in (0, 1))
    batch, rest = corners.shape[0], corners.shape[2:]
    path = corners.new_zeros(batch, 0, *rest)
    if inner:
        path = game.values_along(orders)
    path = path.view(batch, n_orders, inner, *rest)
    both = (batch, n_orders, 1, *rest)
    steps = torch.cat([empty.expand(both), path, full.expand(both)], 2).diff(dim=2)
    steps = steps.movedim((1, 2), (-2, -1))  # [batch, ..., n_orders, n_players] by place
    place = orders.argsort(1)
    return steps.gather(-1, place.expand_as(steps))
