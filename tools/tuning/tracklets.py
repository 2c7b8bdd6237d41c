"""Whom boxes show, told without ground truth: by tracklets that are believed.

A tracker runs through a video forwards and once more backwards. What both put into one track is a tracklet: they come
to a crossing from either side, and where one of them changes persons the other rarely does so at the same box (forward-
backward error, Kalal et al. 2010). Two tracklets are strangers where one frame shows both, apart; of two that were
never seen together nothing is known: they may be one person. Who is followed without a break teaches nothing about
breaks, so boxes of a tracklet are hidden on purpose: whoever comes back is surely the one who was hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrace.configs import InputError, load_preset
from retrace.tools.tuning.clips import Clip
from retrace.tracker import Detections, Tracker
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.camera.warps import FileCamera
from retrace.tracker.config import TrackerConfig
from retrace.tracker.pipeline import run_on_boxes

FIRST = "default"  # the preset that runs both ways
SECONDS = 1.0  # a tracklet is long at least
SCORE = 0.6  # mean of its boxes, at least
SHOWN = 1.0  # s at least between two times that a tracklet is hidden: it must be tracked again
HIDES = 0.3  # IoU with a hidden box from which one of nobody known is taken for a second box of that person


@dataclass(frozen=True, slots=True)
class Believed:
    """The K believed tracklets of a sequence, numbered from 1."""

    shown: list[np.ndarray]  # by frame, (N,) int64, the tracklet of each box; 0: none that is believed
    strangers: np.ndarray  # (K + 1, K + 1) bool, symmetric: a frame shows both, apart
    tracks: int  # that the run forwards found

    def __len__(self) -> int:
        return len(self.strangers) - 1


def find_tracklets(clip: Clip) -> Believed:
    """Those of ``clip``, whose ground truth nobody looks at."""
    length = len(clip.frames)
    forth = _tracked(clip.frames, clip.warps, clip.fps)
    back = _tracked(clip.frames[::-1], _backwards(clip.warps, length), clip.fps)[::-1]
    count = [len(one) for one in forth]
    both = np.stack([np.concatenate(forth), np.concatenate(back)], axis=1)
    frame = np.repeat(np.arange(length), count)
    score = np.concatenate([one.score.astype(np.float64) for one in clip.frames])
    pair, of = np.unique(both, axis=0, return_inverse=True)
    first, last = np.full(len(pair), length), np.full(len(pair), -1)
    np.minimum.at(first, of, frame)
    np.maximum.at(last, of, frame)
    mean = np.bincount(of, score, len(pair)) / np.bincount(of, minlength=len(pair))
    good = (pair > 0).all(1) & ((last - first) / clip.fps >= SECONDS) & (mean >= SCORE)
    number = np.where(good, np.cumsum(good), 0)
    shown = np.split(number[of], np.cumsum(count)[:-1])
    tracks = int(np.count_nonzero(np.unique(both[:, 0])))
    return Believed(shown, _strangers(clip.frames, shown, int(good.sum())), tracks)


def _tracked(
    frames: Sequence[Detections], warps: Mapping[int, np.ndarray] | None, fps: float
) -> list[np.ndarray]:
    """By frame (N,) int64, the id of each box's track; 0: none."""
    tracker = Tracker(load_preset(FIRST, TrackerConfig, "tracker"), fps)
    found = []
    for step in run_on_boxes(frames, tracker, None if warps is None else FileCamera(warps)):
        ids = np.zeros(len(step.detections), np.int64)
        seen = step.tracks.det_index >= 0
        ids[np.searchsorted(step.detections.index, step.tracks.det_index[seen])] = step.tracks.id[seen]
        found.append(ids)
    return found


def _backwards(warps: Mapping[int, np.ndarray] | None, length: int) -> dict[int, np.ndarray] | None:
    """Warps of the frames in the opposite order."""
    if warps is None:
        return None
    turned = {length - k: np.linalg.inv(np.vstack([warp, (0, 0, 1)]))[:2] for k, warp in warps.items() if k}
    return {0: np.eye(2, 3), **turned}


def _strangers(frames: Sequence[Detections], shown: Sequence[np.ndarray], count: int) -> np.ndarray:
    apart = np.zeros((count + 1, count + 1), bool)
    for boxes, who in zip(frames, shown, strict=True):
        rows = who.nonzero()[0]
        xyxy = boxes.xyxy[rows].astype(np.float64)
        a, b = (iou_matrix(xyxy, xyxy) == 0).nonzero()
        apart[who[rows[a]], who[rows[b]]] = True
    return apart


def check_strangers(found: Sequence[Believed]) -> None:
    """Raises InputError where no two tracklets, of all sequences, are surely two people."""
    if not any(one.strangers.any() for one in found):
        count, tracks = sum(map(len, found)), sum(one.tracks for one in found)
        raise InputError(
            f"{count} tracklets are believed, of {tracks} tracks (the same forwards and backwards, {SECONDS:g} s long, "
            f"scores of {SCORE:g} on the mean), and no two of them are in one frame, apart: nobody is surely a "
            "stranger; give longer videos of several people"
        )


def hide(clip: Clip, tracklets: Believed, seconds: float) -> tuple[Clip, list[np.ndarray]]:
    """The clip without some boxes, and whom the others show: every tracklet is seen and not seen in turns.

    Hidden for ``seconds``, seen for as long, or for :data:`SHOWN`; tracklets of odd numbers half a turn later, so that
    strangers are in view of whoever is hidden.

    Args:
        seconds: 0: nobody is hidden.
    """
    start = np.full(len(tracklets) + 1, len(clip.frames))
    for k in range(len(clip.frames) - 1, -1, -1):
        start[tracklets.shown[k]] = k
    turn = max(seconds, SHOWN) + seconds
    begin = turn - seconds + turn / 2 * (np.arange(len(start)) % 2)
    frames, shown = [], []
    for k, (boxes, who) in enumerate(zip(clip.frames, tracklets.shown, strict=True)):
        since = (k - start) / clip.fps - begin
        away = (since >= 0) & (since % turn < seconds)
        gone = away[who] & (who > 0)
        over = iou_matrix(boxes.xyxy, boxes.xyxy[gone]).max(axis=1, initial=0) >= HIDES
        kept = (~gone & ~(over & (who == 0))).nonzero()[0]
        frames.append(boxes.take(kept))
        shown.append(who[kept])
    return replace(clip, frames=frames), shown
