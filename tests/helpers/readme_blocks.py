"""The Python code blocks of a Markdown file, with the lines they stand at."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python_blocks(path: Path) -> list[tuple[int, str]]:
    """Return (line number, code) of each ```python block."""
    text = path.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, match.start(1)) + 1, match.group(1))
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def pages() -> list[Path]:
    """Return README.md and the pages below docs/ that hold Python code."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if python_blocks(path)]
