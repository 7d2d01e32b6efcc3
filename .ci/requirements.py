"""Print the `dependencies` or optional groups of pyproject.toml, one requirement a line.

Lint needs its tools but not the built package, so it does not install the package to get them.
"""

import re
import sys
from pathlib import Path


def group(name: str) -> list[str]:
    # tomllib came with Python 3.11 and 3.10 must do.
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    project = text.split("\n[project]")[1].split("\n[project.scripts]")[0]
    match = re.search(rf"^{name} = \[(.*?)\]$", project, re.MULTILINE | re.DOTALL)
    if match is None:
        raise SystemExit(f"pyproject.toml has no group {name!r}")
    return re.findall(r'"([^"]+)"', match.group(1))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print("\n".join(group(name)))
