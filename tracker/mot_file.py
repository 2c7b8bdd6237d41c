"""MOTChallenge text <-> MotTable. The only place that knows 1-based frames and tlwh.

Coordinates pass through unshifted, as TrackEval reads them. Formats: motchallenge.net/instructions.
"""

from __future__ import annotations

import configparser
import io
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from configs import InputError
from tracker.boxes import tlwh_to_xyxy, xyxy_to_tlwh
from tracker.data import MotTable, Tracks

MIN_COLUMNS = {"detections": 7, "results": 7, "ground truth": 7}
LAST_FRAME = 10_000_000  # four days at 30 frames a second; a table of frames that long still fits in memory
LARGEST = 1e9  # of any number in a file: squares of it are still exact enough, and it is no whole 2^63
BOM = b"\xef\xbb\xbf"
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


def read_rows(path: str | Path, kind: str, strict: bool = False) -> np.ndarray:
    """The numbers of a MOTChallenge text file, ``(R, C)`` float64, in file order; an empty file is (0, 10).

    The delimiter (comma, semicolon, tab or blanks) is told from the first line. A plain file is read in one
    sweep, any other one (exponents, blank lines, blanks as delimiter) line by line; a fault names its line.

    Args:
        path: the file.
        kind: a key of MIN_COLUMNS.
        strict: refuse what TrackEval refuses and a tracker's input may have: blank lines, and a byte order
            mark. A file is empty only with no byte in it.

    Raises:
        InputError: no such file; a row that is no number, NaN or infinite, beyond LARGEST, of another width
            than the first, with too few columns, with a frame or id that is no whole number or a frame
            outside 1..LAST_FRAME.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected MOTChallenge {kind}") from None
    return parse_rows(data, Path(path), kind, strict)


def parse_rows(data: bytes, path: Path, kind: str, strict: bool = False) -> np.ndarray:
    """As :func:`read_rows`, from the bytes of a file; ``path`` is what messages call it."""
    if strict and data.startswith(BOM):
        raise InputError(f"{path}, line 1: begins with a byte order mark; save the file as plain UTF-8")
    rows = _sweep(data, MIN_COLUMNS[kind])
    if rows is None:  # nothing with a blank line gets through the sweep
        rows = _line_by_line(path, data, kind, strict)
    if len(rows) and not _sound(rows):
        lines, delimiter, columns = _lines(path, data, kind)
        raise InputError(_first_fault(path, lines, delimiter, columns, kind))
    return rows


def _sweep(data: bytes, least: int) -> np.ndarray | None:
    """All numbers of a plain file, or None where the file needs a closer look.

    Plain: one delimiter, as many columns in every line, numbers of digits with at most one point and a minus
    in front. The text then becomes a Matrix Market array and scipy's parser reads it, the fastest one at hand
    (30 ns a number; ``np.loadtxt`` 150). That parser ignores what follows a number in a line, so everything
    that is not plain must be sorted out before.
    """
    from scipy.io import mmread  # slow to import, and only reading needs it

    data, mark = _tidy(data)
    if not mark:
        return None
    tail = (mark + b"-1") * 3 + b"\n"  # nearly every result line ends so: no need to parse it
    padding = 3 if data[: data.index(b"\n") + 1].endswith(tail) else 0
    size = len(data)
    if padding:
        data = data.replace(tail, b"\n")
    skeleton = data.translate(None, b"0123456789.-")
    columns, count = skeleton.index(b"\n") + 1, skeleton.count(b"\n")
    if columns + padding < least or skeleton != (mark * (columns - 1) + b"\n") * count:
        return None
    if padding and size - len(data) != (len(tail) - 1) * count:
        return None  # some lines do not end so
    if b"-" in data and data.count(mark + b"-") != data.count(b"-"):
        return None
    if b".." in data.translate(None, b"0123456789-"):
        return None
    header = b"%%%%MatrixMarket matrix array real general\n%d %d\n" % (columns, count)
    rows = np.full((columns + padding, count), -1.0)
    try:
        rows[:columns] = mmread(io.BytesIO(header + data.replace(mark, b"\n")))
    except ValueError:  # an empty cell, a lone sign or point
        return None
    return rows.T


def _tidy(data: bytes) -> tuple[bytes, bytes]:
    """The text without byte order mark, CR, blanks after and delimiters at the end of lines; its delimiter.

    Told from the first line; the delimiter is empty when there is none but blanks.
    """
    data = data.removeprefix(BOM)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if not data.endswith(b"\n"):
        data += b"\n"
    first = data[: data.index(b"\n")]
    mark = next((m for m in (b",", b";", b"\t") if m in first), b"")
    if mark and b" " in first:
        data = data.replace(mark + b" ", mark)
    if mark and first.endswith(mark):
        data = data.replace(mark + b"\n", b"\n")
    return data, mark


def _line_by_line(path: Path, data: bytes, kind: str, strict: bool) -> np.ndarray:
    """The numbers of any file that keeps the rules, at the price of a Python string each."""
    lines, delimiter, columns = _lines(path, data, kind)
    blank = next((k for k, line in enumerate(lines, 1) if not line.strip()), None) if strict else None
    if blank:
        raise InputError(
            f"{path}, line {blank}: a blank line; TrackEval refuses the file (an empty one has 0 bytes)"
        )
    if not columns:
        return np.zeros((0, 10))
    try:
        cells = [x for line in lines if line.strip() for x in _cells(line, delimiter)]
        rows = np.array(cells, dtype=np.float64).reshape(-1, columns)
    except ValueError:
        raise InputError(_first_fault(path, lines, delimiter, columns, kind)) from None
    if columns < MIN_COLUMNS[kind] or any(
        len(_cells(line, delimiter)) != columns for line in lines if line.strip()
    ):
        raise InputError(_first_fault(path, lines, delimiter, columns, kind))
    return rows


def _lines(path: Path, data: bytes, kind: str) -> tuple[list[str], str | None, int]:
    """The file's lines, its delimiter (None: blanks) and the columns of its first line (0: no line)."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; expected MOTChallenge {kind}") from None
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return lines, None, 0
    delimiter = next((mark for mark in ",;\t" if mark in first), None)
    return lines, delimiter, len(_cells(first, delimiter))


def _cells(line: str, delimiter: str | None) -> list[str]:
    return line.strip().rstrip(delimiter or " ").split(delimiter)


def _sound(rows: np.ndarray) -> bool:
    """Numbers within LARGEST (NaN is not), whole frames and ids, frames in 1..LAST_FRAME."""
    frame, whole = rows[:, 0], rows[:, :2]
    inside = (
        rows.max() <= LARGEST and rows.min() >= -LARGEST and frame.min() >= 1 and frame.max() <= LAST_FRAME
    )
    return bool(inside and (whole == np.floor(whole)).all())


def _first_fault(path: Path, lines: list[str], delimiter: str | None, columns: int, kind: str) -> str:
    """The message for the first line that breaks a rule of :func:`read_rows`."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        cells = _cells(line, delimiter)
        where = f"{path}, line {number}: "
        if len(cells) < MIN_COLUMNS[kind]:
            least = f"at least {MIN_COLUMNS[kind]} columns of {kind}"
            return f"{where}expected {least}, got {len(cells)}: {line[:80]!r}"
        if len(cells) != columns:
            return f"{where}expected {columns} columns as in the lines before, got {len(cells)}"
        for column, cell in enumerate(cells, 1):
            try:
                value = float(cell)
            except ValueError:
                return f"{where}column {column} is not a number: {cell.strip()[:40]!r}"
            if not math.isfinite(value):
                return f"{where}column {column} is {cell.strip()[:40]}, expected a finite number"
            if column <= 2 and value != math.floor(value):
                return f"{where}{'frame' if column == 1 else 'id'} must be a whole number, got {cell.strip()[:40]}"
            if column == 1 and value < 1:
                return f"{where}frames are 1-based, got {cell.strip()}"
            if column == 1 and value > LAST_FRAME:
                return f"{where}frame {cell.strip()[:40]} is beyond {LAST_FRAME}"
            if abs(value) > LARGEST:
                return f"{where}column {column} is {cell.strip()[:40]}, beyond {LARGEST:g}"
    return f"{path}: not readable as MOTChallenge {kind}"


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


def row_line(path: str | Path, row: int) -> int:
    """The line number (from 1) of the ``row``-th row (from 0) that :func:`read_rows` gives."""
    lines = Path(path).read_bytes().decode("utf-8-sig").splitlines()
    return [number for number, line in enumerate(lines, 1) if line.strip()][row]


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
