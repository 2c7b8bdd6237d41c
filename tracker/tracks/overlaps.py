"""Rules about boxes that cover each other: doubles among detections, births and tracks, and who hides whom."""

from __future__ import annotations

import numpy as np

from retrace.tracker.association.assignment import overlapping_pairs
from retrace.tracker.config import Hidden, TrackerConfig
from retrace.tracker.tracks.state import ACTIVE, LOST, LiveTracks


def kinds(class_id: np.ndarray, config: TrackerConfig) -> np.ndarray:
    """(N,) who competes with whom: the classes, or all alike for a preset that does not look at them."""
    return np.zeros_like(class_id) if config.class_agnostic else class_id


def doubles(xyxy: np.ndarray, score: np.ndarray, class_id: np.ndarray, limit: float) -> np.ndarray:
    """Greedy non-maximum suppression: (N, 4), (N,), (N,) -> (N,) bool, who overlaps a kept better box by IoU > limit.

    Only boxes of one class; of equal scores the one whose coordinates come first is better, wherever it stood.
    """
    lost = np.zeros(len(xyxy), bool)
    pairs = overlapping_pairs(xyxy, xyxy)
    rank = np.empty(len(xyxy), np.int64)
    rank[np.lexsort((*xyxy.T, -score))] = np.arange(len(xyxy))
    better, worse = rank[pairs.row], rank[pairs.col]
    which = (pairs.iou > limit) & (better < worse) & (class_id[pairs.row] == class_id[pairs.col])
    better, worse = better[which], worse[which]
    _yield_to(better, worse, lost)
    return lost[rank]


def suppressed_births(
    xyxy: np.ndarray, class_id: np.ndarray, box: np.ndarray, box_class: np.ndarray, limit: float
) -> np.ndarray:
    """Track-aware initialisation (TrackTrack, sec. 3.3): (B,) bool, births that should not be.

    Args:
        xyxy, class_id: (B, 4) px and (B,), the births, the surest first.
        box, box_class: (T, 4) px and (T,), where the live tracks are. Only boxes of one class compete.
    """
    out = np.zeros(len(xyxy), bool)
    taken = overlapping_pairs(xyxy, box)
    same = class_id[taken.row] == box_class[taken.col]
    out[taken.row[(taken.iou > limit) & same]] = True
    among = overlapping_pairs(xyxy, xyxy)
    which = (among.iou > limit) & (among.row < among.col) & (class_id[among.row] == class_id[among.col])
    _yield_to(among.row[which], among.col[which], out)
    return out


def _yield_to(better: np.ndarray, worse: np.ndarray, out: np.ndarray) -> None:
    """Pairs (P,) of ranks, best first: who is not ``out`` (N,) puts out those it is better than, in place."""
    order = np.argsort(better, kind="stable")
    better, worse = better[order], worse[order]
    begin = np.diff(better, prepend=-1).nonzero()[0]
    end = np.append(begin[1:], len(better)) if len(begin) else begin
    for a, b in zip(begin, end, strict=True):  # over who has doubles, which are few
        if not out[better[a]]:
            out[worse[a:b]] = True


def duplicate_tracks(
    live: LiveTracks, class_id: np.ndarray, box: np.ndarray, believed: np.ndarray, limit: float
) -> np.ndarray | None:
    """Of a lost and an active track on the same spot the one with the shorter life goes (ByteTrack).

    Args:
        class_id: (T,); only tracks of one class compete.
        box: (T, 4) px, the filters' boxes.
        believed: (T,) bool, whose box is still believed.

    Returns:
        (T,) bool, who stays; None: everybody.
    """
    lost = ((live.status == LOST) & believed).nonzero()[0]
    active = (live.status == ACTIVE).nonzero()[0]
    if not len(lost) or not len(active):
        return None
    # IoU > t needs corners within (1 - t) / t of a width and a height: mostly nobody comes that close
    seen, gone = box[active], box[lost]
    reach = (1 / limit - 1) * (seen[:, 2:] - seen[:, :2])
    close = np.abs(gone[:, 0, None] - seen[:, 0]) < reach[:, 0]
    close &= np.abs(gone[:, 1, None] - seen[:, 1]) < reach[:, 1]
    if not close.any():
        return None
    pairs = overlapping_pairs(seen, gone)
    same = (pairs.iou > limit) & (class_id[active[pairs.row]] == class_id[lost[pairs.col]])
    same = same.nonzero()[0]
    if not len(same):
        return None
    a, b = active[pairs.row[same]], lost[pairs.col[same]]
    a_lived, b_lived = live.seen[a] - live.born[a], live.seen[b] - live.born[b]
    keep = np.ones(len(live), bool)
    keep[np.where(a_lived > b_lived, b, a)] = False
    return keep


def hidden(box: np.ndarray, lost: np.ndarray, shown: np.ndarray, rule: Hidden) -> np.ndarray:
    """Of the tracks ``lost`` (L,) those that stand behind one of ``shown`` (S,): (K,) rows of box (T, 4) px.

    Behind: the other's bottom edge is lower, and it covers most of the predicted box. On level ground seen
    from above the lower bottom edge is the nearer one (the pseudo-depth of SparseTrack).
    """
    if not len(lost) or not len(shown):
        return lost[:0]
    behind, front = box[lost], box[shown]
    pairs = overlapping_pairs(behind, front)
    a, b = behind[pairs.row], front[pairs.col]
    size = a[:, 2:] - a[:, :2]
    shared = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    covered = shared.prod(1) >= rule.cover * size.prod(1)
    nearer = b[:, 3] >= a[:, 3] - rule.slack * size[:, 1]
    return lost[np.unique(pairs.row[covered & nearer])]
