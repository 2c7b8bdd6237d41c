"""MOTChallenge files <-> MotTable: sequence info, detections, results, ground truth.

Only this file and tracker/mot_rows.py, which reads the numbers, know 1-based frames and tlwh. Coordinates pass
through unshifted, as TrackEval reads them. Formats: motchallenge.net/instructions.
"""

from __future__ import annotations

import configparser
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_write
from retrace.tracker.boxes import tlwh_to_xyxy, xyxy_to_tlwh
from retrace.tracker.data import MotTable, Tracks
from retrace.tracker.mot_rows import LAST_FRAME, read_rows

Number = TypeVar("Number", int, float)


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
        InputError: the file is missing, has no [Sequence] part, or a value is missing, no number or not
            positive; the message names the key.
    """
    path, part = _sequence_part(folder)
    return SequenceInfo(
        name=part.get("name", Path(folder).name),
        fps=_positive(path, part, "frameRate", float),
        length=_positive(path, part, "seqLength", int),
        width=_positive(path, part, "imWidth", int),
        height=_positive(path, part, "imHeight", int),
        image_folder=part.get("imDir", "img1"),
        image_ending=part.get("imExt", ".jpg"),
    )


def read_sequence_length(folder: str | Path) -> int:
    """Frames that ``seqinfo.ini`` says a sequence has, 1..LAST_FRAME; nothing else is asked of the file.

    Raises:
        InputError: as :func:`read_sequence_info`, or more frames than that.
    """
    path, part = _sequence_part(folder)
    length = _positive(path, part, "seqLength", int)
    if length > LAST_FRAME:
        raise InputError(f"{path}: seqLength is {length}, expected at most {LAST_FRAME}")
    return length


def _sequence_part(folder: str | Path) -> tuple[Path, Mapping[str, str]]:
    """The path of ``seqinfo.ini`` and what its [Sequence] part says."""
    path = Path(folder) / "seqinfo.ini"
    if not path.is_file():
        raise InputError(f"{path}: no such file; a MOTChallenge sequence folder needs it")
    ini = configparser.ConfigParser(interpolation=None)
    try:
        ini.read_string(path.read_text(encoding="utf-8-sig"))
    except configparser.DuplicateOptionError as error:
        raise InputError(f"{path}, line {error.lineno}: {error.option} is given twice") from None
    except configparser.ParsingError as error:
        if not isinstance(error, configparser.MissingSectionHeaderError):
            raise InputError(f"{path}, line {error.errors[0][0]}: expected key=value") from None
        raise InputError(f"{path}: expected a [Sequence] line, then key=value lines") from None
    except configparser.DuplicateSectionError as error:
        raise InputError(f"{path}, line {error.lineno}: [{error.section}] is there twice") from None
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: not readable as text") from None
    if "Sequence" not in ini:
        raise InputError(f"{path}: expected a part [Sequence]; it has {ini.sections() or 'none'}")
    return path, ini["Sequence"]


def _positive(path: Path, part: Mapping[str, str], key: str, kind: type[Number]) -> Number:
    """A finite number above 0 of the [Sequence] part."""
    if key not in part:
        raise InputError(f"{path}: {key} is missing; expected a line {key}=NUMBER under [Sequence]")
    try:
        value = kind(part[key])
    except ValueError:
        value = kind(0)
    if not 0 < value < math.inf:
        what = "whole number" if kind is int else "number"
        raise InputError(f"{path}: {key} is {part[key][:40]!r}, expected a {what} above 0")
    return value


def read_detections(path: str | Path) -> MotTable:
    """A ``det.txt``: frame, id (ignored), left, top, width, height, score[, ...]; in file order by frame.

    Scores are as the file has them: see :func:`scores_to_unit`. class_id is 0.
    """
    rows = read_rows(path, "detections")
    table = _table(rows, class_id=np.zeros(len(rows)), by_id=False)
    return replace(table, id=np.full(len(rows), -1))


def read_results(path: str | Path, by_id: bool = True, strict: bool = False) -> MotTable:
    """A tracker's result file: frame, id, left, top, width, height, conf[, x, y, z].

    Sorted by frame, then id; without ``by_id`` the rows of a frame keep the file's order (evaluation needs
    it: where two matchings are equally good, TrackEval's choice depends on the order). class_id is the eighth
    column where that is at least 1, as TrackEval reads it, else 1. ``strict``: see :func:`read_rows`.
    """
    rows = read_rows(path, "results", strict)
    class_id = np.maximum(rows[:, 7], 1) if rows.shape[1] >= 8 else np.ones(len(rows))
    return _table(rows, class_id, by_id)


def read_ground_truth(
    path: str | Path, by_id: bool = True, classed: bool | None = None, strict: bool = False
) -> MotTable:
    """A ``gt.txt``: frame, id, left, top, width, height, considered flag[, class, visibility].

    Args:
        path: the file.
        by_id: as in :func:`read_results`.
        classed: whether the eighth column is the class. Default: told from the number of columns. Nine carry
            class and visibility (MOT16 and later); ten are MOT15's, whose last three are world coordinates:
            class 1 (pedestrian) and visibility 1 then.
        strict: as TrackEval reads: see :func:`read_rows`, and an eighth column must be there, used or not.

    Raises:
        InputError: as :func:`read_rows`, or the class is asked for and there is no eighth column.
    """
    rows = read_rows(path, "ground truth", strict)
    if (classed or strict) and rows.shape[1] < 8:
        raise InputError(f"{path}, line 1: expected at least 8 columns of ground truth, got {rows.shape[1]}")
    if classed is None:
        classed = rows.shape[1] in (8, 9)
    seen = rows[:, 8] if classed and rows.shape[1] >= 9 else None
    return _table(rows, rows[:, 7] if classed else np.ones(len(rows)), by_id, seen)


def _table(
    rows: np.ndarray, class_id: np.ndarray, by_id: bool, visibility: np.ndarray | None = None
) -> MotTable:
    """``rows`` as a table, sorted by frame, and by id if asked; rows that tie keep the file's order."""
    frame, ids = rows[:, 0].astype(np.int64) - 1, rows[:, 1].astype(np.int64)
    table = MotTable(
        frame=frame,
        id=ids,
        xyxy=tlwh_to_xyxy(np.ascontiguousarray(rows[:, 2:6])),
        score=np.ascontiguousarray(rows[:, 6]),
        class_id=class_id.astype(np.int64),
        visibility=np.ones(len(rows)) if visibility is None else np.ascontiguousarray(visibility),
    )
    step, tie = np.diff(frame), np.diff(ids) >= 0
    if (step > 0).all() or ((step >= 0).all() and (not by_id or (tie | (step > 0)).all())):
        return table
    return table.take(np.lexsort((ids, frame)) if by_id else np.argsort(frame, kind="stable"))


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
    return "".join(_result_lines(np.full(len(tracks), frame), tracks))


def write_results(path: str | Path, table: MotTable) -> None:
    """A whole sequence as a result file, written beside and renamed."""
    with atomic_write(path) as file:
        file.writelines(_result_lines(table.frame, table))


def _result_lines(frame: np.ndarray, boxes: Tracks | MotTable) -> Iterator[str]:
    tlwh = xyxy_to_tlwh(boxes.xyxy.astype(np.float64))
    for k, i, (x, y, w, h), s in zip(
        frame.tolist(), boxes.id.tolist(), tlwh.tolist(), boxes.score.tolist(), strict=True
    ):
        yield f"{k + 1},{i},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{s:.4f},-1,-1,-1\n"


def write_ground_truth(path: str | Path, truth: MotTable) -> None:
    """A ``gt.txt`` of nine columns: frame and id from 1, tlwh, considered, class, visibility."""
    columns = (truth.frame + 1, truth.id, *xyxy_to_tlwh(truth.xyxy).T, truth.score, truth.class_id)
    with atomic_write(path) as file:
        np.savetxt(
            file, np.column_stack([*columns, truth.visibility]), "%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,%.3f"
        )
