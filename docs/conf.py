"""The documentation's site, by Sphinx: `make docs`, strict and without a network."""

from __future__ import annotations

import pkgutil
import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import reference_pages
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.inventory import InventoryFile

import pyxai

project = "pyxai"
author = "the authors of pyxai"
version = release = pyxai.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

html_theme = "furo"
html_title = f"pyxai {release}"
html_show_copyright = False
html_copy_source = False

myst_heading_anchors = 3
default_role = "py:obj"
nitpicky = True
# Of other packages nothing is linked: their inventories would have to be downloaded.
nitpick_ignore_regex = [(r"py:.*", r"(torch|torch_geometric|nn|numpy|matplotlib|collections)\..*")]

autodoc_typehints = "none"  # the docstrings say the types, with shapes and units
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_param = False  # types are sentences, not names to be linked
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]

LINKED = reference_pages.linked_names()
sentences: dict[str, list[str]] = {}  # docstrings of properties that hold no section


def before_napoleon(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Keep stars of shapes such as [batch, *features], and colons of properties' docstrings.

    The former would begin an emphasis, the latter be taken to divide a type from a description.
    """
    parts = re.split(r"(``.*?``|>>> .*?$)", "\n".join(lines), flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [re.sub(r"(?<![\w*])\*(?=\w)", r"\\*", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")
    if what in ("property", "attribute") and not any(line.startswith("---") for line in lines):
        sentences[name] = list(lines)


def after_napoleon(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Make footnotes a list, since each docstring of a page has a footnote 1 of its own."""
    lines[:] = sentences.pop(name, lines)
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"^\.\. \[(\d)\] ", r"\1. ", re.sub(r"\[(\d)\]_", r"[\1]", line))


def leave_unlinked(
    app: Sphinx, env: object, node: pending_xref, shown: nodes.TextElement
) -> nodes.TextElement | None:
    """Accept names that exist and are not public, such as the file to start with in a room."""
    target, module, owner = node["reftarget"], node.get("py:module"), node.get("py:class")
    for name in (f"{module}.{owner}.{target}", f"{module}.{target}", target):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError, ValueError):
            continue
        return shown
    return None


def link_code(app: Sphinx, doctree: nodes.document) -> None:
    """Make links of public names that stand as code in Markdown pages."""
    if app.env.doc2path(app.env.docname).suffix != ".md":
        return
    for node in list(doctree.findall(nodes.literal)):
        target = LINKED.get(node.astext())
        if target is not None and not isinstance(node.parent, nodes.reference):
            link = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=target, refwarn=True, refexplicit=True
            )
            node.replace_self(link)
            link += node


def lead_to_tables(app: Sphinx, name: str, source: list[str]) -> None:
    """Link the page that holds the examples' tables, in place of files outside of the site."""
    source[0] = re.sub(r"\]\(\.\./examples/\w+\.md\)", "](examples.md)", source[0])


def write_reference(app: Sphinx) -> None:
    """Write the pages of the reference before they are read."""
    reference_pages.write(Path(app.srcdir) / "reference")


def check_reference(app: Sphinx, error: Exception | None) -> None:
    """Fail if a public name is not in the reference."""
    if error is not None or app.builder.name != "html":
        return
    path = Path(app.outdir) / "objects.inv"
    held = InventoryFile.loads(path.read_bytes(), uri="").data
    shown = {name for role, names in held.items() if role[:3] == "py:" for name in names}
    missing = sorted(reference_pages.public_names() - shown)
    if missing:
        raise SystemExit(f"not in the reference: {', '.join(missing)}")


def setup(app: Sphinx) -> None:
    """Connect what is ours."""
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", before_napoleon, priority=100)
    app.connect("autodoc-process-docstring", after_napoleon, priority=900)
    app.connect("source-read", lead_to_tables)
    app.connect("doctree-read", link_code)
    app.connect("missing-reference", leave_unlinked)
    app.connect("build-finished", check_reference)
