"""The tracker's slow, obvious twin: one object per track, loops everywhere, full 8-state filters.

Written from the configuration's meaning, not from the engine: same input must give the same tracks.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from tests.tracker.test_boxes import slow_iou
from tests.tracker.test_motion import Textbook
from tracker.motion import MODELS

SIZES = {"sort": [2], "xyah": [3], "xywh": [2, 3]}  # coordinates whose speed a lost track gives up


class Track:
    def __init__(self, kind, z, time):
        self.filter = Textbook(kind, z)
        self.id, self.status, self.hits, self.streak = 0, "tentative", 1, 0
        self.born = self.seen = time
        self.views = []  # appearance vectors matched so far
        self.recent = None


class SlowTracker:
    def __init__(self, config, fps=30.0):
        self.config, self.fps, self.model = config, fps, MODELS[config.motion]
        self.tracks, self.frame, self.last_id = [], -1, 0

    def z(self, box):
        return self.model.from_xyxy(np.array([box], np.float64))[0]

    def box(self, track):
        return self.model.to_xyxy(track.filter.mean[None, :4])[0]

    def appearance(self, track, vector):
        """1 - cosine, or None where a side has no appearance."""
        if not track.views or vector is None or not vector.any():
            return None
        if track.status == "lost" and self.config.lost_appearance == "history":
            return float(np.mean([1 - view @ vector for view in track.views]))
        return float(1 - track.recent @ vector)

    def cost(self, stage, track, detection):
        """The distance of one pair, or None when this stage may not join it."""
        box, score, vector = detection
        iou = slow_iou(self.box(track), box)
        look = self.appearance(track, vector)
        if stage.cost == "appearance":
            return look
        age = self.config.max_age if self.config.motion_age is None else self.config.motion_age
        if self.time - track.seen > age + 1e-6 and track.seen < self.before:
            return None
        if stage.gate is not None and look is not None:
            z, f = self.z(box), track.filter
            spread = np.diag(f.cov)[:2] + np.square(f.measurement(f.mean[:4]))[:2]
            if (np.square(z[:2] - f.mean[:2]) / spread).sum() > stage.gate:
                return None
        if stage.cost == "blend" and (look is not None or iou > 0):
            look = stage.neutral_appearance if look is None else look
            return stage.motion_weight * (1 - iou) + (1 - stage.motion_weight) * look
        if iou == 0:
            return None
        return 1 - iou * (score if stage.cost == "iou_score" else 1)

    def update(self, detections):
        config = self.config
        self.frame += 1
        self.before, self.time = (self.frame - 1) / self.fps, self.frame / self.fps
        vectors = [None] * len(detections) if detections.embedding is None else list(detections.embedding)
        seen = list(zip(detections.xyxy.astype(np.float64), detections.score, vectors, strict=True))
        for track in self.tracks:
            if track.status == "lost" and config.freeze_lost_size:
                for size in SIZES[config.motion]:
                    track.filter.mean[4 + size] = 0
            track.filter.predict()
        matched = {}  # track -> detection
        pairs = ((t, v) for t in self.tracks for v in vectors)
        blind = all(self.appearance(t, v) is None for t, v in pairs)
        for stage in (config.blind_stages or config.stages) if blind else config.stages:
            rows = [t for t in self.tracks if t not in matched and t.status in stage.tracks]
            in_band = {"high": lambda s: s >= config.high, "low": lambda s: config.low <= s < config.high}
            cols = [
                j
                for j, (_, s, _) in enumerate(seen)
                if j not in matched.values() and in_band[stage.detections](s)
            ]
            gain = np.zeros((len(rows), len(cols)))
            for a, track in enumerate(rows):
                for b, j in enumerate(cols):
                    distance = self.cost(stage, track, seen[j])
                    if distance is not None:
                        gain[a, b] = max(0.0, stage.limit_of(track.status) - distance)
            for a, b in zip(*linear_sum_assignment(gain, maximize=True), strict=True):
                if gain[a, b] > 0:
                    matched[rows[a]] = cols[b]
        for track in self.tracks:
            self.absorb(track, matched.get(track), seen)
        self.tracks = [
            t
            for t in self.tracks
            if self.time - t.seen
            <= (config.tentative_max_age if t.status == "tentative" else config.max_age) + 1e-6
        ]
        self.begin(matched, seen)
        self.drop_duplicates()
        shown = [t for t in self.tracks if t.seen == self.time and t.status == "active"]
        if config.report_streak and self.frame >= config.start_frames:
            shown = [t for t in shown if t.streak >= config.report_streak]
        for track in shown:
            if track.id == 0:
                self.last_id += 1
                track.id = self.last_id
        state = config.box == "state"
        return sorted(
            (t.id, matched[t], *(self.box(t) if state else seen[matched[t]][0]).round(2)) for t in shown
        )

    def absorb(self, track, j, seen):
        config = self.config
        if j is None:
            track.streak = 0
            if track.status == "active":
                track.status = "lost"
            return
        box, score, vector = seen[j]
        track.filter.update(self.z(box))
        track.hits += 1
        track.streak += 1
        if track.hits >= config.confirm_hits or track.status != "tentative":
            track.status = "active"
        track.seen = self.time
        if vector is not None and score >= config.high:
            old = track.recent if track.recent is not None else 0
            track.recent = config.recent_momentum * old + (1 - config.recent_momentum) * vector
            track.recent = track.recent / np.linalg.norm(track.recent)
            track.views.append(vector)

    def begin(self, matched, seen):
        config = self.config
        fresh = [j for j, (_, s, _) in enumerate(seen) if s >= config.new and j not in matched.values()]
        for j in sorted(fresh, key=lambda j: (-seen[j][1], *seen[j][0][::-1])):
            track = Track(config.motion, self.z(seen[j][0]), self.time)
            if config.confirm_hits == 1 or self.frame < config.start_frames:
                track.status = "active"
            if seen[j][2] is not None:
                track.recent, track.views = seen[j][2], [seen[j][2]]
            self.tracks.append(track)
            matched[track] = j

    def drop_duplicates(self):
        if self.config.duplicate_iou >= 1:
            return
        age = self.config.max_age if self.config.motion_age is None else self.config.motion_age
        doomed = []
        for a in self.tracks:
            for b in self.tracks:
                rivals = a.status == "active" and b.status == "lost" and self.time - b.seen <= age + 1e-6
                if rivals and slow_iou(self.box(a), self.box(b)) > self.config.duplicate_iou:
                    doomed.append(b if a.seen - a.born > b.seen - b.born else a)
        self.tracks = [t for t in self.tracks if t not in doomed]
