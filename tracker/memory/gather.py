"""A tracker's frames -> tracklets that have ended."""

from __future__ import annotations

import numpy as np

from retrace.tracker.boxes import area, clip, iou_matrix
from retrace.tracker.data import Detections, Step, Tracks
from retrace.tracker.memory.tracklet import Tracklet

ARRAYS = ("_id", "_begin", "_end", "_count", "_total", "_first", "_last", "_best")  # (T, ...) each
PLACES = 1024  # of a path, the newest
BESIDE = 0.2  # IoU below which two boxes of one frame are two people; above, they may be one crop twice


class Gather:
    """Looks, times and places of the live tracks of one source, in arrays by identity.

    A track that is unseen for ``split_gap`` s ends there: what follows is another tracklet, so that a person who was
    taken for somebody else behind a pillar does not poison the memory of both.
    """

    def __init__(
        self,
        camera: str,
        source: str,
        split_gap: float,
        least_score: float = 0.0,
        start: float = 0.0,
        crops: bool = False,
        paths: float | None = None,
        height: int | None = None,
    ) -> None:
        """
        Args:
            camera, source: see `Tracklet`.
            split_gap: s.
            least_score: of a box that may speak for a person's looks.
            start: s, where the source's time 0 lies on the memory's clock.
            crops: keep the largest sure box of each as a JPEG.
            paths: s between two places of the feet that are kept; None: none.
            height: px of the picture: whose box ends at its lower edge has his feet outside; None: not known.
        """
        self.camera, self._source, self._gap = camera, source, split_gap
        self._least, self._start = least_score, start
        self._id = np.zeros(0, np.int64)  # (T,) open tracklets
        self._begin, self._end = np.zeros(0), np.zeros(0)  # (T,) s of the source
        self._count = np.zeros(0, np.int64)  # (T,) boxes with known looks
        self._total = np.zeros((0, 0))  # (T, D)
        self._first, self._last = np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)
        self._beside = np.zeros((0, 0), bool)  # (T, T) seen in one frame
        self._every, self._lowest = paths, np.inf if height is None else height - 1.0
        self._walked: dict[int, list[tuple[float, float, float, float]]] = {}  # identity -> s, x, y, height
        self._next = -np.inf  # s, when places are kept again
        self._crops, self._best = crops, np.zeros(0)  # (T,) score x area of the crop that is kept
        self._picture: dict[int, np.ndarray] = {}  # identity -> (h, w, 3) uint8 BGR
        self._met: dict[int, set[int]] = {}  # identities that an open one met and that have ended

    def take(self, step: Step) -> list[Tracklet]:
        """Take in a frame; returns what has ended."""
        ended = self._close(step.frame.time - self._end > self._gap)
        tracks, time = step.tracks, step.frame.time
        seen = (tracks.det_index >= 0).nonzero()[0]
        if not len(seen):
            return ended
        vectors = _vectors(tracks, seen, step.detections, self._least)
        rows = self._rows(tracks.id[seen], time, tracks.xyxy[seen], vectors.shape[1])
        self._end[rows], self._last[rows] = time, tracks.xyxy[seen]
        if vectors.shape[1]:
            self._total[rows] += vectors
            self._count[rows] += vectors.any(1)
        if self._crops and step.frame.image is not None:
            self._keep_crops(rows, tracks.xyxy[seen], tracks.score[seen], step.frame.image)
        if self._every is not None and time >= self._next:
            self._next = time + self._every
            self._walk(tracks.id[seen], time, tracks.xyxy[seen])
        apart = iou_matrix(tracks.xyxy[seen], tracks.xyxy[seen]) < BESIDE
        self._beside[np.ix_(rows, rows)] |= apart & ~np.eye(len(rows), dtype=bool)
        return ended

    def _walk(self, ids: np.ndarray, time: float, xyxy: np.ndarray) -> None:
        for one, (x1, y1, x2, y2) in zip(ids.tolist(), xyxy.astype(float).tolist(), strict=True):
            if y1 < y2 < self._lowest:
                path = self._walked.setdefault(one, [])
                path.append((time, (x1 + x2) / 2, y2, y2 - y1))
                del path[:-PLACES]

    def _keep_crops(self, rows: np.ndarray, xyxy: np.ndarray, score: np.ndarray, image: np.ndarray) -> None:
        box = clip(xyxy, image.shape[:2])
        worth = score * area(box)
        for k in (worth > self._best[rows]).nonzero()[0]:  # over those that get a better crop
            x1, y1, x2, y2 = np.rint(box[k]).astype(int)
            if x2 > x1 and y2 > y1:
                self._best[rows[k]] = worth[k]
                self._picture[int(self._id[rows[k]])] = image[y1:y2, x1:x2].copy()

    def finish(self) -> list[Tracklet]:
        """Everything that is still open: the source has ended."""
        return self._close(np.ones(len(self._id), bool))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything but the crops, for a checkpoint."""
        met = [(me, other) for me, others in sorted(self._met.items()) for other in sorted(others)]
        arrays = {name.strip("_"): getattr(self, name) for name in (*ARRAYS, "_beside")}
        walked = [(me, *place) for me, path in sorted(self._walked.items()) for place in path]
        lists = {
            "met": np.array(met, np.int64).reshape(-1, 2),
            "walked": np.array(walked, float).reshape(-1, 5),
        }
        return arrays | lists | {"next": np.array(self._next)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there; crops are gathered anew."""
        for name in (*ARRAYS, "_beside"):
            setattr(self, name, np.array(state[name.strip("_")]))
        self._best = np.zeros(len(self._id))
        self._met, self._picture, self._walked, self._next = {}, {}, {}, float(state["next"])
        for person, *place in state["walked"].tolist():
            self._walked.setdefault(int(person), []).append(tuple(place))
        for me, other in state["met"].tolist():
            self._met.setdefault(me, set()).add(other)

    def _rows(self, ids: np.ndarray, time: float, xyxy: np.ndarray, dimension: int) -> np.ndarray:
        """The row of each identity; new ones are appended."""
        if self._total.shape[1] < dimension:
            self._total = np.zeros((len(self._id), dimension))
        fresh = ~np.isin(ids, self._id)
        count = int(fresh.sum())
        if count:
            self._id = np.append(self._id, ids[fresh])
            self._begin, self._end = (np.append(a, np.full(count, time)) for a in (self._begin, self._end))
            self._count = np.append(self._count, np.zeros(count, np.int64))
            self._best = np.append(self._best, np.zeros(count))
            self._total = np.concatenate((self._total, np.zeros((count, self._total.shape[1]))))
            self._first, self._last = (np.concatenate((a, xyxy[fresh])) for a in (self._first, self._last))
            self._beside = np.pad(self._beside, ((0, count), (0, count)))
        order = np.argsort(self._id)
        return np.asarray(order[np.searchsorted(self._id, ids, sorter=order)])

    def _close(self, over: np.ndarray) -> list[Tracklet]:
        """The open tracklets ``over`` (T,) bool, as they are told; the others stay."""
        if not over.any():
            return []
        told = []
        for row in over.nonzero()[0]:  # over those that end in this frame
            me = int(self._id[row])
            apart = {*self._id[self._beside[row]].tolist(), *self._met.pop(me, set())}
            crop = self._picture.pop(me, None)
            norm = float(np.linalg.norm(self._total[row]))
            vector = (self._total[row] / max(norm, 1e-12)).astype(np.float32)
            times = self._start + self._begin[row], self._start + self._end[row]
            who, met = (self.camera, self._source, me), frozenset(apart - {me})
            boxes, picture = (self._first[row], self._last[row]), None if crop is None else _jpeg(crop)
            count = int(self._count[row]) if norm > 0 else 0
            path = np.array(self._walked.pop(me, []), float).reshape(-1, 4) + np.array([self._start, 0, 0, 0])
            walk = None if self._every is None else path
            told.append(Tracklet(*who, *times, count, vector, met, *boxes, picture, walk))
            for other in self._id[self._beside[row] & ~over].tolist():
                self._met.setdefault(int(other), set()).add(me)
        keep = ~over
        for name in ARRAYS:
            setattr(self, name, getattr(self, name)[keep])
        self._beside = self._beside[np.ix_(keep, keep)]
        return sorted(told, key=lambda one: (one.end, one.track))


def _vectors(tracks: Tracks, seen: np.ndarray, detections: Detections, least: float) -> np.ndarray:
    """(len(seen), D) the looks of the boxes that speak for their tracks, zero rows for the others; D 0: none known."""
    if detections.embedding is None:
        return np.zeros((len(seen), 0), np.float32)
    order = np.argsort(detections.index)
    row = order[np.searchsorted(detections.index, tracks.det_index[seen], sorter=order)]
    vectors = detections.embedding[row].copy()
    vectors[tracks.score[seen] < least] = 0
    return vectors


def _jpeg(crop: np.ndarray) -> bytes:
    """At most 256 px high, about 10 kB."""
    import cv2

    shrink = min(1.0, 256 / crop.shape[0])
    if shrink < 1:
        crop = cv2.resize(crop, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    whole, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert whole
    return bytes(data)
