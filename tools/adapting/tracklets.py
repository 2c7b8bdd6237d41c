"""Which tracklets of a video are believed to be one person each, and their crops."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_write
from retrace.tools.adapting.tracking import boxes_of
from retrace.tools.runs.models import Models
from retrace.tracker.boxes import largest_overlap
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import read_results
from retrace.tracker.outputs.crop_choice import CropFilter
from retrace.tracker.outputs.crops import cut_crops
from retrace.tracker.run import Job
from retrace.tracker.sources import open_source

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrackletFilter:
    """Which tracklets are believed to be one person, and which of their boxes are shown whole."""

    seconds: float = 2.0  # long at least
    score: float = 0.6  # mean of its boxes
    overlap: float = 0.3  # IoU with another track's box up to which a box shows one person
    height: float = 48.0  # px
    every: float = 0.3  # s between two crops of a person


def track_confident(
    video: str,
    out: Path,
    weights: str,
    detector: str,
    detections: str | None,
    wish: TrackletFilter,
    device: str,
    say: Say,
) -> Path:
    """A sequence folder of the video's confident tracklets."""
    source = open_source(video)
    if source.live:
        raise InputError(f"{source.name}: is live; record it first")
    boxes = boxes_of(detections, source.name)
    job = Job(video, str(out / "tracks"), detector=detector, detections=boxes, reid=weights, device=device)
    report = Models().track(job)
    table = confident(read_results(report.files[0]), source.fps, wish)
    people = len({*table.id.tolist()})
    say(
        f"{source.name}: {report.tracks} tracks, {people} of them confident, {len(table):,} boxes shown whole"
    )
    folder = out / "tracks" / source.name
    height, width = source.size or (0, 0)
    write_sequence(folder, table, source.fps, report.frames, (height, width))
    return folder


def confident(table: MotTable, fps: float, wish: TrackletFilter) -> MotTable:
    """The rows of tracklets that are believed, of boxes that show one person."""
    _, who, count = np.unique(table.id, return_inverse=True, return_counts=True)
    first, last = np.full(len(count), np.inf), np.full(len(count), -np.inf)
    np.minimum.at(first, who, table.frame)
    np.maximum.at(last, who, table.frame)
    mean = np.bincount(who, table.score, len(count)) / np.maximum(count, 1)
    good = ((last - first) / fps >= wish.seconds) & (mean >= wish.score)
    whole = np.ones(len(table), bool)
    order = np.argsort(table.frame, kind="stable")
    edges = np.flatnonzero(np.diff(table.frame[order], prepend=-1, append=-1))
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        rows = order[start:stop]
        whole[rows] = largest_overlap(table.xyxy[rows]) <= wish.overlap
    return table.take(good[who] & whole)


def write_sequence(folder: Path, table: MotTable, fps: float, length: int, size: tuple[int, int]) -> None:
    """Tracklets as MOTChallenge ground truth: what crops are cut from."""
    lines = [
        f"{frame + 1},{who},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},1,1,1\n"
        for frame, who, (x1, y1, x2, y2) in zip(table.frame, table.id, table.xyxy, strict=True)
    ]
    with atomic_write(folder / "gt" / "gt.txt") as file:
        file.writelines(lines)
    with atomic_write(folder / "seqinfo.ini") as file:
        file.write(
            f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate={fps:g}\nseqLength={length}\n"
            f"imWidth={size[1]}\nimHeight={size[0]}\nimExt=.jpg\n"
        )


def cut_tracklets(
    folders: Sequence[Path], frames: Mapping[str, str], out: Path, wish: TrackletFilter, cut: float, say: Say
) -> int:
    """Write the crops; frames between two of one person."""
    if not any((folder / "gt" / "gt.txt").stat().st_size for folder in folders):
        raise InputError(
            f"no confident tracklet in these videos ({wish.seconds:g} s long, scores of {wish.score:g} on the mean): "
            "give longer videos"
        )
    fps = min(open_source(video).fps for video in frames.values())
    every = max(1, round(wish.every * fps))
    try:
        choice = CropFilter(min_height=wish.height, every=every, cut=cut)
        cut_crops(folders, out, choice, frames, say)
    except InputError as error:
        raise InputError(f"no training set in these videos: {error}") from None
    return every


def when_seen(crops: Path) -> dict[Path, tuple[str, int]]:
    """The video and the frame of each crop."""
    with open(crops / "images.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {crops / row["path"]: (row["id"].rpartition("/")[0], int(row["frame"])) for row in rows}
