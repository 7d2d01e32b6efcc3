"""Owen values: what a group of features is worth, shared within the group, and so on down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._errors import warn
from pyxai._inputs import format_inputs
from pyxai.attribution.coalitions.coalition_method import CoalitionMethod, Found
from pyxai.attribution.coalitions.owen.division import Division
from pyxai.attribution.coalitions.owen.forms import read_hierarchy
from pyxai.attribution.coalitions.owen.tree import Tree
from pyxai.attribution.coalitions.question import Coalitions, Question
from pyxai.methods.store import register
from pyxai.runner.memory import check_fits

__all__ = ["PartitionShap"]

# Bytes of packed masks that are kept at once; examples beyond them are explained after one another.
_KEPT = 2**28


@register(
    "partition_shap",
    summary="Owen values: Shapley values of groups, shared out within each, down a hierarchy",
    cost="max_evals outputs",
    use=(
        "features with a hierarchy: pixels, clauses, correlated columns; exact in some n^2 "
        "evaluations on a balanced tree"
    ),
    complete=True,
    baselines="optional",
    axioms=("completeness", "null_player", "linearity", "implementation_invariance"),
)
class PartitionShap(CoalitionMethod):
    """Owen values of features over a hierarchy.

    The children of a node share what the node is worth as its players: each gets its Shapley value
    in the game of the children, averaged over the coalitions of outer nodes that may be present
    [1]_ [2]_. That is the mean of ``v(features before i, and i) - v(features before i)`` over the
    orders of features in which every node's features stand together. A hierarchy of one level is
    the Shapley value.

    Parameters
    ----------
    forward_func : callable
        The model.

    Notes
    -----
    A node of k children takes ``2^k - 2`` evaluations in each of its contexts, which are
    ``2^(k - 1)`` times those of its parent; exact values of n features cost about ``2/3 n^2`` on a
    balanced binary tree. If ``max_evals`` is fewer, the shares of largest magnitude are divided
    first, each example's its own. What is left undivided in the end is split equally among the
    features of its node, with a warning that says how much it is.

    Complete at any budget, and deterministic. Divided to the end, features that change nothing get
    0, features that are alike and children of one node get the same, and the values are
    linear in the model. Features equal to their baseline get 0 at any budget and cost nothing.

    References
    ----------
    .. [1] G. Owen, "Values of games with a priori unions", in Mathematical Economics and Game
       Theory, 1977.
    .. [2] E. Winter, "A value for cooperative games with levels structure of cooperation",
       International Journal of Game Theory 18, 1989.

    Examples
    --------
    >>> import torch
    >>> from pyxai.attribution import PartitionShap
    >>> model = lambda z: z.amin(1)  # a pair, and a feature of its own
    >>> PartitionShap(model).attribute(torch.ones(1, 3), hierarchy=[[0, 1], 2])
    tensor([[0.2500, 0.2500, 0.5000]])
    """

    def takes_targets(self, options: Mapping[str, Any]) -> bool:
        """Tell that targets do not go together: what is divided next depends on the answers."""
        return False

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
        hierarchy: Any = None,
        imputer: Any = None,
        seed: int = 0,
        max_evals: int = 4096,
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
            Features with the same number are one player. Default: each by itself, or what the
            hierarchy says.
        perturbations_per_eval : int
            Above 1: upper bound of the coalitions in one pass. 1: chosen by memory.
        show_progress : bool
            Whether to show a progress bar.
        hierarchy : optional
            One of these:

            - lists or tuples in each other, of the feature mask's numbers (without one: of the
              features, counted on over all tensors), each once;
            - a linkage of players in SciPy's form, shape [n_players - 1, 4], of which the two first
              columns count: row i joins two of the players and of the rows before, number
              ``n_players + row``;
            - a list of feature masks, from coarse to fine, as `pyxai.masks.superpixels` gives them
              at several scales. Players are what no scale divides, and each mask is cut at the
              borders of those before it. Where a segment has more than four parts, halves are put
              in between;
            - a tree, or a list with one for each example, of which ``nodes[i].children`` are
              earlier numbers and the nodes without children the players, as
              `pyxai.decomposition.ACD` finds it; without ``feature_mask`` its ``units`` are the
              players.

            Default, for images [batch, channels, height, width] alone: patches halved along the
            longer side, the channels of a pixel last.
        imputer : Imputer, optional
            How absent features are filled, instead of ``baselines``.
        seed : int
            Fixes the draws of the imputer.
        max_evals : int
            Evaluations per example at most, with those of the inputs and of the baselines; at
            least ``2^k`` for a node of k children.
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
            If a shape does not fit, the hierarchy does not hold every player once, or a node has
            too many children for ``max_evals``.
        TypeError
            If the hierarchy is of another kind.

        Warns
        -----
        PyxaiWarning
            If ``max_evals`` does not do for the whole hierarchy.
        """
        check_int("max_evals", max_evals, minimum=2)
        tensors, is_tuple = format_inputs(inputs)
        feature_mask, trees = read_hierarchy(hierarchy, tensors, is_tuple, feature_mask)
        question = _TreeQuestion(
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
            trees,
        )
        left: list[tuple[float, float]] = []

        def solve(part: Question, game: Coalitions, corners: Tensor) -> Found:
            assert isinstance(part, _TreeQuestion)
            if len(part.trees) > len(corners):
                raise ValueError(
                    "hierarchy must be the same for all examples for a model with outputs for the "
                    f"whole batch, got {len(part.trees)} of them"
                )
            some = _of_players(part.trees, game)
            needed = max(tree.evaluations for tree in some)
            _check_evals(some, needed, max_evals, corners)
            scores, undivided = _divided(part, game, corners, some, max_evals)
            if needed > max_evals:
                left.append((needed, float(undivided.max())))
            return Found(scores, None, scores.sum(-1) - (corners[:, 1] - corners[:, 0]))

        game, found = self._solve(question, solve)
        if left:
            needed, worst = (max(column) for column in zip(*left, strict=True))
            warn(
                f"max_evals={max_evals} divides the hierarchy in part, all of which takes "
                f"{needed:.6g} evaluations; shares of up to {worst:.3g} in all are split equally "
                "within its nodes"
            )
        return self._result(game, found, with_delta=return_convergence_delta)


@dataclass(frozen=True)
class _TreeQuestion(Question):
    """A question with the hierarchy of its players: one, or one for each example."""

    trees: tuple[Tree, ...] = ()

    def take(self, rows: Tensor) -> Question:
        part = super().take(rows)
        assert isinstance(part, _TreeQuestion)
        if len(self.trees) == 1:
            return part
        return replace(part, trees=tuple(self.trees[row] for row in rows.tolist()))


def _of_players(trees: Sequence[Tree], game: Coalitions) -> list[Tree]:
    """Return the hierarchies of the players who take part."""
    if game.players is None:
        return list(trees)
    players = game.players.cpu()
    return [tree.among(players) for tree in trees]


def _check_evals(trees: Sequence[Tree], needed: float, max_evals: int, corners: Tensor) -> None:
    """Raise if a node could never be divided, or if there is more to keep than fits."""
    widest = max(int(tree.n_children.max()) for tree in trees)
    if 2.0**widest > max_evals:
        raise ValueError(
            f"hierarchy must have at most {max_evals.bit_length() - 1} children in a node for "
            f"max_evals={max_evals}, got {widest}, which take 2^{widest} evaluations; put nodes in "
            "between"
        )
    words = -(-len(trees[0].order) // 32)
    each = 4.0 * words + 8.0 * corners[:, 0].numel()
    check_fits("max_evals", max_evals, each * min(needed, max_evals))


def _divided(
    part: _TreeQuestion, game: Coalitions, corners: Tensor, trees: list[Tree], max_evals: int
) -> tuple[Tensor, Tensor]:
    """Return values and what is undivided; examples that do not fit together one by one."""
    n_rows = len(corners)
    words = -(-game.n_players // 32)
    needed = max(tree.evaluations for tree in trees)
    step = max(1, _KEPT // (4 * words * int(min(needed, max_evals))))
    if step >= n_rows or (len(trees) == 1 and needed <= max_evals):
        return Division(trees, corners, max_evals).run(game.values)
    found = []
    for rows in torch.split(torch.arange(n_rows, device=corners.device), step):
        some = game.of(part.take(rows).game())
        chosen = trees if len(trees) == 1 else [trees[row] for row in rows.tolist()]
        found.append(Division(chosen, corners[rows], max_evals).run(some.values))
    scores, undivided = (torch.cat(column) for column in zip(*found, strict=True))
    return scores, undivided
