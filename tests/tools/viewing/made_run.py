"""A small run whose video carries the number of each frame, made without tracking."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from retrace.tracker.offline.files import write_looks
from retrace.tracker.offline.reconnect import Looks

LENGTH = 60


def write_video(
    path: Path,
    length: int = LENGTH,
    fps: Fraction | int = 25,
    times: list[float] | None = None,
    form: str = "yuv420p",
    reordered: bool = False,
) -> Path:
    """Squares that are bright or dark: the frame's number in bits. ``times``: s of each frame, a variable rate, whose
    pictures may be ``reordered`` (B-frames), as those of a steady rate are."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 320, 160, form
        if times is not None:
            stream.options = {} if reordered else {"bf": "0"}
            stream.time_base = stream.codec_context.time_base = Fraction(1, 90_000)
        for number in range(length):
            image = np.full((160, 320, 3), 90, np.uint8)
            for bit in range(10):
                image[60:92, 32 * bit : 32 * bit + 32] = 255 if number >> bit & 1 else 0
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            if times is not None:
                frame.pts, frame.time_base = round(90_000 * times[number]), Fraction(1, 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def number_in(image: np.ndarray) -> int:
    """Of a picture of :func:`write_video`."""
    bits = [int(image[76, 32 * bit + 16].mean() > 128) for bit in range(10)]
    return sum(bit << k for k, bit in enumerate(bits))


def make_run(
    folder: Path,
    video: Path,
    length: int = LENGTH,
    fps: float = 25.0,
    shift: float = 0,
    swap: int | None = None,
) -> Path:
    """Two people who walk, 1 to the right and 2 to the left; 2 is only predicted in frames 10 to 19.

    Args:
        shift: px by which all boxes are lower.
        swap: from this frame on the tracker has the two the wrong way round.
    """
    folder.mkdir()
    rows, steps = [], []
    for k in range(length):
        one, two = (2, 1) if swap is not None and k >= swap else (1, 2)
        boxes = {one: (10 + 4 * (k % 60), 20 + shift), two: (280 - 4 * (k % 60), 100 + shift)}
        for person, (x, y) in sorted(boxes.items()):
            rows.append(f"{k + 1},{person},{x},{y},20,40,0.9,-1,-1,-1")
        tracks = [{"id": 1, "det_index": 0}, {"id": 2, "det_index": -1 if 10 <= k < 20 else 1}]
        steps.append(json.dumps({"frame": k, "tracks": tracks}))
    (folder / f"{video.stem}.txt").write_text("\n".join(rows) + "\n")
    (folder / f"{video.stem}.jsonl").write_text("\n".join(steps) + "\n")
    write_looks(
        folder / f"{video.stem}.looks.npz",
        Looks(np.array([1, 2]), np.array([[8.0, 0, 0], [0, 4.0, 3.0]]), np.array([8, 5])),
    )
    record = {"complete": True, "fps": fps, "size": [160, 320], "frames": length, "tracks": 2}
    told = {"arguments": [str(video), "--out", str(folder)], "sequences": {video.stem: record}}
    (folder / "run.json").write_text(json.dumps(told))
    return folder


def write_truth(path: Path, length: int = LENGTH) -> Path:
    """The truth of :func:`make_run`: person 11 walks to the right, 12 to the left."""
    rows = []
    for k in range(length):
        rows.append(f"{k + 1},11,{10 + 4 * k},20,20,40,1,1,1")
        rows.append(f"{k + 1},12,{280 - 4 * k},100,20,40,1,1,1")
    path.write_text("\n".join(rows) + "\n")
    return path
