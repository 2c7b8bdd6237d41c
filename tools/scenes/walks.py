"""Where the people of the drawn scene are: paths, joints and boxes, and the ground truth made of them.

Arrays only; drawing.py draws them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrace.tracker.boxes import area, clip
from retrace.tracker.data import MotTable

SIZE = (540, 960)  # height, width, px
HORIZON = 130.0  # px
SCALE = 0.564  # px of body height per px of the feet below the horizon: a camera at 1.8 body heights
FOCAL = 1000.0  # px; only turns changes of size into steps along the line of sight
HEIGHTS = (112.0, 200.0)  # px, of the farthest and the nearest person
MIN_INSIDE = 0.25  # share of a box inside the picture from which on a person is annotated

# One side's joints: shoulder, elbow, hand, hip, knee, ankle, toe; then head centre, neck, pelvis.
LIMB_RADIUS = np.array([0.040, 0.030, 0.022, 0.062, 0.042, 0.028, 0.020])  # body heights
TRUNK_RADIUS = np.array([[0.052, 0.075], [0.03, 0.03], [0.075, 0.03]])  # across, up


@dataclass(frozen=True, slots=True, eq=False)
class Walks:
    """Where P people are in F frames: arrays of shape (F, P)."""

    x: np.ndarray  # px, middle of the body
    height: np.ndarray  # px, from crown to sole
    heading: np.ndarray  # rad; 0 walks right, pi/2 towards the camera
    gait: np.ndarray  # rad; one turn is two steps

    @property
    def foot(self) -> np.ndarray:
        """(F, P) px: the ground under the body; a taller figure is a nearer one."""
        return HORIZON + self.height / SCALE


def plan_walks(frames: int, fps: float, people: int, rng: np.random.Generator) -> Walks:
    """Smooth paths in perspective; everybody is in the picture at the start, ids 1, 4, 7, ... stay in it."""
    t = np.arange(frames)[:, None] / fps
    width = SIZE[1]
    start = ((rng.permutation(people) + rng.uniform(0.3, 0.7, people)) / people - 0.5) * 0.84 * width
    lane = (rng.permutation(people) + 0.5) / people  # 0 far, 1 near
    side = rng.permutation(people) % 2 * 2.0 - 1  # half of them set off to the right
    leaves = np.arange(people) % 3 > 0
    reach = width * np.where(leaves, rng.uniform(0.58, 0.68, people), rng.uniform(0.28, 0.36, people))
    sway = rng.uniform(0.08, 0.25, people)
    phase = rng.uniform(0.3, 0.6, people) * t + rng.uniform(0, 2 * np.pi, people)
    near = 0.5 + (lane - 0.5) * (1 - 2 * sway) + sway * np.sin(phase)
    height = HEIGHTS[0] + (HEIGHTS[1] - HEIGHTS[0]) * near
    pace = rng.uniform(0.7, 0.95, people) * height.mean(0)  # px/s
    # A line folded at +-reach, its corners rounded: a walk to and fro with smooth turns.
    along = np.clip(start, -0.9 * reach, 0.9 * reach) * side + pace * t
    x = width / 2 + side * reach * np.arcsin(0.98 * np.sin(np.pi / 2 * along / reach)) / np.arcsin(0.98)
    dx = np.gradient(x, axis=0) / height
    dz = FOCAL * np.gradient(height, axis=0) / height**2
    steps = np.cumsum(np.hypot(dx, dz), axis=0)  # body heights
    gait = 2 * np.pi * (steps / 0.82 + rng.uniform(0, 1, people))
    return Walks(x, height, np.arctan2(dz, dx), gait)


def pose(walks: Walks) -> tuple[np.ndarray, np.ndarray]:
    """Joints in the picture, px.

    Returns:
        limbs (F, P, 2, 7, 2): left and right side, joints as in LIMB_RADIUS; trunk (F, P, 3, 2): head centre,
        neck, pelvis.
    """
    side = np.array([-1.0, 1.0])
    swing = walks.gait[..., None] + np.pi * (side > 0)  # (F, P, 2); the two legs are half a turn apart
    thigh = 0.44 * np.sin(swing)
    shin = thigh - 0.12 - 0.65 * np.maximum(0, np.cos(swing))  # the knee bends while the leg comes forward
    upper = -0.40 * np.sin(swing)  # arms swing against the legs
    lower = upper + 0.30
    zero = np.zeros_like(swing)
    forward = {"hip": zero, "shoulder": zero + 0.01}
    up = {"hip": zero + 0.50, "shoulder": zero + 0.80}
    for start, end, length, angle in (
        ("hip", "knee", 0.245, thigh),
        ("knee", "ankle", 0.225, shin),
        ("ankle", "toe", 0.065, shin + 1.35),
        ("shoulder", "elbow", 0.165, upper),
        ("elbow", "hand", 0.165, lower),
    ):
        forward[end] = forward[start] + length * np.sin(angle)
        up[end] = up[start] - length * np.cos(angle)
    names = ("shoulder", "elbow", "hand", "hip", "knee", "ankle", "toe")
    spread = np.array([0.115, 0.135, 0.14, 0.055, 0.055, 0.05, 0.06])  # from the middle, body heights
    limb = np.stack([np.stack([forward[n] for n in names], -1), np.stack([up[n] for n in names], -1)], -1)
    ground = (limb[..., 1] - LIMB_RADIUS).min((2, 3))  # the lower sole stands on the ground: the body bobs
    limb[..., 1] -= ground[:, :, None, None]
    trunk = np.zeros((*walks.x.shape, 3, 2))
    trunk[..., 0] = [0.015, 0.005, 0.0]
    trunk[..., 1] = np.array([0.915, 0.83, 0.50]) - ground[..., None]
    lateral = np.broadcast_to(side[:, None] * spread, limb.shape[:-1])
    return _project(walks, limb, lateral), _project(walks, trunk, np.zeros(trunk.shape[:-1]))


def _project(walks: Walks, sagittal: np.ndarray, lateral: np.ndarray) -> np.ndarray:
    """(F, P, ..., 2) forward and up, (F, P, ...) to the right, in body heights -> (F, P, ..., 2) px."""
    x, foot, height, cos, sin = (
        a.reshape(a.shape + (1,) * (lateral.ndim - 2))
        for a in (walks.x, walks.foot, walks.height, np.cos(walks.heading), np.sin(walks.heading))
    )
    forward, up = sagittal[..., 0], sagittal[..., 1]
    nearer = forward * sin + lateral * cos  # towards the camera, which sees it a little lower
    return np.stack([x + height * (forward * cos - lateral * sin), foot - height * (up - 0.12 * nearer)], -1)


def figure_boxes(walks: Walks, limbs: np.ndarray, trunk: np.ndarray) -> np.ndarray:
    """(F, P, 4) xyxy: tight around each figure, the unseen parts included, also outside the picture."""
    frames, people = walks.x.shape
    points = np.concatenate([limbs.reshape(frames, people, 14, 2), trunk], 2)
    radius = np.concatenate([np.tile(LIMB_RADIUS[:, None], (2, 2)), TRUNK_RADIUS])
    radius = radius * walks.height[:, :, None, None]
    return np.concatenate([(points - radius).min(2), (points + radius).max(2)], -1)


def annotate(walks: Walks, boxes: np.ndarray) -> MotTable:
    """Ground truth of (F, P, 4) boxes: ids from 1, boxes clipped to the picture, all considered, class 1.

    A person with less than MIN_INSIDE of the box inside the picture is left out. Visibility is the share of
    the whole box that is inside and not behind the box of somebody nearer (measured on 16 x 16 points).
    """
    frames, people = walks.x.shape
    flat = boxes.reshape(-1, 4)
    inside = clip(flat, SIZE)
    kept = (area(inside) >= MIN_INSIDE * area(flat)).reshape(frames, people)
    visibility = np.stack([_visible_share(b, f) for b, f in zip(boxes, walks.foot, strict=True)])
    frame, person = np.nonzero(kept)
    return MotTable(
        frame=frame,
        id=person + 1,
        xyxy=inside.reshape(frames, people, 4)[kept],
        score=np.ones(len(frame)),
        class_id=np.ones(len(frame), np.int64),
        visibility=visibility[kept],
    )


def _visible_share(boxes: np.ndarray, foot: np.ndarray) -> np.ndarray:
    """(P, 4) boxes, (P,) ground lines of one frame -> (P,) in [0, 1]."""
    grid = (np.arange(16) + 0.5) / 16
    x = boxes[:, 0, None] + (boxes[:, 2] - boxes[:, 0])[:, None] * np.tile(grid, 16)  # (P, 256)
    y = boxes[:, 1, None] + (boxes[:, 3] - boxes[:, 1])[:, None] * np.repeat(grid, 16)
    seen = (x >= 0) & (x < SIZE[1]) & (y >= 0) & (y < SIZE[0])
    x1, y1, x2, y2 = boxes.T[:, :, None, None]  # of who hides, (P, 1, 1)
    hidden = (x >= x1) & (x < x2) & (y >= y1) & (y < y2) & (foot[:, None, None] > foot[:, None])
    return (seen & ~hidden.any(0)).mean(1)
