"""Run a traced model forward, and propagate relevance backward, with one rule per op."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from pyxai._errors import UnsupportedOperationError
from pyxai.tracing.nodes import Node, operands, substitute
from pyxai.tracing.rules import Rule
from pyxai.tracing.vjp import vector_jacobian

__all__ = ["Call", "Run", "Values", "execute", "propagate"]


class Run(Protocol):
    """The values of one execution, by node; also what stands in for one."""

    def __getitem__(self, node: Node) -> Any:
        """Return the value of ``node``."""
        ...

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of the value of ``node``, which need not be kept."""
        ...


class Values:
    """Values of one execution of a graph.

    Values that nobody asked to keep are freed after their last use; their shapes stay.
    """

    __slots__ = ("_shapes", "_values")

    def __init__(self, n_nodes: int) -> None:
        self._values: list[Any] = [None] * n_nodes
        self._shapes: list[torch.Size | None] = [None] * n_nodes

    def __getitem__(self, node: Node) -> Any:
        return self._values[node.index]

    def __setitem__(self, node: Node, value: Any) -> None:
        self._values[node.index] = value
        if isinstance(value, Tensor):
            self._shapes[node.index] = value.shape

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of a tensor value, kept or freed."""
        shape = self._shapes[node.index]
        if shape is None:
            raise KeyError(f"{node!r} holds no tensor")
        return shape

    @property
    def shapes(self) -> list[torch.Size | None]:
        """Shapes by node index, ``None`` where the value is no tensor."""
        return self._shapes

    def free(self, node: Node) -> None:
        """Forget the value of ``node``."""
        self._values[node.index] = None


class Call:
    """One op in one or several executions: what a rule looks at.

    Operands are read by the argument names of the op's schema: ``call["self"]`` is the value in
    the first execution, ``call.get("self", 1)`` in the second (the baseline, for DeepLIFT).
    ``call.options`` is what the method passed to the run or the propagation, for its own rules.
    """

    __slots__ = ("node", "options", "runs")

    def __init__(
        self, node: Node, runs: Sequence[Run], options: Mapping[str, Any] | None = None
    ) -> None:
        self.node = node
        self.runs = runs
        self.options = options or {}

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def get(self, name: str, run: int = 0) -> Any:
        """Return an argument by name, with values of execution ``run`` in place of nodes."""
        return substitute(self.node.args[name], self.runs[run].__getitem__)

    def output(self, run: int = 0) -> Any:
        """Return the op's value in execution ``run``."""
        return self.runs[run][self.node]

    def output_shape(self) -> torch.Size:
        """Return the shape of the op's value."""
        return self.runs[0].shape(self.node)

    def shape(self, name: str) -> torch.Size:
        """Return the shape of a tensor operand."""
        return self.runs[0].shape(self.node.args[name])

    def depends(self, name: str) -> bool:
        """Whether an argument depends on an attributed input."""
        return any(operand.depends for operand in operands((self.node.args.get(name),)))

    def dependents(self) -> tuple[str, ...]:
        """Names of the arguments that depend on an attributed input."""
        return self.node.dependents()

    def sole(self) -> str:
        """Name of the only argument that depends on an attributed input.

        Raises
        ------
        UnsupportedOperationError
            If there are several: the op is then not a function of one tensor.
        """
        names = self.dependents()
        if len(names) != 1:
            raise UnsupportedOperationError(
                f"{self.node.op} at {self.node.where} must have one operand that depends on the "
                f"inputs for this rule, got {list(names)}"
            )
        return names[0]

    def arguments(self, run: int = 0, /, **replaced: Any) -> dict[str, Any]:
        """Return all arguments by name, some of them replaced."""
        return {
            name: replaced[name] if name in replaced else self.get(name, run)
            for name in self.node.args
        }

    def apply(self, run: int = 0, /, **replaced: Any) -> Any:
        """Run the op again with some arguments replaced."""
        return invoke(self.node, self.arguments(run, **replaced))

    def vjp(
        self, relevance: Any, /, *, wrt: Sequence[str] | None = None, run: int = 0, **replaced: Any
    ) -> dict[str, Any]:
        """Multiply ``relevance`` with the op's Jacobian from the left.

        Parameters
        ----------
        relevance : Tensor, or list of Tensor or None
            Cotangent of the op's value, a list for an op of several values.
        wrt : sequence of str, optional
            Arguments to differentiate; by default those that depend on the inputs.
        run : int
            Execution at whose values the Jacobian is taken.
        **replaced
            Values that stand in for arguments, by name.

        Returns
        -------
        dict
            Per name a tensor in the dtype of ``relevance``, or a list for a list argument; real
            for real arguments, complex for complex ones. The cotangent of a complex value ``z``
            is the ``m`` of ``Re(conj(m) dz)``, as in torch.
        """
        names = self.dependents() if wrt is None else tuple(wrt)
        return vector_jacobian(self, relevance, names, run, replaced)

    def transpose(self, relevance: Any, /, **replaced: Any) -> dict[str, Any]:
        """Multiply with the Jacobian of an op that is affine in what depends on the inputs.

        Like :meth:`vjp`, but the values of the operands are not read, so they need not be kept.
        """
        first = relevance
        if isinstance(relevance, list):
            first = next(part for part in relevance if part is not None)
        run, real = self.runs[0], first.dtype.to_real()

        def stand_in(node: Node) -> Any:
            if not node.depends:
                return run[node]
            dtype = real.to_complex() if node.is_complex else real
            return first.new_zeros((), dtype=dtype).expand(run.shape(node))

        names = self.dependents()
        for name in names:
            replaced.setdefault(name, substitute(self.node.args[name], stand_in))
        return vector_jacobian(self, relevance, names, 0, replaced)


def invoke(node: Node, arguments: Mapping[str, Any]) -> Any:
    """Call a node's op with arguments given by name."""
    assert node.target is not None
    keyword_only = node.keyword_only
    positional = [value for name, value in arguments.items() if name not in keyword_only]
    keywords = {name: arguments[name] for name in keyword_only}
    return node.target(*positional, **keywords)


def _computed(node: Node, values: list[Any], lookup: Callable[[Node], Any]) -> Any:
    """Call a node's op on values; where operands stand is worked out once per node."""
    plan = node.memory.get("plan")
    if plan is None:
        plan = node.memory["plan"] = _plan(node)
    template, direct, nested, keywords = plan
    arguments = template.copy()
    for place, index in direct:
        arguments[place] = values[index]
    for place, value in nested:
        arguments[place] = substitute(value, lookup)
    assert node.target is not None
    if keywords is None:
        return invoke(node, {name: substitute(value, lookup) for name, value in node.args.items()})
    return node.target(*arguments, **keywords)


def _plan(node: Node) -> tuple[list[Any], list[Any], list[Any], dict[str, Any] | None]:
    """Split the arguments of a node: constants, values, lists of values, keywords."""
    template: list[Any] = []
    direct, nested = [], []
    for name, value in node.args.items():
        if name in node.keyword_only:
            continue
        if isinstance(value, Node):
            direct.append((len(template), value.index))
        elif any(True for _ in operands((value,))):
            nested.append((len(template), value))
        template.append(value)
    keywords = {name: node.args[name] for name in node.keyword_only}
    moving = any(True for _ in operands(keywords.values()))
    return template, direct, nested, None if moving else keywords


def execute(
    nodes: Sequence[Node],
    values: Values,
    *,
    last_use: Sequence[int],
    keep: Callable[[Node], bool] | None = None,
    rules: Mapping[Node, Rule] | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Compute the nodes that hold no value yet, in order.

    ``last_use[i]`` is the index of the last node that reads node ``i``. With ``keep``, values it
    rejects are freed once used.
    """
    read = values._values.__getitem__
    lookup = values.__getitem__
    expiring: dict[int, list[Node]] = {}
    for node in nodes:
        if keep is not None and not keep(node):
            expiring.setdefault(last_use[node.index], []).append(node)
        if node.kind == "call" and read(node.index) is None:
            rule = rules.get(node) if rules else None
            if rule is not None:
                values[node] = rule(Call(node, (values,), options))
            else:
                values[node] = _computed(node, values._values, lookup)
        for expired in expiring.pop(node.index, ()):
            values.free(expired)


def propagate(
    nodes: Sequence[Node],
    output: Node,
    seed: Any,
    runs: Sequence[Run],
    rules: Mapping[Node, Rule],
    inputs: Sequence[Node],
    options: Mapping[str, Any] | None = None,
) -> tuple[Any, ...]:
    """Send ``seed`` from the output back to the inputs.

    Relevance that reaches a node over several edges is added with ``+``; an op of several values
    gets a list with ``None`` where nothing arrived.
    """
    arrived: dict[Node, Any] = {output: seed}
    for node in reversed(nodes):
        if node.kind != "call" or not node.depends or node not in arrived:
            continue
        relevance = arrived.pop(node)
        if node.op == "getitem":
            source, position = node.args["0"], node.args["1"]
            parts = arrived.setdefault(source, {})
            parts[position] = _plus(parts.get(position), relevance)
            continue
        if isinstance(relevance, dict):
            relevance = [relevance.get(place) for place in range(max(relevance) + 1)]
        result = rules[node](Call(node, runs, options), relevance)
        for name in node.dependents():
            if name not in result:
                raise UnsupportedOperationError(
                    f"the rule for {node.op} gives no relevance to {name} at {node.where}"
                )
            _spread(node.args[name], result[name], arrived)
    return tuple(arrived.get(node) for node in inputs)


def _spread(target: Any, relevance: Any, arrived: dict[Node, Any]) -> None:
    if isinstance(target, Node):
        if target.depends and relevance is not None:
            arrived[target] = _plus(arrived.get(target), relevance)
    elif isinstance(target, (list, tuple)):
        for item, part in zip(target, relevance, strict=True):
            _spread(item, part, arrived)


def _plus(first: Any, second: Any) -> Any:
    return second if first is None else first + second
