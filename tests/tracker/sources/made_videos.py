"""Videos made for the tests: every picture shows its number."""

from __future__ import annotations

import tempfile
from fractions import Fraction

import av
import numpy as np

SIZE = (96, 128)


def picture(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Noise, so that packets have a size worth damaging, under six blocks that are the bits of the number."""
    noise = np.random.default_rng(index).integers(100, 140, (*size, 3), dtype=np.uint8)
    for bit in range(6):
        noise[:32, 16 * bit : 16 * bit + 16] = 235 if index >> bit & 1 else 20
    return noise


def number_of(image: np.ndarray) -> int:
    return sum(int(image[8:24, 16 * bit + 4 : 16 * bit + 12].mean() > 128) << bit for bit in range(6))


def video_bytes(
    container: str,
    codec: str = "libx264",
    count: int = 60,
    options: dict[str, str] | None = None,
    milliseconds: list[int] | None = None,
    size: tuple[int, int] = SIZE,
    muxer: dict[str, str] | None = None,
) -> bytes:
    """A video of ``picture(0), picture(1), ...`` at 25 frames/s, or with the given timestamps."""
    buffer = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the index moves to the front of a real file only
    with av.open(buffer.name, "w", format=container, options=muxer or {}) as out:
        stream = out.add_stream(codec, rate=25, options=options or {"g": "10"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        if codec == "mpeg4":
            stream.bit_rate = 1_000_000
        if milliseconds is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index, size), format="bgr24")
            frame.pts = index if milliseconds is None else milliseconds[index]
            frame.time_base = Fraction(1, 25) if milliseconds is None else Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return buffer.read()


def overwritten(data: bytes, share: float, count: int) -> bytes:
    """``count`` bytes from ``share`` of the way on replaced by random ones."""
    at = int(len(data) * share)
    rubbish = np.random.default_rng(0).integers(0, 256, count, dtype=np.uint8).tobytes()
    return data[:at] + rubbish + data[at + count :]
