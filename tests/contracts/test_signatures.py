"""Public names, arguments and defaults are those of `signatures.txt`: a change of one is meant.

A default that moves changes results without an error.
"""

import inspect
from pathlib import Path

import pytest
from public_objects import documented_objects

from pyxai import registry

LIST = Path(__file__).with_name("signatures.txt")
WRITE = "PYTHONPATH=.:tests/helpers python tests/contracts/test_signatures.py writes it anew"


def shown(default):
    """Return the text of a default, the same in every process."""
    return getattr(default, "__name__", None) or repr(default)


def signature(value):
    """Return names, kinds and defaults of the arguments of a function or class."""
    plain = [
        parameter.replace(annotation=parameter.empty)
        if parameter.default is parameter.empty
        else parameter.replace(annotation=parameter.empty, default=Verbatim(parameter.default))
        for parameter in inspect.signature(value).parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    return str(inspect.Signature(plain))


class Verbatim:
    """Show a default as `shown` does."""

    def __init__(self, default):
        self.text = shown(default)

    def __repr__(self):
        return self.text


def current():
    """Return the signature of every public function, class and method that has a default."""
    found = {
        name: signature(value)
        for name, value in documented_objects()
        if not (inspect.isclass(value) and issubclass(value, Exception))
    }
    return {name: text for name, text in sorted(found.items()) if "=" in text}


def listed():
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return {name: "(" + rest for name, _, rest in (line.partition("(") for line in lines)}


CURRENT = current()


def new_methods():
    """Return classes of the registry that are not listed: their own tests pin their defaults."""
    classes = {f"pyxai.attribution.{registry.get(name).cls.__name__}" for name in registry.names()}
    return {name for name in classes if not any(line.startswith(name) for line in listed())}


@pytest.mark.parametrize(
    "name", [name for name in CURRENT if not name.startswith(tuple(new_methods()))]
)
def test_arguments_and_defaults_are_those_listed(name):
    assert listed().get(name) == CURRENT[name], WRITE


def test_the_list_names_what_exists():
    assert not set(listed()) - set(CURRENT), WRITE


if __name__ == "__main__":
    LIST.write_text("".join(f"{name}{CURRENT[name]}\n" for name in CURRENT), encoding="utf-8")
