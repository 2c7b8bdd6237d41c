"""docs/losses.md says what the docstrings say."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT

pytest.importorskip("torch")

from retrace.reid.losses.objective import TERMS
from retrace.tools.pages.losses import losses_page


def test_the_page_is_that_of_the_docstrings() -> None:
    told = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    assert told == losses_page(), "python -m retrace.tools.pages.losses > docs/losses.md"


def test_every_term_has_a_page_with_a_source_or_an_equation() -> None:
    page = losses_page()
    for name in TERMS:
        section = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert len(section) > 100, name
        assert any(word in section for word in ("et al.", "log", "mean", "sum")), name
