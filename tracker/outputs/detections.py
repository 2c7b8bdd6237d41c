"""What the detector saw, and what people looked like to the embedder, kept for another run.

A block of bytes a frame while the source is tracked, so that a stopped run can go on; at the end one .npz as
``Job.detections`` and the offline passes read it (`tracker/detection/boxes_file.py`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_write, reading, writing
from retrace.tracker.data import Detections, Step

GROWN = ".detected"  # NAME.detected.partial while the run goes on
# numbers: of a vector, 0 without one
HEAD = np.dtype([("frame", "<i8"), ("boxes", "<u4"), ("numbers", "<u4")])
DAWN = (1980, 1, 1, 0, 0, 0)  # the date in the zip: same input, same bytes


def detection_block(step: Step) -> bytes:
    """One frame's boxes, and vectors where there are some; nothing for a frame without boxes."""
    seen = step.detections
    if not len(seen):
        return b""
    vectors = seen.embedding if seen.embedding is not None else np.zeros((len(seen), 0), np.float32)
    head = np.array((step.frame.index, len(seen), vectors.shape[1]), HEAD)
    columns = (
        seen.xyxy.astype("<f4"),
        seen.score.astype("<f4"),
        seen.class_id.astype("<i4"),
        vectors.astype("<f4"),
    )
    return head.tobytes() + b"".join(column.tobytes() for column in columns)


def read_blocks(grown: Path) -> Iterator[tuple[int, Detections]]:
    """Frame number and detections of every block.

    Raises:
        InputError: the file cannot be read, or breaks off.
    """
    with reading(grown, "start without resuming"), open(grown, "rb") as file:
        while head := file.read(HEAD.itemsize):
            if len(head) < HEAD.itemsize:
                raise InputError(f"{grown}: breaks off; start without resuming")
            frame, n, d = np.frombuffer(head, HEAD)[0].tolist()
            data = file.read(4 * n * (6 + d))
            if len(data) < 4 * n * (6 + d):
                raise InputError(f"{grown}: breaks off; start without resuming")
            xyxy, score, kind, vectors = np.split(np.frombuffer(data, "<f4"), np.cumsum((4 * n, n, n)))
            embedding = vectors.reshape(n, d) if d else None
            yield frame, Detections(xyxy.reshape(n, 4), score, kind.view("<i4"), embedding)


def write_detections(
    path: Path, grown: Path, names: Mapping[int, str] | None = None, weights: str = ""
) -> Path:
    """``frame``, ``xyxy``, ``score``, ``class_id`` and, where somebody looked, ``embedding`` as an .npz; vectors never
    lie in memory all at once. What ``names`` calls the classes goes into ``class_ids`` and ``class_names``, what
    made the vectors into ``weights``.

    Raises:
        InputError: the place cannot be written, or ``grown`` not be read.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("frame", "xyxy", "score", "class_id")}
    numbers = 0
    for frame, seen in read_blocks(grown):
        columns["frame"].append(np.full(len(seen), frame, np.int64))
        for name in ("xyxy", "score", "class_id"):
            columns[name].append(getattr(seen, name))
        numbers = max(numbers, 0 if seen.embedding is None else seen.embedding.shape[1])
    nothing = {"frame": np.zeros(0, np.int64), "xyxy": np.zeros((0, 4), np.float32)}
    nothing |= {"score": np.zeros(0, np.float32), "class_id": np.zeros(0, np.int32)}
    whole = {name: np.concatenate([nothing[name], *parts]) for name, parts in columns.items()}
    if names:
        ids = sorted(names)
        whole |= {
            "class_ids": np.array(ids, np.int32),
            "class_names": np.array([names[k] for k in ids], np.str_),
        }
    if numbers and weights:
        whole["weights"] = np.array(weights, np.str_)
    with writing(path), atomic_write(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in whole.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", DAWN), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)
        if numbers:
            shape = (len(whole["frame"]), numbers)
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            with archive.open(zipfile.ZipInfo("embedding.npy", DAWN), "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for _, seen in read_blocks(grown):
                    unknown = np.zeros((len(seen), numbers), "<f4")
                    member.write((unknown if seen.embedding is None else seen.embedding).tobytes())
    return path
