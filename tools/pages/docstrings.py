"""How the site reads our docstrings (an extension of griffe): comments beside fields count, roles are names."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr):`~?([^`]+)`")
COMMENT = re.compile(r"\s{2}# (.+)$")


class Docstrings(griffe.Extension):
    """Called by mkdocstrings for each object that it finds."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """`score: np.ndarray  # (N,) float32 in [0, 1]` says what the field is."""
        if attr.docstring is None and attr.lines and (found := COMMENT.search(attr.lines[0])):
            attr.docstring = griffe.Docstring(found[1], parent=attr)

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """:class:`Detections` -> `Detections`."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(r"`\1`", obj.docstring.value)
