"""LIME: a sparse linear model around each example, fitted for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, check_number
from pyxai.attribution.coalitions.coalition_method import CoalitionMethod
from pyxai.attribution.coalitions.lasso import lasso_errors, weighted_lasso
from pyxai.attribution.coalitions.lime_parts import (
    LimeInputs,
    check_functions,
    check_model_of_samples,
    cosine_weights,
    custom_masks,
    custom_weights,
    fit_custom,
    mask_weights,
)
from pyxai.attribution.coalitions.question import Coalitions, Question, result_dtype
from pyxai.game import Game
from pyxai.game.players import player_patterns, present_players
from pyxai.methods.base import warn_if_infinite
from pyxai.methods.store import register
from pyxai.ops import sample_coalitions, unpack_masks
from pyxai.runner.memory import check_fits

__all__ = ["Lime"]


@register(
    "lime",
    summary="sparse linear model of the output around the input",
    cost="n_samples outputs",
    use=(
        "a short list of features, any model; not for amounts: the penalty shrinks them, and "
        "they depend on kernel and sampling"
    ),
    baselines="optional",
    stochastic=True,
    axioms=("implementation_invariance",),
)
class Lime(CoalitionMethod):
    """Coefficients of a sparse linear model of the output near the input.

    Players are removed at random, each with probability 1/2. The outputs are fitted by a Lasso with
    intercept, in which a sample weighs ``exp(-d^2 / 2)``, d being one minus the cosine between
    input and perturbed input: captum's defaults, and the same result in the limit of many samples.
    Unlike Shapley values the coefficients do not add up to anything.

    Parameters
    ----------
    forward_func : callable
        The model.
    interpretable_model : object, optional
        ``fit(dataloader)`` is given one batch (masks, outputs, weights) for each example, and
        ``representation()`` returns the coefficients; captum's models fit. Default: the Lasso.
    similarity_func : callable, optional
        ``similarity_func(input, perturbed_input, mask, **options)`` returns the weight of one
        sample; called for each example and sample, with examples of batch size 1.
    perturb_func : callable, optional
        ``perturb_func(input, **options)`` returns one mask [1, n_players] of zeros and ones, or is
        a generator of masks; called for each example.
    alpha : float
        Weight of the Lasso's penalty.

    Notes
    -----
    The default parts run without a loop over examples or samples: one set of masks serves all
    examples, so that a row does not depend on its batch.

    References
    ----------
    .. [1] M. T. Ribeiro, S. Singh, C. Guestrin, "Why Should I Trust You?: Explaining the
       Predictions of Any Classifier", KDD 2016, eq. 1.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import Lime
    >>> Lime(lambda z: z @ torch.tensor([1.0, 0.0])).attribute(torch.ones(1, 2)).round(decimals=1)
    tensor([[1., 0.]])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        interpretable_model: Any = None,
        similarity_func: Callable[..., Any] | None = None,
        perturb_func: Callable[..., Any] | None = None,
        *,
        alpha: float = 0.01,
    ) -> None:
        super().__init__(forward_func)
        if interpretable_model is not None:
            check_model_of_samples(interpretable_model)
        check_functions(similarity_func=similarity_func, perturb_func=perturb_func)
        if check_number("alpha", alpha) < 0:
            raise ValueError(f"alpha must be finite and at least 0, got {alpha}")
        self.interpretable_model = interpretable_model
        self.similarity_func = similarity_func
        self.perturb_func = perturb_func
        self.alpha = float(alpha)

    @property
    def multiplies_by_inputs(self) -> bool:
        """False, as in captum: these are coefficients of a model, not shares of the output."""
        return False

    def has_convergence_delta(self) -> bool:
        """Tell whether the coefficients add up to a difference of outputs: False."""
        return False

    def estimates_error(self, options: Mapping[str, Any]) -> bool:
        """Tell whether standard errors can be returned: those of a model of one's own cannot."""
        return self.interpretable_model is None

    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        n_samples: int = 25,
        perturbations_per_eval: int = 1,
        return_input_shape: bool = True,
        show_progress: bool = False,
        *,
        imputer: Any = None,
        seed: int = 0,
        return_error: bool = False,
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
            Evaluations per example.
        perturbations_per_eval : int
            Above 1: upper bound of the samples in one pass. 1: chosen by memory.
        return_input_shape : bool
            Whether features get the coefficient of their player; else one column per player.
        show_progress : bool
            Whether to show a progress bar.
        imputer : Imputer, optional
            How absent features are filled, instead of ``baselines``. A sample then weighs by the
            cosine between its mask and the mask of all players, as for the original's texts.
        seed : int
            Fixes the masks and the draws of the imputer.
        return_error : bool
            Whether to return standard errors.
        fast_path : bool
            Whether to run a first layer that is affine once for each example and player rather than
            for every sample, where the model begins with one and that pays; equal to rounding.

        Returns
        -------
        attributions : Tensor or tuple of Tensor, shape [batch, *features]
            In output units; float64 for float64 inputs, else float32. [batch, n_players] without
            ``return_input_shape``; a dimension n_outputs after the batch for several outputs.
        error : like ``attributions``
            If asked for: standard errors over the choice of samples of each coefficient before the
            penalty moves it towards 0, which never widens them; infinite where there are no more
            pairs of samples than coefficients.

        Raises
        ------
        ValueError
            If a shape does not fit, ``n_samples`` is less than 2 or more than memory holds, all
            weights are 0, or a custom part returns something of another shape.
        NotImplementedError
            If a custom ``similarity_func`` is used with an imputer, which has no single perturbed
            input, or errors are asked for with a model of one's own.

        Warns
        -----
        PyxaiWarning
            If the Lasso does not reach its optimum, or standard errors are infinite.
        """
        check_int("n_samples", n_samples, minimum=2)
        if imputer is not None and self.similarity_func is not None:
            raise NotImplementedError("similarity_func must be None with an imputer, got one")
        if return_error and self.interpretable_model is not None:
            raise NotImplementedError(
                "return_error must be False with an interpretable_model, whose errors are not "
                "known, got True"
            )
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
        game = question.game()
        # Masks as truth values and twice in float64; outputs, weights and residuals of each row.
        check_fits(
            "n_samples", n_samples, n_samples * (18.0 * game.n_players + 40 * game.n_examples)
        )
        scores, errors = self._coefficients(question, game, n_samples, return_error)
        if return_error:
            warn_if_infinite(
                errors,
                f"n_samples={n_samples}",
                "a feature was there in all samples or in none, or there are no more pairs of "
                "samples than coefficients; give more, or a larger alpha",
            )

        def shaped(values: Tensor) -> Any:
            if return_input_shape:
                return self._to_features(game, values)
            return values.to(result_dtype(game))

        return (shaped(scores), shaped(errors)) if return_error else shaped(scores)

    def _coefficients(
        self, question: Question, game: Game, n_samples: int, with_errors: bool
    ) -> tuple[Tensor, Tensor]:
        """Fit examples that have the same players together, and the others by themselves.

        A player that an example does not have gets 0.
        """
        groups = player_patterns(present_players(game.player_maps, game.n_players, game.inputs))
        if len(groups) == 1 or Coalitions(game).ends().shape[0] < game.n_examples:
            return self._fit_together(question, game, n_samples, with_errors)
        scores = errors = torch.zeros(())
        for rows, players in groups:
            part = question.take(rows)
            found = self._fit_together(part, part.game(), n_samples, with_errors)
            if scores.dim() == 0:
                shape = (game.n_examples, *found[0].shape[1:-1], game.n_players)
                scores, errors = found[0].new_zeros(shape), found[0].new_zeros(shape)
            for whole, some in zip((scores, errors), found, strict=True):
                whole[rows] = whole[rows].index_copy(-1, players, some)
        return scores, errors

    def _fit_together(
        self, question: Question, game: Game, n_samples: int, with_errors: bool
    ) -> tuple[Tensor, Tensor]:
        """Return coefficients and errors of examples that have the same players."""
        parts = LimeInputs(question.inputs, question.baselines, question.feature_mask)
        if self.perturb_func is None:
            ids = torch.zeros(1, dtype=torch.int64, device=game.inputs[0].device)
            packed = sample_coalitions(
                game.n_players, n_samples, seed=question.seed, example_ids=ids, paired=True
            )
            masks = unpack_masks(packed[0], game.n_players)  # [n_samples, n_players]
        else:
            masks = custom_masks(self.perturb_func, parts, n_samples)
        outputs = game.values(masks).double()  # [batch, n_samples, ...]
        if self.similarity_func is not None:
            weights = custom_weights(self.similarity_func, parts, masks)
        elif question.imputer is not None:
            weights = mask_weights(masks).expand(outputs.shape[0], -1)
        else:
            weights = cosine_weights(parts, masks, whole_batch=outputs.shape[0] == 1)
        return self._fit(masks, outputs, weights, with_errors)

    def _fit(
        self, masks: Tensor, outputs: Tensor, weights: Tensor, with_errors: bool
    ) -> tuple[Tensor, Tensor]:
        """Return coefficients and, if asked for, their errors; [batch, ..., n_players]."""
        if not bool((weights >= 0).all()) or not bool((weights.sum(1) > 0).all()):
            raise ValueError(
                "similarity_func must give weights that are not negative and not all 0, got "
                f"values from {float(weights.min()):.3g} to {float(weights.max()):.3g}"
            )
        batch, n_samples, *rest = outputs.shape
        copies = outputs[0, 0].numel()
        rows = outputs.movedim(1, -1).reshape(batch * copies, n_samples)
        weights = weights.repeat_interleave(copies, 0)
        design = masks.double()
        if design.dim() == 3:
            design = design.repeat_interleave(copies, 0)
        if self.interpretable_model is None:
            fitted = weighted_lasso(design, rows, weights, self.alpha)
        else:
            fitted = fit_custom(self.interpretable_model, design, rows, weights)
        errors = lasso_errors(design, rows, weights, fitted) if with_errors else fitted
        shape = (batch, *rest, -1)
        return fitted.view(shape), errors.view(shape)
