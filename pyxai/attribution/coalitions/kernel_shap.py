"""Shapley values by regression on the values of coalitions, for all examples at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai.attribution.coalitions.coalition_method import CoalitionMethod, Found, Stop
from pyxai.attribution.coalitions.coalitions import CoalitionPairs, group_rows, kernel_pairs
from pyxai.attribution.coalitions.pair_process import MAX_PAIRS, pair_process
from pyxai.attribution.coalitions.pair_regression import pair_regression
from pyxai.attribution.coalitions.question import Coalitions, Question
from pyxai.methods.base import warn_if_infinite
from pyxai.methods.store import register
from pyxai.ops import pack_masks
from pyxai.runner.memory import check_fits

__all__ = ["KernelShap"]

_ESTIMATORS = ("least_squares", "gaussian_process")
_MOST_BY_DEFAULT = 4096  # players; for more, as for the pixels of a photo, the user must decide


class _Default(int):
    """A number that the user did not give."""


_DEFAULT_SAMPLES = _Default(25)  # captum's


@register(
    "kernel_shap",
    summary="Shapley values from paired coalitions by weighted least squares",
    cost="n_samples outputs",
    use=(
        "Shapley values of any model with a fixed number of evaluations, with standard "
        "errors; exact where all coalitions fit in it"
    ),
    complete=True,
    baselines="optional",
    stochastic=True,
    axioms=("completeness", "linearity", "implementation_invariance"),
)
class KernelShap(CoalitionMethod):
    """Shapley values by weighted least squares on sampled coalitions.

    Coalitions come in complementary pairs; small sizes (with their complements) are enumerated as
    far as the budget goes, the others are sampled without repetition. One set of coalitions serves
    all examples: one matrix is factored, and a batch costs one product with it. The values add up
    to ``f(inputs) - f(baselines)`` exactly, and are exact when all coalitions are asked for.

    Parameters
    ----------
    forward_func : callable
        The model.

    Notes
    -----
    ``n_samples`` evaluations per example at most, where they are given. A row does not depend on
    its batch.

    ``estimator="gaussian_process"`` interpolates the game instead of fitting its linear part, and
    takes the Shapley values of the interpolant: several times fewer evaluations for the same error
    where interactions of many players are weak. Its standard errors rest on that model;
    those of ``"least_squares"`` on the sampling alone.

    References
    ----------
    .. [1] S. Lundberg, S.-I. Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS
       2017, theorem 2.
    .. [2] I. Covert, S.-I. Lee, "Improving KernelSHAP: Practical Shapley Value Estimation via
       Linear Regression", AISTATS 2021.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import KernelShap
    >>> KernelShap(lambda z: z[:, 0] * z[:, 1]).attribute(torch.tensor([[2.0, 3.0]]))
    tensor([[3., 3.]])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        n_samples: int = _DEFAULT_SAMPLES,
        perturbations_per_eval: int = 1,
        return_input_shape: bool = True,
        show_progress: bool = False,
        *,
        imputer: Any = None,
        seed: int = 0,
        estimator: str = "least_squares",
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
            Evaluations per example, with those of the inputs and of the baselines; at least
            ``2 * n_players`` for least squares. Where none are given, least squares takes all
            coalitions if these are no more than ``2 * n_players + 2048``, and else so many, for up
            to 4096 players; the Gaussian process takes 25.
        perturbations_per_eval : int
            Above 1: upper bound of the coalitions in one pass. 1: chosen by memory.
        return_input_shape : bool
            Whether features get the value of their player; else one column per player comes back.
        show_progress : bool
            Whether to show a progress bar.
        imputer : Imputer, optional
            How absent features are filled, instead of ``baselines``.
        seed : int
            Fixes the coalitions and the draws of the imputer.
        estimator : str
            ``"least_squares"`` or ``"gaussian_process"``, see the notes of the class.
        return_convergence_delta : bool
            Whether to return how far the values are from adding up.
        return_error : bool
            Whether to return standard errors.
        tolerance : float, optional
            Double the coalitions until every standard error of an example is at most this, in
            output units.
        max_evals : int, optional
            With a tolerance: evaluations per example at most; default ``64 * n_samples``.
        fast_path : bool
            Whether to run a first layer that is affine once for each example and player rather than
            for every coalition, where the model begins with one and that pays; equal to rounding.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In output units; float64 for float64 inputs, else float32. [batch, n_players] without
            ``return_input_shape``; a dimension n_outputs after the batch for several outputs.
        delta : Tensor, shape [batch] or [batch, n_outputs]
            If asked for: sum over players of their values less ``v(all) - v(none)``; rounding only.
        error : like ``attributions``
            If asked for: standard errors over the choice of coalitions, 0 when all are in;
            infinite, with a warning, where so few were asked for that nothing can be said.

        Raises
        ------
        ValueError
            If a shape does not fit, ``n_samples``, ``tolerance`` or ``max_evals`` is too small, or
            ``n_samples`` more than memory holds.

        Warns
        -----
        PyxaiWarning
            If the tolerance is not reached, or standard errors are infinite.
        """
        check_choice("estimator", estimator, _ESTIMATORS)
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

        def solve(part: Question, game: Coalitions, corners: Tensor) -> Found:
            budget = _budget(n_samples, game.n_players, estimator)
            stop = Stop(tolerance, max_evals, 64 * budget)
            n_pairs = min((budget - 2) // 2, 2 ** (game.n_players - 1))
            # Masks, four tables of the regression in float64; differences and residuals.
            size = n_pairs * (40.0 * game.n_players + 24 * corners[:, 0].numel())
            check_fits("n_samples", budget, size)
            totals = corners[:, 1] - corners[:, 0]
            sampler = _Pairs(totals, game.n_players, (budget - 2) // 2, seed, estimator)
            values, errors = self._sample(part, game, sampler, stop, return_error)
            return Found(values, errors, values.sum(-1) - totals)

        game, found = self._solve(question, solve)
        if found.errors is not None:
            warn_if_infinite(
                found.errors,
                f"n_samples={int(n_samples)}",
                "coalitions of some sizes had no chance to be drawn; give more, or no number for a "
                "default that has",
            )
        return self._result(
            game,
            found,
            with_delta=return_convergence_delta,
            with_errors=return_error,
            as_features=return_input_shape,
        )


def _budget(n_samples: Any, n_players: int, estimator: str) -> int:
    """Return how many evaluations to make; by default all of them, where these are not many."""
    own = isinstance(n_samples, _Default) and estimator == "least_squares"
    if own and n_players <= _MOST_BY_DEFAULT:
        many = 2 * n_players + 2048  # as shap's KernelExplainer takes
        return max(4, 2**n_players) if 2**n_players <= many else many
    _check_samples(n_samples, n_players, estimator)
    return int(n_samples)


def _check_samples(n_samples: Any, n_players: int, estimator: str) -> None:
    check_int("n_samples", n_samples, minimum=2 if n_players == 1 else 4)
    n_pairs = (n_samples - 2) // 2
    if estimator == "gaussian_process":
        if n_pairs > MAX_PAIRS and 2 ** (n_players - 1) - 1 > MAX_PAIRS:
            raise ValueError(
                f"n_samples must be at most {2 * MAX_PAIRS + 2} for estimator='gaussian_process', "
                f"got {n_samples}"
            )
    elif n_pairs < n_players - 1:
        raise ValueError(
            f"n_samples must be at least 2 * n_players = {2 * n_players} for a regression on "
            f"{n_players} players, got {n_samples}; group features with feature_mask, or use "
            "estimator='gaussian_process', which takes fewer"
        )


class _Pairs:
    """The coalitions asked so far, their values, and the fit to them."""

    def __init__(
        self, totals: Tensor, n_players: int, n_pairs: int, seed: int, estimator: str
    ) -> None:
        self._totals = totals  # float64 [batch, ...]
        self._n_players, self._n_pairs, self._seed = n_players, n_pairs, seed
        self._estimator = estimator
        self._all: int = 2 ** (n_players - 1) - 1
        self._pairs: CoalitionPairs | None = None
        self._differences: Tensor | None = None  # float64 [batch, n_pairs, ...]

    @property
    def next_evals(self) -> int | None:
        if self._pairs is None:
            return 2 + 2 * min(self._n_pairs, self._all)
        n_pairs = self._pairs.masks.shape[0]
        limit = MAX_PAIRS if self._estimator == "gaussian_process" else self._all
        if n_pairs >= min(limit, self._all):
            return None
        return 2 + 2 * min(2 * n_pairs, limit, self._all)

    def ask(self, game: Coalitions) -> None:
        if self._n_players == 1:
            return
        if self._pairs is None:
            self._pairs = kernel_pairs(self._n_players, self._n_pairs, self._seed)
            self._differences = _differences(game, self._pairs.masks)
            return
        assert self._differences is not None
        assert self.next_evals is not None
        old = self._pairs
        n_pairs = (self.next_evals - 2) // 2
        self._pairs = kernel_pairs(self._n_players, n_pairs, self._seed, old.counts)
        source = _find(pack_masks(self._pairs.masks), pack_masks(old.masks))
        fresh = _differences(game, self._pairs.masks[source < 0])
        known = source.to(fresh.device)
        merged = fresh.new_empty((fresh.shape[0], known.numel(), *fresh.shape[2:]))
        merged[:, known < 0] = fresh
        merged[:, known >= 0] = self._differences[:, known[known >= 0]]
        self._differences = merged

    def estimate(self, errors: bool) -> tuple[Tensor, Tensor | None]:
        if self._pairs is None or self._differences is None:  # a single player gets everything
            return self._totals.unsqueeze(-1), torch.zeros_like(self._totals).unsqueeze(-1)
        everything = self._pairs.masks.shape[0] == self._all
        process = self._estimator == "gaussian_process" and not everything
        fit = pair_process if process else pair_regression
        rows = self._differences.movedim(1, -1)  # [batch, ..., n_pairs]
        values, spread = fit(
            self._pairs, rows.flatten(0, -2), self._totals.flatten(), errors=errors
        )
        shape = (*self._totals.shape, self._n_players)
        return values.view(shape), None if spread is None else spread.view(shape)

    def take(self, rows: Tensor) -> None:
        assert self._differences is not None
        self._totals, self._differences = self._totals[rows], self._differences[rows]


def _differences(game: Coalitions, masks: Tensor) -> Tensor:
    """Return ``v(S) - v(complement of S)``, float64 [batch, n_pairs, ...]."""
    values = game.values(torch.cat([masks, ~masks]))
    members, others = values.tensor_split(2, 1)
    return members - others


def _find(words: Tensor, among: Tensor) -> Tensor:
    """Return for each row of ``words`` its place in ``among``, or -1; int64."""
    group = group_rows(torch.cat([among, words]))
    place = torch.full((int(group.max()) + 1,), -1)
    place[group[: among.shape[0]]] = torch.arange(among.shape[0])
    return place[group[among.shape[0] :]]
