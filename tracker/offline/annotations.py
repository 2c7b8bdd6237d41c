"""Tracks that other tools wrote, read: COCO with videos (JSON), CVAT for video (XML), MOTChallenge (zip or text)."""

from __future__ import annotations

import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np

from retrace.configs.errors import InputError, one_line
from retrace.configs.reading import read_json
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_ground_truth, read_results, read_sequence_info

LARGEST = 2**30  # bytes of a file, or of a member of a zip
MOST_FRAME = 10**7
# frame, id, x1, y1, x2, y2, score, class from 1
Row = tuple[int, int, float, float, float, float, float, int]


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """Tracks of one video."""

    table: MotTable
    name: str
    fps: float | None
    size: tuple[int, int] | None  # (height, width) px
    length: int | None  # frames


def read_annotations(path: str | Path) -> Annotated:
    """Tracks from a file, whose kind is told from its ending.

    Raises:
        InputError: another kind of file, a broken one, one without tracks.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path}: more than {LARGEST:,} bytes")
    kinds = {".json": _coco, ".xml": _cvat, ".zip": _zip, ".txt": _text}
    if path.suffix.lower() not in kinds:
        raise InputError(f"{path}: expected COCO with videos (.json), CVAT (.xml), or MOT (.zip, .txt)")
    try:
        found = kinds[path.suffix.lower()](path)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable as tracks ({one_line(error)})") from None
    if not len(found.table):
        raise InputError(f"{path}: holds no tracks")
    return found


def _coco(path: Path) -> Annotated:
    told = read_json(path)
    videos = told.get("videos") or [{}]
    if len(videos) != 1:
        raise InputError(f"{path}: {len(videos)} videos in it; expected one")
    video = videos[0]
    frame_of = {}
    for image in told["images"]:
        number = image.get("frame_id", image.get("frame_index"))
        if number is None:
            raise InputError(f"{path}: image {image.get('id')} has neither frame_id nor frame_index")
        frame_of[image["id"]] = int(number)
    first = min(frame_of.values(), default=0)
    if first == 1 and 0 not in frame_of.values():  # CocoVID files exist that count from 1
        frame_of = {key: number - 1 for key, number in frame_of.items()}
    category = {
        one["id"]: k for k, one in enumerate(sorted(told.get("categories", []), key=lambda c: c["id"]), 1)
    }
    rows: list[Row] = []
    for one in told["annotations"]:
        person = one.get("track_id", one.get("instance_id"))
        if person is None:
            raise InputError(f"{path}: annotation {one.get('id')} has neither track_id nor instance_id")
        x, y, w, h = map(float, one["bbox"])
        kind = category.get(one.get("category_id"), 1)
        frame = frame_of[one["image_id"]]
        rows.append((frame, int(person), x, y, x + w, y + h, float(one.get("score", 1.0)), kind))
    fps = video.get("fps")
    return Annotated(
        _table(path, rows),
        str(video.get("name") or path.name.split(".")[0]),
        float(fps) if isinstance(fps, int | float) and fps > 0 else None,
        _size(video.get("height"), video.get("width")),
        len(frame_of) or None,
    )


def _cvat(path: Path) -> Annotated:
    """Boxes at key frames; between two of them the box moves evenly, until it is ``outside``."""
    whole = path.read_bytes()
    if b"<!DOCTYPE" in whole or b"<!ENTITY" in whole:
        raise InputError(f"{path}: XML with definitions of its own is not read")
    try:
        root = ElementTree.fromstring(whole)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: not readable as XML: {error}") from None
    tracks = root.findall("track")
    labels = [label.text or "" for label in root.findall(".//labels/label/name")]
    labels += [t.get("label", "") for t in tracks if t.get("label", "") not in labels]
    kinds = {label: k for k, label in enumerate(dict.fromkeys(labels), 1)}
    ids = [int(track.get("id", "-1")) for track in tracks]
    lift = 1 if min(ids, default=1) < 1 else 0  # CVAT counts from 0
    rows: list[Row] = []
    for track, number in zip(tracks, ids, strict=True):
        kind = kinds[track.get("label", "")]
        for frame, box in _cvat_boxes(track):
            rows.append((frame, number + lift, *box, 1.0, kind))
    length = root.findtext(".//task/size") or root.findtext(".//job/size")
    size = (root.findtext(".//original_size/height"), root.findtext(".//original_size/width"))
    name = root.findtext(".//task/name") or path.name.split(".")[0]
    return Annotated(_table(path, rows), name, None, _size(*size), int(length) if length else None)


def _cvat_boxes(track: ElementTree.Element) -> Iterator[tuple[int, tuple[float, float, float, float]]]:
    keys = []
    for box in track.findall("box"):
        corners = np.array([float(box.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr")])
        keys.append((int(box.attrib["frame"]), box.get("outside") == "1", corners))
    keys.sort(key=lambda key: key[0])
    for k, (frame, outside, corners) in enumerate(keys):
        if outside:
            continue
        until, gone, target = keys[k + 1] if k + 1 < len(keys) else (frame + 1, True, corners)
        if until > MOST_FRAME:
            raise InputError(f"frame {until} in a track")
        for step in range(max(1, until - frame)):
            share = 0.0 if gone else step / (until - frame)
            x1, y1, x2, y2 = (corners + share * (target - corners)).tolist()
            yield frame + step, (x1, y1, x2, y2)


def _zip(path: Path) -> Annotated:
    """``gt/gt.txt`` and, where it is there, ``seqinfo.ini``, at the top or in one folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [
                m for m in archive.infolist() if PurePosixPath(m.filename).parts[-2:] == ("gt", "gt.txt")
            ]
            if len(texts) != 1:
                raise InputError(f"{path}: {len(texts)} files gt/gt.txt in it; expected one")
            ini = [m for m in archive.infolist() if PurePosixPath(m.filename).name == "seqinfo.ini"]
            if any(member.file_size > LARGEST for member in (*texts, *ini)):
                raise InputError(f"{path}: more than {LARGEST:,} bytes in it")
            with tempfile.TemporaryDirectory() as folder:
                text = Path(folder) / "gt.txt"
                text.write_bytes(archive.read(texts[0]))
                table = read_ground_truth(text)
                table = table.take(table.score > 0)
                if not ini:
                    return Annotated(table, path.stem, None, None, None)
                (Path(folder) / "seqinfo.ini").write_bytes(archive.read(ini[0]))
                info = read_sequence_info(folder)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable as a zip ({type(error).__name__})") from None
    return Annotated(table, info.name, info.fps, (info.height, info.width), info.length)


def _text(path: Path) -> Annotated:
    return Annotated(read_results(path), path.stem, None, None, None)


def _table(path: Path, rows: list[Row]) -> MotTable:
    """Rows sorted by frame, then id.

    Raises:
        InputError: an id twice in a frame, a box of no size, a number out of range.
    """
    rows.sort(key=lambda row: row[:2])
    twice: defaultdict[tuple[int, int], int] = defaultdict(int)
    for frame, person, x1, y1, x2, y2, *_ in rows:
        twice[frame, person] += 1
        if not (0 <= frame <= MOST_FRAME and 1 <= person < 2**53 and twice[frame, person] == 1):
            why = "twice in it" if twice[frame, person] > 1 else "out of range"
            raise InputError(f"{path}: frame {frame}, id {person}: {why}")
        if not (np.isfinite([x1, y1, x2, y2]).all() and x2 > x1 and y2 > y1):
            raise InputError(f"{path}: frame {frame}, id {person}: a box of no size, or not finite")
    whole = np.array(rows, np.float64).reshape(-1, 8)
    return MotTable(
        whole[:, 0].astype(np.int64),
        whole[:, 1].astype(np.int64),
        np.ascontiguousarray(whole[:, 2:6]),
        np.ascontiguousarray(whole[:, 6]),
        whole[:, 7].astype(np.int64),
        np.ones(len(whole)),
    )


def _size(height: Any, width: Any) -> tuple[int, int] | None:
    try:
        found = int(height), int(width)
    except (TypeError, ValueError):
        return None
    return found if min(found) > 0 else None
