"""Finished tracks in MOTChallenge's layout of ground truth, for evaluation and training crops: a folder, or the same
as a zip, which CVAT imports."""

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


def mot_folder(
    folder: str | Path, table: MotTable, name: str, length: int, size: tuple[int, int] | None, fps: float
) -> Path:
    """``gt/gt.txt``, ``gt/labels.txt`` (CVAT's "MOT 1.1") and ``seqinfo.ini``.

    Args:
        folder: of the sequence.
        table: tracks, with ids; every box counts as a pedestrian's.
        name: of the sequence.
        length: frames.
        size: (height, width) px; None: as far as the boxes go.
        fps: frames/s.

    Raises:
        InputError: the place cannot be written.
    """
    folder = Path(folder)
    if size is None:
        right, bottom = table.xyxy[:, 2:].max(0, initial=1)
        size = int(bottom) + 1, int(right) + 1
    rows = len(table)
    truth = replace(table, score=np.ones(rows), class_id=np.full(rows, PEDESTRIAN, np.int64))
    info = (
        f"[Sequence]\nname={name}\nimDir=img1\nframeRate={fps:g}\nseqLength={length}\n"
        f"imWidth={size[1]}\nimHeight={size[0]}\nimExt=.jpg\n"
    )
    with writing(folder):
        write_ground_truth(folder / "gt" / "gt.txt", truth)
        for member, text in (("gt/labels.txt", "pedestrian\n"), ("seqinfo.ini", info)):
            with atomic_write(folder / member) as file:
                file.write(text)
    return folder


def mot_zip(
    path: str | Path, table: MotTable, name: str, length: int, size: tuple[int, int] | None, fps: float
) -> Path:
    """The files of :func:`mot_folder`, at the top of a zip.

    Raises:
        InputError: the place cannot be written.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory() as place:
        folder = mot_folder(place, table, name, length, size, fps)
        with writing(path), atomic_write(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for member in ("gt/gt.txt", "gt/labels.txt", "seqinfo.ini"):
                text = (folder / member).read_bytes()
                archive.writestr(zipfile.ZipInfo(member, EPOCH), text, zipfile.ZIP_DEFLATED)
    return path
