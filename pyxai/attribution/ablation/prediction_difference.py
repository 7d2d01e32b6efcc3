"""Prediction difference: what the output loses, on average, when a feature becomes unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai._inputs import format_background, format_inputs, restore_form
from pyxai._random import example_ids as name_examples
from pyxai.attribution.ablation.partial_runs import values_without
from pyxai.game import Game
from pyxai.imputers import Imputer, Marginal
from pyxai.methods.base import PerturbationAttribution, warn_if_infinite
from pyxai.methods.store import register
from pyxai.runner import Output

__all__ = ["PredictionDifference"]

_MASK_ELEMENTS = 2**25  # of the masks that are held at once
_SCORES = ("logit", "probability", "log_odds", "weight_of_evidence")


@register(
    "prediction_difference",
    summary="fall of the output when a feature is drawn from its distribution",
    cost="(n_features + 1) * n_background outputs",
    use=(
        "any model, what a feature tells beyond the others; an imputer keeps rows likely, "
        "background rows alone do not"
    ),
    baselines="distribution",
    axioms=("null_player", "symmetry", "implementation_invariance", "linearity"),
)
class PredictionDifference(PerturbationAttribution):
    """Difference between the output and its expectation over one feature.

    ``a_i = f(x) - E over t of f(x with x_i = t)``, t drawn given the other features, or from the
    rows of a background set (then the mean over the rows is exact).

    Parameters
    ----------
    forward_func : callable
        The model.

    References
    ----------
    .. [1] M. Robnik-Šikonja, I. Kononenko, "Explaining Classifications For Individual Instances",
       IEEE TKDE 20(5), 2008, section 3.
    .. [2] L. M. Zintgraf, T. S. Cohen, T. Adel, M. Welling, "Visualizing Deep Neural Network
       Decisions: Prediction Difference Analysis", ICLR 2017, section 3.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import PredictionDifference
    >>> x, background = torch.tensor([[2.0, 3.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    >>> PredictionDifference(lambda z: z[:, 0] * z[:, 1]).attribute(x, background)
    tensor([[4.5000, 5.0000]])
    """

    def estimates_error(self, options: Mapping[str, Any]) -> bool:
        """Tell whether there is a standard error: background rows all take part."""
        return options.get("imputer") is not None

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
        imputer: Imputer | None = None,
        score: str = "logit",
        seed: int = 0,
        return_error: bool = False,
        fast_path: bool = True,
    ) -> Any:
        """Attribute the output to the inputs.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain.
        baselines : Tensor or tuple of Tensor, shape [n_baselines, *features], optional
            Background rows; a feature takes the value it has in each of them.
        target : int, tuple, list or Tensor, optional
            Which output is explained.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        feature_mask : Tensor or tuple of Tensor, optional
            Features with the same number become unknown together. Default: each by itself.
        perturbations_per_eval : int
            Above 1: upper bound of the features removed in one pass, times the draws of each. 1:
            chosen by memory.
        show_progress : bool
            Whether to show a progress bar.
        imputer : Imputer, optional
            Draws the feature instead: `pyxai.imputers.Gaussian` given the other features,
            `pyxai.imputers.Callback` by a function of yours, or any other.
        score : str
            What f is. ``"logit"``: the model's output as it is. ``"probability"``: its softmax (of
            a single output: its logistic function). ``"log_odds"``: log of p / (1 - p).
            ``"weight_of_evidence"``: the log-odds of the mean probability, so that the
            difference is that of [1]_, in natural units.
        seed : int
            Fixes the draws of the imputer.
        return_error : bool
            Whether to return standard errors.
        fast_path : bool
            Whether to take a way that is equal but for rounding where the model shows one and it is
            less work by the count. `pyxai.explain` then says ``path="incremental"``, of a conv net
            of which only what a feature or group reaches is computed, or ``"linear prefix"``, of a
            model whose first layer is run once for each example and background row. Values drawn
            by chance, or given the other features, know no such way.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In units of the score, every feature with the value of its player; float64 for float64
            inputs, else float32.
        error : like ``attributions``
            If asked for: standard errors over the imputer's draws; 0 for background rows, of which
            each takes part, and infinite for a single draw.

        Raises
        ------
        ValueError
            If there is neither a background nor an imputer, or both, or a shape does not fit.
        """
        tensors, _ = format_inputs(inputs)
        check_choice("score", score, _SCORES)
        if (baselines is None) == (imputer is None):
            raise ValueError(
                "baselines must be given as background rows unless an imputer is, got "
                + ("neither" if imputer is None else "both")
            )
        if imputer is None:
            imputer = Marginal(format_background(baselines, tensors, name="baselines"))
        bound = check_int("perturbations_per_eval", perturbations_per_eval, minimum=1)
        game = Game(
            self.forward_func,
            inputs,
            imputer=imputer,
            feature_mask=feature_mask,
            target=target,
            additional_forward_args=additional_forward_args,
            output=_output(score),
            max_rows=bound * tensors[0].shape[0] * imputer.n_draws if bound > 1 else None,
            seed=seed,
            example_ids=name_examples(None, tensors),
            progress=show_progress,
        )
        found = _partial_runs(game) if fast_path else None
        outputs, expected, errors = found or (_outputs(game), *_expectations(game))
        if score == "weight_of_evidence":
            errors = errors / (expected * (1 - expected))  # to first order
            outputs, expected = torch.logit(outputs), torch.logit(expected)
        wide = any(tensor.dtype == torch.float64 for tensor in tensors)

        def shaped(scores: Tensor) -> Any:
            parts = game.to_features(scores.to(torch.float64 if wide else torch.float32))
            return restore_form(parts, game.is_tuple)

        scores = shaped(outputs - expected)
        if not return_error:
            return scores
        warn_if_infinite(
            errors,
            f"n_draws={game.n_draws}",
            "fewer than two of the imputer's draws are independent; give it more",
        )
        return scores, shaped(errors)


def _partial_runs(game: Game) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return what `_outputs` and `_expectations` do, without running all of the model.

    None where it must be, and where not every row of a background takes part in each mean.
    """
    if not isinstance(game.imputer, Marginal) or not game.imputer.exact:
        return None
    background = game.imputer.background
    players = torch.arange(game.n_players, device=background[0].device)
    values = values_without(
        game.runner,
        game.inputs,
        background,
        game.player_maps,
        game.n_players,
        players,
        game.n_draws,
    )
    if values is None:
        return None
    drawn = values[:, 1:].view(-1, game.n_draws, game.n_players)
    expected = drawn.mean(1, dtype=torch.float64)
    return values[:, :1].double(), expected, torch.zeros_like(expected)


def _outputs(game: Game) -> Tensor:
    """Return the score at the inputs, float64 [batch, 1]."""
    whole = torch.ones(1, game.n_players, dtype=torch.bool)
    return game.values(whole).double()


def _expectations(game: Game) -> tuple[Tensor, Tensor]:
    """Return the mean score without each player and its error, float64 [batch, n_players]."""
    parts = []
    step = max(1, _MASK_ELEMENTS // game.n_players)
    for first in range(0, game.n_players, step):
        player = torch.arange(first, min(first + step, game.n_players))
        masks = torch.ones(player.numel(), game.n_players, dtype=torch.bool)
        absent = masks.scatter_(1, player[:, None], False)
        parts.append(game.values_and_errors(absent))
    means, errors = (torch.cat(each, 1).double() for each in zip(*parts, strict=True))
    return means, errors


def _output(score: str) -> Output:
    if score == "log_odds":
        return _log_odds
    return "logit" if score == "logit" else "probability"


def _log_odds(outputs: Tensor) -> Tensor:
    """Return the log-odds of every class, ``z_c - log sum over others of exp(z)``; [rows, n, ...].

    The log of 1 - p loses all digits as p nears 1, so the class of the largest output has its own
    sum over the others. A single output is a log-odds already.
    """
    if outputs.dim() < 2 or outputs.shape[1] == 1:
        return outputs
    if outputs.dtype in (torch.float16, torch.bfloat16):
        outputs = outputs.float()
    largest = outputs.argmax(1, keepdim=True)
    without = outputs.scatter(1, largest, -torch.inf).logsumexp(1, keepdim=True)
    log_p = outputs.log_softmax(1)
    odds = log_p - torch.log1p(-log_p.exp().clamp(max=0.75))
    return odds.scatter(1, largest, outputs.gather(1, largest) - without)
