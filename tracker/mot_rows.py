"""The numbers of MOTChallenge text: bytes -> checked rows, with the line of the first fault.

The columns are as the file has them, frames from 1 and tlwh; tracker/mot_file.py makes tables of them.
"""

from __future__ import annotations

import io
import itertools
import math
import os
from functools import partial
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import path_text
from retrace.configs.files import reading

MIN_COLUMNS = {"detections": 7, "results": 7, "ground truth": 7}
LAST_FRAME = 10_000_000  # four days at 30 frames a second; a table of frames that long still fits in memory
LARGEST = 1e9  # of any number in a file: squares of it are still exact enough, and it is no whole 2^63
LARGEST_FILE, PIECE = 2**30, 2**20  # bytes: of a file that is read whole, and at a time
SMALL = 2**18  # bytes that Python itself reads in less time than importing a faster parser takes
BOM = b"\xef\xbb\xbf"


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
    path = Path(path_text("path", path))
    return parse_rows(read_bounded(path, f"MOTChallenge {kind}"), path, kind, strict)


def read_bounded(path: str | Path, expected: str, most: int = LARGEST_FILE) -> bytes:
    """A file's bytes; a pipe is read to its end.

    Raises:
        InputError: it cannot be read, or has more than ``most`` bytes (a device never ends).
    """
    with reading(path, f"expected {expected}", ValueError), open(path, "rb") as file:
        large = os.fstat(file.fileno()).st_size > most
        pieces = itertools.islice(iter(partial(file.read, PIECE), b""), most // PIECE + 1)
        data = b"" if large else b"".join(pieces)
    if large or len(data) > most:
        raise InputError(f"{path}: more than {most:,} bytes; expected {expected}")
    return data


def parse_rows(data: bytes, path: Path, kind: str, strict: bool = False) -> np.ndarray:
    """As :func:`read_rows`, from the bytes of a file; ``path`` is what messages call it.

    Raises:
        InputError: as :func:`read_rows`.
    """
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
    rows = np.full((columns + padding, count), -1.0)
    try:
        rows[:columns] = _numbers(data.replace(mark, b"\n"), columns, count)
    except ValueError:  # an empty cell, a lone sign or point
        return None
    return rows.T


def _numbers(data: bytes, columns: int, count: int) -> np.ndarray:
    """The numbers of a plain file, one a line, ``(columns, count)``; ValueError where a line is none."""
    if len(data) < SMALL:
        return np.array([float(cell) for cell in data[:-1].split(b"\n")]).reshape(count, columns).T
    from scipy.io import mmread  # slow to import

    header = b"%%%%MatrixMarket matrix array real general\n%d %d\n" % (columns, count)
    # an array already, but it may be a matrix to a type checker
    return np.asarray(mmread(io.BytesIO(header + data)))


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
                return f"{where}frames are 1-based, got {cell.strip()[:40]}"
            if column == 1 and value > LAST_FRAME:
                return f"{where}frame {cell.strip()[:40]} is beyond {LAST_FRAME}"
            if abs(value) > LARGEST:
                return f"{where}column {column} is {cell.strip()[:40]}, beyond {LARGEST:g}"
    return f"{path}: not readable as MOTChallenge {kind}"


def row_line(path: str | Path, row: int) -> int:
    """The line number (from 1) of the ``row``-th row (from 0) that :func:`read_rows` gives.

    Raises:
        InputError: the file cannot be read.
    """
    lines = read_bounded(path, "MOTChallenge text").decode("utf-8-sig").splitlines()
    return [number for number, line in enumerate(lines, 1) if line.strip()][row]
