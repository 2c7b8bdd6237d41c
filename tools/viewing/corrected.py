"""The corrected result as files, each on demand, with a manifest that says that it was corrected by hand.

RUN/corrected is a run folder itself: `eval_mot.py`, `count.py`, `mot_crops.py` and the page take it as one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.files import atomic_write, file_hash, write_json, writing
from retrace.configs.reading import read_json
from retrace.configs.versions import commit, versions
from retrace.tools.viewing.place import Place
from retrace.tracker.data import Detections, MotTable, Step, Tracks
from retrace.tracker.offline.edits import counted

KINDS = {
    "mot": ".txt", "csv": ".csv", "jsonl": ".jsonl", "coco": ".coco.json", "cvat": ".cvat.xml", "zip": ".zip",
    "gt": "/gt/gt.txt", "video": ".mp4",
}  # fmt: skip
_ONE = threading.Lock()  # the manifest is read, changed and written


def write_corrected(place: Place, kind: str, folder: Path | None = None) -> Path:
    """One file of the corrected result in ``folder``, and beside it run.json.

    Args:
        place: the sequence.
        kind: of ``KINDS``.
        folder: None: ``RUN/corrected``.

    Raises:
        InputError: no such kind, a place that cannot be written, a video that is gone.
    """
    if kind not in KINDS:
        raise InputError(f"no kind {kind!r}; there are {', '.join(KINDS)}")
    folder = folder or place.folder / "corrected"
    out = folder / f"{place.name}{KINDS[kind]}"
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[kind](place, place.corrected().table, out)
    _note(place, folder, str(out.relative_to(folder)))
    return out


def _mot(place: Place, table: MotTable, out: Path) -> None:
    from retrace.tracker.mot_file import write_results

    with writing(out):
        write_results(out, table)


def _csv(place: Place, table: MotTable, out: Path) -> None:
    from retrace.tracker.outputs.tables import boxes_csv

    boxes_csv(out, _classed(table), place.fps, place.class_names or None)


def _jsonl(place: Place, table: MotTable, out: Path) -> None:
    from retrace.tracker.data import Frame
    from retrace.tracker.outputs.text import json_line

    with writing(out), atomic_write(out) as file:
        for k, tracks in enumerate(_by_frame(place, table)):
            file.write(
                json_line(Step(Frame(k, k / place.fps, None), Detections.empty(), tracks), place.class_names)
            )


def _coco(place: Place, table: MotTable, out: Path) -> None:
    from retrace.tracker.outputs.exchange import coco_json

    names = place.class_names or None
    coco_json(out, _classed(table), place.name, place.frames, place.size, place.fps, names)


def _cvat(place: Place, table: MotTable, out: Path) -> None:
    from retrace.tracker.outputs.exchange import cvat_xml

    cvat_xml(out, _classed(table), place.name, place.frames, place.size, place.class_names or None)


def _zip(place: Place, table: MotTable, out: Path) -> None:
    from retrace.tracker.outputs.mot_zip import mot_zip

    mot_zip(out, table, place.name, place.frames, place.size, place.fps)


def _gt(place: Place, table: MotTable, out: Path) -> None:
    from retrace.tracker.outputs.mot_zip import mot_folder

    mot_folder(out.parents[1], table, place.name, place.frames, place.size, place.fps)


def _video(place: Place, table: MotTable, out: Path) -> None:
    from retrace.tracker.outputs.pictures import VideoSink
    from retrace.tracker.sources import open_source

    if place.source is None or not Path(place.source).exists():
        raise InputError(f"{place.source or place.name}: the video is not there any more")
    source = open_source(place.source)
    tracks = list(_by_frame(place, table))
    with VideoSink(out, source.fps, source.size, pixel_aspect=source.pixel_aspect) as video:
        for frame in source.frames():
            if frame.index >= len(tracks):
                break
            video.write(Step(frame, Detections.empty(), tracks[frame.index]))


WRITERS: dict[str, Callable[[Place, MotTable, Path], None]] = {
    "mot": _mot, "csv": _csv, "jsonl": _jsonl, "coco": _coco, "cvat": _cvat, "zip": _zip, "gt": _gt, "video": _video,
}  # fmt: skip


def _by_frame(place: Place, table: MotTable) -> Any:
    """The tracks of every frame; boxes drawn by hand count as seen."""
    gone = place.predicted()
    cut = np.searchsorted(table.frame, np.arange(place.frames + 1))
    for start, stop in zip(cut[:-1], cut[1:], strict=True):
        rows = slice(start, stop)
        yield Tracks(
            table.id[rows],
            table.xyxy[rows].astype(np.float32),
            table.score[rows].astype(np.float32),
            table.class_id[rows].astype(np.int32) - 1,
            np.where(gone[rows], -1, 0).astype(np.int64),
        )


def _classed(table: MotTable) -> MotTable:
    """Classes from 0, as detectors count; MOT text counts from 1."""
    return replace(table, class_id=table.class_id - 1)


def _note(place: Place, folder: Path, name: str) -> None:
    """What run.json says of a file of that name in the folder."""
    path = folder / "run.json"
    edits, found = place.edits(), place.corrected()
    record = {
        "complete": not place.growing,
        "fps": place.fps,
        "size": place.size,
        "frames": place.frames,
        "tracks": len(np.unique(found.table.id)),
        "corrected_by_hand": {
            "result": str(place.result_file.resolve()),
            "result_sha256": file_hash(place.result_file),
            "edits": str(place.edits_file.resolve()),
            "edits_sha256": file_hash(place.edits_file) if place.edits_file.is_file() else None,
            "edits_that_count": len(counted(edits)) - len(found.unfit),
            "edits_that_do_not_fit": [f"edit {number}: {why}" for number, why in found.unfit],
            "names": {str(k): v for k, v in found.names.items()},
            "checked": sorted(found.sure),
        },
    }
    with _ONE:
        try:
            told = read_json(path)
        except InputError:
            told = {}
        sequences = told.get("sequences") if isinstance(told.get("sequences"), dict) else {}
        before = sequences.get(place.name, {})
        files = sorted({*(before.get("files") or []), name})
        arguments = told.get("arguments") or []
        if place.source is not None and place.source not in arguments:
            arguments = [*arguments, place.source]
        told = {
            **told,
            "post_processing": ["corrected by hand"],
            "online": False,
            "arguments": arguments,
            "commit": commit(),
            "versions": versions(),
            "sequences": {**sequences, place.name: {**record, "files": files}},
        }
        write_json(path, told)
