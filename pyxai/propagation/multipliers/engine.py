"""From a model, inputs and baselines to multipliers: what DeepLift and DeepLiftShap share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_finite
from pyxai.propagation.multipliers.infinities import all_finite, run_cut, same_outputs
from pyxai.propagation.multipliers.neuron_shapley import Fan, neuron_shapley
from pyxai.propagation.multipliers.rescale import RESCALE
from pyxai.propagation.multipliers.reveal_cancel import (
    Contributions,
    Signed,
    collapse,
    reveal_cancel,
)
from pyxai.propagation.multipliers.secant import accumulation_dtype
from pyxai.runner import Target
from pyxai.tracing import Graph, Node, RuleTable, Run, Values, is_affine

__all__ = ["Engine", "Rows", "call_custom", "target_seed"]

Rows = tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Any, ...]]

_TABLES = {
    "rescale": RESCALE,
    "reveal_cancel": reveal_cancel(),
    "neuron_shapley": neuron_shapley(),
}


class Engine:
    """Runs one graph and sends multipliers back through it.

    Parameters
    ----------
    graph : Graph
        The traced model.
    rule : {"rescale", "reveal_cancel", "neuron_shapley"}
        Which table of rules.
    strict : bool
        Whether an op without a rule is an error.
    options : dict
        ``eps``, and for neuron-Shapley values ``n_permutations`` and ``seed`` or ``n_waves``, and
        the set ``approximate`` that numbers of inputs of neurons enter whose values are not exact.
    """

    def __init__(self, graph: Graph, rule: str, strict: bool, options: dict[str, Any]) -> None:
        self.graph = graph
        self.rule = rule
        self.options = options
        self.strict = strict
        self.table: RuleTable = _TABLES[rule]
        self.rules = self.table.resolve(graph.calls(), strict=strict)
        self._kept = self._values_read()

    def _values_read(self) -> frozenset[Node]:
        """Nodes whose values a rule reads; the rest is freed during the forward pass."""
        nodes = self.graph.nodes
        if self.rule != "rescale":
            return frozenset(nodes)
        kept = {node for node in nodes if node.kind != "call" or not node.depends}
        for node in nodes:
            if node.kind == "call" and node.depends and not is_affine(node):
                kept.add(node)
                kept.update(node.operands())
        kept.add(self.graph.output)
        return frozenset(kept)

    def run(self, inputs: tuple[Tensor, ...], arguments: tuple[Any, ...]) -> Values:
        """Run the model forward, keeping what the rules need."""
        with torch.no_grad():
            return self.graph.run(inputs, arguments, keep=self._kept.__contains__)

    def multipliers(
        self, runs: tuple[Run, Run], seed: Tensor, rows: Callable[[], Rows]
    ) -> tuple[Tensor, ...]:
        """Return ``M`` of every input, for the runs at the inputs and at the baselines.

        Parameters
        ----------
        runs : pair of Run
            At the inputs and at the baselines.
        seed : Tensor, shape [rows, ...]
            Derivative of the explained scalars by the output.
        rows : callable
            Returns inputs, baselines and arguments of these runs. They run again, with finite
            values in place of infinite ones, where multipliers are not finite.

        Raises
        ------
        ValueError
            If multipliers are not finite then either.
        """
        found = self._multipliers(runs, seed, False)
        if all_finite(found):
            return found
        x, b, arguments = rows()
        again = run_cut(self.graph, x, arguments), run_cut(self.graph, b, arguments)
        output = self.graph.output
        if all(
            same_outputs(run[output], cut[output], seed)
            for run, cut in zip(runs, again, strict=True)
        ):
            found = self._multipliers(again, seed, True)
        for part in found:
            check_finite("multipliers of the model", part)
        return found

    def _multipliers(self, runs: tuple[Run, Run], seed: Tensor, cut: bool) -> tuple[Tensor, ...]:
        options = {**self.options, "cut": cut}
        contributions = Contributions(runs, seed.dtype)
        options["contributions"] = contributions
        options["fan"] = Fan(runs, seed.dtype)
        with torch.no_grad():
            found = self.graph.propagate_resolved(seed, runs, self.rules, options)
            result = []
            for node, value in zip(self.graph.inputs, found, strict=True):
                if value is None:  # the output does not depend on this input
                    result.append(seed.new_zeros(runs[0].shape(node)))
                elif isinstance(value, Signed):
                    result.append(collapse(value, contributions.change(node)))
                else:
                    result.append(value)
            return tuple(result)


def target_seed(
    outputs: Tensor, target: Target, examples: slice, n_repeats: int
) -> tuple[Tensor, Tensor]:
    """Return the explained scalars, [rows], and their derivative by the outputs.

    Raises
    ------
    ValueError
        If the target does not fit the outputs, or an explained scalar is NaN or infinite.
    TypeError
        If the outputs are not floating point.
    """
    if not outputs.is_floating_point():
        raise TypeError(f"model output must be floating point, got {outputs.dtype}")
    # A copy, as outputs made in inference mode can take no part in autograd.
    with torch.inference_mode(False), torch.enable_grad():
        leaf = outputs.detach().clone().requires_grad_()
        rows = leaf if leaf.dim() else leaf.unsqueeze(0)  # one scalar for the whole batch
        selected = target.select(rows, examples, n_repeats, True)
        (seed,) = torch.autograd.grad(selected.sum(), leaf)
    check_finite("model output", selected.detach())
    dtype = accumulation_dtype(outputs.dtype)
    return selected.detach().to(dtype), seed.to(dtype)


def call_custom(
    function: Callable[..., Any],
    multipliers: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    baselines: tuple[Tensor, ...],
) -> tuple[Tensor, ...]:
    """Call a custom attribution function with as many of the arguments as it takes."""
    count = len(inspect.signature(function).parameters)
    if not 1 <= count <= 3:
        raise ValueError(
            f"custom_attribution_func must take one to three arguments, got one that takes {count}"
        )
    result = function(*(multipliers, inputs, baselines)[:count])
    return result if isinstance(result, tuple) else (result,)
