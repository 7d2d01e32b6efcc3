"""Shapley values by asking for every coalition."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai.attribution.coalitions.coalition_method import CoalitionMethod, Found
from pyxai.attribution.coalitions.question import Coalitions, Question
from pyxai.methods.store import AXIOMS, register
from pyxai.ops import shapley_values_from_table

__all__ = ["ShapleyValues"]

_MASKS = 2**20  # coalitions asked of the game at once


@register(
    "shapley_values",
    summary="Shapley values from all 2^n coalitions",
    cost="2^n_features + 2 outputs",
    use=(
        "exact and fair shares up to some 16 features, or groups of them, any model; beyond "
        "them kernel_shap or shapley_value_sampling"
    ),
    complete=True,
    baselines="optional",
    axioms=AXIOMS,
)
class ShapleyValues(CoalitionMethod):
    """Exact Shapley values: all 2^n coalitions, then one transform of the table.

    ``a_i = sum over S without i of |S|! (n - 1 - |S|)! / n! * (v(S and i) - v(S))``

    Parameters
    ----------
    forward_func : callable
        The model.

    Notes
    -----
    2^n evaluations per example, where captum's class of this name takes n * n!. Complete; gives 0
    to players that change nothing and the same to players that cannot be told apart; linear in the
    model.

    References
    ----------
    .. [1] L. S. Shapley, "A value for n-person games", Contributions to the Theory of Games II,
       1953, eq. 13.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import ShapleyValues
    >>> ShapleyValues(lambda z: z.amin(1)).attribute(torch.tensor([[3.0, 1.0]]))
    tensor([[0.5000, 0.5000]])
    """

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        perturbations_per_eval: int = 1,
        show_progress: bool = False,
        *,
        imputer: Any = None,
        seed: int = 0,
        max_evals: int = 2**20,
        return_convergence_delta: bool = False,
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
        perturbations_per_eval : int
            Above 1: upper bound of the coalitions in one pass. 1: chosen by memory.
        show_progress : bool
            Whether to show a progress bar.
        imputer : Imputer, optional
            How absent features are filled, instead of ``baselines``.
        seed : int
            Fixes the draws of the imputer.
        max_evals : int
            Evaluations per example allowed; more players than fit are an error. At most 2^26.

        return_convergence_delta : bool
            Whether to return how far the values are from adding up.
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

        Raises
        ------
        ValueError
            If a shape does not fit, or there are too many players.
        """
        limit = min(check_int("max_evals", max_evals, minimum=2), 2**26).bit_length() - 1
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

        def solve(_: Question, game: Coalitions, corners: Tensor) -> Found:
            return _exact(game, corners, limit)

        game, found = self._solve(question, solve)
        return self._result(game, found, with_delta=return_convergence_delta)


def _exact(game: Coalitions, corners: Tensor, limit: int) -> Found:
    """Ask for all coalitions and transform their table."""
    n_players = game.n_players
    if n_players > limit:
        raise ValueError(
            f"feature_mask must leave at most {limit} players for exact Shapley values, got "
            f"{n_players}, which take {_count(n_players)} evaluations of the model for each "
            "example; use KernelShap or ShapleyValueSampling, or group features"
        )
    parts = []
    step = _MASKS if game.players is None else max(1, 2**27 // game.game.n_players)
    for first in range(0, 2**n_players, step):
        # Coalition number m is its own packed mask: bit i of m is player i.
        number = torch.arange(first, min(first + step, 2**n_players), dtype=torch.int32)
        parts.append(game.values(number[:, None]))
    table = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
    scores = shapley_values_from_table(table.movedim(1, -1).contiguous())
    return Found(scores, None, scores.sum(-1) - (corners[:, 1] - corners[:, 0]))


def _count(n_players: int) -> str:
    return f"{2**n_players:,}" if n_players <= 40 else f"2^{n_players}"
