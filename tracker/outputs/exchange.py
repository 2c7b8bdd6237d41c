"""Finished tracks in other tools' formats: COCO with videos (JSON) and CVAT for video (XML)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from retrace.configs.files import atomic_write, writing
from retrace.tracker.boxes import xyxy_to_tlwh
from retrace.tracker.data import MotTable

FRAME_NAME = "{name}/{number:06d}.jpg"  # as MOTChallenge counts, from 1


def coco_json(
    path: str | Path,
    table: MotTable,
    name: str,
    length: int,
    size: tuple[int, int] | None,
    fps: float,
    names: Mapping[int, str] | None = None,
) -> Path:
    """COCO with videos: every frame an image, every box an annotation with its track.

    The keys are those of COCO and, for videos, both of MMTracking (``instance_id``, ``frame_id`` from 0) and of
    TAO (``track_id``, ``tracks``). Boxes are left, top, width, height, px.

    Args:
        path: the file.
        table: tracks, with ids; ``class_id`` from 0.
        name: of the sequence: images are called NAME/000001.jpg.
        length: frames.
        size: (height, width) px; None: not known, and so 0.
        fps: frames/s.
        names: of classes; a class without one is called class3.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    height, width = size or (0, 0)
    names = class_names(table, names)
    category = {kind: number for number, kind in enumerate(names, 1)}
    video = {"id": 1, "name": name, "width": width, "height": height, "length": length, "fps": fps}
    kind_of = dict(zip(table.id.tolist(), table.class_id.tolist(), strict=True))
    tracks = ({"id": one, "category_id": category[kind_of[one]], "video_id": 1} for one in sorted(kind_of))
    with writing(path), atomic_write(path) as file:
        file.write(f'{{"videos": [{_dumped(video)}],\n"categories": [')
        _list(file, ({"id": number, "name": names[kind]} for kind, number in category.items()))
        file.write('],\n"tracks": [')
        _list(file, tracks)
        file.write('],\n"images": [')
        _list(file, _images(name, length, height, width))
        file.write('],\n"annotations": [')
        _list(file, _annotations(table, category))
        file.write("]}\n")
    return path


def _images(name: str, length: int, height: int, width: int) -> Iterator[dict]:
    for frame in range(length):
        file = FRAME_NAME.format(name=name, number=frame + 1)
        image = {"id": frame + 1, "file_name": file, "height": height, "width": width}
        yield {**image, "video_id": 1, "frame_id": frame, "frame_index": frame}


def _annotations(table: MotTable, category: Mapping[int, int]) -> Iterator[dict]:
    tlwh = xyxy_to_tlwh(table.xyxy)
    rows = zip(
        table.frame.tolist(),
        table.id.tolist(),
        tlwh.tolist(),
        table.score.tolist(),
        table.class_id.tolist(),
        strict=True,
    )
    for number, (frame, person, (x, y, w, h), score, kind) in enumerate(rows, 1):
        yield {
            "id": number,
            "image_id": frame + 1,
            "video_id": 1,
            "category_id": category[kind],
            "track_id": person,
            "instance_id": person,
            "bbox": [round(x, 2), round(y, 2), round(w, 2), round(h, 2)],
            "area": round(w * h, 2),
            "score": round(score, 4),
            "iscrowd": 0,
        }


def cvat_xml(
    path: str | Path,
    table: MotTable,
    name: str,
    length: int,
    size: tuple[int, int] | None,
    names: Mapping[int, str] | None = None,
) -> Path:
    """CVAT for video 1.1: one track an identity, every box a key frame; whoever goes is ``outside`` from the next
    frame on (CVAT would else keep the last box, or move one through a gap). Frames count from 0.

    Args: as :func:`coco_json`.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    with writing(path), atomic_write(path, "wb") as file:
        for text in _cvat(table, name, length, size, class_names(table, names)):
            file.write(text.encode("utf-8", "replace"))
    return path


def _cvat(
    table: MotTable, name: str, length: int, size: tuple[int, int] | None, names: Mapping[int, str]
) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    labels = "".join(f"<label><name>{escape(one)}</name></label>" for one in names.values())
    wide = "" if size is None else f"<width>{size[1]}</width><height>{size[0]}</height>"
    yield f"  <meta><task><name>{escape(name)}</name><size>{length}</size><labels>{labels}</labels>"
    yield f"<original_size>{wide}</original_size></task></meta>\n"
    rows = table.take(np.lexsort((table.frame, table.id)))
    cuts = [*np.flatnonzero(np.diff(rows.id, prepend=-1)).tolist(), len(rows)]
    for start, stop in pairwise(cuts):
        one = rows.take(slice(start, stop))
        label = quoteattr(names[int(one.class_id[0])])
        yield f'  <track id="{one.id[0]}" label={label} source="auto">\n'
        yield from _cvat_boxes(one, length)
        yield "  </track>\n"
    yield "</annotations>\n"


def _cvat_boxes(one: MotTable, length: int) -> Iterator[str]:
    after = np.append(one.frame[1:], length)
    for frame, then, (x1, y1, x2, y2) in zip(
        one.frame.tolist(), after.tolist(), one.xyxy.tolist(), strict=True
    ):
        place = f'xtl="{x1:.2f}" ytl="{y1:.2f}" xbr="{x2:.2f}" ybr="{y2:.2f}" z_order="0"'
        for number, outside in ((frame, 0), (frame + 1, 1)):
            if outside and frame + 1 >= then:
                continue
            yield f'    <box frame="{number}" outside="{outside}" occluded="0" keyframe="1" {place}></box>\n'


def class_names(table: MotTable, names: Mapping[int, str] | None) -> dict[int, str]:
    """What the classes of a table are called, by number; where nothing is known, 0 is a person."""
    names = names or {0: "person"}
    return {kind: names.get(kind, f"class{kind}") for kind in np.unique(table.class_id).tolist()}


def _list(file: IO[str], rows: Iterator[dict]) -> None:
    for number, row in enumerate(rows):
        file.write((",\n" if number else "\n") + _dumped(row))


def _dumped(value: dict) -> str:
    return json.dumps(value, allow_nan=False)
