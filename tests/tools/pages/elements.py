"""A page of HTML taken apart into its elements."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Elements with their attributes, classes of all ancestors and text; complains about wrong nesting."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[dict[str, Any]] = []
        self.found: list[dict[str, Any]] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        element = {"tag": tag, "text": "", "inside": list(self.open), **dict(attributes)}
        self.found.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element["text"] += data

    def all(self, tag: str, inside: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return [e for e in self.found if e["tag"] == tag and (inside is None or inside in e["inside"])]
