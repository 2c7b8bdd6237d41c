"""Sizes by the header alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs.files import read_image
from retrace.configs.image_size import declared_pixels


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tif"])
def test_the_header_tells_as_many_pixels_as_there_are(kind: str) -> None:
    data = cv2.imencode(f".{kind}", np.zeros((37, 53, 3), np.uint8))[1].tobytes()
    assert declared_pixels(data) == 37 * 53
    for length in range(60):
        assert declared_pixels(data[:length]) in (0, 37 * 53)


def test_big_endian_tiff_and_jpeg_with_fill_bytes() -> None:
    entries = [
        tag.to_bytes(2, "big") + b"\0\4\0\0\0\1" + n.to_bytes(4, "big") for tag, n in ((256, 70000), (257, 3))
    ]
    assert declared_pixels(b"MM\0*\0\0\0\x08\0\2" + b"".join(entries)) == 210000
    frame = b"\xff\xc0\0\x11\x08\0\x05\0\x07"  # 8 bits, 5 lines, 7 columns
    assert declared_pixels(b"\xff\xd8\xff\xe0\0\4ab\xff" + frame) == 35
    assert declared_pixels(b"\xff\xd8\0" + frame) == 0


def test_what_is_none_of_them_says_nothing() -> None:
    assert declared_pixels(b"") == declared_pixels(b"P6 9 9 255 ...") == 0


def test_a_picture_of_more_than_a_plausible_size_is_not_unpacked(tmp_path: Path) -> None:
    """What 16 kB of a PNG may claim: 50,000 x 50,000 pixels."""
    data = bytearray(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    data[16:24] = (50_000).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(data)
    assert read_image(tmp_path / "a.png") is None
