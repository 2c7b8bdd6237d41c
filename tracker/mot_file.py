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
from retrace.configs.errors import expect, path_text
from retrace.configs.files import atomic_write, writing
from retrace.tracker.boxes import tlwh_to_xyxy, xyxy_to_tlwh
from retrace.tracker.data import RATES, ROUNDING, MotTable, Tracks
from retrace.tracker.mot_rows import LAST_FRAME, read_bounded, read_rows

PEDESTRIAN = 1  # MOTChallenge's class of people; class_id 0 of a detector
LARGEST_SIDE = 65_535  # px of an image
LARGEST_INI = 2**20  # bytes
FEW = 0.01  # share of scores that may lie outside [0, 1] before all are taken for raw ones
OUTLIER, TAIL = 3.0, 99  # a range that so many times exceeds that of all but 1 % at either end is one row's

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
        fps=_positive(path, part, "frameRate", float, RATES[1]),
        length=_positive(path, part, "seqLength", int, LAST_FRAME),
        width=_positive(path, part, "imWidth", int, LARGEST_SIDE),
        height=_positive(path, part, "imHeight", int, LARGEST_SIDE),
        image_folder=part.get("imDir", "img1"),
        image_ending=part.get("imExt", ".jpg"),
    )


def read_sequence_length(folder: str | Path) -> int:
    """Frames that ``seqinfo.ini`` says a sequence has, 1..LAST_FRAME; nothing else is asked of the file.

    Raises:
        InputError: as :func:`read_sequence_info`, or more frames than that.
    """
    path, part = _sequence_part(folder)
    return _positive(path, part, "seqLength", int, LAST_FRAME)


def _sequence_part(folder: str | Path) -> tuple[Path, Mapping[str, str]]:
    """The path of ``seqinfo.ini`` and what its [Sequence] part says."""
    path = Path(folder) / "seqinfo.ini"
    if not path.is_file():
        raise InputError(f"{path}: no such file; a MOTChallenge sequence folder needs it")
    ini = configparser.ConfigParser(interpolation=None)
    try:
        ini.read_string(read_bounded(path, "text", LARGEST_INI).decode("utf-8-sig"))
    except configparser.DuplicateOptionError as error:
        raise InputError(f"{path}, line {error.lineno}: {error.option[:40]} is given twice") from None
    except configparser.DuplicateSectionError as error:
        raise InputError(f"{path}, line {error.lineno}: [{error.section[:40]}] is there twice") from None
    except configparser.MissingSectionHeaderError:
        raise InputError(f"{path}: expected a [Sequence] line, then key=value lines") from None
    except configparser.ParsingError as error:
        raise InputError(f"{path}, line {error.errors[0][0]}: expected key=value") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not readable as text") from None
    if "Sequence" not in ini:
        parts = ", ".join(f"[{name[:40]}]" for name in ini.sections()[:3]) or "none"
        raise InputError(f"{path}: expected a part [Sequence]; it has {parts}")
    return path, ini["Sequence"]


def _positive(path: Path, part: Mapping[str, str], key: str, kind: type[Number], most: float) -> Number:
    """A number above 0 of the [Sequence] part, ``most`` at most."""
    if key not in part:
        raise InputError(f"{path}: {key} is missing; expected a line {key}=NUMBER under [Sequence]")
    try:
        value = kind(part[key])
    except ValueError:
        value = kind(0)
    what = "whole number" if kind is int else "number"
    if value > most and value != math.inf:
        raise InputError(f"{path}: {key} is {part[key][:40]}, expected a {what} up to {most:.0f}")
    if not (RATES[0] if kind is float else 1) <= value <= most:
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


def as_ground_truth(table: MotTable) -> MotTable:
    """Results as ground truth: every box is to be considered, whatever its score."""
    return replace(table, score=np.ones(len(table)))


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

    Example:
        >>> from retrace import read_ground_truth
        >>> truth = read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt")
        >>> len(truth), int(truth.frame.max()), truth.xyxy.shape
        (60, 29, (60, 4))
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
    lowest box stays above the usual 0.1 floor because public detectors have thresholded already. One row
    cannot flatten the others: where the range is ``OUTLIER`` times that of the inner 98 %, theirs is taken
    and what lies beyond is cut. Nor does a file count as raw for a few rows: up to ``FEW`` of them, and
    what is outside [0, 1] by rounding, are cut.

    One score for all boxes that is 0 or outside [0, 1] (-1: not given; 100: per cent) tells nothing: 1 for all.

    Returns:
        (R,) scores, and one line that says what was done (None: nothing).
    """
    low, high = (float(score.min()), float(score.max())) if len(score) else (1.0, 1.0)
    if low == high and not 0 < low <= 1:
        return np.ones(len(score)), f"all scores are {low:g}, which tells nothing: 1 for all"
    outside = (score < 0) | (score > 1)
    if not outside.any():
        return score, None
    if ((score < -ROUNDING) | (score > 1 + ROUNDING)).mean() <= FEW:
        return score.clip(0, 1), f"{outside.sum()} of {len(score)} scores cut to [0, 1], where the others lie"
    inner = np.percentile(score, (100 - TAIL, TAIL))
    cut = ""
    if high - low > OUTLIER * (inner[1] - inner[0]) > 0:
        cut = f" ({low:g}..{high:g} cut)"
        low, high = map(float, inner)
    unit = 0.3 + 0.7 * (score - low) / (high - low)
    return np.clip(unit, 0.3, 1), f"raw scores {low:g}..{high:g}{cut} mapped by 'min-max to [0.3, 1]'"


def format_tracks(frame: int, tracks: Tracks, classes: bool = False) -> str:
    """The result lines of one frame (0-based ``frame``), "" when there is no track.

    With ``classes`` the eighth column is the class as MOTChallenge counts, from 1: ``class_id`` + 1. Without it
    is -1, as the benchmark wants it: evaluation refuses other classes than people.
    """
    kinds = tracks.class_id + PEDESTRIAN if classes else np.full(len(tracks), -1)
    return "".join(_result_lines(np.full(len(tracks), frame), tracks, kinds))


def write_results(path: str | Path, table: MotTable) -> None:
    """A whole sequence as a result file, written beside and renamed; with classes if it has more than people.

    Frames count from 1 there and boxes are left, top, width, height (motchallenge.net/instructions).

    Raises:
        InputError: the place cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from retrace import read_ground_truth, write_results
        >>> write_results("copy.txt", read_ground_truth("gt/MOT17-02-FRCNN/gt/gt.txt"))
        >>> Path("copy.txt").read_text().splitlines()[0]
        '1,1,10.00,20.00,24.00,50.00,1.0000,-1,-1,-1'
    """
    expect("table", table, MotTable, "a MotTable")
    place = Path(path_text("path", path))
    if not place.name:
        raise InputError(f"{place}: expected the name of a file")
    with writing(place), atomic_write(place) as file:
        file.write(result_text(table))


def result_text(table: MotTable) -> str:
    """The text of a result file; with classes if it has more than people."""
    several = (table.class_id > PEDESTRIAN).any()
    kinds = table.class_id if several else np.full(len(table), -1)
    return "".join(_result_lines(table.frame, table, kinds))


def _result_lines(frame: np.ndarray, boxes: Tracks | MotTable, kinds: np.ndarray) -> Iterator[str]:
    tlwh = xyxy_to_tlwh(boxes.xyxy.astype(np.float64))
    columns = (frame, boxes.id, tlwh, boxes.score, kinds)
    for k, i, (x, y, w, h), s, c in zip(*(column.tolist() for column in columns), strict=True):
        yield f"{k + 1},{i},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{s:.4f},{c},-1,-1\n"


def write_ground_truth(path: str | Path, truth: MotTable) -> None:
    """A ``gt.txt`` of nine columns: frame and id from 1, tlwh, considered, class, visibility."""
    columns = (truth.frame + 1, truth.id, *xyxy_to_tlwh(truth.xyxy).T, truth.score, truth.class_id)
    with atomic_write(path) as file:
        np.savetxt(
            file, np.column_stack([*columns, truth.visibility]), "%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,%.3f"
        )
