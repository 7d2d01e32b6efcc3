"""Read an exported program into the nodes of a graph."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyxai._errors import UnsupportedOperationError
from pyxai.tracing.graph import Program
from pyxai.tracing.nodes import Node, named_arguments, op_name, overload, reads_values
from pyxai.tracing.recurrent import RECURRENT, unroll

__all__ = ["converted"]

# Whether a value can be viewed in another shape is known of the strides that were traced; rows in
# channels-last order have others.
_OF_ANY_STRIDES = dict.fromkeys(
    (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default),
    torch.ops.aten.reshape.default,
)
# Values of an unrolled layer for each element that it returns: four gates and two states.
_UNROLLED = 8


def converted(exported: Any, n_inputs: int, further: Sequence[bool]) -> Program:
    """Turn an exported program into nodes, unrolling recurrent ops.

    ``further`` tells which of the further arguments, flattened, are tensors and so its inputs.
    """
    builder = _Builder(n_inputs, further)
    signature = exported.graph_signature
    specs = {spec.arg.name: spec for spec in signature.input_specs}
    user_position = 0
    for fx_node in exported.graph.nodes:
        if fx_node.op == "placeholder":
            spec = specs[fx_node.target if fx_node.target in specs else fx_node.name]
            if spec.kind.name == "USER_INPUT":
                builder.user_value(fx_node, user_position)
                user_position += 1
            elif spec.kind.name != "TOKEN":  # the order of checks
                builder.state(fx_node, spec, exported)
        elif fx_node.op == "call_function":
            if not _only_checks(fx_node):
                builder.call(fx_node)
        elif fx_node.op == "output":
            kinds = [spec.kind.name for spec in signature.output_specs]
            results = [
                value
                for value, kind in zip(fx_node.args[0], kinds, strict=True)
                if kind == "USER_OUTPUT"
            ]
            structure = exported.call_spec.out_spec
            if len(results) != 1 or structure.num_children != 0:
                raise UnsupportedOperationError(
                    f"model must return one tensor, got {len(results)} values; wrap it to select"
                )
            builder.finish(results[0])
        else:
            raise UnsupportedOperationError(
                f"the traced model holds a {fx_node.op} of {fx_node.target}, which has no rules"
            )
    return builder.program(_limits(exported, builder.batch_size))


def _limits(exported: Any, size: Any) -> tuple[int, int | None]:
    """Smallest and largest batch size the program is right for."""
    expression = getattr(getattr(size, "node", None), "expr", size)
    if not isinstance(size, torch.SymInt) or expression.is_number:
        # Static, or the model made a number of its batch size, for instance by len(x).
        return int(size or 0), int(size or 0)
    limits = exported.range_constraints.get(expression)
    if limits is None:
        return 0, None
    # The tracer never allows sizes 0 and 1, for which the same ops run.
    lower = 0 if limits.lower <= 2 else int(limits.lower)
    upper = int(limits.upper) if limits.upper < 2**31 else None
    return lower, upper


def _only_checks(fx_node: Any) -> bool:
    """Whether a call returns no value: it raises where, say, a matrix has no inverse."""
    if fx_node.target is operator.getitem:
        return _only_checks(fx_node.args[0])
    if getattr(fx_node.target, "__name__", "") != "with_effects":
        return False
    return all(user.target is operator.getitem and user.args[1] == 0 for user in fx_node.users)


def _note_complex(node: Node, fx_node: Any) -> None:
    leaves = pytree.tree_leaves(fx_node.meta.get("val"))
    if any(isinstance(value, Tensor) and value.is_complex() for value in leaves):
        node.memory["complex"] = True


def _hint(size: Any) -> float:
    """Return the size that was traced where it follows the batch, else 0; asks for no guard."""
    return float(size.node.hint or 0) if isinstance(size, torch.SymInt) else 0.0


class _Builder:
    """Collects nodes while an exported graph is read."""

    def __init__(self, n_inputs: int, further: Sequence[bool]) -> None:
        self.n_inputs = n_inputs
        self.places = [place for place, is_tensor in enumerate(further) if is_tensor]
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.features: list[tuple[int, ...]] = []
        self.arguments: list[Node | None] = [None] * len(further)
        self.states: list[tuple[Node, str, Tensor | None]] = []
        self.known: dict[Any, Any] = {}
        self.batch_size: Any = None
        self.device: torch.device | None = None
        self.row_elements = 0.0
        self.output_sizes: tuple[int | None, ...] = ()
        self.output: Node | None = None

    def add(self, node: Node) -> Node:
        node.index = len(self.nodes)
        self.nodes.append(node)
        return node

    def user_value(self, fx_node: Any, position: int) -> None:
        attributed = position < self.n_inputs
        node = Node(0, "input" if attributed else "argument", fx_node.name, depends=attributed)
        self.known[fx_node] = self.add(node)
        _note_complex(node, fx_node)
        if attributed:
            self.inputs.append(node)
            shape = fx_node.meta["val"].shape
            self.features.append(tuple(int(size) for size in shape[1:]))
            if position == 0:
                self.batch_size = shape[0] if len(shape) else None
                self.device = fx_node.meta["val"].device
        else:
            self.arguments[self.places[position - self.n_inputs]] = node

    def state(self, fx_node: Any, spec: Any, exported: Any) -> None:
        name = str(spec.target).removeprefix("model.")
        # Tensors made inside forward exist in the exported program only.
        constant = exported.constants.get(spec.target)
        node = self.add(Node(0, "state", name))
        _note_complex(node, fx_node)
        self.states.append((node, name, constant if isinstance(constant, Tensor) else None))
        self.known[fx_node] = node

    def call(self, fx_node: Any) -> None:
        mapped_args = torch.fx.node.map_arg(fx_node.args, self.known.__getitem__)
        mapped_kwargs = torch.fx.node.map_arg(fx_node.kwargs, self.known.__getitem__)
        args, keyword_only = named_arguments(fx_node.target, mapped_args, mapped_kwargs)
        if isinstance(args.get("device"), torch.device):
            args["device"] = self.device  # see `Program.device`
        op = op_name(fx_node.target)
        stack = fx_node.meta.get("nn_module_stack") or {}
        module = next(reversed(stack.values())) if stack else ("", "")
        path = str(module[0]).removeprefix("model").removeprefix(".")
        kind = module[1] if isinstance(module[1], str) else getattr(module[1], "__name__", "")
        label = f"{path} ({kind.rsplit('.', 1)[-1]})" if path else ""
        node = Node(
            0, "call", op, _OF_ANY_STRIDES.get(fx_node.target, fx_node.target), args, keyword_only,
            module=label, trace=fx_node.meta.get("stack_trace") or "",
        )  # fmt: skip
        _note_complex(node, fx_node)
        source = args.get("0")
        if op == "getitem" and isinstance(source, list):
            self.known[fx_node] = source[args["1"]]
        elif op in RECURRENT and overload(fx_node.target) == "input":
            batch_first = bool(args["batch_first"])
            length = fx_node.args[0].meta["val"].shape[1 if batch_first else 0]
            self.known[fx_node] = unroll(node, length, self.emit)
            self.row_elements += _UNROLLED * self._elements(fx_node)
        else:
            self.known[fx_node] = self.emit(node)
            self.row_elements += self._elements(fx_node)

    def _elements(self, fx_node: Any) -> float:
        """Elements of a call's value for one example, 0 where it has no row per example."""
        total = 0.0
        for value in pytree.tree_leaves(fx_node.meta.get("val")):
            if isinstance(value, torch.Tensor):
                total += _hint(value.numel()) / max(_hint(self.batch_size), 1)
        return total

    def emit(self, node: Node) -> Node:
        """Append a call; what an unrolled op is made of comes through here as well."""
        node.depends = reads_values(node.op) and any(operand.depends for operand in node.operands())
        return self.add(node)

    def finish(self, result: Any) -> None:
        self.output = self.known[result]
        value = result.meta.get("val")
        shape = value.shape if isinstance(value, torch.Tensor) else ()
        self.output_sizes = tuple(
            None if isinstance(size, torch.SymInt) else int(size) for size in shape
        )

    def program(self, limits: tuple[int, int | None]) -> Program:
        assert self.output is not None
        return Program.build(
            self.nodes,
            self.inputs,
            self.arguments,
            self.states,
            self.output,
            limits,
            tuple(self.features),
            math.ceil(self.row_elements),
            self.output_sizes,
            self.device,
        )
