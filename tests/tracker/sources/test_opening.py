"""What a source's name means; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.tracker.sources import open_source
from tests.tracker.sources.made_folders import images


def test_a_missing_file_names_what_could_be_given() -> None:
    with pytest.raises(
        InputError, match=r"^nowhere/a.mp4: no such file or folder; expected a video file, image"
    ):
        open_source("nowhere/a.mp4")


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fps must be a positive number .*, got 0"):
        open_source(images(tmp_path / "shots", ["0.png"]), fps=0)
