"""The HTML, style sheets and scripts of this folder, as they lie in their files; and a page with pictures, written."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template

from retrace.configs.files import atomic_write, writing
from retrace.tools.terminal.options import as_utf8

PAGE, IMAGES = "index.html", "images"


@cache
def text_of(name: str) -> str:
    """The contents of a file of this folder."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def filled(name: str, **values: object) -> str:
    """A file of this folder with ``$name`` replaced. Values go in as they are: escape what is not HTML."""
    return Template(text_of(name)).substitute(values)


def write_with_pictures(folder: Path, text: str, pictures: Mapping[str, bytes], old: str) -> Path:
    """FOLDER/index.html, and its pictures as FOLDER/images/NAME.jpg.

    Args:
        folder: made if it is not there.
        text: of the page.
        pictures: JPEGs by name.
        old: the pattern of file names of pictures that an earlier page left, which go.

    Raises:
        InputError: the folder cannot be written.
    """
    with writing(folder, what="folder"):
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        (folder / PAGE).unlink(missing_ok=True)  # an old page must not show new pictures
        for picture in (folder / IMAGES).glob(old):
            picture.unlink()
        for name, data in pictures.items():
            (folder / IMAGES / f"{name}.jpg").write_bytes(data)
        with atomic_write(folder / PAGE, "wb") as file:
            file.write(as_utf8(text))
    return folder / PAGE
