"""A strict reader of HTML pages for tests."""

from __future__ import annotations

import html.parser


class Reader(html.parser.HTMLParser):
    """Collects tags and text, and fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "img", "source", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data

    def addresses(self):
        """Everything that a browser would load or follow."""
        kinds = ("src", "href", "srcset", "action", "data")
        return [
            value
            for _, attributes in self.tags
            for name, value in attributes.items()
            if name in kinds
        ]
