"""How large a picture says it is, read from its header: a kilobyte can unpack to gigabytes."""

from __future__ import annotations

import struct

SIZES = {256: 0, 257: 1}  # TIFF's tags of width and height
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers


def declared_pixels(data: bytes | memoryview) -> int:
    """Width times height by the header of a PNG, JPEG, GIF, BMP or TIFF; 0 where it is none or does not say.

    Formats: RFC 2083 (4.1.1), ITU T.81 (B.2.2), GIF89a (18), BITMAPINFOHEADER, TIFF 6.0 (section 2).
    """
    data = memoryview(data)
    sign = bytes(data[:4])
    try:
        if sign == b"\x89PNG":
            width, height = struct.unpack_from(">II", data, 16)
        elif sign == b"GIF8":
            width, height = struct.unpack_from("<HH", data, 6)
        elif sign[:2] == b"BM":
            width, height = struct.unpack_from("<ii", data, 18)
        elif sign[:2] == b"\xff\xd8":
            width, height = _jpeg(data)
        elif sign in (b"II*\0", b"MM\0*"):
            width, height = _tiff(data)
        else:
            return 0
    except struct.error:  # it ends within its header
        return 0
    return abs(width * height)


def _jpeg(data: memoryview) -> tuple[int, int]:
    """Width and height of the first frame header among the segments."""
    at = 2
    while True:
        mark, kind, length = struct.unpack_from(">BBH", data, at)
        if mark != 0xFF:
            return 0, 0
        if kind in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if kind == 0xFF else 2 + length  # fill bytes may stand before a marker


def _tiff(data: memoryview) -> tuple[int, int]:
    """Width and height of the first directory."""
    order = "<" if bytes(data[:2]) == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, at)
    found = [0, 0]
    for k in range(entries):
        tag, kind = struct.unpack_from(f"{order}HH", data, at + 2 + 12 * k)
        if tag in SIZES:  # a short (3) or a long (4)
            (found[SIZES[tag]],) = struct.unpack_from(
                order + ("H" if kind == 3 else "I"), data, at + 10 + 12 * k
            )
    return found[0], found[1]
