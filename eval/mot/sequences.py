"""Folders of ground truth and results: find, read and check them, and score them in parallel.

Ground truth is ``DIR/SEQUENCE/gt/gt.txt`` with ``seqinfo.ini``, results are ``DIR/SEQUENCE.txt``. Inside a
frame the rows keep the file's order, because that is how TrackEval breaks ties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import one_of
from retrace.configs.files import cores, partial_of
from retrace.eval.mot.preprocess import check_benchmark, find_fault, prepare
from retrace.eval.mot.score import Metrics, score_prepared
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_ground_truth, read_results, read_sequence_length
from retrace.tracker.mot_rows import read_rows, row_line

SPLITS = ("all", "val-half")
NUMBERINGS = ("split", "full")
# frames of the training sequences: tells a val-half folder from a full one
FULL_LENGTH = {
    "MOT17-02": 600, "MOT17-04": 1050, "MOT17-05": 837, "MOT17-09": 525, "MOT17-10": 654, "MOT17-11": 900,
    "MOT17-13": 750, "MOT20-01": 429, "MOT20-02": 2782, "MOT20-03": 2405, "MOT20-05": 3315,
}  # fmt: skip
Answer = TypeVar("Answer")
LARGE = 30_000_000  # bytes of text (3 s) from which other processes are worth their start


@dataclass(frozen=True, slots=True)
class Sequence:
    """One sequence to score."""

    name: str
    gt_path: Path
    result_path: Path
    length: int  # frames that are scored
    gt_skip: int = 0  # frames of the ground-truth file before the scored ones
    result_skip: int = 0  # likewise of the result file
    # frames of the whole sequence, of which the scored ones may be the last; 0: these are all
    full_length: int = 0

    def split_skip(self, last: int) -> int:
        """Frames to leave out before the scored ones in a file whose last box is in frame ``last`` (from 1).

        It is the full sequence's if that frame lies beyond the scored ones' number, else cut already.

        Raises:
            InputError: the frame is outside the full sequence, or in it before the scored ones.
        """
        full = max(self.full_length, self.length)
        skip = full - self.length
        if last > full:
            raise InputError(f"frame {last} is outside the sequence (1..{full})")
        if last <= self.length:
            return 0
        if last <= skip:
            raise InputError(
                f"the last frame is {last}: too many for the {self.length} scored frames, and before the first "
                f"of them in the full sequence ({skip + 1} of {full})"
            )
        return skip


def find_sequences(
    gt: str | Path,
    results: str | Path,
    split: str = "all",
    numbering: str = "split",
    names: Iterable[str] = (),
) -> list[Sequence]:
    """The sequences of a ground-truth folder with their result files, by name.

    Args:
        gt: folder of sequence folders; others (seqmaps ...) are left out.
        results: folder of ``SEQUENCE.txt``; for MOT17 the name without the detector serves as well.
        split: "val-half" scores the frames after the first floor(N/2) + 1. A ground-truth folder that holds
            only these, renumbered from 1, is told by its length (MOT17 and MOT20 training sequences); every
            other one is taken for the full sequence and cut here.
        numbering: "split": result frames count from 1 at the split's first frame; "full": as the full
            sequence counts them, and earlier frames are left out.
        names: only these; default: all.

    Raises:
        InputError: another split or numbering; a folder, file or named sequence is missing, or a length fits neither
            full nor half.
    """
    one_of("split", split, SPLITS)
    one_of("numbering", numbering, NUMBERINGS)
    gt, results = Path(gt), Path(results)
    for folder, what in ((gt, "ground truth"), (results, "results")):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of {what}")
    folders = {
        f.name: f
        for f in sorted(gt.iterdir())
        if (f / "seqinfo.ini").is_file() or (f / "gt" / "gt.txt").is_file()
    }
    unknown = [name for name in names if name not in folders]
    if unknown or not folders:
        what = (
            f"no sequence {unknown[0]!r}" if unknown else "no sequence folder with seqinfo.ini and gt/gt.txt"
        )
        raise InputError(f"{gt}: {what}; it has: {', '.join(folders) or 'none'}")
    wanted = list(names) or list(folders)
    return [_sequence(name, folders[name], results, split, numbering) for name in wanted]


def _sequence(name: str, folder: Path, results: Path, split: str, numbering: str) -> Sequence:
    gt_path = folder / "gt" / "gt.txt"
    if not gt_path.is_file():
        raise InputError(f"{gt_path}: no such file; a sequence without ground truth cannot be scored")
    result_path = results / f"{name}.txt"
    if not result_path.is_file():
        shared_name = results / f"{base_name(name)}.txt"
        if not shared_name.is_file():
            missing = f"{result_path}: no such file; every sequence needs one, be it empty"
            raise InputError(missing + stopped_run(result_path, shared_name))
        result_path = shared_name
    truth = find_truth(folder, split)
    skip = truth.full_length - truth.length if split == "val-half" and numbering == "full" else 0
    return replace(truth, result_path=result_path, result_skip=skip)


def find_truth(folder: Path, split: str = "all") -> Sequence:
    """The ground truth of a sequence folder, cut to the split; its result is nowhere.

    Raises:
        InputError: another split; no seqinfo.ini, or a length that fits neither the whole of a known sequence nor its
            half.
    """
    one_of("split", split, SPLITS)
    name, length = folder.name, read_sequence_length(folder)
    full = FULL_LENGTH.get(base_name(name), length)
    skip = full // 2 + 1
    whole = Sequence(name, folder / "gt" / "gt.txt", Path(), length, full_length=length)
    if split == "all":
        return replace(whole, full_length=full) if length == full - skip else whole
    if length not in (full, full - skip):
        known = f"{name} has {full} frames, {full - skip} in val-half"
        raise InputError(f"{folder / 'seqinfo.ini'}: seqLength is {length}, but {known}")
    return replace(whole, length=full - skip, gt_skip=skip if length == full else 0, full_length=full)


def stopped_run(*missing: Path) -> str:
    """For a message about missing results: what a tracking run that was stopped has left of them."""
    for path in missing:
        partial_file = partial_of(path)
        if partial_file.is_file():
            return f" ({partial_file.name} is there: that run was stopped; resume it with `retrace track`)"
    return ""


def base_name(name: str) -> str:
    """MOT17-02-FRCNN -> MOT17-02; any other name as it is."""
    parts = name.split("-")
    return "-".join(parts[:2]) if parts[0] == "MOT17" and len(parts) == 3 else name


def read_sequence(sequence: Sequence, benchmark: str) -> tuple[MotTable, MotTable]:
    """Ground truth and result of the scored frames.

    Raises:
        InputError: with file and line, for everything that TrackEval refuses.
    """
    return read_truth(sequence, benchmark), read_result(sequence, benchmark)


def read_truth(sequence: Sequence, benchmark: str) -> MotTable:
    """Ground truth of the scored frames; raises as :func:`read_sequence`."""
    classed = None if benchmark == "custom" else True  # None: by the number of columns
    table = read_ground_truth(sequence.gt_path, by_id=False, classed=classed, strict=True)
    return _scored(table, sequence, benchmark, is_gt=True)


def read_result(sequence: Sequence, benchmark: str) -> MotTable:
    """Result of the scored frames; raises as :func:`read_sequence`."""
    table = read_results(sequence.result_path, by_id=False, strict=True)
    return _scored(table, sequence, benchmark, is_gt=False)


def _scored(table: MotTable, sequence: Sequence, benchmark: str, is_gt: bool) -> MotTable:
    """The checked table without the frames before the scored ones, renumbered."""
    path = sequence.gt_path if is_gt else sequence.result_path
    skip = sequence.gt_skip if is_gt else sequence.result_skip
    length = sequence.length + skip
    fault = find_fault(table, length, benchmark, is_gt)
    if fault:
        hint = ""
        if length <= table.frame[fault.row] < sequence.full_length:
            whole = f"the whole sequence (1..{sequence.full_length})"
            hint = f"; if this is of {whole}: `split` val-half, `numbering` full"
        raise InputError(f"{path}, line {_line(path, fault.row)}: {fault.text}{hint}")
    if not skip:
        return table
    table = table.take(slice(int(np.searchsorted(table.frame, skip)), None))
    return replace(table, frame=table.frame - skip)


def _line(path: Path, row: int) -> int:
    """The line of a row of the table, which is sorted by frame."""
    frame = read_rows(path, "results")[:, 0]
    return row_line(path, int(np.argsort(frame, kind="stable")[row]))


def score_sequence(sequence: Sequence, benchmark: str) -> Metrics:
    """Read, check and score one sequence.

    Raises:
        InputError: whatever TrackEval refuses, named by file and line.
    """
    gt, result = read_sequence(sequence, benchmark)
    return score_prepared(prepare(gt, result, sequence.length, benchmark))


def score_sequences(
    sequences: list[Sequence],
    benchmark: str,
    jobs: int | None = None,
    done: Callable[[str], None] = lambda name: None,
) -> dict[str, Metrics]:
    """All sequences by :func:`each_sequence`.

    Raises:
        InputError: the first fault, in the order of the sequences; nothing is scored by half.
    """
    check_benchmark(benchmark)
    return each_sequence(partial(score_sequence, benchmark=benchmark), sequences, jobs, done)


def each_sequence(
    work: Callable[[Sequence], Answer],
    sequences: list[Sequence],
    jobs: int | None = None,
    done: Callable[[str], None] = lambda name: None,
    executor: Executor | None = None,
) -> dict[str, Answer]:
    """What ``work`` makes of every sequence, in several processes when there are cores and work for them.

    Args:
        work: can be pickled, as can what it returns.
        sequences: from :func:`find_sequences`.
        jobs: processes; default: as many as this process may use cores, 1 for little text.
        done: told the name of each sequence that is done.
        executor: does the work instead of processes of this machine.

    Raises:
        InputError: what ``work`` raises, of the first sequence; a process was killed.
    """
    if jobs is None:
        size = sum(path.stat().st_size for s in sequences for path in (s.gt_path, s.result_path))
        jobs = min(cores(), len(sequences)) if size > LARGE else 1
    found: dict[str, Answer] = {}
    if jobs <= 1 and executor is None:
        for sequence in sequences:
            found[sequence.name] = work(sequence)
            done(sequence.name)
        return found
    with ExitStack() as stack:
        pool = executor or stack.enter_context(ProcessPoolExecutor(jobs))
        waiting = [(s.name, pool.submit(work, s)) for s in sequences]
        try:
            for name, future in waiting:
                found[name] = future.result()
                done(name)
        except BrokenProcessPool:
            raise InputError("a worker process was killed (memory?): try fewer `jobs`") from None
        finally:
            if executor is None:
                pool.shutdown(cancel_futures=True)
    return found


STARTS = {  # of the names of each benchmark's sequences
    "MOT16": ("MOT16-",), "MOT17": ("MOT17-",), "MOT20": ("MOT20-",), "DanceTrack": ("dancetrack",),
    "MOT15": ("TUD-", "ETH-", "PETS09-", "ADL-Rundle-", "KITTI-", "Venice-", "AVG-"),
}  # fmt: skip


def guess_benchmark(names: Iterable[str]) -> str:
    """The benchmark that sequence names belong to; "custom" if to none.

    Raises:
        InputError: to several, or only some to one: whose rules hold then is not for us to guess.
    """
    first: dict[str, str] = {}  # benchmark -> the first name that is its
    for name in names:
        first.setdefault(next((b for b, s in STARTS.items() if name.startswith(s)), "custom"), name)
    if len(first) > 1:
        listed = ", ".join(f"{name} ({b if b != 'custom' else 'no benchmark'})" for b, name in first.items())
        raise InputError(
            f"the sequences are not of one benchmark: {listed}; say `benchmark`, or choose `sequences`"
        )
    return next(iter(first), "custom")


def near_misses(names: Iterable[str]) -> list[tuple[str, str]]:
    """(name, benchmark) of names that are a classed benchmark's but for case or punctuation: MOT17_02, mot17-02."""
    plain = {b: _plain(starts[0]) for b, starts in STARTS.items() if b != "MOT15"}
    return [
        (name, benchmark)
        for name in names
        for benchmark, start in plain.items()
        if _plain(name).startswith(start) and not name.startswith(STARTS[benchmark])
    ]


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
