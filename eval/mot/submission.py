"""MOTChallenge submissions: which files an archive needs, and every reason the server would refuse it.

Rules: motchallenge.net/instructions, and what TrackEval 1.3.0, which runs there, refuses. Where both are
silent the checker is strict: a false alarm costs a minute, a failed upload one of four tries and three days.
"""

from __future__ import annotations

import difflib
import zipfile
import zlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_of
from retrace.eval.mot.overlap import overlaps
from retrace.eval.mot.sequences import base_name
from retrace.tracker.boxes import tlwh_to_xyxy
from retrace.tracker.mot_rows import parse_rows, read_rows

DETECTORS = ("DPM", "FRCNN", "SDP")
COLUMNS = 10
COPIED = 0.95  # share of boxes that are the ground truth's from which a result is a copy, ...
SAME = 0.95  # ... and the IoU from which one is; a good tracker's boxes have 0.8 to 0.9 on average
LARGEST_ID = 10_000_000  # TrackEval keeps a table as long as the largest id: 80 MB here
LARGEST_FILE = 200_000_000  # bytes; the longest sequence with 250 people a frame has a quarter of it
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
TRAIN = {
    "MOT17": {"02": 600, "04": 1050, "05": 837, "09": 525, "10": 654, "11": 900, "13": 750},
    "MOT20": {"01": 429, "02": 2782, "03": 2405, "05": 3315},
}
TEST = {
    "MOT17": {"01": 450, "03": 1500, "06": 1194, "07": 500, "08": 625, "12": 900, "14": 750},
    "MOT20": {"04": 2080, "06": 1008, "07": 585, "08": 806},
}
BENCHMARKS = tuple(TEST)
SETS = ("all", "test")  # of the sequences: with those for training, or without


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about an archive: a reason to refuse it, or (``refused`` false) a warning."""

    refused: bool
    file: str
    text: str

    def __str__(self) -> str:
        return f"{'REFUSED' if self.refused else 'warning'}: {self.file}: {self.text}"


def expected_files(benchmark: str, which: str) -> dict[str, int]:
    """File names of a complete submission with the sequences' lengths in frames.

    MOT17: 42 files ("all": train and test, each for three detectors) or 21 ("test"); MOT20: 8 or 4.

    Raises:
        InputError: another benchmark or set.
    """
    one_of("benchmark", benchmark, BENCHMARKS)
    one_of("which", which, SETS)
    lengths = TEST[benchmark] | (TRAIN[benchmark] if which == "all" else {})
    endings = [f"-{d}" for d in DETECTORS] if benchmark == "MOT17" else [""]
    return {
        f"{benchmark}-{number}{ending}.txt": length
        for number, length in sorted(lengths.items())
        for ending in endings
    }


def check(path: Path, benchmark: str | None = None, gt: Path | None = None) -> list[Finding]:
    """Everything the server would refuse in a zip or folder, then warnings.

    Args:
        path: a zip, or a folder to be zipped.
        benchmark: MOT17 or MOT20; default: by the file names.
        gt: folder of the training sequences; with it a copy of the ground truth is recognised by its boxes.
            What could not be compared is warned about.

    Raises:
        InputError: no such benchmark; there is no such file or folder, it is of another benchmark, or a ground-truth
            file in ``gt`` cannot be read.
    """
    if benchmark is not None:
        one_of("benchmark", benchmark, BENCHMARKS)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if gt is not None and not gt.is_dir():
        raise InputError(f"{gt}: no such folder of training sequences")
    try:
        names = _names(path)
    except BROKEN_ZIP as error:
        return [_unreadable(path, error)]
    benchmark = benchmark or _benchmark_of(names)
    if benchmark is None:
        raise InputError(
            f"{path}: no file is named like a sequence of {' or '.join(BENCHMARKS)}; "
            "nothing is known here about any other server"
        )
    found = list(_check_names(names, benchmark))
    lengths = expected_files(benchmark, "all")
    truths = _truths([name for name in dict.fromkeys(names) if name in lengths], benchmark, gt)
    try:
        for name, data in _contents(path, lengths):
            found += _check_file(name, data, lengths[name], truths.get(name))
    except BROKEN_ZIP as error:
        return [_unreadable(path, error)]
    found += _not_compared(truths, gt)
    return sorted(found, key=lambda f: not f.refused)


def _unreadable(path: Path, error: Exception) -> Finding:
    return Finding(True, path.name, f"not readable as a zip archive ({error or 'it ends early'})")


def _names(path: Path) -> list[str]:
    """Of every file, with their folders; a name may be there twice."""
    if path.is_dir():
        return [file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if file.is_file()]
    with zipfile.ZipFile(path) as archive:
        return [info.filename for info in archive.infolist() if not info.is_dir()]


def _contents(path: Path, wanted: Container[str]) -> Iterator[tuple[str, bytes | None]]:
    """(name, content) of the wanted files, one after the other; None: too long to be a result."""
    if path.is_dir():
        for name in (name for name in _names(path) if name in wanted):
            file = path / name
            yield name, file.read_bytes() if file.stat().st_size <= LARGEST_FILE else None
        return
    with zipfile.ZipFile(path) as archive:
        for info in (info for info in archive.infolist() if info.filename in wanted):
            with archive.open(info) as member:
                data = member.read(LARGEST_FILE + 1)  # what the archive says of its size may be wrong
            yield info.filename, data if len(data) <= LARGEST_FILE else None


def _benchmark_of(names: list[str]) -> str | None:
    bases = [PurePosixPath(name.replace("\\", "/")).name.upper() for name in names]
    counts = Counter(b for base in bases for b in BENCHMARKS if base.startswith(b))
    return counts.most_common(1)[0][0] if counts else None


def _check_names(names: list[str], benchmark: str) -> Iterator[Finding]:
    known = expected_files(benchmark, "all")
    for name, times in Counter(names).items():
        pure = PurePosixPath(name.replace("\\", "/"))
        if times > 1:
            yield Finding(True, name, f"is in the archive {times} times")
        if len(pure.parts) > 1:
            yield Finding(True, name, "lies in a folder; all files must be in the root of the zip")
        elif name not in known:
            if pure.suffix.lower() != ".txt":
                yield Finding(False, name, "is no result file and is ignored")
                continue
            close = difflib.get_close_matches(name.upper().replace(".TXT", ".txt"), known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield Finding(True, name, f"is no sequence of {benchmark} (names are case-sensitive){hint}")
    have = {name for name in names if name in known}
    which = "all" if have - set(expected_files(benchmark, "test")) else "test"
    wanted = expected_files(benchmark, which)
    missing = [name for name in wanted if name not in have]
    if missing:
        listed = ", ".join(missing[:6]) + (" ..." if len(missing) > 6 else "")
        count = f"{len(wanted) - len(missing)} of {len(wanted)} files"
        yield Finding(True, "archive", f"has {count} of the set {which!r}; missing: {listed}")


def _check_file(name: str, data: bytes | None, length: int, truth: np.ndarray | None) -> Iterator[Finding]:
    """The findings in one result file; a row that cannot be read ends the search."""
    if data is None:
        yield Finding(True, name, f"is longer than {LARGEST_FILE // 10**6} MB: no tracking result is")
        return
    if not data:
        yield Finding(False, name, "is empty: allowed, every ground-truth box is missed")
        return
    try:
        rows = parse_rows(data, Path(name), "results", strict=True)
    except InputError as error:
        yield Finding(True, name, str(error).removeprefix(f"{name}, ").removeprefix(f"{name}: "))
        return
    if rows.shape[1] != COLUMNS:
        yield Finding(True, name, f"has {rows.shape[1]} columns, the format {COLUMNS}")
    if _looks_like_gt(rows):
        yield Finding(True, name, "looks like a ground-truth file (flag, class, visibility)")
    elif truth is not None and (share := _share_of(rows, truth)) >= COPIED:
        yield Finding(
            True, name, f"{100 * share:.0f} % of its boxes are the ground truth's; uploading it is banned"
        )
    for row, text in _row_faults(rows, length):
        yield Finding(True, name, f"line {row + 1}: {text}")  # a file that was read has no blank lines
    if (rows[:, 1] == 0).any():
        yield Finding(False, name, "has id 0; ids count from 1 (TrackEval takes it)")
    if (rows[:, 4:6] <= 0).any():
        yield Finding(False, name, "has boxes without area; they can match nothing")


def _row_faults(rows: np.ndarray, length: int) -> Iterator[tuple[int, str]]:
    """(row, reason) of the first row that breaks each rule."""
    frame, ids = rows[:, 0], rows[:, 1]
    beyond = frame > length
    if beyond.any():
        row = int(np.argmax(beyond))
        yield row, f"frame {frame[row]:.0f} is beyond the sequence's {length}"
    if (ids < 0).any():
        row = int(np.argmax(ids < 0))
        yield row, f"id {ids[row]:.0f}: a detection file is no tracking result"
    if (ids > LARGEST_ID).any():
        row = int(np.argmax(ids > LARGEST_ID))
        yield (
            row,
            f"id {ids[row]:.0f} is beyond {LARGEST_ID}: TrackEval keeps a table as long as the largest id",
        )
    if rows.shape[1] >= 8 and (rows[:, 7] >= 2).any():
        row = int(np.argmax(rows[:, 7] >= 2))
        yield row, f"column 8 is {rows[row, 7]:g}; it must be -1 (or 1: pedestrian)"
    order = np.lexsort((ids, frame))
    again = (np.diff(frame[order]) == 0) & (np.diff(ids[order]) == 0)
    if again.any():
        row = int(order[1:][again].min())
        yield row, f"id {ids[row]:.0f} is twice in frame {frame[row]:.0f}"


def _looks_like_gt(rows: np.ndarray) -> bool:
    """Nine columns that can only be flag, class and visibility."""
    if rows.shape[1] != 9:
        return False
    flag, cls, seen = rows[:, 6], rows[:, 7], rows[:, 8]
    return bool(
        np.isin(flag, (0, 1)).all() and np.isin(cls, range(1, 14)).all() and ((seen >= 0) & (seen <= 1)).all()
    )


def _truths(names: list[str], benchmark: str, gt: Path | None) -> dict[str, np.ndarray | None]:
    """The rows of ground truth for each training result, None where there is none; read once a sequence."""
    read: dict[Path, np.ndarray] = {}
    found: dict[str, np.ndarray | None] = {}
    for name in names:
        stem = name.removesuffix(".txt")
        base = base_name(stem)
        if base.removeprefix(f"{benchmark}-") not in TRAIN[benchmark]:
            continue
        tried = (
            [gt / f / "gt" / "gt.txt" for f in (stem, base, *(f"{base}-{d}" for d in DETECTORS))]
            if gt
            else []
        )
        path = next((p for p in tried if p.is_file()), None)
        if path is not None and path not in read:
            read[path] = read_rows(path, "ground truth")
        found[name] = read[path] if path is not None else None
    return found


def _not_compared(truths: Mapping[str, np.ndarray | None], gt: Path | None) -> Iterator[Finding]:
    """A warning where a copied ground truth would have gone unnoticed."""
    names = sorted({base_name(name.removesuffix(".txt")) for name, truth in truths.items() if truth is None})
    if names:
        why = f"{gt} has no gt/gt.txt of them" if gt else "none was given"
        text = f"training results were not compared with the ground truth ({why}): {', '.join(names)}"
        yield Finding(False, "archive", text)


def _share_of(rows: np.ndarray, truth: np.ndarray) -> float:
    """Share of result rows that cover a ground-truth box of their frame at IoU SAME or more."""
    rows, truth = (table[np.argsort(table[:, 0], kind="stable")] for table in (rows, truth))
    sides = [
        (table[:, 0].astype(np.int64) - 1, tlwh_to_xyxy(table[:, 2:6].copy())) for table in (truth, rows)
    ]
    pairs = overlaps(*sides[0], *sides[1])
    return len(np.unique(pairs.result[pairs.iou >= SAME])) / max(1, len(rows))
