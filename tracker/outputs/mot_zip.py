"""Finished tracks as a zip in MOTChallenge's layout: ground truth for evaluation, training crops, and CVAT's import."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from retrace.configs.files import atomic_write, writing
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import PEDESTRIAN, write_ground_truth

EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: the same tracks are the same bytes


def mot_zip(
    path: str | Path, table: MotTable, name: str, length: int, size: tuple[int, int] | None, fps: float
) -> Path:
    """``gt/gt.txt``, ``gt/labels.txt`` (CVAT's "MOT 1.1") and ``seqinfo.ini``.

    Args:
        path: the file.
        table: tracks, with ids; every box counts as a pedestrian's.
        name: of the sequence.
        length: frames.
        size: (height, width) px; None: as far as the boxes go.
        fps: frames/s.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    if size is None:
        right, bottom = table.xyxy[:, 2:].max(0, initial=1)
        size = int(bottom) + 1, int(right) + 1
    rows = len(table)
    truth = replace(table, score=np.ones(rows), class_id=np.full(rows, PEDESTRIAN, np.int64))
    info = (
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate={fps:g}\nseqLength={length}\n"
        f"imWidth={size[1]}\nimHeight={size[0]}\nimExt=.jpg\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "gt.txt"
        write_ground_truth(text, truth)
        members = {
            "gt/gt.txt": text.read_text(encoding="utf-8"),
            "gt/labels.txt": "pedestrian\n",
            "seqinfo.ini": info,
        }
    with writing(path), atomic_write(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member, EPOCH), content, zipfile.ZIP_DEFLATED)
    return path
