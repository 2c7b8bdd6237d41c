"""Whatever is in a file, reading it ends soon, in little memory, with a result or with one line.

A hundred seeded cases of each kind here, thousands with ``-m long``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.camera.warps import read_warps
from retrace.tracker.data import Frame
from retrace.tracker.detection.boxes_file import open_detections
from retrace.tracker.mot_file import read_detections, read_ground_truth, read_results, read_sequence_length
from retrace.tracker.sources import open_source
from tests.damage import assert_one_line, damaged, damaged_text, survive
from tests.tracker.sources.made_folders import INI
from tests.tracker.sources.made_videos import video_bytes

TEXTS = {
    "a.txt": b"1,-1,10.5,20,30,40,0.9,-1,-1,-1\n2,3,10,20,30,40,1,1,0.5,1\n" * 3,
    "b.txt": b"1 -1 10.5 20 30 40 0.9\n2 3 1e3 20 30 40 1\n" * 3,
    "c.txt": b"0\t1.0\t0\t5\t0\t1\t2\n3\t1\t0\t0\t0\t1\t2\n",
}


def read_video(path: Path) -> None:
    source = open_source(path)
    frames = list(source)
    times = [frame.time for frame in frames]
    assert all(before < after for before, after in zip(times, times[1:], strict=False))
    numbers = [frame.index for frame in frames] + source.corrupt
    assert len(numbers) == len({*numbers}) < 1000
    assert 1e-3 <= source.fps <= 1e4
    assert all("\n" not in line for line in source.warnings)


def read_folder(path: Path) -> None:
    for frame in open_source(path.parent):
        assert frame.image is None or frame.image.dtype == np.uint8
        if frame.index > 20:
            break


def read_boxes(path: Path) -> None:
    open_detections(path)(Frame(0, 0.0, None))


def read_text(path: Path) -> None:
    each_by_itself(path, read_detections, read_results, read_ground_truth, open_detections, read_warps)


def read_ini(path: Path) -> None:
    each_by_itself(path, lambda path: read_sequence_length(path.parent), read_folder)


def each_by_itself(path: Path, *readers: Callable[[Path], object]) -> None:
    refusals = []
    for read in readers:
        try:
            read(path)
        except InputError as error:
            assert_one_line(error)
            refusals.append(error)
    if refusals:
        raise refusals[0]


def videos() -> dict[str, bytes]:
    return {
        "a.mp4": video_bytes("mp4", count=12, options={"g": "5", "bf": "2"}),
        "a.avi": video_bytes("avi", "mpeg4", 12, {"g": "5"}),
        "a.mkv": video_bytes("matroska", count=12),
        "a.ts": video_bytes("mpegts", "mpeg2video", 12),
        "a.webm": video_bytes("webm", "libvpx", 12, {"deadline": "realtime"}),
        "a.ivf": video_bytes("ivf", "libvpx", 12, {"deadline": "realtime"}),
        "a.h264": video_bytes("h264", count=12),
        "a.flv": video_bytes("flv", "flv1", 12),
        "a.wmv": video_bytes("asf", "wmv2", 12),
    }


def pictures() -> dict[str, bytes]:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    files = {
        f"a.{kind}": cv2.imencode(f".{kind}", image)[1].tobytes()
        for kind in ("jpg", "png", "tif", "bmp", "webp")
    }
    deep = cv2.imencode(".tif", image[..., 0].astype(np.float32))[1].tobytes()
    return {
        **files,
        "deep.tif": deep,
        "deep.png": cv2.imencode(".png", image[..., 0] * np.uint16(9))[1].tobytes(),
    }


def packed() -> dict[str, bytes]:
    rows = {"frame": np.arange(3), "xyxy": np.tile([0.0, 0, 5, 5], (3, 1)), "score": np.full(3, 0.5)}
    plain, small = io.BytesIO(), io.BytesIO()
    np.savez(plain, **rows, class_id=np.arange(3), embedding=np.eye(3))
    np.savez_compressed(small, **rows)
    return {"a.npz": plain.getvalue(), "b.npz": small.getvalue()}


KINDS = {
    "video": (videos, read_video, damaged),
    "picture": (pictures, read_folder, damaged),
    "npz": (packed, read_boxes, damaged),
    "text": (lambda: TEXTS, read_text, damaged_text),
    "ini": (lambda: {"seqinfo.ini": INI.format(length=10).encode()}, read_ini, damaged_text),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_damaged_files(tmp_path: Path, kind: str) -> None:
    make, read, damage = KINDS[kind]
    survive(tmp_path, make(), read, range(100), damage)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damaged_files(tmp_path: Path, kind: str) -> None:
    make, read, damage = KINDS[kind]
    survive(tmp_path, make(), read, range(1000, 6000), damage)
