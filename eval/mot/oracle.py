"""Headroom: what a perfect association of given detections would score.

Every detection that matches ground truth carries the true identity; those that match nothing stay, each as a
track of its own (a tracker without a better detector cannot know). What is still missing to 1 is the
detector's; what a tracker misses to this is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retrace.eval.mot.match import match_frames
from retrace.eval.mot.overlap import EPS, overlaps
from retrace.eval.mot.preprocess import PEDESTRIAN, frame_cuts, is_scored
from retrace.tracker.data import Detections, MotTable


def perfect_association(
    gt: MotTable, detections: MotTable, length: int, benchmark: str, least_score: float = 0.0
) -> MotTable:
    """The detections as tracks with true identities.

    Per frame detections and scored ground truth are matched for the largest summed IoU among pairs of at
    least 0.5. Matched boxes get the ground truth's id, the others ids beyond.

    Args:
        gt: ground truth, ascending by frame.
        detections: boxes with scores, ascending by frame.
        length: frames of the sequence.
        benchmark: whose rules say which ground truth is scored.
        least_score: detections below it are left out.
    """
    detections = detections.take(np.flatnonzero(detections.score >= least_score))
    gt = gt.take(np.flatnonzero(is_scored(gt, benchmark)))
    pairs = overlaps(gt.frame, gt.xyxy, detections.frame, detections.xyxy)
    close = pairs.take(np.flatnonzero(pairs.iou >= 0.5 - EPS))
    cuts = frame_cuts(gt.frame, length), frame_cuts(detections.frame, length)
    matched = match_frames(close.gt, close.result, close.iou, *cuts)
    ids = int(gt.id.max(initial=0)) + 1 + np.arange(len(detections))
    ids[close.result[matched]] = gt.id[close.gt[matched]]
    return replace(detections, id=ids, class_id=np.full(len(detections), PEDESTRIAN))


def shown_people(truth: MotTable, boxes: Sequence[Detections], benchmark: str) -> list[np.ndarray]:
    """By frame (N,) int64, which person of ``truth`` each box shows, from 1; 0: none.

    Args:
        truth: ascending by frame.
        boxes: of all frames.
        benchmark: whose rules say which ground truth is scored.
    """
    count = [len(one) for one in boxes]
    xyxy = np.concatenate([np.zeros((0, 4)), *(one.xyxy.astype(np.float64) for one in boxes)])
    frame, ones = np.repeat(np.arange(len(count)), count), np.ones(len(xyxy))
    table = MotTable(frame, np.full(len(frame), -1), xyxy, ones, np.ones(len(frame), np.int64), ones)
    found = perfect_association(truth, table, len(count), benchmark).id
    people = np.unique(truth.id)
    at = np.minimum(np.searchsorted(people, found), max(len(people) - 1, 0))
    known = np.where(people[at] == found, at + 1, 0) if len(people) else np.zeros(len(found), np.int64)
    return np.split(known, np.cumsum(count)[:-1])
