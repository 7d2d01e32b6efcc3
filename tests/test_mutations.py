"""What `make mutants` changes: each kind of change once, and nothing that does not run."""

import importlib.util
import sys
from pathlib import Path

CI = Path(__file__).parent.parent / ".ci"
SOURCE = '''
def scale(x: tuple[int, 2], n=3, *, mean=True) -> Literal[4]:
    """Text, 5."""
    n = check_int("n", n, minimum=-1)
    if n < 6:
        raise ValueError(f"n must be at least 6, got {n + 7}")
    x.check()
    total = abs(x.θ) + x.abs()
    self.n = total
    del_(x, n, mean)
    del_(zip(x, n, strict=True), zip(x, n, strict=False))
    return max(total, n)
'''
EXPECTED = {
    ("default", "3", "4"),
    ("default", "True", "False"),
    ("check", 'check_int("n", n, minimum=-1)', "n"),
    ("constant", "1", "2"),
    ("condition", "n < 6", "not (n < 6)"),
    ("comparison", "n < 6", "(n <= 6)"),
    ("constant", "6", "7"),
    ("check", "x.check()", "pass"),
    ("arithmetic", "abs(x.θ) + x.abs()", "(abs(x.θ) - x.abs())"),
    ("abs", "abs(x.θ)", "(x.θ)"),
    ("abs", "x.abs()", "(x)"),
    ("statement", "self.n = total", "pass"),
    ("statement", "del_(x, n, mean)", "pass"),
    ("arguments", "del_(x, n, mean)", "(del_(n, x, mean))"),
    ("statement", "del_(zip(x, n, strict=True), zip(x, n, strict=False))", "pass"),
    (
        "arguments",
        "del_(zip(x, n, strict=True), zip(x, n, strict=False))",
        "(del_(zip(x, n, strict=False), zip(x, n, strict=True)))",
    ),
    ("flag", "False", "True"),  # strict=True is an assertion
}


def test_every_kind_of_change(monkeypatch):
    spec = importlib.util.spec_from_file_location("mutations", CI / "mutations.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mutations", module)  # dataclasses look there
    spec.loader.exec_module(module)
    source = SOURCE.encode()
    found = module.find_mutations("scale.py", source)
    dropped = {change for change in found if change.old.startswith("if n < 6")}
    assert [(change.kind, change.new) for change in dropped] == [("check", "pass")]
    assert {(one.kind, one.old, one.new) for one in found if one not in dropped} == EXPECTED
    assert len(found) == len(EXPECTED) + 1
    assert all(change.parses(source) and change.apply(source) != source for change in found)
