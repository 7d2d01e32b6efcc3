"""Fail when the package's files or functions outgrow the budget.

Medians and 95th percentiles of lines; a function's docstring does not count. The tests must keep
up with the package: lines of code, where tables of cases and shared bodies make a line go far.
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
TESTS_PER_LINE = 0.6


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
        over = got[0] > allowed[0] or got[1] > allowed[1]
        failed |= over
        print(
            f"{'OVER ' if over else 'ok   '}{kind:16} n {len(counts):4}  median {got[0]:4} "
            f"(at most {allowed[0]})  95th percentile {got[1]:4} (at most {allowed[1]})"
        )
        if over:
            for name, size in sorted(items, key=lambda item: -item[1])[:8]:
                print(f"       {size:5} {name}")
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
