"""MOTChallenge text <-> MotTable. The only place that knows 1-based frames and tlwh.

Coordinates pass through unshifted, as TrackEval reads them. Formats: motchallenge.net/instructions.
"""

from __future__ import annotations

import configparser
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from configs import InputError
from tracker.boxes import tlwh_to_xyxy, xyxy_to_tlwh
from tracker.data import MotTable, Tracks

MIN_COLUMNS = {"detections": 7, "results": 7, "ground truth": 7}


@dataclass(frozen=True, slots=True)
class SequenceInfo:
    """What ``seqinfo.ini`` says."""

    name: str
    fps: float
    length: int  # frames
    width: int  # px
    height: int  # px
    image_folder: str = "img1"
    image_ending: str = ".jpg"


def read_sequence_info(folder: str | Path) -> SequenceInfo:
    """``seqinfo.ini`` of a MOTChallenge sequence folder.

    Raises:
        InputError: the file is missing, has no [Sequence] part, or a value is missing or no number.
    """
    path = Path(folder) / "seqinfo.ini"
    if not path.is_file():
        raise InputError(f"{path}: no such file; a MOTChallenge sequence folder needs it")
    ini = configparser.ConfigParser()
    try:
        ini.read(path, encoding="utf-8")
        part = ini["Sequence"]
        info = SequenceInfo(
            name=part.get("name", Path(folder).name),
            fps=float(part["frameRate"]),
            length=int(part["seqLength"]),
            width=int(part["imWidth"]),
            height=int(part["imHeight"]),
            image_folder=part.get("imDir", "img1"),
            image_ending=part.get("imExt", ".jpg"),
        )
    except (KeyError, ValueError, configparser.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())} (missing or malformed)") from None
    if not (math.isfinite(info.fps) and info.fps > 0 and min(info.length, info.width, info.height) > 0):
        raise InputError(f"{path}: frameRate, seqLength, imWidth and imHeight must be positive")
    return info


def read_detections(path: str | Path) -> MotTable:
    """A ``det.txt``: frame, id (ignored), left, top, width, height, score[, ...]; rows in file order by frame.

    Scores are as the file has them: see :func:`scores_to_unit`. class_id is 0.
    """
    rows = read_rows(path, "detections")
    order = np.argsort(rows[:, 0], kind="stable")
    rows = rows[order]
    return _table(rows, ids=np.full(len(rows), -1), class_id=np.zeros(len(rows)), visibility=np.ones(len(rows)))


def read_results(path: str | Path) -> MotTable:
    """A tracker's result file: frame, id, left, top, width, height, conf[, x, y, z]."""
    rows = read_rows(path, "results")
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return _table(rows, ids=rows[:, 1], class_id=np.ones(len(rows)), visibility=np.ones(len(rows)))


def read_ground_truth(path: str | Path) -> MotTable:
    """A ``gt.txt``: frame, id, left, top, width, height, considered flag[, class, visibility].

    Nine columns carry class and visibility (MOT16 and later); ten are MOT15's, whose last three are world
    coordinates: class 1 (pedestrian) and visibility 1 then.
    """
    rows = read_rows(path, "ground truth")
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    classed = rows.shape[1] in (8, 9)
    return _table(
        rows,
        ids=rows[:, 1],
        class_id=rows[:, 7] if classed else np.ones(len(rows)),
        visibility=rows[:, 8] if rows.shape[1] == 9 else np.ones(len(rows)),
    )


def read_rows(path: str | Path, kind: str) -> np.ndarray:
    """The numbers of a MOTChallenge text file, ``(R, C)`` float64, in file order; an empty file is (0, 10).

    The delimiter (comma, semicolon, tab or blanks) is told from the first line. The file is read in one
    sweep; only when that fails is it read line by line, to name the line.

    Raises:
        InputError: no such file; a row that is no number, NaN or infinite, of another width than the first,
            with too few columns, or with a frame or id that is no whole number or a frame below 1.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; expected MOTChallenge {kind}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected MOTChallenge {kind}") from None
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return np.zeros((0, 10))
    delimiter = next((mark for mark in ",;\t" if mark in first), None)
    columns = len(first.strip().rstrip(delimiter or " ").split(delimiter))
    try:
        flat = np.array(
            [x for line in lines if line.strip() for x in line.strip().rstrip(delimiter or " ").split(delimiter)],
            dtype=np.float64,
        )
        rows = flat.reshape(-1, columns)
        whole = rows[:, :2]
        sound = columns >= MIN_COLUMNS[kind] and np.isfinite(rows).all() and (whole == np.floor(whole)).all()
        sound = sound and (rows[:, 0] >= 1).all()
    except ValueError:
        sound = False
    if not sound:
        raise InputError(_first_fault(path, lines, delimiter, columns, kind))
    return rows


def _first_fault(path: Path, lines: list[str], delimiter: str | None, columns: int, kind: str) -> str:
    """The message for the first line that breaks a rule of :func:`read_rows`."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = line.strip().rstrip(delimiter or " ").split(delimiter)
        where = f"{path}, line {number}: "
        if len(cells) < MIN_COLUMNS[kind]:
            return f"{where}expected at least {MIN_COLUMNS[kind]} columns of {kind}, got {len(cells)}: {line[:80]!r}"
        if len(cells) != columns:
            return f"{where}expected {columns} columns as in the lines before, got {len(cells)}"
        for column, cell in enumerate(cells, 1):
            try:
                value = float(cell)
            except ValueError:
                return f"{where}column {column} is not a number: {cell.strip()[:40]!r}"
            if not math.isfinite(value):
                return f"{where}column {column} is {cell.strip()}, expected a finite number"
            if column <= 2 and value != math.floor(value):
                return f"{where}{'frame' if column == 1 else 'id'} must be a whole number, got {cell.strip()}"
            if column == 1 and value < 1:
                return f"{where}frames are 1-based, got {cell.strip()}"
    return f"{path}: not readable as MOTChallenge {kind}"


def _table(rows: np.ndarray, ids: np.ndarray, class_id: np.ndarray, visibility: np.ndarray) -> MotTable:
    return MotTable(
        frame=rows[:, 0].astype(np.int64) - 1,
        id=ids.astype(np.int64),
        xyxy=tlwh_to_xyxy(rows[:, 2:6]),
        score=np.ascontiguousarray(rows[:, 6]),
        class_id=class_id.astype(np.int64),
        visibility=np.ascontiguousarray(visibility, dtype=np.float64),
    )


def scores_to_unit(score: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Raw detector scores mapped into [0, 1]; scores that already lie there stay as they are.

    The rule, "min-max to [0.3, 1]": 0.3 + 0.7 (s - min) / (max - min) over the file. It is monotone, and the
    lowest box stays above the usual 0.1 floor because public detectors have thresholded already.

    Returns:
        (R,) scores, and one line that says what was done (None: nothing).
    """
    if not len(score) or (score.min() >= 0 and score.max() <= 1):
        return score, None
    low, high = float(score.min()), float(score.max())
    unit = 0.3 + 0.7 * (score - low) / (high - low if high > low else 1.0)
    return np.clip(unit, 0, 1), f"raw scores {low:g}..{high:g} mapped by 'min-max to [0.3, 1]'"


def format_tracks(frame: int, tracks: Tracks) -> str:
    """The result lines of one frame (0-based ``frame``), "" when there is no track."""
    tlwh = xyxy_to_tlwh(tracks.xyxy.astype(np.float64))
    return "".join(
        f"{frame + 1},{i},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{s:.4f},-1,-1,-1\n"
        for i, (x, y, w, h), s in zip(tracks.id.tolist(), tlwh.tolist(), tracks.score.tolist(), strict=True)
    )


def write_results(path: str | Path, table: MotTable) -> None:
    """A whole sequence as a result file, written beside and renamed."""
    tlwh = xyxy_to_tlwh(table.xyxy)
    with atomic_write(path) as file:
        for frame, i, (x, y, w, h), s in zip(
            table.frame.tolist(), table.id.tolist(), tlwh.tolist(), table.score.tolist(), strict=True
        ):
            file.write(f"{frame + 1},{i},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{s:.4f},-1,-1,-1\n")


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO]:
    """A file that appears under its name only when it is complete; until then it is ``NAME.partial``."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(partial, mode) as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
