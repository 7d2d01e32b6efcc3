"""One question to a model: the parts of its outputs, for any groups, in passes that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai._checks import check_int
from pyxai.decomposition.groups import Groups, mask_dtype
from pyxai.decomposition.layouts import layouts_of
from pyxai.propagation.decomposed import DecompositionEngine, Policies
from pyxai.propagation.decomposed.engine import Parts
from pyxai.propagation.decomposed.prefix import Known
from pyxai.propagation.decomposed.windowed import Part, WindowedParts
from pyxai.runner import EveryOutput, Target, is_out_of_memory, note_path
from pyxai.runner.arguments import as_arguments, take_arguments
from pyxai.runner.memory import Measure, Schedule, rows_for
from pyxai.runner.state import find_modules, warn_if_training
from pyxai.tracing import Node, trace_rows

__all__ = ["GroupParts", "Question"]

T = TypeVar("T")


class GroupParts(NamedTuple):
    """What an output is the sum of, for each group.

    Shapes are [batch, groups], or [batch, groups, *outputs] without a target.
    """

    relevant: Tensor
    """The score: what the group explains."""
    irrelevant: Tensor
    """What is left of the output."""
    bias: Tensor
    """What biases alone explain; 0 unless ``bias="stream"``."""


class Question:
    """One question: a model, examples and a target, for any groups."""

    def __init__(
        self,
        model: nn.Module,
        policies: Policies,
        inputs: tuple[Tensor, ...],
        target: Any,
        additional_forward_args: Any,
        max_rows: int | None,
        *,
        every: bool = False,
    ) -> None:
        self.inputs, self.batch = inputs, len(inputs[0])
        self.arguments = as_arguments(additional_forward_args)
        self.target = EveryOutput() if every else Target(target)
        self.target.check_examples(self.batch)
        self.every = every
        if max_rows is not None:
            max_rows = check_int("internal_batch_size", max_rows, minimum=1)
        self.max_rows = max_rows
        warn_if_training(find_modules(model), model)
        graph = trace_rows(model, inputs, self.arguments)
        floating = [each.is_floating_point() for each in inputs]
        self.engine = DecompositionEngine(graph, policies, floating)
        self.errors: dict[Node, float] | None = None
        self.create_graph = False
        self.fast_path = True
        """Whether groups of pixels may be computed in the windows that they reach."""
        self._totals: tuple[slice, int, Any] | None = None
        self.known: dict[Node, Known] | None = None
        """What is known of the frozen layers, for these examples and all groups."""

    def parts(self, groups: Groups) -> GroupParts:
        """Return the parts of the outputs for all groups, [batch, groups, ...]."""
        with torch.enable_grad() if self.create_graph else torch.no_grad():
            layouts = self._layouts(groups)
            if layouts is None:
                found = self._directly(groups, self._schedule(groups.count))
                joined = _joined(found, self.engine.whole_batch, groups.count)
            else:
                note_path("incremental")
                rows = [self._example(groups, *each) for each in enumerate(layouts)]
                joined = GroupParts(*map(torch.cat, zip(*rows, strict=True)))
        self._totals = None
        return joined

    def _directly(
        self, groups: Groups, schedule: Schedule, example: int | None = None
    ) -> list[GroupParts]:
        """Return the parts for groups of all examples, or of one, on whole maps."""

        def work(examples: slice, which: slice) -> GroupParts:
            if example is not None:
                examples = slice(example, example + 1)
            found = self._split(groups, examples, which)
            return self._selected(found, examples, which.stop - which.start)

        return [each for _, each in _in_passes(schedule, work)]

    def _layouts(self, groups: Groups) -> list[list[Part]] | None:
        """Return how the groups of each example are computed, None if all are on whole maps."""
        plain = not self.create_graph and self.errors is None and self.known is None
        if not (self.fast_path and plain) or pytree.tree_leaves(self.arguments):
            return None
        return layouts_of(self.engine, self.inputs, groups, self._rows_of)

    def _example(self, groups: Groups, example: int, parts: list[Part]) -> GroupParts:
        """Return the parts for all groups of an example, [1, groups, ...]."""
        x = self.inputs[0][example : example + 1].clone()
        windowed = None
        found = []
        for part in parts:
            some = groups.some(torch.from_numpy(part.numbers))
            schedule = Schedule(1, some.count, self._rows_of(part.elements))
            if part.plan is None:
                found += self._directly(some, schedule, example)
            else:
                windowed = windowed or WindowedParts(self.engine, x)
                found += self._windowed(windowed, some, schedule, example, part)
        order = np.argsort(np.concatenate([part.numbers for part in parts]))
        places = torch.from_numpy(order).to(x.device)
        return GroupParts(*(torch.cat(each, 1)[:, places] for each in zip(*found, strict=True)))

    def _windowed(
        self,
        windowed: WindowedParts,
        groups: Groups,
        schedule: Schedule,
        example: int,
        part: Part,
    ) -> list[GroupParts]:
        """Return the parts for the groups of a part with a plan."""
        one = slice(example, example + 1)

        def work(_: slice, which: slice) -> GroupParts:
            (masks,) = groups.masks(one, which)
            found = windowed.split(part, which, masks[0])
            return self._selected(found, one, which.stop - which.start)

        return [each for _, each in _in_passes(schedule, work)]

    def known_of(self, nodes: tuple[Node, ...], groups: Groups) -> dict[Node, Known]:
        """Return the parts of values inside the model, of a model without further arguments."""

        def work(examples: slice, which: slice) -> dict[Node, Known]:
            inputs = tuple(each[examples] for each in self.inputs)
            return self.engine.known(nodes, groups.masks(examples, which), inputs)

        with torch.no_grad():
            found = list(_in_passes(self._schedule(groups.count), work))
        first = [each for which, each in found if which.start == 0]  # totals are of all groups

        def joined(node: Node) -> Known:
            def join(name: str) -> Any:
                some = first if name == "total" else [each for _, each in found]
                values = [getattr(each[node], name) for each in some]
                if values[0] is None or name == "total":
                    return None if values[0] is None else torch.cat(values)
                return _joined_groups(values, groups.count)

            return Known(*map(join, Known._fields))

        return {node: joined(node) for node in nodes}

    def _schedule(self, n_groups: int) -> Schedule:
        rows = min(self._rows_of(), self.batch * n_groups)
        return Schedule(self.batch, n_groups, rows, self.engine.whole_batch)

    def _rows_of(self, elements: float | None = None) -> int:
        """Return how many rows fit in a pass; ``elements`` of all values of one, if not of all."""
        width = max(torch.empty((), dtype=mask_dtype(each)).element_size() for each in self.inputs)
        if elements is None:
            elements = self.engine.graph.program.row_elements
        # The totals, the parts of one op and its operands, and shares at ties.
        return rows_for(Measure(3.0 * width * elements), self.inputs[0].device, self.max_rows)

    def _split(self, groups: Groups, examples: slice, which: slice) -> Parts:
        count = which.stop - which.start
        inputs = tuple(each[examples] for each in self.inputs)
        further = take_arguments(self.arguments, examples, self.batch)
        known = None
        if self.known is not None:
            known = {node: each.taken(examples, which) for node, each in self.known.items()}
        if self._totals is None or self._totals[:2] != (examples, count):
            self._totals = examples, count, self.engine.totals(inputs, further, count, known)
        masks = groups.masks(examples, which)
        starts = None if groups.starts is None else groups.starts(examples, which)
        totals = self._totals[2]
        return self.engine.split(totals, masks, inputs, further, self.errors, known, starts)

    def _selected(self, found: Parts, examples: slice, n_groups: int) -> GroupParts:
        """Select the target, [examples, groups, ...], in the dtype of results."""
        one = not self.engine.graph.program.rows_apart  # one output for the whole batch
        n_examples = 1 if one else examples.stop - examples.start
        dtype = torch.float64 if found.totals.dtype == torch.float64 else torch.float32

        def select(outputs: Tensor) -> Tensor:
            outputs = outputs if outputs.dim() else outputs.unsqueeze(0)
            if self.every:
                chosen = outputs
                if outputs.shape[1:].numel() == 1:
                    chosen = outputs.reshape(len(outputs))
            else:
                chosen = self.target.select(outputs, examples, n_groups, True)
            return chosen.to(dtype).view(n_examples, n_groups, *chosen.shape[1:])

        relevant, total = select(found.relevant), select(found.totals.contiguous())
        bias = torch.zeros_like(relevant) if found.biases is None else select(found.biases)
        self._check(relevant, total)
        return GroupParts(relevant, total - relevant - bias, bias)

    def _check(self, relevant: Tensor, total: Tensor) -> None:
        if bool((~relevant.isfinite() & total.isfinite()).any()):
            raise ValueError(
                "model must have operations that are finite for parts of its values, got a score "
                "that is NaN or infinite (a logarithm, a root or a quotient of a part may be); "
                "see completeness_errors"
            )


def _in_passes(schedule: Schedule, work: Callable[[slice, slice], T]) -> Iterator[tuple[slice, T]]:
    """Yield which groups each pass has and what work gives for it, in passes that fit."""
    for examples, which in schedule:
        try:
            found = work(examples, which)
        except Exception as error:
            rows = (examples.stop - examples.start) * (which.stop - which.start)
            if is_out_of_memory(error) and schedule.halve(rows):
                continue
            raise
        schedule.succeeded()
        yield which, found


def _joined(passes: list[GroupParts], whole: bool, n_groups: int) -> GroupParts:
    """Put passes together: examples one after the other, some with their groups in parts."""

    def join(parts: list[Tensor]) -> Tensor:
        if len(parts) == 1:
            return parts[0]
        if whole:
            return torch.cat(parts, 1)
        return _joined_groups(parts, n_groups)

    return GroupParts(
        *(join([getattr(each, name) for each in passes]) for name in GroupParts._fields)
    )


def _joined_groups(parts: list[Tensor], n_groups: int) -> Tensor:
    """Put passes together that have all groups of some examples, or some of one."""
    if all(part.shape[1] == n_groups for part in parts):
        return torch.cat(parts)
    flat = torch.cat([part.flatten(0, 1) for part in parts])
    return flat.view(-1, n_groups, *flat.shape[1:])
