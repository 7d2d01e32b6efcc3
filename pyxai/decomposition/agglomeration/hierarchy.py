"""The result of an agglomeration: groups inside groups, with their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int
from pyxai._files import check_fields
from pyxai._lazy import above
from pyxai.decomposition.agglomeration.official_lists import image_lists, text_lists
from pyxai.explanation import file
from pyxai.explanation.numbers import number, rounding

__all__ = ["Hierarchy", "HierarchyNode"]

_NODE: dict[str, Any] = {
    **dict.fromkeys(("id", "level", "step"), int),
    **dict.fromkeys(("score", "gain", "interaction"), (float, int)),
    **dict.fromkeys(("members", "children"), tuple),
}
_FIELDS: dict[str, Any] = {
    **dict.fromkeys(("scores", "whole", "inputs", "units", "tracked", "selected"), Tensor),
    **dict.fromkeys(("layout", "variant"), str),
    **dict.fromkeys(("target", "names"), (tuple, list, type(None))),
    "nodes": list,
    "whole_score": (float, int),
    "steps": tuple,
    "n_grown": int,
    "unions": (Tensor, type(None)),
    "options": dict,
}


@dataclass(frozen=True)
class HierarchyNode:
    """One group of a hierarchy.

    Attributes
    ----------
    id : int
        Its place in ``Hierarchy.nodes``.
    members : tuple of int
        Units in it, ascending.
    score : float
        Of the explained output, in output units; with ``subtract`` that of another taken off.
    level : int
        0 for a single unit, else one more than the highest of its children.
    step : int
        In which iteration or merge it came about, from 0; a unit, when it was selected, or the
        number of steps where it was not.
    children : tuple of int
        Nodes that it was made of, by their first units.
    gain : float
        What it scores beyond the best of its children, ``score(S and U) - max(score(S),
        score(U))``; of a unit, its score.
    interaction : float
        What it scores beyond all of its children, ``score(S and U) - score(S) - score(U)`` where
        there are two; 0 for a unit.
    """

    id: int
    members: tuple[int, ...]
    score: float
    level: int
    step: int
    children: tuple[int, ...]
    gain: float
    interaction: float

    @property
    def bitmask(self) -> int:
        """Members as an integer whose bit u stands for unit u."""
        return sum(1 << unit for unit in self.members)


def _node(content: Any) -> HierarchyNode:
    """Return a node of a file."""
    check_fields(content, _NODE)
    made = HierarchyNode(**content)
    for unit in (*made.members, *made.children):
        check_int("units and nodes", unit, minimum=0)
    return made


@dataclass(frozen=True, eq=False, repr=False)
class Hierarchy:
    """Groups of the units of one example: words, pixels, patches or superpixels.

    Attributes
    ----------
    nodes : tuple of HierarchyNode
        Units first, in their order, then groups in the order in which they came about; children
        come before parents.
    scores : Tensor, shape [n_nodes, *outputs]
        Score of each node for all outputs.
    whole : Tensor, shape [*outputs]
        Score of all units together.
    whole_score : float
        The one of them that orders groups.
    inputs : Tensor, shape [1, *features]
        The example.
    units : Tensor, shape [n_words] or [height, width]
        int64 unit of each position, numbered in the order of their first positions.
    layout : {"text", "image"}
        How positions are arranged.
    variant : {"queue", "official"}
        How groups grew.
    target : tuple of int or None
        Which output is explained.
    steps : tuple of dict of int to int
        After each iteration, and then after each merge, the node of each group, by its label.
    n_grown : int
        How many of the steps are iterations.
    tracked : Tensor, shape [n_selections, n_units]
        float64 score, or gain, by which each unit could be selected; NaN where it was before.
    selected : Tensor, shape [n_selections, n_units]
        bool, what is selected after that.
    unions : Tensor, shape [n_steps, *outputs], or None
        Score of all that is selected at each step together; of images.
    names : tuple of str or None
        Name of each unit, such as words.
    options : dict
        The other choices.
    """

    nodes: tuple[HierarchyNode, ...]
    scores: Tensor
    whole: Tensor
    whole_score: float
    inputs: Tensor
    units: Tensor
    layout: str
    variant: str
    target: tuple[int, ...] | None
    steps: tuple[dict[int, int], ...]
    n_grown: int
    tracked: Tensor
    selected: Tensor
    unions: Tensor | None = None
    names: tuple[str, ...] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return self.tracked.shape[1]

    @property
    def roots(self) -> tuple[HierarchyNode, ...]:
        """The nodes that are in no other."""
        inside = {child for node in self.nodes for child in node.children}
        return tuple(node for node in self.nodes if node.id not in inside)

    @property
    def join_steps(self) -> Tensor:
        """In which selection, from 0, each unit joined a group.

        int64 [n_units]; the number of selections for a unit that none reached.
        """
        return (~self.selected).sum(0)

    def positions(self, node: int) -> Tensor:
        """Return where the members of a node are, bool of the shape of ``units``.

        Raises
        ------
        ValueError
            If there is no such node.
        """
        check_int("node", node, minimum=0)
        if node >= len(self.nodes):
            raise ValueError(f"node must be below {len(self.nodes)}, got {node}")
        return torch.isin(self.units, torch.tensor(self.nodes[node].members))

    def label(self, node: int) -> str:
        """Return the words of a node, or how many units it has."""
        members = self.nodes[node].members
        if self.names is not None:
            return " ".join(self.names[unit] for unit in members)
        if len(members) == 1:
            return f"unit {members[0]}"
        return f"{len(members)} units"

    def rank_correlation(self, other: Hierarchy) -> float:
        """Correlate when units joined here and in another hierarchy of the same units.

        Spearman's, of ``join_steps``: 1 for the same order, NaN where all join at once.

        Parameters
        ----------
        other : Hierarchy
            Such as that of a perturbed input.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If the units are not the same.
        """
        if not torch.equal(self.units, other.units):
            raise ValueError(
                f"other must have the {self.n_units} units of this hierarchy, got others"
            )
        steps = [tree.join_steps.double()[None] for tree in (self, other)]
        return float(above("metrics").stability(*steps))

    def plot(self, **options: Any) -> Any:
        """Draw with `pyxai.plot.hierarchy` and return the matplotlib Axes."""
        return above("plot").hierarchy(self, **options)

    def __repr__(self) -> str:
        """Say in one line what this is."""
        return (
            f"Hierarchy({self.layout}, {self.variant}, {self.n_units} unit(s), "
            f"{len(self.nodes) - self.n_units} group(s), {len(self.roots)} root(s))"
        )

    def __str__(self) -> str:
        """Show groups below the groups that they are in, with their scores."""
        lines = [repr(self)]
        pending = [(node, 0) for node in reversed(self.roots) if node.children]
        while pending:
            node, depth = pending.pop()
            score = number(node.score, "+.4g", rounding(self.scores))
            lines.append(f"{score:>10}  {'  ' * depth}{self.label(node.id)}")
            inside = [self.nodes[child] for child in node.children]
            if self.layout == "image":
                inside = [child for child in inside if child.children]
            pending += [(child, depth + 1) for child in reversed(inside)]
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file whose header holds the rest as JSON; no pickle.

        Parameters
        ----------
        path : str or Path
            File name, in a folder that exists.

        Returns
        -------
        Path
            Where the file is.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        kept["nodes"] = [asdict(node) for node in self.nodes]
        return file.save(kept, Path(path), "hierarchy")

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Hierarchy:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file was not written by `save`.
        """

        def build(kept: dict[str, Any]) -> Hierarchy:
            check_fields(kept, _FIELDS)
            made = cls(**{**kept, "nodes": tuple(map(_node, kept["nodes"]))})
            if made.tracked.dim() != 2:
                raise ValueError(f"tracked must have two axes, got {list(made.tracked.shape)}")
            sizes = (len(made.nodes), made.n_units)
            if len(made.scores) != sizes[0] or made.selected.shape != made.tracked.shape:
                raise ValueError("scores and selections must fit its nodes and units")
            for place, node in enumerate(made.nodes):
                if node.id != place or not set(node.children) <= set(range(place)):
                    raise ValueError(f"node {place} must be made of nodes before it")
                if not set(node.members) <= set(range(sizes[1])):
                    raise ValueError(f"node {place} must have units of it as members")
            if made.names is not None and len(made.names) != sizes[1]:
                raise ValueError(f"names must be those of its {sizes[1]} units")
            return made

        return file.load(Path(path), torch.device(device), build, "hierarchy")

    def to_official_text(self, *, collapse: bool = False) -> dict[str, Any]:
        """Return the lists that the authors' code makes of a sentence.

        Parameters
        ----------
        collapse : bool
            Whether to arrange groups by levels rather than by iterations, as the code does before
            it draws.

        Returns
        -------
        dict
            ``comps_list``, int64 arrays [n_units] with the label of each word's group, 0 for none,
            the first all zeros; ``comp_scores_list``, dicts from label to score, the first
            ``{0: score_orig}``; ``scores_list`` and ``mask_list``, arrays [n_units];
            ``score_orig``.

        Raises
        ------
        ValueError
            If it is not of text.
        """
        return text_lists(self, collapse)

    def to_official_image(self) -> dict[str, Any]:
        """Return the lists that the authors' code makes of an image.

        Returns
        -------
        dict
            ``comps_list``, int64 arrays with the label of each unit's group, 0 for none, of the
            shape of the grid of patches, or [n_units] where units are no grid; the first zeros of
            the size of the image. ``comp_scores_raw_list``, dicts from label to the scores of all
            outputs, the first ``{0: scores of all}``; ``comp_scores_raw_combined_list``, those of
            all that is in a group; ``scores_list``, ``im_thresh_list``, ``scores_orig_raw``,
            ``num_before_final``.

        Raises
        ------
        ValueError
            If it is not of an image.
        """
        return image_lists(self)


def make_nodes(
    steps: Sequence[dict[int, int]],
    join_steps: Sequence[int],
    score_of: Any,
) -> tuple[tuple[HierarchyNode, ...], list[int], tuple[dict[int, int], ...]]:
    """Arrange the groups of all steps, by their labels, as nodes.

    Parameters
    ----------
    steps : sequence of dict of int to int
        Group by label.
    join_steps : sequence of int
        Of the units.
    score_of : mapping
        From group to the score that orders.

    Returns
    -------
    tuple of HierarchyNode
    list of int
        Group of each node.
    tuple of dict of int to int
        Node by label, for each step.
    """
    n_units = len(join_steps)
    groups = [1 << unit for unit in range(n_units)]
    nodes = [
        HierarchyNode(unit, (unit,), score_of[group], 0, step, (), score_of[group], 0.0)
        for unit, (group, step) in enumerate(zip(groups, join_steps, strict=True))
    ]
    tops, known = list(range(n_units)), dict(zip(groups, range(n_units), strict=True))
    named = []
    for step, components in enumerate(steps):
        for group in components.values():
            if group in known:
                continue
            inside = [top for top in tops if groups[top] & group]
            inside.sort(key=lambda top: nodes[top].members)
            node = _parent(len(nodes), [nodes[top] for top in inside], step, score_of[group])
            known[group] = node.id
            nodes.append(node)
            groups.append(group)
            tops = [top for top in tops if top not in set(inside)] + [node.id]
        named.append({label: known[group] for label, group in components.items()})
    return tuple(nodes), groups, tuple(named)


def _parent(number: int, children: list[HierarchyNode], step: int, score: float) -> HierarchyNode:
    parts = [child.score for child in children]
    return HierarchyNode(
        id=number,
        members=tuple(sorted(unit for child in children for unit in child.members)),
        score=score,
        level=1 + max(child.level for child in children),
        step=step,
        children=tuple(child.id for child in children),
        gain=score - max(parts),
        interaction=score - sum(parts),
    )
