"""What a traced model is made of: nodes that know their op, operands and source line."""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

__all__ = ["Node", "NodeKind", "operands", "substitute"]

NodeKind = Literal["input", "argument", "state", "call"]

_TORCH_ROOT = os.path.dirname(os.path.abspath(torch.__file__))
_STANDARD = sysconfig.get_paths()["stdlib"] + os.sep
_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def op_names(text: str) -> frozenset[str]:
    """Return the words of a text as a set of op names."""
    return frozenset(text.split())


_SHAPE_ONLY = op_names(
    """empty_like full_like new_empty new_full new_ones new_zeros ones_like sym_numel sym_size
    sym_stride zeros_like"""
)
# What was typed in has no file, and often no text of its lines.
_TYPED_IN = ("<stdin>", "<console>", "<string>", "<ipython-input", "<python-input")
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)(?:\n(?!\s*File ")\s*([^\n]*))?')


@dataclass(eq=False, slots=True)
class Node:
    """One value of a traced model.

    Attributes
    ----------
    index : int
        Position in ``Graph.nodes``; every operand has a smaller one.
    kind : {"input", "argument", "state", "call"}
        ``input``: an attributed input. ``argument``: an additional forward argument.
        ``state``: a parameter, buffer or constant of the model, read anew in every run.
        ``call``: the result of an op.
    op : str
        Name of the op without namespace and overload (``"linear"``, ``"gelu"``); ops outside
        ``aten`` keep their namespace (``"mylib.op"``). For other kinds, the name of the value.
    target : callable, optional
        What computes a ``call``.
    args : dict
        Operands and options by the names of the op's schema, defaults filled in, in order.
        A value is a ``Node``, a constant, or a list of these.
    depends : bool
        Whether the value depends on an attributed input.
    module : str
        Path and class of the innermost module, ``"encoder.layers.0.norm1 (LayerNorm)"``.
    trace : str
        Python stack at the time of the call.
    memory : dict
        What was found out about the node once and for all.
    """

    index: int
    kind: NodeKind
    op: str
    target: Callable[..., Any] | None = None
    args: dict[str, Any] = field(default_factory=dict)
    keyword_only: frozenset[str] = frozenset()
    depends: bool = False
    users: list[Node] = field(default_factory=list)
    module: str = ""
    trace: str = ""
    memory: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.op} #{self.index}>"

    @property
    def source(self) -> str:
        """The innermost line of the user's code that made this value."""
        chosen = ""
        for path, line, function, code in _FRAME.findall(self.trace):
            if is_user_code(path):
                chosen = f"{path}:{line} in {function}: {code.strip()}".removesuffix(": ")
        return chosen or "unknown line"

    @property
    def where(self) -> str:
        """Source line and module path, for error messages."""
        return f"{self.source}, module {self.module}" if self.module else self.source

    @property
    def is_complex(self) -> bool:
        """Whether the value is complex."""
        return bool(self.memory.get("complex"))

    def touches_complex(self) -> bool:
        """Whether the value or an operand of it is complex."""
        if "touches complex" not in self.memory:
            operands = any(operand.is_complex for operand in self.operands())
            self.memory["touches complex"] = self.is_complex or operands
        return bool(self.memory["touches complex"])

    def operands(self) -> Iterator[Node]:
        """Yield every node among the arguments, with repetitions."""
        return operands(self.args.values())

    def dependents(self) -> tuple[str, ...]:
        """Names of the arguments that depend on an attributed input."""
        if "dependents" not in self.memory:
            self.memory["dependents"] = tuple(
                name
                for name, value in self.args.items()
                if any(operand.depends for operand in operands((value,)))
            )
        found: tuple[str, ...] = self.memory["dependents"]
        return found


def is_user_code(path: str) -> bool:
    """Whether a source file is not of Python, torch or this package, nor was generated."""
    if path.startswith("<"):
        return path.startswith(_TYPED_IN)
    if path.startswith(_STANDARD) and "-packages" not in path:
        return False
    # Paths inside torch are printed relative to its parent in some traces.
    return not path.startswith((_TORCH_ROOT, _PACKAGE_ROOT, "torch" + os.sep))


def is_random(node: Node) -> bool:
    """Whether an op draws random numbers."""
    tags = getattr(node.target, "tags", ())
    return torch.Tag.nondeterministic_seeded in tags


def reads_values(op: str) -> bool:
    """Whether an op looks at more than the shape of its operands."""
    return op not in _SHAPE_ONLY


def operands(values: Any) -> Iterator[Node]:
    """Yield the nodes in an iterable of arguments, looking into lists."""
    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from operands(value)


def substitute(value: Any, lookup: Callable[[Node], Any]) -> Any:
    """Replace the nodes in an argument by what ``lookup`` gives for them."""
    if isinstance(value, Node):
        return lookup(value)
    if isinstance(value, (list, tuple)):
        return [substitute(item, lookup) for item in value]
    return value


def schema_names(target: Any) -> tuple[list[str], dict[str, Any], frozenset[str]]:
    """Return argument names, defaults and keyword-only names of an op overload."""
    names: list[str] = []
    defaults: dict[str, Any] = {}
    keyword_only: set[str] = set()
    for argument in target._schema.arguments:
        names.append(argument.name)
        if argument.has_default_value():
            defaults[argument.name] = argument.default_value
        if argument.kwarg_only:
            keyword_only.add(argument.name)
    return names, defaults, frozenset(keyword_only)


def named_arguments(
    target: Any, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], frozenset[str]]:
    """Bind positional and keyword arguments to the names of the op's schema."""
    if not hasattr(target, "_schema"):
        named = {str(position): value for position, value in enumerate(args)}
        return {**named, **kwargs}, frozenset(kwargs)
    names, defaults, keyword_only = schema_names(target)
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    named = {name: given.get(name, defaults.get(name)) for name in names}
    return named, keyword_only


def op_name(target: Any) -> str:
    """Return ``"relu"`` for ``aten.relu.default``, ``"getitem"`` for the Python function."""
    namespace = getattr(target, "namespace", None)
    if namespace is None:
        return str(getattr(target, "__name__", target))
    if not hasattr(target, "_schema"):  # an op that takes other ops
        return f"{namespace}.{getattr(target, '__name__', target)}"
    short = str(target._schema.name).split("::")[-1]
    return short if namespace == "aten" else f"{namespace}.{short}"


def overload(target: Any) -> str:
    """Return ``"Tensor"`` for ``aten.add.Tensor``, an empty string for a Python function."""
    return str(getattr(target, "_overloadname", ""))
