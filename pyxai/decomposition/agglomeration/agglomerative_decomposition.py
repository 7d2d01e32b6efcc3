"""Agglomerative contextual decomposition (ACD): hierarchies of words and of parts of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_bool, check_choice, check_int, check_number, describe
from pyxai._inputs import format_inputs
from pyxai.decomposition.agglomeration.growth import Growth, Rules, merge_rest
from pyxai.decomposition.agglomeration.hierarchy import Hierarchy, make_nodes
from pyxai.decomposition.agglomeration.official import grow_officially
from pyxai.decomposition.agglomeration.priority_queue import grow_by_queue
from pyxai.decomposition.agglomeration.scores import Explained, GroupScores, check_scores
from pyxai.decomposition.agglomeration.units import Units, find_units
from pyxai.decomposition.contextual_decomposition import ContextualDecomposition
from pyxai.decomposition.removal_scores import BuildUp, GroupOcclusion
from pyxai.runner import one_scope, takes_arrays
from pyxai.runner.arguments import as_arguments, take_arguments

__all__ = ["ACD", "AgglomerativeDecomposition"]

_SCORERS: dict[str, Callable[[Any], Any]] = {
    "contextual_decomposition": ContextualDecomposition,
    "build_up": BuildUp,
    "occlusion": GroupOcclusion,
}
_FINAL = {("text", "queue"): "adjacent", ("image", "queue"): "any", ("image", "official"): "any"}


class AgglomerativeDecomposition:
    """Build a hierarchy of groups of features from the scores of groups.

    Single words, pixels or superpixels are scored, the best are selected, and grow by neighbours
    that add much to them, until groups meet [1]_. It is no attribution method, and not registered
    as one: a feature is in many groups, each with a score of its own, and no number of that
    hierarchy is the feature's. Give `ContextualDecomposition.attribute` a feature mask for scores
    of one partition.

    Parameters
    ----------
    model : callable or None
        What scores are of: a module for contextual decomposition, any function of tensors for the
        others. None where ``scorer`` has its own.
    scorer : str, object or callable, optional
        Default: ``"contextual_decomposition"`` with its default policies. ``"build_up"`` and
        ``"occlusion"`` show or remove groups. Else something with a ``scores`` method like theirs,
        such as ``ContextualDecomposition(model, policy="shapley")``, or a function like that
        method: from inputs [1, *features], masks [1, n_groups, *features] (sizes may be 1 to
        broadcast), target (None) and further arguments to scores [1, n_groups, *outputs].
    variant : {"queue", "official"}
        The paper's algorithm, or what its code does, see the notes.
    percentile : float, optional
        From 0 to 100: what is at or above it is selected. Default: 90 for text, 95 for images.
    n_iter : int, optional
        Most iterations before groups that are left are merged. Default: for text until all words
        are selected, for images 5.
    absolute : bool, optional
        Whether selection goes by absolute scores and gains. Default: for text.
    subtract : bool or int
        Whether the score of a group is that of the target minus that of the other of two outputs,
        or of the output of that number.
    adjacency : {4, 8}
        Which neighbours a group of an image can grow by: those across a side of a pixel, or across
        a corner too.
    final : {"any", "adjacent", "none"}, optional
        Which pairs of groups are merged in the end. Default: ``"adjacent"`` for text by the queue,
        ``"none"`` for text by the code, ``"any"`` for images.
    spans : bool, optional
        Whether all runs of neighbouring words are scored in one call at the start, so that nothing
        is asked later. Default: where they are up to 512, which is 31 words.

    Raises
    ------
    TypeError
        If ``model`` or ``scorer`` cannot score, or an argument is of another kind.
    ValueError
        If an argument is out of range.

    Notes
    -----
    ``variant="queue"``: the queue holds each unit that is in no group, by its score, and each group
    joined with a neighbour, by its gain ``score(joined) - score(group)``; a neighbour that is in a
    group brings that along, and the gain is the smaller of the two. All at or above the percentile
    of the queue leave it in one iteration; of what they have in common becomes one group. In the
    end the pair that adds most to the better of both is merged, until one group is left. Priorities
    that are equal but for rounding are equal.

    ``variant="official"``: a mask of selected units is grown. Connected units (over corners too)
    are a group, each neighbour's score is what it adds to one, and those at or above the percentile
    of the units that are left are selected. Text: with 5, 4, 3, 2 or 1 words left the percentile
    is 59, 49, 59, 49 or 0. Images: it is 15 lower once more than a third is selected, units with
    3 of 4 neighbours selected are selected too (of more neighbours three quarters), and groups of
    the end are merged by the signed score. Labels of groups are followed up to 11, as there. Where
    the code fails since all patches are selected, this one stops.

    All candidates of an iteration are scored in one call, and none twice. Of k groups of the end
    ``(k - 1)**2`` pairs are scored. Examples of a batch are taken one after the other, so that each
    gets what it gets alone. Deterministic.

    References
    ----------
    .. [1] C. Singh, W. J. Murdoch, B. Yu, "Hierarchical interpretations for neural network
       predictions", ICLR 2019, section 3.2 and algorithm 1.

    Examples
    --------
    >>> def scores(inputs, groups, target, arguments):  # 1 for each word, 2 for the first two
    ...     return (groups.sum(2) + 2 * groups[..., 0] * groups[..., 1]).float()
    >>> acd = AgglomerativeDecomposition(None, scorer=scores)
    >>> [tree] = acd.agglomerate(torch.tensor([[7, 2, 5]]), names=["not", "bad", "film"])
    >>> print(tree)
    Hierarchy(text, queue, 3 unit(s), 2 group(s), 1 root(s))
            +5  not bad film
            +4    not bad
            +1      not
            +1      bad
            +1    film
    """

    def __init__(
        self,
        model: Callable[..., Any] | None,
        *,
        scorer: Any = None,
        variant: str = "queue",
        percentile: float | None = None,
        n_iter: int | None = None,
        absolute: bool | None = None,
        subtract: bool | int = False,
        adjacency: int = 4,
        final: str | None = None,
        spans: bool | None = None,
    ) -> None:
        self.model = model
        self.scorer = _scorer_of(model, scorer)
        self.variant = check_choice("variant", variant, ("queue", "official"))
        if percentile is not None and not 0 <= check_number("percentile", percentile) <= 100:
            raise ValueError(f"percentile must be from 0 to 100, got {percentile}")
        if n_iter is not None:
            check_int("n_iter", n_iter, minimum=1)
        for name, flag in (("absolute", absolute), ("spans", spans)):
            if flag is not None:
                check_bool(name, flag)
        if not isinstance(subtract, bool):
            check_int("subtract", subtract, minimum=0)
        if adjacency not in (4, 8):
            raise ValueError(f"adjacency must be 4 or 8, got {describe(adjacency)}")
        if final is not None:
            check_choice("final", final, ("any", "adjacent", "none"))
        self.percentile, self.n_iter, self.absolute = percentile, n_iter, absolute
        self.subtract, self.adjacency, self.final, self.spans = subtract, adjacency, final, spans

    @takes_arrays
    @one_scope
    def agglomerate(
        self,
        inputs: Tensor,
        target: Any = None,
        additional_forward_args: Any = None,
        feature_mask: Tensor | None = None,
        *,
        layout: str | None = None,
        names: Sequence[Any] | None = None,
        internal_batch_size: int | None = None,
    ) -> list[Hierarchy]:
        """Build the hierarchy of each example.

        Parameters
        ----------
        inputs : Tensor, shape [batch, n_words, ...] or [batch, channels, height, width]
            Sentences, as numbers of words or as embeddings, or images. Also [batch, height, width].
        target : int, tuple, list or Tensor, optional
            Which output orders groups, in any of captum's forms; all are scored.
        additional_forward_args : any, optional
            Further arguments of the model. A tensor whose first size is that of the batch is taken
            to hold a row for each example; `pyxai.Shared` says that all rows share it.
        feature_mask : Tensor, optional
            Positions with the same number are one unit, such as the pieces of a word,
            `pyxai.masks.patches` or `pyxai.masks.superpixels`. Each must be connected. Default:
            each word, or each pixel with all its channels.
        layout : {"text", "image"}, optional
            Default: text for inputs of 2 dimensions, images for 4.
        names : sequence of str, or of such sequences, optional
            Name of each unit, for all examples or for each.
        internal_batch_size : int, optional
            Upper bound of the groups in a pass. The result does not depend on it.

        Returns
        -------
        list of Hierarchy
            One for each example.

        Raises
        ------
        ValueError, TypeError
            If an argument does not fit, or scores are not finite numbers.
        """
        (given, *others), _ = format_inputs(inputs)
        if others:
            raise ValueError(f"inputs must be one tensor, got {describe(inputs)}")
        if internal_batch_size is not None:
            check_int("internal_batch_size", internal_batch_size, minimum=1)
        explained = Explained(target, self.subtract, len(given))
        units = find_units(given, feature_mask, layout)
        labels = _names(names, units)
        arguments = as_arguments(additional_forward_args)
        found = []
        for row, (own, label) in enumerate(zip(units, labels, strict=True)):
            place = slice(row, row + 1)
            further = take_arguments(arguments, place, len(given)) or None
            ask = self._asking(given[place], further, internal_batch_size)
            scores = GroupScores(ask, own, given[place], explained, row)
            found.append(self._built(scores, explained.index(row), label))
        return found

    def _rules(self, units: Units) -> Rules:
        """Return the choices for some units, with defaults for their layout."""
        text = units.layout == "text"
        official = self.variant == "official"
        limit = 2 * units.count if text else 5  # each selects a word or merges groups
        return Rules(
            units=units,
            percentile=(90.0 if text else 95.0) if self.percentile is None else self.percentile,
            n_iter=limit if self.n_iter is None else self.n_iter,
            absolute=text if self.absolute is None else self.absolute,
            near=units.corners if self.adjacency == 8 else units.sides,
            final=_FINAL.get((units.layout, self.variant), "none")
            if self.final is None
            else self.final,
            signed=official,
        )

    def _asking(
        self, inputs: Tensor, arguments: Any, max_rows: int | None
    ) -> Callable[[Tensor], Tensor]:
        """Return the function from masks to the scores of one example."""
        options = {} if max_rows is None else {"internal_batch_size": max_rows}

        def ask(masks: Tensor) -> Tensor:
            found = self.scorer(inputs, masks, None, arguments, **options)
            return check_scores(found, masks.shape[1])

        return ask

    def _built(
        self, scores: GroupScores, target: tuple[int, ...] | None, names: tuple[str, ...] | None
    ) -> Hierarchy:
        rules = self._rules(scores.units)
        if rules.units.layout == "text":
            scores.need_spans(self.spans)
        grow = grow_officially if self.variant == "official" else grow_by_queue
        growth = grow(scores, rules)
        merge_rest(growth, scores, rules)
        return self._hierarchy(growth, scores, target, names)

    def _hierarchy(
        self,
        growth: Growth,
        scores: GroupScores,
        target: tuple[int, ...] | None,
        names: tuple[str, ...] | None,
    ) -> Hierarchy:
        units, unions, image = scores.units, None, scores.units.layout == "image"
        last = growth.components[-1].values() if growth.components else ()
        scores.need([*last, *(growth.unions if image else ())])
        selected = torch.stack([torch.from_numpy(each) for each in growth.selected])
        join_steps = (~selected).sum(0).tolist()
        nodes, groups, steps = make_nodes(growth.components, join_steps, scores)
        whole = scores.vector(units.everything)
        if image:
            unions = whole.new_zeros(len(growth.unions), *whole.shape)
            for row, union in enumerate(growth.unions):
                unions[row] = scores.vector(union)
        rules = self._rules(units)
        return Hierarchy(
            nodes=nodes,
            scores=torch.stack([scores.vector(group) for group in groups]).cpu(),
            whole=whole.cpu(),
            whole_score=scores[units.everything],
            inputs=scores.inputs,
            units=torch.from_numpy(units.of),
            layout=units.layout,
            variant=self.variant,
            target=target,
            steps=steps,
            n_grown=growth.n_grown,
            tracked=torch.stack([torch.from_numpy(each) for each in growth.tracked]),
            selected=selected,
            unions=None if unions is None else unions.cpu(),
            names=names,
            options={
                "percentile": rules.percentile,
                "n_iter": rules.n_iter,
                "absolute": rules.absolute,
                "subtract": self.subtract,
                "adjacency": self.adjacency,
                "final": rules.final,
            },
        )


ACD = AgglomerativeDecomposition


def _scorer_of(model: Any, scorer: Any) -> Callable[..., Any]:
    """Return the function that scores groups."""
    if scorer is None or isinstance(scorer, str):
        name = "contextual_decomposition" if scorer is None else scorer
        check_choice("scorer", name, tuple(_SCORERS))
        found: Callable[..., Any] = _SCORERS[name](model).scores
        return found
    method = getattr(scorer, "scores", scorer)
    if not callable(method):
        raise TypeError(
            "scorer must be a name, have a method `scores`, or be a function like it, got "
            f"{describe(scorer)}"
        )
    return method  # type: ignore[no-any-return]


def _names(names: Any, units: list[Units]) -> list[tuple[str, ...] | None]:
    """Return the names of the units of each example."""
    if names is None:
        return [None] * len(units)
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"names must be a list of names, got {describe(names)}")
    shared = all(isinstance(name, str) for name in names)
    rows = [names] * len(units) if shared else list(names)
    if len(rows) != len(units):
        raise ValueError(
            f"names must have one list for each of {len(units)} example(s), got {len(rows)}"
        )
    for row, own in zip(rows, units, strict=True):
        if len(row) != own.count:
            raise ValueError(f"names must have {own.count} entries, one per unit, got {len(row)}")
    return [tuple(map(str, row)) for row in rows]
