"""MOTChallenge submissions: which files an archive needs, and every reason the server would refuse it.

Rules: motchallenge.net/instructions, and what TrackEval 1.3.0, which runs there, refuses. Where both are
silent the checker is strict: a false alarm costs a minute, a failed upload one of four tries and three days.
"""

from __future__ import annotations

import difflib
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from configs import InputError
from eval.sequences import base_name
from tracker.mot_file import parse_rows, read_rows

DETECTORS = ("DPM", "FRCNN", "SDP")
COLUMNS = 10
COPIED = 0.95  # share of boxes equal to ground truth from which a result is a copy; trackers never come near
TRAIN = {
    "MOT17": {"02": 600, "04": 1050, "05": 837, "09": 525, "10": 654, "11": 900, "13": 750},
    "MOT20": {"01": 429, "02": 2782, "03": 2405, "05": 3315},
}
TEST = {
    "MOT17": {"01": 450, "03": 1500, "06": 1194, "07": 500, "08": 625, "12": 900, "14": 750},
    "MOT20": {"04": 2080, "06": 1008, "07": 585, "08": 806},
}
BENCHMARKS = tuple(TEST)
SETS = ("all", "test")


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
    """
    lengths = TEST[benchmark] | (TRAIN[benchmark] if which == "all" else {})
    endings = [f"-{d}" for d in DETECTORS] if benchmark == "MOT17" else [""]
    return {
        f"{benchmark}-{number}{ending}.txt": length
        for number, length in sorted(lengths.items())
        for ending in endings
    }


def collect(results: Path, benchmark: str, which: str = "auto") -> tuple[dict[str, Path], str]:
    """The file in ``results`` for every name of the archive, and the set it makes ("all" or "test").

    ``MOT17-02.txt`` serves for the three detectors; so does ``MOT17-02-FRCNN.txt`` if it is the only one of
    its sequence. "auto" takes "all" if any training sequence is there.

    Raises:
        InputError: no folder, a sequence is missing, or only two of three detectors are there.
    """
    if not results.is_dir():
        raise InputError(f"{results}: no such folder of results")
    if which == "auto":
        train = {f"{benchmark}-{number}" for number in TRAIN[benchmark]}
        which = "all" if any(base_name(p.stem) in train for p in results.glob("*.txt")) else "test"
    names = expected_files(benchmark, which)
    found = {name: _source(results, name) for name in names}
    missing = sorted({base_name(name.removesuffix(".txt")) for name, path in found.items() if path is None})
    if missing:
        raise InputError(
            f"{results}: no result for {', '.join(missing)} (the set {which!r} has {len(names)} files)"
        )
    return {name: path for name, path in found.items() if path}, which


def _source(results: Path, name: str) -> Path | None:
    if (results / name).is_file():
        return results / name
    base = base_name(name.removesuffix(".txt"))
    if (results / f"{base}.txt").is_file():
        return results / f"{base}.txt"
    siblings = [p for d in DETECTORS if (p := results / f"{base}-{d}.txt").is_file()]
    if len(siblings) == 2:
        have = " and ".join(p.name for p in siblings)
        raise InputError(f"{results}: {have} are there, {name} is not; give all three, or one for all")
    return siblings[0] if siblings else None


def write_archive(path: Path, files: Mapping[str, Path]) -> None:
    """The zip, files in its root; the same input gives the same bytes. ``path`` is opened by the caller's
    atomic write, so that no half archive is left."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), source.read_bytes(), zipfile.ZIP_DEFLATED)


def check(path: Path, benchmark: str | None = None, gt: Path | None = None) -> list[Finding]:
    """Everything the server would refuse in a zip or folder, then warnings.

    Args:
        path: a zip, or a folder to be zipped.
        benchmark: MOT17 or MOT20; default: by the file names.
        gt: folder of the training sequences; with it a copy of the ground truth is recognised by its boxes.

    Raises:
        InputError: there is no such file or folder.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    try:
        entries = list(_entries(path))
    except (zipfile.BadZipFile, RuntimeError, OSError) as error:
        return [Finding(True, path.name, f"not readable as a zip archive ({error})")]
    names = [name for name, _ in entries]
    benchmark = benchmark or _benchmark_of(names)
    if benchmark is None:
        return [Finding(True, path.name, f"no file is named like a sequence of {' or '.join(BENCHMARKS)}")]
    found = list(_check_names(names, benchmark))
    lengths = expected_files(benchmark, "all")
    for name, data in entries:
        if name in lengths:
            found += _check_file(name, data, lengths[name], gt)
    return sorted(found, key=lambda f: not f.refused)


def _entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file, names with their folders."""
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, archive.read(info)


def _benchmark_of(names: list[str]) -> str | None:
    counts = Counter(
        b for name in names for b in BENCHMARKS if PurePosixPath(name).name.upper().startswith(b)
    )
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


def _check_file(name: str, data: bytes, length: int, gt: Path | None) -> Iterator[Finding]:
    """The findings in one result file; a row that cannot be read ends the search."""
    if not data.strip():
        yield Finding(False, name, "is empty: allowed, every ground-truth box is missed")
        return
    lines = data.decode("utf-8", "replace").splitlines()
    blank = next((k for k, line in enumerate(lines, 1) if not line.strip()), None)
    if blank:
        yield Finding(True, name, f"line {blank} is blank; TrackEval stops there")
    try:
        rows = parse_rows(data, Path(name), "results")
    except InputError as error:
        yield Finding(True, name, str(error).removeprefix(f"{name}, ").removeprefix(f"{name}: "))
        return
    if rows.shape[1] != COLUMNS:
        yield Finding(True, name, f"has {rows.shape[1]} columns, the format {COLUMNS}")
    if _looks_like_gt(rows):
        yield Finding(True, name, "looks like a ground-truth file (flag, class, visibility)")
    elif gt is not None and (share := _share_of_gt(name, rows, gt)) >= COPIED:
        yield Finding(
            True, name, f"{100 * share:.0f} % of its boxes are the ground truth's; uploading it is banned"
        )
    number = [k for k, line in enumerate(lines, 1) if line.strip()]
    for row, text in _row_faults(rows, length):
        yield Finding(True, name, f"line {number[row]}: {text}")
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


def _share_of_gt(name: str, rows: np.ndarray, gt: Path) -> float:
    """Share of rows whose frame and box are in the ground truth, to a hundredth of a pixel."""
    stem = name.removesuffix(".txt")
    tried = [gt / folder / "gt" / "gt.txt" for folder in (stem, base_name(stem), f"{base_name(stem)}-FRCNN")]
    path = next((p for p in tried if p.is_file()), None)
    if path is None:
        return 0.0
    truth = read_rows(path, "ground truth")
    places = [0, 2, 3, 4, 5]
    known = {tuple(row) for row in np.round(truth[:, places], 2).tolist()}
    return float(np.mean([tuple(row) in known for row in np.round(rows[:, places], 2).tolist()]))
