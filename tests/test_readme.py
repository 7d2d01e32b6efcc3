"""The code of the README and of the documentation runs, block after block, as a reader would."""

from __future__ import annotations

import json
import re

import pytest
from fresh_runs import FreshRuns
from readme_blocks import ROOT, pages, python_blocks

from pyxai import registry
from pyxai.cli import main


@pytest.fixture(scope="module")
def fresh_run():
    runs = FreshRuns()
    yield runs
    runs.close()


@pytest.fixture(scope="module")
def sentiment(fresh_run, tmp_path_factory):
    """Return the folder that the example makes, a model and its tokenizer."""
    folder = tmp_path_factory.mktemp("sentiment")
    status, said = fresh_run(ROOT / "examples" / "sentiment.py", folder)
    assert status == 0, said
    right = re.search(r"right: ([\d.]+) of 90 sentences", said)
    assert right is not None, said
    assert float(right[1]) > 0.7
    assert said.count("saves +") == 3  # by each of the methods
    return folder / "sentiment"


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path, fresh_run, tmp_path, request):
    lines: list[str] = []
    if any('from_pretrained("sentiment")' in code for _, code in python_blocks(path)):
        (tmp_path / "sentiment").symlink_to(request.getfixturevalue("sentiment"))
    for number, code in python_blocks(path):
        lines += [""] * (number - 1 - len(lines)) + code.splitlines()
    script = tmp_path / "page.py"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    status, text = fresh_run(script, tmp_path)
    assert status == 0, f"line numbers are those of {path}\n{text}"


def test_the_readme_has_code():
    assert python_blocks(ROOT / "README.md")


def same_words(shown: str, printed: str) -> bool:
    """Whether two texts agree, numbers to a hundredth: sums have other last digits elsewhere."""
    number = r"[-+]?\d+\.\d+(?:e[-+]\d+)?"
    if re.split(number, shown) != re.split(number, printed):
        return False
    pairs = zip(re.findall(number, shown), re.findall(number, printed), strict=True)
    return all(abs(float(a) - float(b)) <= 0.01 * abs(float(a)) + 1e-6 for a, b in pairs)


def test_numbers_that_differ_are_told():
    assert same_words("a -1.234 b\nd 3.5e-15", "a -1.233 b\nd 0.0")
    assert not same_words("a -1.234 b", "a +1.234 b")
    assert not same_words("a -1.234 b", "a -1.234 c")


def test_the_command_line_prints_what_the_readme_shows(fresh_run, tmp_path, monkeypatch, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [session] = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    first, *steps = session.removeprefix("$ ").split("\n$ ")
    assert first.startswith("python examples/files.py")
    status, said = fresh_run(ROOT / "examples" / "files.py", tmp_path)
    assert status == 0, said
    monkeypatch.chdir(tmp_path)
    for step in steps:
        command, shown = step.split("\n", 1)
        program, *arguments = command.split()
        assert program == "pyxai"
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert same_words(shown.strip(), printed.strip()), printed
    assert {path.name for path in tmp_path.glob("*.png")} == {"digit.png", "patient.png", "why.png"}


def table_of_methods() -> list[str]:
    """Return the rows that the README has: as sorted here, a family after the other."""
    entries = sorted(map(registry.get, registry.names()), key=lambda each: (each.family, each.name))
    cells = [
        (f"`{each.name}`", each.summary, each.cost, "yes" if each.complete else "no", each.use)
        for each in entries
    ]
    return [f"| {' | '.join(row)} |" for row in cells]


def test_the_table_of_methods_is_the_registry():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("<!-- methods")[1].split("<!-- end of methods")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows == table_of_methods(), "python tests/test_readme.py prints the rows"


def test_the_tables_of_times_are_those_of_the_files(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import readme

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == readme.renewed(text), "python benchmarks/readme.py --write renews them"


def test_tables_of_times_say_what_a_file_says(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import readme

    def write(*rows):
        record = {"rows": [{"benchmark": b, "ms": 2.0, "peer_ms": {"p": ms}} for b, ms in rows]}
        (tmp_path / "cpu-amd-epyc-day.json").write_text(json.dumps(record))
        readme.rows_of.cache_clear()

    row = readme.Speed("what", "instead", "day", "test_a[[]*", ("p",))
    monkeypatch.setattr(readme, "PEERS", (row,))
    monkeypatch.setattr(readme, "FLOORS", (row,))
    write(("x.py::test_a[1]", 3.0), ("x.py::test_a[2]", 42.0), ("x.py::test_ab[2]", 1e9))
    assert readme.peer_table(tmp_path)[2:] == ["| what | instead | 1.5 to 21 | `test_a` | day |"]
    assert readme.floor_table(tmp_path)[2:] == [
        "| what | instead | 0.05 to 0.67 | `test_a` | day |"
    ]
    write(("x.py::test_a[1]", 1.0))
    assert readme.peer_table(tmp_path)[2] == (
        "| what | instead | **0.50: we lose** | `test_a` | day |"
    )
    text = "a\n<!-- times: peers -->\nold\n<!-- end of times -->\nb\n<!-- times: floors -->\n"
    renewed = readme.renewed(f"{text}<!-- end of times -->c", tmp_path)
    assert "old" not in renewed
    assert [renewed.startswith("a\n"), renewed.endswith("-->c")] == [True, True]
    assert renewed == readme.renewed(renewed, tmp_path)
    write(("x.py::test_b", 1.0))
    with pytest.raises(ValueError, match=r"cpu-amd-epyc-day.json has no test_a"):
        readme.peer_table(tmp_path)


def test_links_between_pages_lead_somewhere():
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path} links to {target}"


def test_pages_name_tests_that_exist():
    for path in (ROOT / "docs").rglob("*.md"):
        file, text = "", path.read_text(encoding="utf-8")
        for named, test in re.findall(r"`(?:tests/)?(test_\w+\.py)?((?:::\w+)+)`", text):
            file = named or file  # `::test_x` means: in the file named before
            name = test.split("::")[-1]
            assert f"def {name}(" in next((ROOT / "tests").rglob(file)).read_text(), f"{file}{test}"


if __name__ == "__main__":
    print("\n".join(table_of_methods()))
