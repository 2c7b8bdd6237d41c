"""A heat map as a picture: bright where somebody stood, the picture itself where nobody was."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from retrace.tracker.analytics import heat_map
from retrace.tracker.outputs.heat import heat_picture, write_heat
from tests.tracker.analytics.slow_answers import made

STANDS = made([(k, 1, 100.0, 100.0) for k in range(50)])


def test_bright_where_somebody_stood() -> None:
    image = np.full((203, 301, 3), 200, np.uint8)
    made_of = heat_picture(heat_map(STANDS, 10, (203, 301), 8), (203, 301), image)
    assert made_of.shape == image.shape
    assert (image == 200).all(), "the picture itself stays as it is"
    bright = made_of.astype(int).max(-1)
    assert bright[100, 100] > 200
    assert bright[20, 280] < 120  # dimmed
    assert np.ptp(made_of[20, 280]) == 0  # and grey


def test_nobody_and_no_picture(tmp_path: Path) -> None:
    path = write_heat(tmp_path / "h.png", heat_map(made([]), 10, (90, 120), 16), (90, 120))
    assert cv2.imread(str(path)).shape == (90, 120, 3)
