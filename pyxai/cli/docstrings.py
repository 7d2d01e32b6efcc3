"""What a docstring says of parameters and sources, for those who read it in a terminal."""

from __future__ import annotations

import inspect
import re
from typing import Any

__all__ = ["parameters_of", "sources_of"]

_LONG = 200  # characters of what is said of a parameter
_SENTENCE = re.compile(r"(?<=[^.][.]) (?=[A-Z`\[])")
_HEADING = re.compile(r"^(\w[\w ]*)\n-+\n", re.MULTILINE)


def parameters_of(documented: Any) -> dict[str, str]:
    """Return for each parameter of a numpy docstring the first sentences of what is said of it."""
    found: dict[str, str] = {}
    # An entry is a line without indent, and what is indented below it.
    entries = re.split(r"^(?=\S)", _section(documented, "Parameters"), flags=re.MULTILINE)
    for entry in filter(None, entries):
        names, _, text = entry.partition("\n")
        said = _first_of(" ".join(text.split()))
        for name in names.partition(" : ")[0].split(", "):
            found[name.lstrip("*")] = said
    return found


def sources_of(documented: Any) -> list[str]:
    """Return the references of a docstring, each in one line."""
    entries = re.split(r"^\.\. \[\d+\] ", _section(documented, "References"), flags=re.MULTILINE)
    return [" ".join(entry.split()) for entry in entries if entry.strip()]


def _first_of(text: str) -> str:
    """Return the first sentence, and those after it as long as they fit."""
    first, *more = _SENTENCE.split(text)
    for sentence in more:
        if len(first) + len(sentence) >= _LONG:
            break
        first = f"{first} {sentence}"
    return first


def _section(documented: Any, wanted: str) -> str:
    parts = _HEADING.split(inspect.getdoc(documented) or "")
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return sections.get(wanted, "").strip("\n")
