"""How the site reads our docstrings (an extension of griffe): comments beside fields count, roles are names, examples
are code."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr):`~?([^`]+)`")
EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
COMMENT = re.compile(r"\s{2}# (.+)$")


class Docstrings(griffe.Extension):
    """Called by mkdocstrings for each object that it finds."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """`score: np.ndarray  # (N,) float32 in [0, 1]` says what the field is."""
        if attr.docstring is None and attr.lines and (found := COMMENT.search(attr.lines[0])):
            attr.docstring = griffe.Docstring(found[1], parent=attr)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """:class:`Detections` -> `Detections`; "Example:" -> "Examples:", which griffe shows as code (the other as a
        remark, whose >>> are quotations)."""
        if obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub(r"\1Examples:", text)
