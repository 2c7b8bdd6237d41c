"""A tracker's frames -> tracklets that have ended."""

from __future__ import annotations

import numpy as np

from retrace.tracker.boxes import area, clip, iou_matrix
from retrace.tracker.data import Detections, Step, Tracks
from retrace.tracker.memory.config import MemoryConfig
from retrace.tracker.memory.evidence import appearance_ratio
from retrace.tracker.memory.tracklet import Tracklet

# (T, 2, ...) of each open tracklet: what is sure of it, and what came since a moment of doubt
PARTS = ("_begin", "_end", "_count", "_total", "_first", "_last", "_best")
ARRAYS = ("_id", "_part", "_hidden", *PARTS)  # (T, ...)
PLACES = 1024  # of a path, the newest
BESIDE = 0.2  # IoU below which two boxes of one frame are two people; above, they may be one crop twice
PAIRS = 3.0  # the config's mean distance of strangers counts as so many pairs seen here


class Gather:
    """Looks, times and places of the live tracks of one source, in arrays by identity.

    A track that is unseen for ``split_gap`` s ends there: what follows is another tracklet, so that a person who was
    taken for somebody else behind a pillar does not poison the memory of both. So does one that looks like somebody
    else after a moment of doubt: when it was unseen for ``split_unseen`` s, or its box lay on another one.
    """

    def __init__(
        self,
        camera: str,
        source: str,
        config: MemoryConfig,
        least_score: float = 0.0,
        start: float = 0.0,
        crops: bool = False,
        paths: float | None = None,
        height: int | None = None,
    ) -> None:
        """
        Args:
            camera, source: see `Tracklet`.
            config: when tracklets are split.
            least_score: of a box that may speak for a person's looks.
            start: s, where the source's time 0 lies on the memory's clock.
            crops: keep the largest sure box of each as a JPEG.
            paths: s between two places of the feet that are kept; None: none.
            height: px of the picture: whose box ends at its lower edge has his feet outside; None: not known.
        """
        self.camera, self._source, self._config = camera, source, config
        self._least, self._start = least_score, start
        self._id = np.zeros(0, np.int64)  # (T,) open tracklets
        self._part = np.zeros(0, np.int64)  # (T,) which part grows; 1: since a moment of doubt
        self._hidden = np.zeros(0, bool)  # (T,) its box lay on another one when it was last seen
        self._begin, self._end = np.zeros((0, 2)), np.zeros((0, 2))  # s of the source
        self._count = np.zeros((0, 2), np.int64)  # boxes with known looks
        self._total = np.zeros((0, 2, 0))  # (T, 2, D)
        self._first, self._last = np.zeros((0, 2, 4), np.float32), np.zeros((0, 2, 4), np.float32)
        self._beside = np.zeros((0, 0), bool)  # (T, T) seen in one frame
        self._every, self._lowest = paths, np.inf if height is None else height - 1.0
        self._walked: dict[int, list[tuple[float, float, float, float]]] = {}  # identity -> s, x, y, height
        self._next = -np.inf  # s, when places are kept again
        self._crops, self._best = crops, np.zeros((0, 2))  # score x area of the crop that is kept
        self._picture: dict[tuple[int, int], np.ndarray] = {}  # identity, part -> (h, w, 3) uint8 BGR
        self._met: dict[int, set[int]] = {}  # identities that an open one met and that have ended

    def take(self, step: Step) -> list[Tracklet]:
        """Take in a frame; returns what has ended."""
        tracks, time = step.tracks, step.frame.time
        ended = self._close(time - self._end[self._rows, self._part] > self._config.split_gap)
        seen = (tracks.det_index >= 0).nonzero()[0]
        if not len(seen):
            return ended
        vectors, xyxy = _vectors(tracks, seen, step.detections, self._least), tracks.xyxy[seen]
        rows = self._rows_of(tracks.id[seen], time, xyxy, vectors.shape[1])
        overlap = iou_matrix(xyxy, xyxy)
        np.fill_diagonal(overlap, 0)
        ended += self._doubt(rows, time, xyxy, overlap.max(1) > self._config.split_overlap)
        part = self._part[rows]
        self._end[rows, part], self._last[rows, part] = time, xyxy
        if vectors.shape[1]:
            self._total[rows, part] += vectors
            self._count[rows, part] += vectors.any(1)
        if self._crops and step.frame.image is not None:
            self._keep_crops(rows, xyxy, tracks.score[seen], step.frame.image)
        if self._every is not None and time >= self._next:
            self._next = time + self._every
            self._walk(tracks.id[seen], time, xyxy)
        self._beside[np.ix_(rows, rows)] |= (overlap < BESIDE) & ~np.eye(len(rows), dtype=bool)
        return sorted(ended, key=lambda one: (one.end, one.track))

    def finish(self) -> list[Tracklet]:
        """Everything that is still open: the source has ended."""
        return self._close(np.ones(len(self._id), bool))

    def in_view(self, time: float) -> list[Tracklet]:
        """Those seen at ``time`` that have looks enough, as far as they are sure by now."""
        enough = self._count[:, 0] >= self._config.least_boxes
        here = (enough & (self._end[self._rows, self._part] == time)).nonzero()[0]
        found = []
        for row in here.tolist():  # those in view, once a second
            who = (self.camera, self._source, int(self._id[row]))
            when = (self._start + float(self._begin[row, 0]), self._start + time)
            found.append(Tracklet(*who, *when, *self._looks(row)))
        return found

    def _looks(self, row: int) -> tuple[int, np.ndarray]:
        """How many boxes speak for an open tracklet, as far as it is sure, and (D,) the unit mean of their vectors; 0:
        none."""
        norm = float(np.linalg.norm(self._total[row, 0]))
        vector = (self._total[row, 0] / max(norm, 1e-12)).astype(np.float32)
        return int(self._count[row, 0]) if norm > 0 else 0, vector

    # -- what may be two people

    def _doubt(self, rows: np.ndarray, time: float, xyxy: np.ndarray, hidden: np.ndarray) -> list[Tracklet]:
        """Begin a part with whom may be somebody else since he was last seen, and end those that have told enough."""
        if self._config.split_odds is None:
            return []
        away = time - self._end[rows, self._part[rows]] > self._config.split_unseen
        begins = ~hidden & (self._hidden[rows] | away)
        told = hidden | begins | (self._count[rows, 1] >= self._config.split_boxes)
        told |= time - self._end[rows, 0] > self._config.split_gap  # or it would be told too late
        ended = self._settle(rows[told & (self._part[rows] == 1)])
        self._hidden[rows] = hidden
        fresh = rows[begins]
        for name, value in (("_count", 0), ("_total", 0), ("_best", 0), ("_begin", time), ("_end", time)):
            getattr(self, name)[fresh, 1] = value
        self._first[fresh, 1] = xyxy[begins]
        self._part[fresh] = 1
        return ended

    def _settle(self, rows: np.ndarray) -> list[Tracklet]:
        """Who looks like somebody else since a moment of doubt is another tracklet: the part before has ended. Of the
        others both parts are one."""
        ended = []
        unlike = self._unlike(rows)
        # only those that came out of a doubt, which are few
        for row, another in zip(rows.tolist(), unlike.tolist(), strict=True):
            me = int(self._id[row])
            if another:
                ended.append(self._told(row))
                for name in PARTS:
                    getattr(self, name)[row, 0] = getattr(self, name)[row, 1]
                self._picture.pop((me, 0), None)
            else:
                self._total[row, 0] += self._total[row, 1]
                self._count[row, 0] += self._count[row, 1]
                self._end[row, 0], self._last[row, 0] = self._end[row, 1], self._last[row, 1]
            if (me, 1) in self._picture:
                crop = self._picture.pop((me, 1))
                if (me, 0) not in self._picture or self._best[row, 1] > self._best[row, 0]:
                    self._picture[me, 0] = crop
            self._best[row, 0] = max(self._best[row])
            self._part[row] = 0
        return ended

    def _unlike(self, rows: np.ndarray) -> np.ndarray:
        """(K,) bool, whether the looks of their two parts say that they are two people."""
        found = np.zeros(len(rows), bool)
        told = (self._count[rows] >= self._config.least_boxes).all(1)
        if told.any():
            total = self._total[rows[told]]
            one, other = np.moveaxis(total / np.linalg.norm(total, axis=2, keepdims=True), 1, 0)
            distance = 1.0 - (one * other).sum(1)[:, None]
            ratio = appearance_ratio(distance, np.ones_like(distance, bool), self._unit(), self._config)
            found[told] = ratio[:, 0] < -(self._config.split_odds or 0.0)
        return found

    def _unit(self) -> float:
        """The mean distance of different people: of the open ones who were seen beside each other, the config's word
        counting as `PAIRS` of them."""
        some = (self._count[:, 0] >= self._config.least_boxes).nonzero()[0]
        mean = self._total[some, 0] / np.linalg.norm(self._total[some, 0], axis=1, keepdims=True)
        apart = (1.0 - mean @ mean.T)[np.triu(self._beside[np.ix_(some, some)], 1)]
        return float((apart.sum() + PAIRS * self._config.strangers) / (len(apart) + PAIRS))

    # -- one frame

    def _walk(self, ids: np.ndarray, time: float, xyxy: np.ndarray) -> None:
        for one, (x1, y1, x2, y2) in zip(ids.tolist(), xyxy.astype(float).tolist(), strict=True):
            if y1 < y2 < self._lowest:
                path = self._walked.setdefault(one, [])
                path.append((time, (x1 + x2) / 2, y2, y2 - y1))
                del path[:-PLACES]

    def _keep_crops(self, rows: np.ndarray, xyxy: np.ndarray, score: np.ndarray, image: np.ndarray) -> None:
        box, part = clip(xyxy, image.shape[:2]), self._part[rows]
        worth = score * area(box)
        for k in (worth > self._best[rows, part]).nonzero()[0]:  # over those that get a better crop
            x1, y1, x2, y2 = np.rint(box[k]).astype(int)
            if x2 > x1 and y2 > y1:
                self._best[rows[k], part[k]] = worth[k]
                self._picture[int(self._id[rows[k]]), int(part[k])] = image[y1:y2, x1:x2].copy()

    @property
    def _rows(self) -> np.ndarray:
        return np.arange(len(self._id))

    def _rows_of(self, ids: np.ndarray, time: float, xyxy: np.ndarray, dimension: int) -> np.ndarray:
        """The row of each identity; new ones are appended."""
        if self._total.shape[2] < dimension:
            self._total = np.zeros((len(self._id), 2, dimension))
        fresh = ~np.isin(ids, self._id)
        count = int(fresh.sum())
        if count:
            for name in ARRAYS:
                have = getattr(self, name)
                setattr(self, name, np.concatenate((have, np.zeros((count, *have.shape[1:]), have.dtype))))
            self._id[-count:], self._begin[-count:], self._end[-count:] = ids[fresh], time, time
            self._first[-count:] = xyxy[fresh][:, None]
            self._beside = np.pad(self._beside, ((0, count), (0, count)))
        order = np.argsort(self._id)
        return np.asarray(order[np.searchsorted(self._id, ids, sorter=order)])

    # -- ended ones

    def _close(self, over: np.ndarray) -> list[Tracklet]:
        """The open tracklets ``over`` (T,) bool, as they are told; the others stay."""
        if not over.any():
            return []
        told = self._settle((over & (self._part == 1)).nonzero()[0])
        for row in over.nonzero()[0].tolist():  # over those that end in this frame
            me = int(self._id[row])
            told.append(self._told(row))
            self._picture.pop((me, 0), None)
            self._met.pop(me, None)
            for other in self._id[self._beside[row] & ~over].tolist():
                self._met.setdefault(int(other), set()).add(me)
        keep = ~over
        for name in ARRAYS:
            setattr(self, name, getattr(self, name)[keep])
        self._beside = self._beside[np.ix_(keep, keep)]
        return sorted(told, key=lambda one: (one.end, one.track))

    def _told(self, row: int) -> Tracklet:
        """What is sure of an open tracklet."""
        me, end = int(self._id[row]), float(self._end[row, 0])
        apart = {*self._id[self._beside[row]].tolist(), *self._met.get(me, ())} - {me}
        crop = self._picture.get((me, 0))
        walked = self._walked.pop(me, [])
        if later := [place for place in walked if place[0] > end]:
            self._walked[me] = later
        path = np.array(walked[: len(walked) - len(later)], float).reshape(-1, 4)
        return Tracklet(
            self.camera,
            self._source,
            me,
            self._start + float(self._begin[row, 0]),
            self._start + end,
            *self._looks(row),
            frozenset(apart),
            self._first[row, 0].copy(),
            self._last[row, 0].copy(),
            None if crop is None else _jpeg(crop),
            None if self._every is None else path + np.array([self._start, 0, 0, 0]),
        )

    # -- checkpoints

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
        self._best = np.zeros((len(self._id), 2))
        self._met, self._picture, self._walked, self._next = {}, {}, {}, float(state["next"])
        for person, *place in state["walked"].tolist():
            self._walked.setdefault(int(person), []).append(tuple(place))
        for me, other in state["met"].tolist():
            self._met.setdefault(me, set()).add(other)


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
