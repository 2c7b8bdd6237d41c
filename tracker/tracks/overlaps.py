"""Rules about boxes that cover each other: duplicates among detections, births and tracks, and who hides whom.

The first functions are the rules themselves, of single numbers or of arrays: the compiled frame takes them as they
stand. ``rules`` is the record of `tracker.rules`, ``rows`` are `tracker.rows.ROW`, ``detections`` has the arrays of
`tracker.data.Detections`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from retrace.tracker.association.assignment import overlapping_pairs
from retrace.tracker.rows import ACTIVE, LOST, FrameTime, seen_within


def alike(a: Any, b: Any, rules: Any) -> Any:
    """Whether boxes of these classes may be one person's."""
    return (a == b) | rules["class_agnostic"]


def may_be_duplicates(views: Any, other_views: Any, rules: Any) -> Any:
    """Whether two tracks with so many vectors may be duplicates: where looks tell people apart, place does not."""
    return (views == 0) | (other_views == 0) | (not rules["told_apart"])


def lives_longer(seen: Any, born: Any, other_seen: Any, other_born: Any) -> Any:
    """Whether the first of two tracks stays where they are duplicates (ByteTrack); of equal lives it is the second."""
    return seen - born > other_seen - other_born


def stands_behind(a: Any, b: Any, rules: Any) -> Any:
    """Whether box ``a`` (4, ...) xyxy px is hidden behind ``b``, which it overlaps.

    The other's bottom edge is lower, and it covers most of the predicted box. On level ground seen from above the
    lower bottom edge is the nearer one (the pseudo-depth of SparseTrack).
    """
    width, height = a[2] - a[0], a[3] - a[1]
    across = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    along = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    nearer = b[3] >= a[3] - rules["hidden_slack"] * height
    return (across * along >= rules["hidden_cover"] * (width * height)) & nearer


def best_first(xyxy: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(N,) places of boxes (N, 4) by score (N,), of equal ones by coordinates: not by where they stood."""
    return np.lexsort((*xyxy.T, -score))


def deleted_boxes(detections: Any, rules: Any) -> np.ndarray:
    """Non-maximum suppression: (N,) int64 the kept better box that each deleted one overlaps most, -1: it is kept.

    Only boxes of one class; of equal scores the one whose coordinates come first is better, wherever it stood.
    """
    xyxy, by = detections.xyxy, np.full(len(detections.score), -1)
    if rules["nms"] >= 1 or len(by) < 2:
        return by
    order = best_first(xyxy, detections.score)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    pairs = overlapping_pairs(xyxy, xyxy)
    better, worse = rank[pairs.row], rank[pairs.col]
    which = (pairs.iou > rules["nms"]) & (better < worse)
    which &= alike(detections.class_id[pairs.row], detections.class_id[pairs.col], rules)
    which, lost = which.nonzero()[0], np.zeros(len(order), bool)
    _yield_to(better[which], worse[which], lost)
    counted = which[~lost[better[which]]]
    most = np.argsort(pairs.iou[counted], kind="stable")
    by[pairs.col[counted[most]]] = pairs.row[counted[most]]  # of several the last stays: the largest overlap
    return by


def _yield_to(better: np.ndarray, worse: np.ndarray, out: np.ndarray) -> None:
    """Pairs (P,) of ranks, 0 the best: who is not ``out`` (N,) puts out those it is better than, in place."""
    order = np.argsort(better, kind="stable")
    better, worse = better[order], worse[order]
    begin = np.diff(better, prepend=-1).nonzero()[0]
    end = np.append(begin[1:], len(better)) if len(begin) else begin
    for a, b in zip(begin, end, strict=True):  # over who has duplicates, which are few
        if not out[better[a]]:
            out[worse[a:b]] = True


def births_on_tracks(
    xyxy: np.ndarray, class_id: np.ndarray, box: np.ndarray, box_class: np.ndarray, rules: Any
) -> np.ndarray:
    """(B,) the live track (T, 4) px that each birth (B, 4) px overlaps most, -1: none by more than ``birth_iou``
    (TrackTrack, sec. 3.3)."""
    pairs, by = overlapping_pairs(xyxy, box), np.full(len(xyxy), -1)
    which = pairs.iou > rules["birth_iou"]
    which = (which & alike(class_id[pairs.row], box_class[pairs.col], rules)).nonzero()[0]
    which = which[np.argsort(pairs.iou[which], kind="stable")]
    by[pairs.row[which]] = pairs.col[which]
    return by


def births_on_births(xyxy: np.ndarray, class_id: np.ndarray, out: np.ndarray, rules: Any) -> np.ndarray:
    """(B,) the better birth that each overlaps most, -1: none by more than ``birth_iou`` (TrackTrack, sec. 3.3).

    Births (B, 4) px stand best first; those that are ``out`` (B,) already, or by this, suppress nobody.
    """
    pairs, by = overlapping_pairs(xyxy, xyxy), np.full(len(xyxy), -1)
    which = (pairs.iou > rules["birth_iou"]) & (pairs.row < pairs.col)
    which = (which & alike(class_id[pairs.row], class_id[pairs.col], rules)).nonzero()[0]
    gone = out.copy()
    _yield_to(pairs.row[which], pairs.col[which], gone)
    which = which[~gone[pairs.row[which]]]
    which = which[np.argsort(pairs.iou[which], kind="stable")]
    by[pairs.col[which]] = pairs.row[which]
    return by


def duplicates(rows: np.ndarray, box: np.ndarray, rules: Any, now: FrameTime) -> np.ndarray:
    """Of a lost and an active track on the same spot the one with the shorter life goes (ByteTrack).

    Args:
        rows, box: (T,) ROW and (T, 4) px, the filters' boxes; a lost track counts while its box is believed.

    Returns:
        (T,) int64 the row each is a duplicate of (that it overlaps most), -1: it stays.
    """
    by = np.full(len(rows), -1)
    if rules["duplicate_iou"] >= 1:
        return by
    active = (rows["status"] == ACTIVE).nonzero()[0]
    lost = ((rows["status"] == LOST) & seen_within(rows["seen"], rules["believed_age"], now)).nonzero()[0]
    if not len(lost) or not len(active):
        return by
    pairs = overlapping_pairs(box[active], box[lost])
    a, b = active[pairs.row], lost[pairs.col]
    which = (pairs.iou > rules["duplicate_iou"]) & alike(rows["class_id"][a], rows["class_id"][b], rules)
    which &= may_be_duplicates(rows["views"][a], rows["views"][b], rules)
    which = which.nonzero()[0][np.argsort(pairs.iou[which], kind="stable")]
    a, b = a[which], b[which]
    stays = lives_longer(rows["seen"][a], rows["born"][a], rows["seen"][b], rows["born"][b])
    by[np.where(stays, b, a)] = np.where(stays, a, b)
    return by


def hidden(box: np.ndarray, lost: np.ndarray, shown: np.ndarray, rules: Any) -> np.ndarray:
    """Of the tracks ``lost`` (L,) those behind one of ``shown`` (S,): (K,) rows of box (T, 4) px, some twice."""
    if not len(lost) or not len(shown):
        return lost[:0]
    pairs = overlapping_pairs(box[lost], box[shown])
    a, b = lost[pairs.row], shown[pairs.col]
    return a[stands_behind(box[a].T, box[b].T, rules)]
