"""A run folder made of tracks that another tool wrote, to be looked at, corrected, scored and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retrace.configs.errors import InputError
from retrace.configs.files import file_hash, write_json, writing
from retrace.configs.versions import commit, versions
from retrace.tracker.mot_file import write_results
from retrace.tracker.offline.annotations import read_annotations
from retrace.tracker.sources import open_source
from retrace.tracker.sources.address import without_secrets

DEFAULT_FPS = 30.0


def import_run(tracks: Path, folder: Path, video: str | None = None) -> str:
    """Write ``folder`` with NAME.txt and run.json; a line that says what was read.

    Args:
        tracks: COCO with videos (.json), CVAT for video (.xml), MOT (.zip or .txt).
        folder: of the run; holds none yet.
        video: what the boxes were drawn on; its name, rate and size win.

    Raises:
        InputError: a file that cannot be read; a folder that holds a run.
    """
    if (folder / "run.json").exists():
        raise InputError(f"{folder}: holds a run already; name another folder")
    found = read_annotations(tracks)
    source = None if video is None else open_source(video)
    fps = (source and source.fps) or found.fps or DEFAULT_FPS
    size = (source and source.size) or found.size
    name = source.name if source else "".join(c if c.isalnum() or c in "-_. " else "_" for c in found.name)
    last = int(found.table.frame.max()) + 1
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_results(folder / f"{name}.txt", found.table)
    record = {
        "complete": True,
        "frames": max(last, found.length or 0),
        "fps": fps,
        "size": size,
        "tracks": len(np.unique(found.table.id)),
        "files": [f"{name}.txt"],
        "imported": {"from": str(tracks), "sha256": file_hash(tracks)},
    }
    told = {
        "arguments": without_secrets([] if video is None else [video]),
        "commit": commit(),
        "versions": versions(),
        "sequences": {name: record},
    }
    write_json(folder / "run.json", told)
    guess = "" if source or found.fps else f"; {DEFAULT_FPS:g} frames/s are a guess: name the video"
    return f"{tracks}: {len(found.table)} boxes of {record['tracks']} identities in {last} frames{guess}"
