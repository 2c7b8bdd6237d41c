"""One long video in parts that are tracked apart: cut where few people are, joined by boxes, motion and looks.

The result is not the one of a whole run to the byte: near a cut a tracker that began a few seconds before does not
know who has been away for longer, and joins guess. How much that is on a video of yours: docs/scale.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from retrace.configs import InputError, load_preset
from retrace.tools.runs.workers import Outcome
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_results
from retrace.tracker.offline.files import LOOKS, read_looks, write_table
from retrace.tracker.offline.linking import Links, by_beginning, find_links, none_linked, rename
from retrace.tracker.offline.passes import OfflineConfig
from retrace.tracker.offline.reconnect import Looks, find_reconnections
from retrace.tracker.run import Job, OpenedJob, SourceReport
from retrace.tracker.run.answers import final_table, write_answers
from retrace.tracker.run.track import finish

OVERLAP = 3.0  # s that a part is tracked before its own rows begin, and after they end
LEAST = 4 * OVERLAP  # s of a part
LOOK_EVERY = 1.0  # s between two looks at how many people are there
SAME_BOX = 0.5  # intersection over union from which two boxes of a frame are one
MAY_SAVE = {"mot", "csv", "coco", "cvat", "persons", "people", "looks"}  # what is made of whole tables


@dataclass(slots=True)
class SourceParts:
    """A source's parts, and what has become of them."""

    one: OpenedJob
    cuts: list[int]  # frames at which the second and later parts' rows begin
    jobs: list[Job]
    reports: dict[str, SourceReport] = field(default_factory=dict)

    def take(self, outcome: Outcome) -> Outcome | None:
        """What became of the source, once this is the last part; None: more are to come, or it was stopped.

        Raises:
            InputError: a part cannot be read, or the result not be written.
        """
        if outcome.report is None:
            return replace(outcome, name=self.one.name)
        self.reports[outcome.name] = outcome.report
        if len(self.reports) < len(self.jobs) or any(report.stopped for report in self.reports.values()):
            return None
        return Outcome(self.one.name, self._joined())

    def _joined(self) -> SourceReport:
        one, reports = self.one, [self.reports[job.name or ""] for job in self.jobs]
        folder = Path(self.jobs[0].out)
        tables = [read_results(folder / f"{job.name}.txt") for job in self.jobs]
        looks = [read_looks(folder / f"{job.name}{LOOKS}") if _has_looks(job) else None for job in self.jobs]
        overlap = _overlap(one)
        table, known, note = join(
            tables, looks, self.cuts, overlap, one.source.fps, one.source.size, one.tracker.config.max_age
        )
        report = SourceReport(one.name, notes=[note])
        report.files = [write_table(one.path("mot"), table)]
        finish(one, report, known)
        length = self.jobs[-1].first + reports[-1].frames + len(reports[-1].unreadable)
        report.unreadable = sorted({number for part in reports for number in part.unreadable})
        report.frames = report.new = length - len(report.unreadable)
        report.tracks = len({*table.id.tolist()})
        report.fps = float(
            np.average([part.fps or one.source.fps for part in reports], weights=[r.frames for r in reports])
        )
        report.dropped = sum(part.dropped for part in reports)
        report.detections = hashlib.sha256("".join(part.detections for part in reports).encode()).hexdigest()
        report.seconds = sum(part.seconds for part in reports)
        for part in reports:
            for name, seconds in part.stages.items():
                report.stages[name] = report.stages.get(name, 0.0) + seconds
        told, files = write_answers(one, final_table(one), report.fps, length)
        report.answers, report.summary = told.as_json(), str(told)
        report.files += files
        report.conclude(one)
        report.record["split"] = self.cuts
        for job in self.jobs:
            for path in folder.glob(f"{job.name}.*"):
                path.unlink()
        folder.rmdir()
        return report


def split(one: OpenedJob, parts: int) -> SourceParts:
    """A source's parts as jobs, in a folder of their own.

    Raises:
        InputError: it cannot be split: its length is not known, it is too short, or more is to be saved than tables.
    """
    job, source = one.job, one.source
    if {*job.save} - MAY_SAVE:
        raise InputError(
            f"`split` joins tables: leave {', '.join(sorted({*job.save} - MAY_SAVE))} out of `save`"
        )
    for name in ("memory", "storage"):
        if getattr(job, name) is not None:
            raise InputError(f"`split` and `{name}` do not go together; leave one of them out")
    if source.length is None:
        raise InputError(f"{job.shown}: its length is not known, so it cannot be split")
    length = min(source.length, job.length or source.length)
    if length < parts * LEAST * source.fps:
        most = int(length / (LEAST * source.fps))
        if most < 2:
            raise InputError(f"{job.shown}: {length} frames are too short to split; leave `split` out")
        raise InputError(
            f"{job.shown}: {length} frames are enough for {most} parts of {LEAST:g} s; make `split` smaller"
        )
    cuts = choose_cuts(*_people(one, length, parts), length, parts)
    overlap, folder = _overlap(one), one.out / f"{one.name}.parts"
    edges = [0, *cuts, length]
    extra = () if one.appearance.embed is None else ("looks",)
    last = job.length  # the last part goes to the end, wherever that is: a container's length may be a guess
    jobs = [
        replace(
            job,
            out=str(folder),
            name=f"{one.name}.{k + 1}",
            first=max(0, begin - overlap),
            length=last if end == length else end + overlap,
            save=("mot", *extra),
            offline=None,
            offline_overrides={},
            regions=None,
        )
        for k, (begin, end) in enumerate(zip(edges[:-1], edges[1:], strict=True))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    return SourceParts(one, cuts, jobs)


def _has_looks(job: Job) -> bool:
    return "looks" in job.save


def _overlap(one: OpenedJob) -> int:
    return round(OVERLAP * one.source.fps)


def _people(one: OpenedJob, length: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames around where the parts would end (S,), and how many people are seen there (S,)."""
    step, reach = max(1, round(LOOK_EVERY * one.source.fps)), length / parts / 4
    at = [
        frame
        for k in range(1, parts)
        for frame in range(int(k * length / parts - reach), int(k * length / parts + reach) + 1, step)
    ]
    wanted, found, sure = set(at), dict[int, int](), one.tracker.config.high
    for frame in one.source.frames():
        if frame.index in wanted:
            found[frame.index] = int((one.detector.find(frame).score >= sure).sum())
        if frame.index >= at[-1]:
            break
    seen = [frame for frame in at if frame in found]
    return np.array(seen, np.int64), np.array([found[frame] for frame in seen], np.int64)


def choose_cuts(at: np.ndarray, people: np.ndarray, length: int, parts: int) -> list[int]:
    """For each of the ``parts`` - 1 equal cuts the frame near by with the fewest people, of those the nearest one.

    Args:
        at: (S,) frames that were looked at.
        people: (S,) seen there.
        length: frames.
        parts: how many.
    """
    cuts = []
    for k in range(1, parts):
        middle = k * length / parts
        near = np.flatnonzero(np.abs(at - middle) <= length / parts / 4)
        if not len(near):
            cuts.append(round(middle))
            continue
        best = near[np.lexsort((np.abs(at[near] - middle), people[near]))[0]]
        cuts.append(int(at[best]))
    return cuts


def join(
    tables: Sequence[MotTable],
    looks: Sequence[Looks | None],
    cuts: Sequence[int],
    overlap: int,
    fps: float,
    size: tuple[int, int] | None,
    away: float,
) -> tuple[MotTable, Looks | None, str]:
    """One table of parts. Around a cut both parts have seen the same boxes: who shares most of them is one person. Who
    was hidden there is joined by motion, then by looks.

    Args:
        tables: of the parts, frames of the whole; no id twice in a frame.
        looks: of their ids, where known.
        cuts: frames at which the rows of the second and later parts begin.
        overlap: frames on either side of a cut that both parts have.
        fps: frames a second.
        size: px, (height, width).
        away: s for which who is hidden at a cut may have been away.

    Returns:
        the table, ids by first appearance; the looks of its ids; in words what was done.
    """
    whole, known, shared = tables[0], [looks[0]], 0
    for cut, table, seen in zip(cuts, tables[1:], looks[1:], strict=True):
        offset = int(whole.id.max(initial=0)) + 1
        table = replace(table, id=table.id + offset)
        here = [_between(one, cut - overlap, cut + overlap) for one in (whole, table)]
        pairs = same_people(*here)
        shared += len(pairs.later)
        whole = _stacked(whole.take(whole.frame < cut), rename(table.take(table.frame >= cut), pairs))
        known.append(seen and replace(seen, id=seen.id + offset).joined(pairs))
    every = _together(known)
    config = load_preset("default", OfflineConfig, "offline")
    motion = config.link.model_copy(update={"gap": min(away, config.link.gap)})
    wish = config.reconnect.model_copy(update={"gap": min(away, config.reconnect.gap)})
    moved = across(find_links(whole, fps, motion), whole, cuts)
    whole, every = rename(whole, moved), every and every.joined(moved)
    alike = none_linked()
    if every and size is not None:
        alike = across(find_reconnections(whole, fps, wish, every, size), whole, cuts)
        whole, every = rename(whole, alike), every.joined(alike)
    whole, every = by_appearance(whole, every)
    where = ", ".join(str(cut + 1) for cut in cuts)
    joined = (
        f"{shared} people joined by their boxes, {len(moved.later)} by motion, {len(alike.later)} by looks"
    )
    return whole, every, f"split at frame {where}: {joined}"


def same_people(before: MotTable, after: MotTable) -> Links:
    """Ids of two results of the same frames that are one person: those that share most boxes, one to one, so that the
    sum of shared boxes is largest; at least half of the boxes of the one that has fewer."""
    from scipy.optimize import linear_sum_assignment  # late: it takes a while, and few runs are split

    a, row = np.unique(before.id, return_inverse=True)
    b, col = np.unique(after.id, return_inverse=True)
    count = np.zeros((len(a), len(b)), np.int64)
    for frame in np.intersect1d(before.frame, after.frame):
        left, right = np.flatnonzero(before.frame == frame), np.flatnonzero(after.frame == frame)
        same = iou_matrix(before.xyxy[left], after.xyxy[right]) >= SAME_BOX
        same &= before.class_id[left][:, None] == after.class_id[right]
        i, j = np.nonzero(same)
        count[row[left[i]], col[right[j]]] += 1
    least = np.minimum.outer(np.bincount(row, minlength=len(a)), np.bincount(col, minlength=len(b)))
    count[2 * count < least] = 0
    i, j = linear_sum_assignment(count, maximize=True)
    kept = count[i, j] > 0
    i, j = i[kept], j[kept]
    return Links(a[i], b[j], 1 / count[i, j])


def across(links: Links, table: MotTable, cuts: Sequence[int]) -> Links:
    """Only links of who ends before a cut with who begins after it: the tracker itself has judged the others."""
    table, begin, end = by_beginning(table)
    ids = table.id[begin]
    order = np.argsort(ids)
    place = order[np.searchsorted(ids, links.earlier, sorter=order)]
    last = table.frame[end][place]
    first = table.frame[begin][order[np.searchsorted(ids, links.later, sorter=order)]]
    cut = np.asarray(cuts)[:, None]
    keep = ((last < cut) & (cut <= first)).any(0)
    return Links(links.earlier[keep], links.later[keep], links.cost[keep])


def by_appearance(table: MotTable, looks: Looks | None) -> tuple[MotTable, Looks | None]:
    """Ids from 1 in the order in which they begin, as a tracker gives them."""
    ids, first, row = np.unique(table.id, return_index=True, return_inverse=True)
    number = np.empty(len(ids), np.int64)
    number[np.lexsort((ids, table.frame[first]))] = np.arange(1, len(ids) + 1)
    table = replace(table, id=number[row])
    if looks is not None:
        there = np.isin(looks.id, ids)
        new = number[np.searchsorted(ids, looks.id[there])]
        order = np.argsort(new)
        looks = Looks(new[order], looks.total[there][order], looks.count[there][order])
    return table.take(np.lexsort((table.id, table.frame))), looks


def _between(table: MotTable, begin: int, end: int) -> MotTable:
    return table.take((table.frame >= begin) & (table.frame < end))


def _stacked(*tables: MotTable) -> MotTable:
    names = [one.name for one in fields(MotTable)]
    return MotTable(*(np.concatenate([getattr(table, name) for table in tables]) for name in names))


def _together(looks: Sequence[Looks | None]) -> Looks | None:
    """One of several, whose ids may be the same; None: nobody's are known."""
    some = [one for one in looks if one]
    if not some:
        return None
    columns = (np.concatenate([getattr(one, name) for one in some]) for name in ("id", "total", "count"))
    return Looks.of(*columns)
