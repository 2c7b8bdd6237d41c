"""What the site makes of our docstrings."""

from pathlib import Path

import pytest

griffe = pytest.importorskip("griffe")

from retrace.tools.pages.docstrings import Docstrings  # noqa: E402

CODE = '''
class Boxes:
    """Boxes as :class:`Detections` has them.

    Example:
        >>> Boxes().score
        0.5
    """

    score: float  # in [0, 1]
'''


def test_an_example_is_code_and_a_comment_is_told(tmp_path: Path) -> None:
    (tmp_path / "boxes.py").write_text(CODE)
    boxes = griffe.load("boxes", search_paths=[tmp_path], extensions=griffe.load_extensions(Docstrings))[
        "Boxes"
    ]
    text, examples = boxes.docstring.parse("google")
    assert text.value == "Boxes as `Detections` has them."
    assert examples.kind is griffe.DocstringSectionKind.examples
    assert examples.value == [(griffe.DocstringSectionKind.examples, ">>> Boxes().score\n0.5")]
    assert boxes["score"].docstring.value == "in [0, 1]"
