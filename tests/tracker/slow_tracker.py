"""The tracker's slow, obvious twin: one object per track, loops everywhere, full 8-state filters.

Written from the configuration's meaning, not from the engine: same input must give the same tracks.
"""

from __future__ import annotations

import copy
import math

import numpy as np
from scipy.optimize import linear_sum_assignment

from retrace.tracker.motion.models import MODELS
from tests.tracker.slow_boxes import slow_iou
from tests.tracker.slow_costs import SLOW_TERMS, Seen, Track, World, own_distance, squared_distance
from tests.tracker.textbook import Textbook

# whose speed a lost track gives up
SIZES = {"sort": [2], "xyah": [3], "xyhr": [2], "xywh": [2, 3], "linear": [2, 3]}
FAR_LOOKS = {"appearance", "half_appearance", "adaptive_appearance"}  # they join boxes that do not overlap


def warp_box(box, matrix):
    """The centre through the warp, the size zoomed."""
    zoom = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    centre = matrix[:, :2] @ [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] + matrix[:, 2]
    half = np.array([box[2] - box[0], box[3] - box[1]]) / 2 * zoom
    return np.concatenate((centre - half, centre + half))


class SlowTracker:
    def __init__(self, config, fps=30.0):
        self.config, self.fps, self.model = config, fps, MODELS[config.motion]
        self.tracks, self.frame, self.last_id, self.time = [], -1, 0, 0.0
        self.apart = []  # 1 - cosine of all pairs of boxes of one frame so far

    def update(self, detections, timestamp=None, warp=None):
        """Rows (id, detection or -1, class, score, x1, y1, x2, y2), by id."""
        config = self.config
        self.frame += 1
        before, self.time = self.time, self.frame / self.fps if timestamp is None else timestamp
        steps = (self.time - before) * self.fps if self.frame else 1.0
        self.predict(1.0 if abs(steps - 1) < 1e-3 else steps, warp)
        self.world = World(
            config, self.model, self.tracks, [], self.time, before if self.frame else 0.0, 1 / self.fps
        )
        self.world.seen = self.read(detections)
        if config.appearance_scale is not None:
            self.stretch()
        if config.boost is not None:
            self.boost()
        matched = self.associate()
        for track in self.tracks:
            self.absorb(track, matched.get(track))
        self.tracks = [t for t in self.tracks if self.age(t) <= self.patience(t) + 1e-6]
        self.begin(matched)
        self.drop_duplicates()
        return self.report(matched, detections)

    def read(self, detections):
        vectors = [None] * len(detections)
        if detections.embedding is not None:
            vectors = [v.astype(np.float64) if v.any() else None for v in detections.embedding]
        parts = (detections.xyxy.astype(np.float64), detections.score, detections.class_id.tolist(), vectors)
        return [Seen(*row) for row in zip(*parts, strict=True)]

    def age(self, track):
        return self.time - track.seen

    def patience(self, track):
        return self.config.tentative_max_age if track.status == "tentative" else self.config.max_age

    def predict(self, steps, warp):
        for track in self.tracks:
            if track.status == "lost" and self.config.freeze_lost_size:
                for size in SIZES[self.config.motion]:
                    track.filter.mean[4 + size] = 0
            track.filter.predict(steps)
            track.belief.predict(steps)
            if warp is not None:
                track.filter.warp(warp, self.model.power)
                track.kept.warp(warp, self.model.power)
                track.boxes = [(when, warp_box(box, warp)) for when, box in track.boxes]

    def stretch(self):
        """Two boxes of one frame are two people: on average they shall be ``appearance_scale`` apart."""
        sure = [d.vector for d in self.world.seen if d.vector is not None and d.score >= self.config.high]
        self.apart += [1 - a @ b for k, a in enumerate(sure) for b in sure[:k]]
        if self.apart and np.mean(self.apart) > 1e-3:
            self.world.stretch = self.config.appearance_scale / np.mean(self.apart)

    def boost(self):
        """BoostTrack: what overlaps a track is likely; what is far from all tracks is somebody new."""
        w, rule, plain = self.world, self.config.boost, self.config.stages[0].model_copy()
        plain = plain.model_copy(update={"against": "predicted", "buffer": 0.0})
        trusted, far = [t for t in w.tracks if w.fresh(t, w.motion_age())], []
        for j, d in enumerate(w.seen):
            if d.score < self.config.low:
                continue
            best = max((w.iou(plain, t, j) for t in w.tracks), default=0.0)
            d.score = max(d.score, np.float32(rule.likely) * np.float32(best))
            close = [own_distance(w, t, j) for t in trusted if w.alike(t, d)]
            if rule.unlikely and trusted and d.score < self.config.high:
                far += [d] * (min(close, default=math.inf) > rule.distance)
        rivals = [[r.score for r in far if w.alike(d, r) and slow_iou(d.box, r.box) > 0.3] for d in far]
        for d, others in zip(far, rivals, strict=True):
            if d.score >= max(others):  # itself among them
                d.score = np.float32(self.config.high)
        for d in w.seen:
            d.score = min(d.score, np.float32(1))

    def suppress(self, which, limit, score):
        """Non-maximum suppression, the surest first: who stays."""
        kept = []
        for j in sorted(which, key=lambda j: (-score[j], *self.world.seen[j].box[::-1])):
            d = self.world.seen[j]
            rivals = [self.world.seen[k] for k in kept]
            if all(slow_iou(d.box, r.box) <= limit or not self.world.alike(d, r) for r in rivals):
                kept.append(j)
        return kept

    def bands(self):
        """{band: detections}."""
        w, config = self.world, self.config
        everyone = range(len(w.seen))
        kept = set(everyone)
        if config.nms < 1:
            kept = set(self.suppress(everyone, config.nms, [d.score for d in w.seen]))
        high = {j for j in everyone if w.seen[j].score >= config.high}
        low = {j for j in everyone if w.seen[j].score >= config.low} - high
        return {"high": high & kept, "low": low & kept, "deleted": high - kept}

    def associate(self):
        """{track: detection}."""
        w, config, bands, matched = self.world, self.config, self.bands(), {}
        looks = [w.look(t, j) for t in self.tracks for j in range(len(w.seen))]
        blind = all(look is None for look in looks)
        for stage in (config.blind_stages or config.stages) if blind else config.stages:
            penalty = {j: p for band, p in stage.bands.items() for j in bands[band]}
            w.open = set(penalty) - set(matched.values())
            asked = {*stage.terms, *stage.gates}
            anywhere = {"appearance", "half_appearance", "log_odds"}
            place = stage.against == "predicted" and bool(asked - anywhere)
            age = w.motion_age() if place else config.max_age
            rows = [t for t in self.tracks if t not in matched and t.status in stage.tracks]
            gain = {}
            for t in rows:
                for j in sorted(w.open) if w.fresh(t, age) else ():
                    if self.may_meet(stage, t, j, blind):
                        cost = sum(
                            weight * SLOW_TERMS[n](w, stage, t, j) for n, weight in stage.terms.items()
                        )
                        gain[t, j] = stage.limit_of(t.status) - cost - penalty[j]
            matched.update(self.choose(stage, {pair: g for pair, g in gain.items() if g > 0}))
        return matched

    def may_meet(self, stage, t, j, blind):
        w = self.world
        if not w.alike(t, w.seen[j]):
            return False
        if w.iou(stage, t, j) == 0 and "log_odds" in stage.terms:
            if squared_distance(w, t, j, 2) >= 100:
                return False
        elif w.iou(stage, t, j) == 0:
            far = FAR_LOOKS & set(stage.terms) or ("nearest_cue" in stage.terms and stage.cue_iou >= 1)
            known = w.look(t, j) is not None or stage.neutral_appearance is not None
            if blind or not far or not known:
                return False
        return all(SLOW_TERMS[name](w, stage, t, j) <= most for name, most in stage.gates.items())

    def choose(self, stage, gain):
        """Of pairs {(track, detection): gain} those that are joined."""
        if stage.match == "mutual":
            return self.mutual(gain, stage.limit_step)
        if not stage.cascade:
            return self.hungarian(gain)
        matched = {}
        age = {t: round(self.age(t) * self.fps) for t, _ in gain}
        for step in sorted(set(age.values())):
            left = {(t, j): g for (t, j), g in gain.items() if age[t] == step and j not in matched.values()}
            matched.update(self.hungarian(left))
        return matched

    def hungarian(self, gain):
        rows, cols = list(dict.fromkeys(t for t, _ in gain)), sorted({j for _, j in gain})
        table = np.array([[gain.get((t, j), 0.0) for j in cols] for t in rows]).reshape(len(rows), len(cols))
        found = zip(*linear_sum_assignment(table, maximize=True), strict=True)
        return {rows[a]: cols[b] for a, b in found if table[a, b] > 0}

    def mutual(self, gain, step):
        matched, fallen = {}, 0.0
        while True:
            left = {p: g for p, g in gain.items() if p[0] not in matched and p[1] not in matched.values()}
            new = {}
            for (t, j), g in left.items():
                row = max(x for (a, _), x in left.items() if a is t)
                col = max(x for (_, b), x in left.items() if b == j)
                if g == row == col and g > fallen:
                    new[t] = j
            if not new:
                return matched
            matched.update(new)
            fallen += step

    def absorb(self, track, j):
        config = self.config
        if j is None:
            track.streak = 0
            if track.status == "active":
                track.status = "lost"
            return
        d = self.world.seen[j]
        self.correct(track, d)
        track.hits += 1
        track.streak += 1
        if (
            track.hits >= config.confirm_hits
            or track.status != "tentative"
            or d.score >= config.confirm_score
        ):
            track.status = "active"
        track.seen = self.time
        track.scores.insert(0, d.score)
        track.belief.update(d.score)
        track.class_id = d.class_id
        if d.vector is not None and d.score >= config.high:
            self.remember(track, d)

    def remember(self, track, d):
        keep = self.config.recent_momentum
        if self.config.momentum_from is not None:
            trust = (float(d.score) - self.config.momentum_from) / (1 - self.config.momentum_from)
            keep = keep + (1 - keep) * (1 - max(0.0, min(1.0, trust)))
        mixed = d.vector if not track.views else keep * track.recent + (1 - keep) * d.vector
        track.recent = mixed / np.linalg.norm(mixed)
        track.views.append(d.vector)

    def correct(self, track, d):
        world, gap = self.world, round(self.age(track) * self.fps)
        if self.config.reupdate and gap > 1 and track.seen < world.before - 1e-6:
            last = track.boxes[0][1]
            track.filter = copy.deepcopy(track.kept)
            for step in range(1, gap + 1):
                track.filter.predict()
                if step < gap:
                    track.filter.update(world.z(last + (d.box - last) * step / gap))
        track.boxes.insert(0, (self.time, d.box))
        track.last = d.box
        if self.config.motion == "linear":
            self.straight(track)
        else:
            track.filter.update(world.z(d.box), 1 - float(d.score) if self.config.noise_by_score else 1.0)
        track.kept = copy.deepcopy(track.filter)

    def straight(self, track):
        """GHOST: at the detection, with the mean speed of the last steps between boxes."""
        some = track.boxes[: self.config.motion_memory + 1]
        z = [self.world.z(box) for _, box in some]
        pairs = range(len(some) - 1)
        speed = [(z[k] - z[k + 1]) / ((some[k][0] - some[k + 1][0]) * self.fps) for k in pairs]
        track.filter.mean = np.concatenate((z[0], np.mean(speed, axis=0)))

    def begin(self, matched):
        config, w = self.config, self.world
        kept = range(len(w.seen))
        if config.nms < 1:
            kept = self.suppress(kept, config.nms, [d.score for d in w.seen])
        fresh = [j for j in kept if w.seen[j].score >= config.new and j not in matched.values()]
        known = [t for t in self.tracks if self.age(t) <= w.motion_age() + 1e-6]
        begun = []
        for j in sorted(fresh, key=lambda j: (-w.seen[j].score, *w.seen[j].box[::-1])):
            d = w.seen[j]
            rivals = [w.predicted(t) for t in known if w.alike(t, d)]
            rivals += [w.seen[k].box for k in begun if w.alike(w.seen[k], d)]
            if config.birth_iou < 1 and any(slow_iou(d.box, r) > config.birth_iou for r in rivals):
                continue
            begun.append(j)
            book = Textbook(config.motion, w.z(d.box))
            track = Track(book, [(self.time, d.box)], [d.score], self.time, self.time, d.class_id)
            track.kept = copy.deepcopy(book)
            at_once = config.confirm_hits == 1 or self.frame < config.start_frames
            if at_once or d.score >= config.confirm_score:
                track.status = "active"
            if d.vector is not None:
                track.recent, track.views = d.vector / np.linalg.norm(d.vector), [d.vector]
            self.tracks.append(track)
            matched[track] = j

    def drop_duplicates(self):
        if self.config.duplicate_iou >= 1:
            return
        doomed = []
        for a in self.tracks:
            for b in self.tracks:
                rivals = a.status == "active" and b.status == "lost" and self.world.alike(a, b)
                rivals = rivals and not (self.config.told_apart and a.views and b.views)
                rivals = rivals and self.age(b) <= self.world.motion_age() + 1e-6
                boxes = self.world.predicted(a), self.world.predicted(b)
                if rivals and slow_iou(*boxes) > self.config.duplicate_iou:
                    doomed.append(b if a.seen - a.born > b.seen - b.born else a)
        self.tracks = [t for t in self.tracks if t not in doomed]

    def report(self, matched, detections):
        config = self.config
        shown = [t for t in self.tracks if t in matched and t.status == "active"]
        if config.report_streak and self.frame >= config.start_frames:
            shown = [t for t in shown if t.streak >= config.report_streak]
        missing = [t for t in self.tracks if t.status == "lost" and t.id]
        covered = [t for t in missing if config.hidden is not None and self.is_hidden(t, shown)]
        shown += covered
        if config.coast > 0:
            shown += [t for t in missing if t not in covered and self.age(t) <= config.coast + 1e-6]
        for track in self.tracks:
            if track in shown and track.id == 0:
                self.last_id += 1
                track.id = self.last_id
        rows = []
        for t in sorted(shown, key=lambda t: t.id):
            j = matched.get(t, -1)
            measured = config.box == "detection" and j >= 0
            box = self.world.seen[j].box if measured else self.world.predicted(t)
            score = t.scores[0] if j < 0 else detections.score[j]
            rows.append((t.id, j, t.class_id, float(score), *box))
        return rows

    def is_hidden(self, track, shown):
        rule, a = self.config.hidden, self.world.predicted(track)
        if track.hits < rule.hits or self.age(track) > rule.age + 1e-6:
            return False
        for other in shown:
            b = self.world.predicted(other)
            width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
            height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
            size = (a[2] - a[0]) * (a[3] - a[1])
            nearer = b[3] >= a[3] - rule.slack * (a[3] - a[1])
            if width * height >= rule.cover * size and width * height > 0 and nearer:
                return True
        return False
