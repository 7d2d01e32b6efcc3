"""Fail when the package's files, functions, folders or signatures outgrow the budget.

Medians and 95th percentiles of lines; a function's docstring does not count. The tests must keep
up with the package: lines of code, where tables of cases and shared bodies make a line go far.
The worst of each kind are listed, so that what comes next is seen before it fails.
"""

import ast
import re
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
BUDGET = {  # (median, 95th percentile)
    "python file": (150, 400),
    "python function": (10, 40),
    "native file": (120, 300),
    "native function": (15, 70),
}
TESTS_PER_LINE = 0.6  # the aim is 1.0
FILES_PER_FOLDER = 15  # a room that outgrows it is divided; `ops` is one file for each op
ARGUMENTS = 12  # of a function of the package's own; more of them are carried in a dataclass
# Public signatures are explicit, so that completion shows what there is to say, and the constructor
# and `attribute` of an attribution class are captum's or beside captum's: those have no bound.
PUBLIC_ARGUMENTS = 21
INNER_ROOMS = ("attribution/visualization",)  # users import from it, as from captum's
WORST = 3


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def code_lines(path: Path) -> int:
    """Lines of a Python file that are neither blank, comment nor docstring."""
    text = lines(path)
    prose = set()
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            prose.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in prose
        for number, line in enumerate(text, 1)
    )


def python_functions(path: Path) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                length -= first.end_lineno - first.lineno + 1
            found.append((f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", length))
    return found


def imported_names(path: Path) -> set[str]:
    """Names that a file imports from elsewhere, in functions too."""
    if not path.exists():
        return set()
    nodes = list(ast.walk(ast.parse(path.read_text())))
    return {each.name for node in nodes if isinstance(node, ast.ImportFrom) for each in node.names}


def exported(room: Path) -> set[str]:
    """Names that a room or a module below the package gives to its users."""
    if room.name.startswith("_"):
        return set()
    if room.suffix == ".py":
        tree = ast.parse(room.read_text())
        return {node.name for node in tree.body if hasattr(node, "name")}
    inner = [ROOT / "pyxai" / name for name in INNER_ROOMS]
    places = [room, *(each for each in inner if each.is_relative_to(room))]
    files = [place / name for place in places for name in ("__init__.py", "__init__.pyi")]
    return set().union(*map(imported_names, files))


def count_arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def arguments(path: Path, public: set[str]) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Arguments of a file's own functions, and of those that users call.

    A function is public where its room exports it, a method where its class is and its own name
    has no underscore before it.
    """
    own, called = [], []
    attribution = path.is_relative_to(ROOT / "pyxai" / "attribution")

    def visit(node: ast.AST, known: bool, owner: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = getattr(child, "name", "")
            if isinstance(child, ast.ClassDef):
                visit(child, known and name in public, name)
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                shown = (
                    known and (owner or name in public) and (name == "__init__" or name[0] != "_")
                )
                item = f"{path.relative_to(ROOT)}:{child.lineno} {name}", count_arguments(child)
                if not shown:
                    own.append(item)
                elif not (attribution and owner and name in ("__init__", "attribute")):
                    called.append(item)
                visit(child, False, "")
            else:
                visit(child, known, owner)

    visit(ast.parse(path.read_text()), True, "")
    return own, called


def folders(root: Path) -> list[tuple[str, int]]:
    """Python files of each folder, but for the grid of ops."""
    inner = [path for path in root.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    counts = [(path, len(list(path.glob("*.py")))) for path in (root, *inner)]
    return [(str(p.relative_to(ROOT)), n) for p, n in counts if n and p != root / "ops"]


def native_functions(path: Path) -> list[tuple[str, int]]:
    """Spans from a line at column 0 that opens a function to the closing brace at column 0."""
    found, start = [], None
    for number, line in enumerate(lines(path), 1):
        if re.match(r"[A-Za-z_].*[({,]$", line) and not re.match(
            r"(namespace|struct|class|enum|union|extern|using|template|#)\b", line
        ):
            start = start or number
        elif line == "}" and start is not None:
            found.append((f"{path.relative_to(ROOT)}:{start}", number - start + 1))
            start = None
        elif line.startswith("}"):
            start = None
    return found


def percentile_95(values: list[int]) -> int:
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


def report(kind: str, bad: bool, text: str, items: list[tuple[str, int]]) -> bool:
    """Print a line and the largest of its kind; return whether the budget is missed."""
    print(f"{'OVER ' if bad else 'ok   '}{kind:18} n {len(items):4}  {text}")
    for name, size in sorted(items, key=lambda item: -item[1])[: 8 if bad else WORST]:
        print(f"       {size:5} {name}")
    return bad


def main() -> int:
    python = sorted((ROOT / "pyxai").rglob("*.py"))
    native = sorted(p for p in (ROOT / "csrc").rglob("*") if p.suffix in (".h", ".cpp", ".cu"))
    tests = sorted((ROOT / "tests").rglob("*.py"))
    sizes = {
        "python file": [(str(p.relative_to(ROOT)), len(lines(p))) for p in python],
        "python function": [item for p in python for item in python_functions(p)],
        "native file": [(str(p.relative_to(ROOT)), len(lines(p))) for p in native],
        "native function": [item for p in native for item in native_functions(p)],
    }
    failed = False
    for kind, items in sizes.items():
        counts = [size for _, size in items]
        got, allowed = (round(median(counts)), percentile_95(counts)), BUDGET[kind]
        failed |= report(
            kind,
            got[0] > allowed[0] or got[1] > allowed[1],
            f"median {got[0]:4} (at most {allowed[0]})  "
            f"95th percentile {got[1]:4} (at most {allowed[1]})",
            items,
        )
    own: list[tuple[str, int]] = []
    called: list[tuple[str, int]] = []
    for path in python:
        room = ROOT / "pyxai" / path.relative_to(ROOT / "pyxai").parts[0]
        for found, more in zip((own, called), arguments(path, exported(room)), strict=True):
            found += more
    for kind, items, bound in (
        ("files of a folder", folders(ROOT / "pyxai"), FILES_PER_FOLDER),
        ("own arguments", own, ARGUMENTS),
        ("public arguments", called, PUBLIC_ARGUMENTS),
    ):
        most = max(size for _, size in items)
        failed |= report(kind, most > bound, f"most {most} (at most {bound})", items)
    package, test = (sum(code_lines(p) for p in group) for group in (python, tests))
    few = test < TESTS_PER_LINE * package
    failed |= few
    print(
        f"{'UNDER' if few else 'ok   '}lines of code: {test} in tests, {package} in pyxai, "
        f"{test / package:.2f} (at least {TESTS_PER_LINE})"
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
