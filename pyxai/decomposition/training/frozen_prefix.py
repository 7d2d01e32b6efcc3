"""Frozen first layers, decomposed once for a whole data set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai._errors import UnsupportedOperationError
from pyxai._inputs import format_inputs
from pyxai.decomposition.contextual_decomposition import ContextualDecomposition
from pyxai.decomposition.groups import groups_of_masks
from pyxai.decomposition.question import GroupParts, Question
from pyxai.decomposition.training.group_masks import groups_there
from pyxai.propagation.decomposed.prefix import frozen_end
from pyxai.runner.state import find_modules, in_evaluation
from pyxai.tracing import Node

__all__ = ["FrozenPrefix", "PrefixRows"]

TensorOrTuple = Tensor | tuple[Tensor, ...]


class FrozenPrefix:
    """What groups explain at the end of the frozen layers of a model, computed once and kept.

    Where the first layers of a model need no gradient, `cdep_loss` of rows of this object runs
    the rest alone, and gives what it gives for the whole model [1]_.

    Parameters
    ----------
    model : Module
        Its first layers are frozen: their parameters have ``requires_grad`` False.
    inputs : Tensor or tuple of Tensor, shape [n, *features]
        The whole data set.
    groups : Tensor or tuple of Tensor, shape [n or 1, groups, *features] each
        As for `ContextualDecomposition.scores`.
    scorer : ContextualDecomposition, optional
        Made for ``model``, for other rules than those by default; not with ``bias="stream"``.
    internal_batch_size : int, optional
        Upper bound of the rows in a pass: examples times groups.

    Raises
    ------
    ValueError
        If no layer before a trained one is frozen, or all are.
    UnsupportedOperationError
        If an op has no rule, the model has a recurrent layer, or the rows of a batch are not apart.
    TypeError
        If ``model`` is no ``nn.Module``.

    Notes
    -----
    Keeps, for every value that trained layers read of frozen ones, the value of each example and
    its part in each group (and, with ``ties="coverage"``, a share), on the inputs' device, beside
    ``inputs`` and ``groups`` themselves. A change of a frozen parameter or buffer afterwards is an
    error of the next loss; a batch norm among frozen layers must be kept in evaluation mode.

    References
    ----------
    .. [1] L. Rieger, C. Singh, W. J. Murdoch, B. Yu, "Interpretations are Useful: Penalizing
       Explanations to Align Neural Networks with Prior Knowledge", ICML 2020, section 3.4.

    Examples
    --------
    >>> features, head = torch.nn.Linear(6, 4), torch.nn.Linear(4, 2)
    >>> model = torch.nn.Sequential(features.requires_grad_(False), torch.nn.ReLU(), head)
    >>> inputs = torch.randn(10, 6)
    >>> prefix = FrozenPrefix(model, inputs, torch.eye(6).bool()[None, :2])
    >>> cdep_loss(model, prefix[[3, 1, 4]]).backward()
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: TensorOrTuple,
        groups: TensorOrTuple,
        *,
        scorer: ContextualDecomposition | None = None,
        internal_batch_size: int | None = None,
    ) -> None:
        self.inputs, _ = format_inputs(inputs)
        scorer = ContextualDecomposition(model) if scorer is None else scorer
        if not isinstance(scorer, ContextualDecomposition) or scorer.model is not model:
            raise ValueError(
                "scorer must be a ContextualDecomposition made for the model, "
                f"got {describe(scorer)}"
            )
        self.policies = scorer.policies
        found = groups_of_masks(groups, self.inputs)
        self.groups = tuple(groups) if isinstance(groups, (tuple, list)) else (groups,)
        with in_evaluation(find_modules(model)):
            question = Question(model, self.policies, self.inputs, None, None, internal_batch_size)
            self.program = question.engine.graph.program
            self.nodes = _checked_end(question)
            self.known = question.known_of(self.nodes, found)
            self._states = self._read(question)

    def __len__(self) -> int:
        return len(self.inputs[0])

    def __getitem__(self, rows: Any) -> PrefixRows:
        """Return some examples: a slice, numbers, or truth values for all of them."""
        index = torch.arange(len(self), device=self.inputs[0].device)
        if isinstance(rows, (list, Tensor)):
            rows = torch.as_tensor(rows, device=index.device)
        try:
            return PrefixRows(self, index[rows].reshape(-1))
        except (IndexError, TypeError) as error:
            raise ValueError(
                f"rows must be some of {len(self)} examples, got {describe(rows)}"
            ) from error

    def _read(self, question: Question) -> dict[Node, tuple[Tensor, int, Tensor | None]]:
        """Return the frozen tensors, how often each was written, and copies of buffers.

        Batch norm writes its statistics uncounted.
        """
        graph = question.engine.graph
        states = {node: held for node, held in graph.states().items() if not held.requires_grad}
        return {
            node: (held, held._version, None if isinstance(held, nn.Parameter) else held.clone())
            for node, held in states.items()
        }

    def check(self, question: Question) -> None:
        """Raise ``ValueError`` if the model's frozen part is not what it was."""
        engine, graph = question.engine, question.engine.graph
        same = graph.program is self.program and frozen_end(graph, engine.end) == self.nodes
        now = graph.states() if same else {}
        for node, (held, version, copy) in self._states.items():
            found = now.get(node)
            same &= found is held and held._version == version
            same &= copy is None or torch.equal(held, copy)
        if not same:
            raise ValueError(
                "model must have the frozen layers that it had when the prefix was made, got a "
                "change of a frozen tensor, of what is frozen, or of the model itself"
            )


class PrefixRows:
    """Some examples of a `FrozenPrefix`."""

    def __init__(self, prefix: FrozenPrefix, index: Tensor) -> None:
        self.prefix, self.index = prefix, index
        self.inputs = tuple(each[index] for each in prefix.inputs)
        self.groups = tuple(
            each if len(each) == 1 else each[index.to(each.device)] for each in prefix.groups
        )

    def there(self) -> Tensor:
        """Return which of these examples have a feature in each group, bool [rows, groups]."""
        return groups_there(self.groups, len(self.index))

    def parts(self, model: nn.Module, target: Any, internal_batch_size: int | None) -> GroupParts:
        """Return what groups and the rest explain, which can be differentiated by parameters."""
        prefix = self.prefix
        question = Question(
            model,
            prefix.policies,
            self.inputs,
            target,
            None,
            internal_batch_size,
            every=target is None,
        )
        prefix.check(question)
        every = slice(None)
        question.known = {
            node: each.taken(self.index, every) for node, each in prefix.known.items()
        }
        question.create_graph = True
        return question.parts(groups_of_masks(self.groups, self.inputs))


def _checked_end(question: Question) -> tuple[Node, ...]:
    """Return the end of the frozen layers of a model that can be split there."""
    engine = question.engine
    if engine.has_streams:
        raise UnsupportedOperationError(
            "a frozen prefix cannot be kept of recurrent layers, nor of biases apart "
            '(bias="stream")'
        )
    if engine.whole_batch:
        raise UnsupportedOperationError(
            "a frozen prefix cannot be kept of a model whose rows are not apart, "
            "or which makes its batch size a number"
        )
    nodes = frozen_end(engine.graph, engine.end)
    if not nodes or engine.end in nodes:
        which = "all" if nodes else "no"
        raise ValueError(
            "model must have frozen layers (requires_grad False) before trained ones, "
            f"got {which} frozen ones"
        )
    return nodes
