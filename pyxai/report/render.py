"""The templates of pages: all HTML is written there, and nothing gets into it unescaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["block", "page"]

TEMPLATES = Path(__file__).with_name("templates")
_SECTIONS_WITHOUT_CONTENTS = 4  # so few are seen at a glance


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def block(name: str, **values: Any) -> Markup:
    """Return a part of a page: what the macro ``name`` of ``blocks.html`` makes of values."""
    macro = getattr(_environment().get_template("blocks.html").module, name)
    return Markup(str(macro(**values)).strip())


def page(**values: Any) -> str:
    """Return a whole page: ``page.html`` with style and script inside."""
    style, script = (
        Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        _environment()
        .get_template("page.html")
        .render(
            **values,
            style=style,
            script=script,
            script_hash=f"sha256-{digest}",
            most_without_contents=_SECTIONS_WITHOUT_CONTENTS,
        )
    )
