"""Send the relevance of an output back through a traced graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai.propagation.multipliers.engine import target_seed
from pyxai.propagation.relevance.layers import is_linear_layer
from pyxai.propagation.relevance.named import as_rule
from pyxai.propagation.relevance.rules import EpsilonRule, RelevanceRule
from pyxai.propagation.relevance.table import RELEVANCE
from pyxai.runner import Target
from pyxai.tracing import STRUCTURAL, Graph, Node, RuleTable

__all__ = ["RelevanceEngine", "first_layers"]


def first_layers(graph: Graph) -> frozenset[Node]:
    """Return the linear layers that read the inputs themselves, moved around at most."""
    moved = set(graph.inputs)
    first = set()
    for node in graph.nodes:
        if node.kind != "call" or not node.depends:
            continue
        sources = [operand for operand in node.operands() if operand.depends]
        if not all(source in moved for source in sources):
            continue
        if node.op in STRUCTURAL:
            moved.add(node)
        elif is_linear_layer(node):
            first.add(node)
    return frozenset(first)


class RelevanceEngine:
    """One graph with a rule for each of its linear layers.

    Parameters
    ----------
    graph : Graph
        The traced model.
    default : RelevanceRule
        For layers that nothing else speaks of.
    composite : mapping
        Rules of single layers: by name of a submodule, by submodule, by its type, or under
        ``"first"`` for the layers that read the inputs.
    strict : bool
        Whether an op without a rule is an error.
    """

    def __init__(
        self,
        graph: Graph,
        default: RelevanceRule,
        composite: Mapping[Any, RelevanceRule],
        strict: bool,
        table: RuleTable = RELEVANCE,
    ) -> None:
        self.graph, self.default = graph, default
        self.rules = table.resolve(graph.calls(), strict=strict)
        self._modules = dict(graph.model.named_modules())
        self._names = {module: name for name, module in self._modules.items()}
        self._composite = {_key(key, self._names): rule for key, rule in composite.items()}
        self._first = first_layers(graph) if "first" in self._composite else frozenset()
        self._chosen: dict[Node, RelevanceRule] = {}

    def rule_of(self, node: Node) -> RelevanceRule:
        """Return the rule of a linear layer."""
        if node not in self._chosen:
            self._chosen[node] = self._choose(node)
        return self._chosen[node]

    def _choose(self, node: Node) -> RelevanceRule:
        name = node.module.split(" (")[0]  # the rest of the path says the type
        module = self._modules.get(name)
        own = getattr(module, "rule", None)
        if own is not None:
            return as_rule(own, f"the attribute rule of layer {name!r}")
        if name in self._composite and name != "first":
            return self._composite[name]
        if node in self._first:
            return self._composite["first"]
        for kind, rule in self._composite.items():
            if isinstance(kind, type) and isinstance(module, kind):
                return rule
        return self.default

    def chosen(self) -> dict[str, RelevanceRule]:
        """Return the rules used so far, by layer, in the order of computation."""
        ordered = sorted(self._chosen.items(), key=lambda item: item[0].index)
        return {f"{node.module or node.op} (#{node.index})": rule for node, rule in ordered}

    def propagate(
        self,
        inputs: tuple[Tensor, ...],
        arguments: tuple[Any, ...],
        target: Target,
        start: str = "output",
        examples: slice | None = None,
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the relevance of every input and the explained outputs, [batch].

        ``examples`` says which of the target's examples the inputs are; default: all.
        """
        examples = examples or slice(0, inputs[0].shape[0])
        with torch.no_grad():
            values = self.graph.run(inputs, arguments)
            outputs = values[self.graph.output]
            scalars, seed = target_seed(outputs, target, examples, 1)
            if start == "positive":
                _check_positive(scalars, examples.start)
            epsilon = self.default.epsilon if isinstance(self.default, EpsilonRule) else 0.0
            options = {"rule_of": self.rule_of, "epsilon": epsilon}
            # Outputs that are not explained may be infinite.
            given = torch.where(seed == 0, seed, seed * outputs.to(seed.dtype))
            found = self.graph.propagate_resolved(given, (values,), self.rules, options)
        relevance = tuple(
            torch.zeros(value.shape, dtype=seed.dtype, device=value.device) if r is None else r
            for r, value in zip(found, inputs, strict=True)
        )
        return relevance, scalars


def _check_positive(scalars: Tensor, first: int) -> None:
    bad = (scalars <= 0).nonzero()[:, 0]
    if len(bad):
        row = int(bad[0])
        raise ValueError(
            "model output must be positive for Deep Taylor, which decomposes evidence for the "
            f"target, got {scalars[row].item():.6g} in row {first + row}; pass on_negative='clamp' "
            "to give such rows no relevance"
        )


def _key(key: Any, names: Mapping[nn.Module, str]) -> Any:
    if isinstance(key, nn.Module):
        if key not in names:
            raise ValueError(f"composite must name submodules of the model, got {describe(key)}")
        return names[key]
    if isinstance(key, str):
        if key != "first" and key not in names.values():
            raise ValueError(f"composite must name submodules of the model or 'first', got {key!r}")
        return key
    if isinstance(key, type) and issubclass(key, nn.Module):
        return key
    raise TypeError(f"composite must map names, modules or their types, got {describe(key)}")
