"""One frame of a slow tracker, and the same as the engine's costs see it."""

import numpy as np

from retrace.tracker import Detections, Tracker
from retrace.tracker.association.assignment import CandidatePairs
from retrace.tracker.association.inputs import CostInputs
from retrace.tracker.config import LogOdds, Stage, TrackerConfig
from retrace.tracker.motion.models import MODELS
from retrace.tracker.rows import STATUS
from retrace.tracker.tracks.state import Depth, blank
from tests.tracker.crowds import crowd
from tests.tracker.slow_costs import Seen, Track, World
from tests.tracker.slow_tracker import SlowTracker
from tests.tracker.textbook import Textbook

STEP = 1 / 30
STAGE = Stage(tracks=["active", "lost"], detections="high", cost="iou", limit=1, neutral_appearance=0.3)
OBSERVED = STAGE.model_copy(update={"against": "observed"})
OPEN_CUE = STAGE.model_copy(update={"cue_iou": 1.0, "cue_appearance": 0.4})


ODDS = LogOdds(
    gaps=(0.1, 0.5),
    bias=-0.5,
    overlap={"at": [0, 0.5, 1], "nats": [[-2, 1, 2], [-1, 0, 1], [0, 0, 1], [0, 0, 0]]},
    place={"at": [-1, 1, 4], "nats": [[2, 1, -3], [1, 0, -2], [1, 0, -1], [0, 0, -1]]},
    size={"at": [0, 0.5], "nats": [[0.5, -1]]},
    score={"at": [0.1, 1], "nats": [[-0.5, 0.5]]},
    fall={"at": [-0.3, 0, 0.3], "nats": [[0, 0.2, -0.4]]},
    look={"at": [0, 0.5, 1.2], "nats": [[4, 0, -3], [3, 0, -3], [3, 0, -3], [2, 0, -2]]},
)


def config(**changes):
    plain = {"tracks": ["active"], "detections": "high", "cost": "iou", "limit": 0.7}
    return TrackerConfig(**({"stages": [plain], "log_odds": ODDS} | changes))


def live_tracks(world, depth=6):
    """Slow tracks as the engine's arrays."""
    tracks, count = world.tracks, len(world.tracks)
    mean = np.array([t.filter.mean for t in tracks]).reshape(count, 8)
    cov = np.array([t.filter.cov for t in tracks]).reshape(count, 8, 8)
    at = np.arange(4)
    parts = (mean[:, :4], mean[:, 4:], cov[:, at, at], cov[:, at, at + 4], cov[:, at + 4, at + 4])
    past, when = np.zeros((count, depth, 4)), np.full((count, depth), np.nan)
    size = max((len(v) for t in tracks for v in t.views), default=0)
    recent = np.zeros((count, size), np.float32)
    for k, t in enumerate(tracks):
        past[k] = [t.boxes[min(n, len(t.boxes) - 1)][1] for n in range(depth)]
        when[k, : len(t.boxes)] = [time for time, _ in t.boxes[:depth]]
        recent[k] = t.recent if t.views else 0
    score = [(*t.scores, t.scores[-1])[:2] for t in tracks]
    live = blank(count, Depth(boxes=depth, scores=5), size)
    for name in ("id", "hits", "streak", "born", "seen", "class_id"):
        getattr(live, name)[:] = [getattr(t, name) for t in tracks]
    live.status[:] = [STATUS[t.status] for t in tracks]
    live.score[:], live.score_before[:] = [s for s, _ in score], [s for _, s in score]
    live.column[:], live.views[:] = -1, [len(t.views) for t in tracks]
    live.box[:] = np.array([t.last for t in tracks]).reshape(count, 4)
    live.past[:], live.past_time[:] = past, when
    live.vectors.recent[:] = live.vectors.history[:] = recent
    live.filters[:] = np.array(parts)
    live.scores[:, :2] = np.array([t.belief.mean for t in tracks]).reshape(count, 2)
    return live


def as_inputs(world):
    """A slow world as the costs see it."""
    live = live_tracks(world)
    looks = [[world.look(t, j) for j in range(len(world.seen))] for t in world.tracks]
    looks = np.array([[np.nan if x is None else x for x in row] for row in looks])
    xyxy = np.array([d.box for d in world.seen]).reshape(-1, 4)
    detections = Detections(xyxy, [d.score for d in world.seen], [d.class_id for d in world.seen])
    known = looks.size and not np.isnan(looks).all()
    box = world.model.to_xyxy(live.filters[0])
    appearance = looks if known else None
    return CostInputs(
        world.config, live, detections, world.model, box, appearance, world.time, world.interval
    )


def all_pairs(world, stage):
    """All T x N pairs, with the IoU of those that overlap."""
    row, col = np.indices((len(world.tracks), len(world.seen))).reshape(2, -1)
    pairs = zip(row.tolist(), col.tolist(), strict=True)
    return CandidatePairs(row, col, np.array([world.iou(stage, world.tracks[a], b) for a, b in pairs]))


def random_world(seed, preset="tracktrack", **more):
    """A slow tracker in the middle of a scene, just before it would associate."""
    frames = list(crowd(seed, frames=14, people=7, **more))
    slow = SlowTracker(Tracker.from_config(preset).config.model_copy(update={"log_odds": ODDS}))
    for frame in frames[:-1]:
        slow.update(*frame)
    detections, _, warp = frames[-1]
    before, time = slow.time, slow.time + STEP
    slow.predict(1.0, warp)
    world = World(slow.config, slow.model, slow.tracks, slow.read(detections), time, before, STEP, 1.3)
    world.open = set(range(len(world.seen)))
    return world


def track(box, *older, motion="xywh", scores=(0.8,), age=1, since=1, **more):
    """A track whose filter stands at ``box``, born ``age`` and last seen ``since`` steps before now (one second)."""
    z = MODELS[motion].from_xyxy(np.array([box], np.float64))[0]
    boxes = [(1 - (since + k) * STEP, np.array(b, np.float64)) for k, b in enumerate((box, *older))]
    score = [np.float32(s) for s in scores]
    more = {"status": "active", "streak": len(score) - 1 if since == 1 else 0} | more
    made = Track(Textbook(motion, z), boxes, score, 1 - age * STEP, 1 - since * STEP, **more)
    for s in score[-2::-1]:
        made.belief.predict()
        made.belief.update(s)
    made.belief.predict(since)
    return made


def one_pair(track_, box, score=0.9, motion="xywh", others=(), vectors=(None,), **changes):
    """World of one track (or several) and the detections ``box``, ``others``."""
    boxes = [np.array(b, np.float64) for b in (box, *others)]
    vectors = [*vectors, *[None] * (len(boxes) - len(vectors))]
    seen = [Seen(b, np.float32(score), 0, v) for b, v in zip(boxes, vectors, strict=True)]
    tracks = track_ if isinstance(track_, list) else [track_]
    settings_ = config(motion=motion, **changes)
    world = World(settings_, MODELS[motion], tracks, seen, 1.0, 1 - STEP, STEP)
    world.open = set(range(len(seen)))
    return world


BOX = (0, 0, 20, 40)
HALF = (10, 0, 30, 40)  # IoU 400 / 1200 = 1 / 3 with BOX
