"""The HTML, style sheets and scripts of this folder, as they lie in their files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from string import Template


@cache
def text_of(name: str) -> str:
    """The contents of a file of this folder."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def filled(name: str, **values: object) -> str:
    """A file of this folder with ``$name`` replaced. Values go in as they are: escape what is not HTML."""
    return Template(text_of(name)).substitute(values)
