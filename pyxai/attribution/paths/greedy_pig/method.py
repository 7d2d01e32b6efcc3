"""The method: arguments in, a ranking of features out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice
from pyxai._inputs import format_baselines, format_feature_mask, format_inputs, restore_form
from pyxai.attribution.paths.greedy_pig.objective import make_objective
from pyxai.attribution.paths.greedy_pig.options import Options, Rounds
from pyxai.attribution.paths.greedy_pig.path_game import PathGame
from pyxai.attribution.paths.greedy_pig.prefix_game import prefix_game
from pyxai.attribution.paths.greedy_pig.scorer import Scorer
from pyxai.greedy import (
    GreedyRounds,
    greedy_rounds,
    path_nodes,
    round_sizes,
    selection_scores,
)
from pyxai.greedy.flat_scores import warn_of_flat_scores
from pyxai.greedy.schedule import check_n_select, is_adaptive
from pyxai.methods.base import GradientAttribution, TensorOrTuple
from pyxai.methods.store import register
from pyxai.runner.progress import Progress

__all__ = ["GreedyPIG"]


@register(
    "greedy_pig",
    summary=(
        "rank by integrated gradients that start over, each round, from the features ranked before"
    ),
    cost="n_steps * ceil(1 + log2(n_features)) gradients",
    use=(
        "which few features suffice for the output; a rank by default, not an amount, and "
        "twins of what is selected come late"
    ),
    baselines="optional",
    axioms=("implementation_invariance",),
)
class GreedyPIG(GradientAttribution):
    """Greedy PIG: rank features by path integrals that start from the features ranked before.

    In each round the path leads from ``x_S``, with the selected features S at the input and the
    others at the baseline, to the input; the features with the largest integrals join S:

    ``PIG_i(S) = integral over t in [0, 1] of dg/dw_i (1_S + t * 1_rest)``, for i outside of S,

    where ``g(w) = G(b + w * (x - b))``. So a feature that repeats what is selected already comes
    late. The result tells which few features are *sufficient* for the output; metrics that remove
    features may rank it below integrated gradients, since redundant evidence is left behind.

    Parameters
    ----------
    forward_func : callable
        The model, or any function of tensors that autograd can differentiate.

    Notes
    -----
    Axiom: implementation invariance. One round with all features ranks as integrated gradients do.
    No guarantee of how good the selection is holds for a net in general.

    References
    ----------
    .. [1] K. Axiotis et al., "Greedy PIG: Adaptive Integrated Gradients", arXiv 2311.06192, 2023,
       algorithm 1 and eq. 7.

    Examples
    --------
    The first two features are twins, of which one is enough:

    >>> import torch
    >>> from pyxai.attribution import GreedyPIG
    >>> model = lambda x: 4 * x[:, :2].sum(1).clamp(max=1) + x[:, 2]
    >>> x = torch.ones(1, 3)
    >>> GreedyPIG(model).attribute(x, output="logit", rounds=3)  # one round, all three features
    tensor([[3., 2., 1.]])
    >>> GreedyPIG(model).attribute(x, output="logit", rounds=1)  # one feature a round
    tensor([[3., 1., 2.]])
    """

    @property
    def multiplies_by_inputs(self) -> bool:
        """True: ``raw`` and ``telescoped`` scores are in units of G."""
        return True

    def attribute(
        self,
        inputs: TensorOrTuple,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        n_steps: int = 4,
        method: str = "midpoint",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        rule: str | None = None,
        rounds: Rounds = "geometric",
        n_select: int | None = None,
        output: Any = "probability",
        scores: str = "rank",
        absolute: bool = False,
        softmax_aware: bool = False,
        tolerance: float | None = None,
        max_steps: int = 64,
        epsilon: float | None = None,
        shortlist: int | None = None,
        prefix_share: float = 0.5,
        fast_path: bool = True,
        show_progress: bool = False,
    ) -> Any:
        """Return a score for each feature of each example.

        Parameters
        ----------
        inputs : Tensor or tuple of Tensor, shape [batch, *features]
            What to explain, of a floating dtype.
        baselines : float, Tensor, or tuple of those, shape [*features] or [1 or batch, *features]
            Values of features that are not shown, in input units; default 0.
        target : int, tuple, list or Tensor, optional
            Which output, one index for all examples or one for each; see `pyxai.runner.Target`. It
            stays the same along the path. Not used by a divergence, which speaks of all classes.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        feature_mask : Tensor or tuple of Tensor, optional
            Integers: features with the same number are selected together and get the same score,
            as the channels of a pixel, a patch, a superpixel, or an embedding.
        n_steps : int
            Number of nodes on each path; each costs one gradient per example and round.
        method : str
            ``"midpoint"``, ``"gausslegendre"``, ``"trapezoid"``, ``"start"`` (the gradient at the
            selection only: "sequential gradient"), or another rule of `IntegratedGradients`.
        internal_batch_size : int, optional
            Upper bound of the rows in one call of the model; default: chosen from its memory.
        return_convergence_delta : bool
            Whether to return as well by how much path integrals miss completeness.
        rule : str, optional
            The same as ``method``, for callers such as `pyxai.explain` that use that word for
            something else.
        rounds : "geometric", "adaptive", int or list of int
            How many features each round selects: 1, 1, 2, 4, 8, ...; as many of the best as gain
            together what their scores promise; always the same number; or as listed, where features
            that no round selects follow in the order of the last scores.
        n_select : int, optional
            After how many features to stop; the others follow in the order of the last scores.
        output : str or callable
            What G is: ``"probability"``, ``"log_probability"`` or ``"logit"`` of the target;
            ``"kl"``, minus the divergence of the classes at x from those shown by a subset,
            ``-KL(p(x) || p(x_S))``; ``"reverse_kl"``, ``-KL(p(x_S) || p(x))``; or a function of the
            model's outputs, of which the target is then taken. A single output per row is the logit
            of one of two classes, unless ``output`` is ``"logit"`` or a function.
        scores : str
            ``"rank"``: number of features minus position; use it for curves. ``"raw"``: the path
            integral in the round of selection, not comparable between rounds. ``"telescoped"``: the
            gain of G in each round, shared in proportion to the path integrals; sums to
            ``G(S) - G(nothing)`` for all features that rounds have selected.
        absolute : bool
            Whether to select by absolute value, from a shortlist by absolute gain.
        softmax_aware : bool
            Whether to average the gradient of the softmax between the nodes instead of sampling it
            there: less error with few nodes, for one forward more at each.
        tolerance : float, optional
            Double the nodes of an example in a round until its path integrals sum to
            ``G(x) - G(x_S)`` within so many units of G, or ``max_steps`` is reached.
        max_steps : int
            Largest number of nodes that ``tolerance`` may lead to.
        epsilon : float, optional
            Stop an example when ``G(x_S) >= G(x) - epsilon * |G(x)|``. Not for a divergence,
            which is 0 at x, nor for deletion curves, for which the rest of the order matters.
        shortlist : int, optional
            Order this many candidates of each round by the exact gains ``G(S + i) - G(S)``.
        prefix_share : float
            For ``rounds="adaptive"``: which share of their scores features must gain together.
        fast_path : bool
            Whether to run a first layer that is affine once a round rather than at every node,
            where the model begins with one and that pays; equal to rounding.
        show_progress : bool
            Whether to show a bar of the features that rounds have selected, once two seconds have
            passed.

        Returns
        -------
        scores : Tensor or tuple of Tensor, shape [batch, *features]
            In the form of ``inputs``; float64 for float64 and float32 otherwise.
        delta : Tensor, shape [batch]
            Only with ``return_convergence_delta``: the largest
            ``|sum of open PIG_i(S) - (G(x) - G(x_S))|`` over the rounds, in units of G.

        Raises
        ------
        ValueError
            If a shape, a target, a rule or a value does not fit, or there are more rounds than
            features.
        TypeError
            If an argument is not of the kind asked for.

        Warns
        -----
        PyxaiWarning
            If the tolerance is not met with ``max_steps`` nodes; if all scores of an example are
            0, in all rounds or in the first, which then do not tell one feature from another.

        Notes
        -----
        Cost: ``n_steps`` gradients per example and round, with geometric rounds
        ``n_steps * (1 + log2(n_features))``; what needs G adds two forwards and one a round. With
        the trapezoid the gradient at the input is taken once. The same call gives the same bits.

        On small nets for 8 x 8 digits geometric rounds lose 0.001 to 0.01 of softmax AUC against
        one feature a round, ``epsilon=0.001`` up to 0.012 more, and ``rounds=1, shortlist=8`` is
        as good as exact greedy selection.
        """
        options = Options(
            n_steps=n_steps,
            method=method,
            internal_batch_size=internal_batch_size,
            rule=rule,
            rounds=rounds,
            n_select=n_select,
            output=output,
            absolute=absolute,
            softmax_aware=softmax_aware,
            tolerance=tolerance,
            max_steps=max_steps,
            epsilon=epsilon,
            shortlist=shortlist,
            prefix_share=prefix_share,
            fast_path=fast_path,
            show_progress=show_progress,
        )
        check_choice("scores", scores, ("rank", "raw", "telescoped"))
        with_values = scores == "telescoped" or return_convergence_delta
        call = self._call(inputs, baselines, target, additional_forward_args, feature_mask, options)
        found, deltas = call.features(options, scores, with_values)
        restored = restore_form(found, call.is_tuple)
        return (restored, deltas) if return_convergence_delta else restored

    def select(
        self,
        inputs: TensorOrTuple,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Any = None,
        *,
        with_values: bool = False,
        **options: Any,
    ) -> GreedyRounds:
        """Return who is selected in which round, and why.

        Parameters
        ----------
        inputs, baselines, target, additional_forward_args, feature_mask
            As for `attribute`.
        with_values : bool
            Whether to ask for G(S) after each round as well.
        **options : any
            The other arguments of `attribute`, but for ``scores`` and
            ``return_convergence_delta``.

        Returns
        -------
        GreedyRounds
            Players are features, counted on over a tuple of inputs, or the groups of
            ``feature_mask`` in the order of their numbers.

        Raises
        ------
        ValueError, TypeError
            As for `attribute`.
        """
        check_bool("with_values", with_values)
        unknown = sorted(set(options) - set(_DEFAULTS))
        if unknown:
            raise TypeError(f"options must be among {', '.join(_DEFAULTS)}, got {unknown[0]!r}")
        full = Options(**{**_DEFAULTS, **options})
        call = self._call(inputs, baselines, target, additional_forward_args, feature_mask, full)
        groups = call.game.by_players()
        if len(groups) > 1:
            raise ValueError(
                "feature_mask must have the same numbers for all examples, whose rounds come back "
                f"in one table, got {len(groups)} sets of numbers; select for each set by itself"
            )
        with Progress(full.show_progress, _planned(call.game, full)) as bar:
            found = call.run(full, n_order=None, with_values=with_values, progress=bar.advance)
        _warn_of_flat_scores(_still_and_flat(found), full)
        return found

    def _call(
        self,
        inputs: Any,
        baselines: Any,
        target: Any,
        arguments: Any,
        feature_mask: Any,
        options: Options,
    ) -> _Call:
        tensors, is_tuple = format_inputs(inputs, gradients=True)
        starts = format_baselines(baselines, tensors)
        players = format_feature_mask(feature_mask, tensors)
        objective = make_objective(
            self.forward_func,
            tensors,
            target,
            arguments,
            options.output,
            options.internal_batch_size,
        )
        return _Call(PathGame(objective, tensors, starts, players), is_tuple)


class _Call(NamedTuple):
    """The examples of a call."""

    game: PathGame
    is_tuple: bool

    def features(
        self, options: Options, scores: str, with_values: bool
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return scores of the features and, where values were asked for, the deltas."""
        found: tuple[Tensor, ...] = ()
        deltas = torch.zeros(())
        unmoved = torch.zeros(2, self.game.n_examples, dtype=torch.bool)
        games = self.game.by_players()
        results = self._results(games, options, with_values)
        for (rows, game), result in zip(games, results, strict=True):
            unmoved[:, rows.cpu()] = _still_and_flat(result)
            parts = game.to_features(selection_scores(result, scores))
            if not found:
                found = tuple(
                    part.new_empty(tensor.shape)
                    for part, tensor in zip(parts, self.game.inputs, strict=True)
                )
                deltas = parts[0].new_zeros(self.game.n_examples)
            for whole, part in zip(found, parts, strict=True):
                whole[rows] = part
            if result.residuals is not None:
                deltas[rows] = result.residuals.abs().amax(1).to(deltas.dtype)
        _warn_of_flat_scores(unmoved, options)
        return found, deltas

    def _results(
        self, games: list[tuple[Tensor, PathGame]], options: Options, with_values: bool
    ) -> Iterator[GreedyRounds]:
        """Select in each game, which all count for one bar."""
        total = sum(_planned(game, options) for _, game in games)
        with Progress(options.show_progress, total) as bar:
            for _, game in games:
                n_order = game.players.n_players
                yield self._replace(game=game).run(
                    options, n_order=n_order, with_values=with_values, progress=bar.advance
                )

    def run(
        self,
        options: Options,
        *,
        n_order: int | None,
        with_values: bool,
        progress: Callable[[int], Any],
    ) -> GreedyRounds:
        """Select in rounds."""
        scorer = Scorer(
            _on_fast_path(self.game, options),
            options.path_rule,
            options.n_steps,
            softmax_aware=options.softmax_aware,
            tolerance=options.tolerance,
            max_nodes=options.max_steps,
        )
        asks = with_values or options.epsilon is not None or options.shortlist is not None
        asks = asks or is_adaptive(options.rounds)
        result = greedy_rounds(
            scorer.score,
            self.game.n_examples,
            self.game.players.n_players,
            n_select=options.n_select,
            n_order=n_order,
            rounds=options.rounds,
            absolute=options.absolute,
            value=scorer.value if asks else None,
            epsilon=options.epsilon,
            shortlist=options.shortlist,
            prefix_share=options.prefix_share,
            device=self.game.inputs[0].device,
            progress=progress,
        )
        scorer.warn()
        return result


# Those of `attribute` where `select` is not given them.
_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(GreedyPIG.attribute).parameters.items()
    if name in Options.__dataclass_fields__
}


def _planned(game: PathGame, options: Options) -> int:
    """Return how many features rounds are to select, over all examples."""
    n_players, rounds = game.players.n_players, options.rounds
    count = check_n_select(options.n_select, n_players)
    each = count if is_adaptive(rounds) else sum(round_sizes(rounds, n_players, count))
    return game.n_examples * each


def _on_fast_path(game: PathGame, options: Options) -> PathGame:
    """Return the game with the model's first layer set apart, where that is asked for and pays."""
    if not options.fast_path:
        return game
    # About as many, where the scores decide.
    rounds = "geometric" if is_adaptive(options.rounds) else options.rounds
    n_rounds = len(round_sizes(rounds, game.players.n_players, options.n_select))
    return prefix_game(game, n_rounds, len(path_nodes(options.path_rule, options.n_steps)[0]))


def _still_and_flat(found: GreedyRounds) -> Tensor:
    """Return which examples are still and which are flat, [2, batch]."""
    assert found.still is not None
    assert found.flat is not None
    return torch.stack([found.still, found.flat]).cpu()


def _warn_of_flat_scores(unmoved: Tensor, options: Options) -> None:
    def names(rows: list[int]) -> str:
        return f"at example(s) {', '.join(map(str, rows))}"

    warn_of_flat_scores(*unmoved, player="feature", names=names, rule=options.path_rule)
