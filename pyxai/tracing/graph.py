"""The traced graph of a model: run it with other rules, send relevance back through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai.runner.arguments import own_values
from pyxai.runner.state import random_state_kept
from pyxai.tracing.interpreter import Run, Values, execute, propagate
from pyxai.tracing.nodes import Node, is_random
from pyxai.tracing.rules import Rule, RuleTable

__all__ = ["Graph", "Program"]


@dataclass(frozen=True, eq=False)
class Program:
    """Nodes of a traced model without the model: what the cache keeps."""

    nodes: tuple[Node, ...]
    inputs: tuple[Node, ...]
    arguments: tuple[Node | None, ...]  # by position among the flattened arguments, None: unused
    states: tuple[tuple[Node, str, Tensor | None], ...]  # node, name in the model, constant
    output: Node
    last_use: tuple[int, ...]
    limits: tuple[int, int | None]
    features: tuple[tuple[int, ...], ...]  # sizes of the attributed inputs without the batch
    row_elements: int  # elements of all values that have a row per example, for one example
    output_sizes: tuple[int | None, ...]  # of the output; None follows the batch
    random: bool  # whether an op draws random numbers
    # Where all runs: what the model moves stays, and its tensors elsewhere are copied for a run.
    device: torch.device | None

    @classmethod
    def build(
        cls,
        nodes: Sequence[Node],
        inputs: Sequence[Node],
        arguments: Sequence[Node | None],
        states: Sequence[tuple[Node, str, Tensor | None]],
        output: Node,
        limits: tuple[int, int | None],
        features: tuple[tuple[int, ...], ...],
        row_elements: int,
        output_sizes: tuple[int | None, ...],
        device: torch.device | None,
    ) -> Program:
        """Drop what the output does not need and number the rest."""
        needed = {output, *inputs}
        for node in reversed(nodes):
            if node in needed:
                needed.update(node.operands())
        kept = [node for node in nodes if node in needed]
        last_use = [0] * len(kept)
        for index, node in enumerate(kept):
            node.index = index
            last_use[index] = index
            for operand in set(node.operands()):
                last_use[operand.index] = index
                operand.users.append(node)
        last_use[output.index] = len(kept)
        return cls(
            tuple(kept),
            tuple(inputs),
            tuple(node if node in needed else None for node in arguments),
            tuple(state for state in states if state[0] in needed),
            output,
            tuple(last_use),
            limits,
            features,
            row_elements,
            output_sizes,
            any(is_random(node) for node in kept),
            device,
        )

    @property
    def rows_apart(self) -> bool:
        """Whether the output has a row per example."""
        lower, upper = self.limits
        fixed = lower == upper  # then a size is a number also where it is that of the batch
        return self.output_sizes[:1] in (((None,), (lower,)) if fixed else ((None,),))

    def accepts(self, batch: int) -> bool:
        """Whether the program is right for a batch of this size."""
        lower, upper = self.limits
        return lower <= batch and (upper is None or batch <= upper)


class Graph:
    """A model as a list of aten ops.

    Attributes
    ----------
    model : Module
        Where the weights are read from, in every run.
    nodes : tuple of Node
        All values in the order of computation.
    inputs : tuple of Node
        The attributed inputs.
    output : Node
        The model's output.
    """

    def __init__(self, program: Program, model: nn.Module) -> None:
        self.program = program
        self.model = model
        self.nodes = program.nodes
        self.inputs = program.inputs
        self.output = program.output

    def __repr__(self) -> str:
        return f"Graph({type(self.model).__name__}, {len(self.ops)} ops, {len(self.nodes)} nodes)"

    @property
    def ops(self) -> tuple[str, ...]:
        """Names of the ops in order of execution, ``getitem`` and sizes included."""
        return tuple(node.op for node in self.nodes if node.kind == "call")

    def calls(self) -> tuple[Node, ...]:
        """Ops whose value depends on an attributed input, those a method needs rules for."""
        return tuple(
            node
            for node in self.nodes
            if node.kind == "call" and node.depends and node.op != "getitem"
        )

    def states(self) -> dict[Node, Tensor]:
        """Return the model's tensors that the graph reads, as they are now."""
        return {node: self._state(name, held) for node, name, held in self.program.states}

    def check(self, rules: RuleTable, *, strict: bool = True) -> None:
        """Raise ``UnsupportedOperationError`` if an op of the graph has no rule."""
        rules.resolve(self.calls(), strict=strict)

    def run(
        self,
        inputs: Sequence[Any],
        additional_forward_args: tuple[Any, ...] = (),
        *,
        keep: Callable[[Node], bool] | None = None,
        rules: RuleTable | None = None,
        strict: bool = True,
        start: dict[Node, Any] | None = None,
        targets: Sequence[Node] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Values:
        """Run the graph and return the value of every node.

        Autograd and autocast follow the caller; weights are the model's own tensors. What is drawn
        leaves the random state as it was, so that two runs draw the same.

        Parameters
        ----------
        inputs : sequence
            One value per attributed input: tensors [batch, *features], or with ``rules`` whatever
            these understand (pairs, for contextual decomposition).
        additional_forward_args : tuple
            As given to :func:`trace`, for this batch.
        keep : callable, optional
            Says of a node whether its value is wanted afterwards; others are freed early. By
            default all are kept.
        rules : RuleTable, optional
            Forward rules ``rule(call) -> value`` in place of the ops that depend on the inputs.
        strict : bool
            Whether an op without a forward rule is an error.
        start : dict, optional
            Values known beforehand; what only leads to them is not computed, and inputs that are
            not needed may be ``None``.
        targets : sequence of Node, optional
            Nodes to compute, by default the output.
        options : mapping, optional
            What rules find as ``call.options``.

        Returns
        -------
        Values
            Indexed by node. ``values[graph.output]`` is the model's output.
        """
        values = Values(len(self.nodes))
        for node, value in zip(self.inputs, inputs, strict=True):
            values[node] = value
        self._check_batch(inputs[0])
        leaves = pytree.tree_leaves(own_values(additional_forward_args))
        if len(leaves) != len(self.program.arguments):
            raise ValueError(
                f"additional_forward_args must have {len(self.program.arguments)} values as "
                f"traced, got {len(leaves)}"
            )
        for argument, leaf in zip(self.program.arguments, leaves, strict=True):
            if argument is not None:
                values[argument] = leaf
        for node, name, held in self.program.states:
            if not start or node not in start:
                values[node] = self._state(name, held)
        nodes = self.nodes
        if start or targets is not None:
            nodes = self._needed(targets or (self.output,), set(start or ()))
            for node, value in (start or {}).items():
                values[node] = value
        resolved = None
        if rules is not None:
            # getitem of a tuple of such values works as it is.
            resolved = rules.resolve(self.calls(), strict=strict)
        with self._random_state_kept():
            execute(
                nodes,
                values,
                last_use=self.program.last_use,
                keep=keep,
                rules=resolved,
                options=options,
            )
        return values

    def propagate(
        self,
        seed: Any,
        runs: Sequence[Run] | Run,
        rules: RuleTable,
        *,
        strict: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Any, ...]:
        """Send relevance from the output back to the inputs, one rule per op.

        Parameters
        ----------
        seed : Tensor
            Relevance of the output, in its shape.
        runs : Run or sequence of Run
            Executions whose values the rules may read.
        rules : RuleTable
            Backward rules ``rule(call, relevance) -> {argument: relevance}``.
        strict : bool
            Whether an op without a rule is an error; else its fallback is used, with a warning.
        options : mapping, optional
            What rules find as ``call.options``.

        Returns
        -------
        tuple
            One relevance per attributed input, ``None`` where nothing arrives.

        Raises
        ------
        UnsupportedOperationError
            If an op on the way has no rule.
        """
        resolved = rules.resolve(self.calls(), strict=strict)
        several = tuple(runs) if isinstance(runs, (list, tuple)) else (runs,)
        return self.propagate_resolved(seed, several, resolved, options)

    def propagate_resolved(
        self,
        seed: Any,
        runs: Sequence[Run],
        rules: Mapping[Node, Rule],
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Any, ...]:
        """Do as :meth:`propagate`, with rules that ``RuleTable.resolve`` gave before."""
        first = seed[0] if isinstance(seed, list) else seed
        kind = first.device.type if isinstance(first, Tensor) else "cpu"
        # Under the caller's autocast products would be 16-bit, whatever the dtype of the seed.
        with self._random_state_kept(), torch.autocast(kind, enabled=False):
            return propagate(self.nodes, self.output, seed, runs, rules, self.inputs, options)

    def _random_state_kept(self) -> AbstractContextManager[None]:
        """Leave the caller's random numbers alone; a block without draws needs nothing."""
        if not self.program.random:
            return nullcontext()
        tensors = (*self.model.parameters(), *self.model.buffers())
        return random_state_kept({tensor.device for tensor in tensors})

    def _needed(self, targets: Sequence[Node], known: set[Node]) -> tuple[Node, ...]:
        """Nodes to compute for the targets when some values are known."""
        wanted = set(targets)
        for node in reversed(self.nodes):
            if node in wanted and node not in known:
                wanted.update(node.operands())
        return tuple(node for node in self.nodes if node in wanted)

    @property
    def batch_is_free(self) -> bool:
        """Whether the graph may run on batches of several sizes."""
        lower, upper = self.program.limits
        return lower != upper

    def _check_batch(self, first: Any) -> None:
        if isinstance(first, Tensor) and first.dim() and not self.program.accepts(first.shape[0]):
            raise ValueError(
                f"inputs must have a batch size in {list(self.program.limits)}, to which the model "
                f"was traced (it turns its batch size into a number), got {first.shape[0]}"
            )

    def _state(self, name: str, constant: Tensor | None) -> Tensor:
        """Return the model's tensor of this name as it is now."""
        found: Any = self.model
        for part in name.split("."):
            found = getattr(found, part, None)
            if found is None:
                break
        if not isinstance(found, Tensor):
            if constant is None:
                raise RuntimeError(f"the model lost its tensor {name!r} since it was traced")
            found = constant
        tensor: Tensor = found
        return tensor if self.program.device is None else tensor.to(self.program.device)
