"""Small changes of Python source that a test should notice, by kind."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
# The order of their arguments does not matter, or a swap is an error at once.
SYMMETRIC = {"isinstance", "issubclass", "getattr", "hasattr", "setattr", "cast", "max", "min"}
SYMMETRIC |= {"maximum", "minimum", "equal", "gcd", "lcm", "zip", "logical_and", "logical_or"}


@dataclass(frozen=True)
class Mutation:
    """One change: bytes ``start`` to ``end`` of a file become ``new``."""

    path: str
    kind: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    def parses(self, source: bytes) -> bool:
        try:
            ast.parse(self.apply(source))
        except SyntaxError:
            return False
        return True

    def __str__(self) -> str:
        old, new = (" ".join(text.split())[:90] for text in (self.old, self.new))
        return f"{self.path}:{self.line} {self.kind}: {old}  ->  {new}"


def find_mutations(path: str, source: bytes) -> list[Mutation]:
    """Every change of one file that is known here."""
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return finder.found


def _name(call: ast.expr) -> str:
    """Return the last name of what is called."""
    function = call.func if isinstance(call, ast.Call) else None
    return getattr(function, "attr", getattr(function, "id", ""))


def _is_true(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _holds_text(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.JoinedStr)
        or (isinstance(part, ast.Constant) and isinstance(part.value, str))
        for part in ast.walk(node)
    )


class _Finder(ast.NodeVisitor):
    """Walk over what runs: not over annotations, docstrings and messages of errors."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        self.found: list[Mutation] = []
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def add(self, kind: str, node: ast.expr | ast.stmt, new: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self.starts[node.lineno - 1] + node.col_offset
        end = self.starts[node.end_lineno - 1] + node.end_col_offset
        old = self.source[start:end].decode()
        if old != new:
            self.found.append(Mutation(self.path, kind, node.lineno, start, end, old, new))

    def edit(self, kind: str, node: ast.expr, change: Callable[[ast.expr], object]) -> None:
        other = copy.deepcopy(node)
        change(other)
        self.add(kind, node, f"({ast.unparse(other)})")

    def constant(self, kind: str, flags: str, node: ast.expr) -> None:
        if not isinstance(node, ast.Constant):
            return
        if isinstance(node.value, bool):
            self.add(flags, node, str(not node.value))
        elif isinstance(node.value, (int, float)):
            self.add(kind, node, repr(node.value + 1))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]:
            inner = default.operand if isinstance(default, ast.UnaryOp) else default
            self.constant("default", "default", inner)
        for part in [*node.decorator_list, *node.body]:
            self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.value, ast.Constant):
            self.constant("default", "default", node.value)
        elif node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        pass

    def visit_Assert(self, node: ast.Assert) -> None:
        pass  # what cannot happen

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node.body[-1], ast.Raise) and not node.orelse:
            self.add("check", node, "pass")
        self.add("condition", node.test, f"not ({ast.unparse(node.test)})")
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self.add("condition", node.test, f"not ({ast.unparse(node.test)})")
        self.generic_visit(node)

    visit_IfExp = visit_While

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self.edit("condition", node, lambda made: setattr(made, "op", other))
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, operator in enumerate(node.ops):
            other = COMPARISONS[type(operator)]()
            self.edit("comparison", node, lambda made, i=place, o=other: made.ops.__setitem__(i, o))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        other = ARITHMETIC.get(type(node.op))
        if other is not None and not _holds_text(node):
            self.edit("arithmetic", node, lambda made: setattr(made, "op", other()))
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.add("statement", node, "pass")
        other = ARITHMETIC.get(type(node.op))
        if other is not None and not _holds_text(node):
            made = copy.deepcopy(node)
            made.op = other()
            self.add("arithmetic", node, ast.unparse(made))
        self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        self.constant("constant", "flag", node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            checks = "check" in _name(node.value)
            self.add("check" if checks else "statement", node, "pass")
            (self.generic_visit if checks else self.visit)(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets):
            self.add("statement", node, "pass")
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self.add("statement", node, "pass")

    visit_Break = visit_Continue

    def visit_Call(self, node: ast.Call) -> None:
        name, plain = _name(node), not any(isinstance(part, ast.Starred) for part in node.args)
        if name == "abs":
            inside = node.args[0] if isinstance(node.func, ast.Name) or node.args else node.func
            kept = inside.value if inside is node.func else inside
            self.add("abs", node, f"({ast.unparse(kept)})")
        if name.startswith("check_") and plain and len(node.args) >= 2:
            self.add("check", node, ast.unparse(node.args[1]))  # (name, value, ...) gives the value
        if plain and len(node.args) >= 2 and name not in SYMMETRIC and "check" not in name:
            self.edit("arguments", node, _swap)
        if name == "zip":  # strict=True asserts what cannot happen
            node.keywords = [each for each in node.keywords if not _is_true(each.value)]
        self.generic_visit(node)


def _swap(call: ast.expr) -> None:
    assert isinstance(call, ast.Call)
    call.args[:2] = call.args[1], call.args[0]
