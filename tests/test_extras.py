"""What is said where an optional package is missing: it can be followed by whoever reads it."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from pyxai._extras import optional

ROOT = Path(__file__).parent.parent


def group(name):
    """Return the requirements of an optional group of pyproject.toml."""
    spec = importlib.util.spec_from_file_location("requirements", ROOT / ".ci" / "requirements.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.group(name)


def hints():
    """Every call of `optional`: file, package and extra; None for what is computed."""
    found = []
    for path in sorted((ROOT / "pyxai").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "optional":
                values = [getattr(argument, "value", None) for argument in node.args]
                found.append((path.name, *(values[1:3] + [None] * (3 - len(values)))))
    return found


def test_what_is_said():
    with (
        pytest.raises(
            ImportError, match=r'^plots need shapes; install it .* pip install "shapes"$'
        ),
        optional("plots need", "shapes"),
    ):
        raise ImportError("shapes")
    with (
        pytest.raises(ImportError) as caught,
        optional("plots need", "shapes>=2", "viz", "look at the numbers"),
    ):
        raise ImportError("shapes")
    assert str(caught.value) == (
        'plots need shapes>=2; install it with: pip install "shapes>=2", or in a checkout of '
        'pyxai: pip install --no-build-isolation ".[viz]"; or look at the numbers'
    )
    with pytest.raises(KeyError), optional("plots need", "shapes"):  # another error is not ours
        raise KeyError("shapes")


@pytest.mark.parametrize(("file", "package", "extra"), hints())
def test_extras_exist_and_hold_the_package(file, package, extra):
    if extra is None:
        # In no extra: forms of other packages, and what is compared with.
        assert package in ("shap", "xarray", "pandas", "captum==0.9.0"), file
        return
    held = group(extra)
    if package is not None:
        names = held if ">=" in package else [entry.split(">=")[0] for entry in held]
        assert package.lower() in names, f"{file} names {package}, {extra} holds {held}"


def test_no_text_names_a_distribution_with_extras():
    for path in [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "pyxai").rglob("*.py"),
    ]:
        assert not re.search(r"pyxai(-torch)?\[", path.read_text()), path
