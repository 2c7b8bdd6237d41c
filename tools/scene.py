"""A street scene drawn here: people-like figures with known identities, for a demo that needs no download.

    python tools/scene.py [--out DIR] [--seconds S] [--fps F] [--people N] [--seed N]

writes DIR/scene.mp4, DIR/scene/gt/gt.txt and DIR/scene/seqinfo.ini, so that ``eval_mot.py --gt DIR`` reads it.

The figures are jointed (head, torso, two-part arms and legs), walk with a gait tied to the ground they cover,
hide one another by depth, and differ in clothes. Two of three walk out of the picture, turn round there and come
back in the same clothes. The same seed draws the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from configs import InputError
from tracker.boxes import area, clip, xyxy_to_tlwh
from tracker.data import MotTable
from tracker.mot_file import atomic_write

SIZE = (540, 960)  # height, width, px
HORIZON = 130.0  # px
SCALE = 0.564  # px of body height per px of the feet below the horizon: a camera at 1.8 body heights
FOCAL = 1000.0  # px; only turns changes of size into steps along the line of sight
HEIGHTS = (122.0, 218.0)  # px, of the farthest and the nearest person
MIN_INSIDE = 0.25  # share of a box inside the picture from which on a person is annotated
SHIFT = 4  # fractional bits of the coordinates given to OpenCV
SHADE = 0.78  # brightness of the side away from the light

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


@dataclass(frozen=True, slots=True)
class Clothes:
    """Colours as BGR floats in [0, 255]."""

    top: np.ndarray
    legs: np.ndarray
    hair: np.ndarray
    skin: np.ndarray
    shoes: np.ndarray
    bag: np.ndarray | None
    short_sleeves: bool
    stripes: bool


def plan_walks(frames: int, fps: float, people: int, rng: np.random.Generator) -> Walks:
    """Smooth paths in perspective; everybody is in the picture at the start, ids 1, 4, 7, ... stay in it."""
    t = np.arange(frames)[:, None] / fps
    width = SIZE[1]
    start = ((rng.permutation(people) + rng.uniform(0.3, 0.7, people)) / people - 0.5) * width
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

    A person with less than MIN_INSIDE of the box inside the picture is left out. Visibility is the share of the
    whole box that is inside and not behind the box of somebody nearer (measured on 16 x 16 points).
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


def dress(people: int, rng: np.random.Generator) -> list[Clothes]:
    """Clothes for each person: hues spread round the circle, so that no two tops are alike."""
    hues = (rng.permutation(people) + rng.uniform(0, 0.3, people)) / people
    skins = np.array([[150, 180, 228], [110, 145, 200], [70, 100, 150], [50, 70, 105]], float)
    hairs = np.array([[25, 25, 30], [30, 50, 80], [70, 110, 150], [95, 95, 100]], float)
    clothes = []
    for person, hue in enumerate(hues):
        dark_top = person % 2 == 0
        top = _colour(hue, rng.uniform(0.55, 0.95), rng.uniform(0.25, 0.5) if dark_top else rng.uniform(0.85, 1))
        legs = _colour(rng.uniform(), rng.uniform(0.1, 0.5), rng.uniform(0.12, 0.32))
        bag = _colour(rng.uniform(), 0.6, 0.35) if person % 4 == 1 else None
        skin, hair = skins[rng.integers(4)], hairs[rng.integers(4)]
        shoes = np.full(3, rng.choice([25.0, 60.0, 215.0]))
        clothes.append(Clothes(top, legs, hair, skin, shoes, bag, rng.uniform() < 0.5, person % 3 == 2))
    return clothes


def _colour(hue: float, saturation: float, value: float) -> np.ndarray:
    """Hue, saturation, value in [0, 1] -> BGR in [0, 255]."""
    hsv = np.array([[[hue * 360, saturation, value]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float) * 255


def background(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 BGR: a house front above a pavement of slabs, both low in contrast, with grain."""
    height, width = SIZE
    street = np.empty((height, width, 3), np.float32)
    rows = np.arange(height)[:, None, None]
    base = 232  # px, the foot of the wall
    street[:] = np.where(rows < base, np.array([168, 176, 186]) - 0.05 * rows, np.array([150, 152, 155]) + 0.05 * rows)
    for left in range(30, width, 150):  # windows and doors
        cv2.rectangle(street, (left, 50), (left + 80, 150), (150, 150, 150), -1)
        cv2.rectangle(street, (left + 5, 55), (left + 75, 145), (142, 134, 126), -1)
    cv2.rectangle(street, (0, base - 14), (width, base), (140, 146, 152), -1)
    for step in range(-30, 60):  # slab joints meet at the horizon
        foot = width / 2 + step * 110
        at_base = width / 2 + step * 110 * (base - HORIZON) / (height - HORIZON)
        cv2.line(street, (round(at_base), base), (round(foot), height), (146, 148, 152), 1, cv2.LINE_AA)
    for row in HORIZON + 900 / np.arange(2.2, 9, 0.45):
        if row > base:
            cv2.line(street, (0, round(row)), (width, round(row)), (147, 149, 153), 1)
    for cell, strength in ((1, 5.0), (4, 4.0), (24, 5.0), (90, 7.0)):  # grain, stains, clouds of light
        grid = rng.normal(0, strength, (height // cell + 2, width // cell + 2)).astype(np.float32)
        street += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return cv2.GaussianBlur(np.clip(street, 0, 250).astype(np.uint8), (3, 3), 0.8)


def draw_person(
    image: np.ndarray, limbs: np.ndarray, trunk: np.ndarray, height: float, heading: float, clothes: Clothes
) -> None:
    """One figure into ``image``: limbs (2, 7, 2), trunk (3, 2) px; far limbs first, then trunk, near arm last."""
    c, near = clothes, int(np.cos(heading) > 0)
    sleeve = c.skin if c.short_sleeves else c.top
    radius = LIMB_RADIUS * height
    for side in (1 - near, near):
        shade = SHADE if side != near else 1.0
        joint = limbs[side]
        if side != near:
            _arm(image, joint, radius, c.top * shade, sleeve * shade, c.skin * shade)
        _capsule(image, joint[5], joint[6], radius[5], radius[6], c.shoes * shade)
        _capsule(image, joint[4], joint[5], radius[4], radius[5], c.legs * shade)
        _capsule(image, joint[3], joint[4], radius[3], radius[4], c.legs * shade)
    _trunk(image, limbs, trunk, height, heading, c)
    _arm(image, limbs[near], radius, c.top * 0.92, sleeve * 0.92, c.skin)


def _arm(image: np.ndarray, joint: np.ndarray, radius: np.ndarray, *colours: np.ndarray) -> None:
    upper, lower, hand = colours
    _capsule(image, joint[1], joint[2], radius[1], radius[2], lower)
    _capsule(image, joint[2], joint[2], radius[2], radius[2], hand)
    _capsule(image, joint[0], joint[1], radius[0], radius[1], upper)


def _trunk(
    image: np.ndarray, limbs: np.ndarray, trunk: np.ndarray, height: float, heading: float, c: Clothes
) -> None:
    """Torso between shoulders and hips, neck, head with hair, and what is worn on the back."""
    head, neck, pelvis = trunk
    broad = np.abs(limbs[1, 0, 0] - limbs[0, 0, 0]) / 2 + 0.045 * height  # half width at the shoulders
    waist, hem = max(0.7 * broad, 0.075 * height), max(0.75 * broad, 0.085 * height)
    rows = np.array([[neck[1] + 0.012 * height, 0.3], [neck[1] + 0.05 * height, 1.0]])
    left_right = []
    for sign in (-1, 1):
        left_right.append(
            [
                (neck[0] + sign * 0.3 * broad, rows[0, 0]),
                (neck[0] + sign * 0.9 * broad, neck[1] + 0.045 * height),
                (neck[0] + sign * broad, neck[1] + 0.11 * height),
                ((neck[0] + pelvis[0]) / 2 + sign * waist, (neck[1] + pelvis[1]) / 2 + 0.04 * height),
                (pelvis[0] + sign * hem, pelvis[1] + 0.035 * height),
            ]
        )
    outline = np.array(left_right[0] + left_right[1][::-1])
    back = -np.sign(np.cos(heading)) * abs(np.cos(heading)) * 0.085 * height
    if c.bag is not None and np.sin(heading) >= 0:
        _bag(image, neck, height, back, c.bag)
    _polygon(image, outline, c.top)
    if c.stripes:
        middle = (neck + pelvis) / 2
        _capsule(image, middle - [waist * 0.85, 0], middle + [waist * 0.85, 0], 0.03 * height, 0.03 * height, 255 - c.top)
    if c.bag is not None and np.sin(heading) < 0:
        _bag(image, neck, height, back, c.bag)
    _capsule(image, neck, head, 0.028 * height, 0.03 * height, c.skin * 0.9)
    _ellipse(image, head, 0.052 * height, 0.075 * height, c.hair)
    if np.sin(heading) > -0.5:  # the face looks ahead, down from the hair
        look = np.array([0.018 * np.cos(heading), 0.016]) * height
        _ellipse(image, head + look, 0.042 * height, 0.056 * height, c.skin)


def _bag(image: np.ndarray, neck: np.ndarray, height: float, back: float, colour: np.ndarray) -> None:
    middle = neck + [back, 0.14 * height]
    _capsule(image, middle - [0, 0.05 * height], middle + [0, 0.05 * height], 0.07 * height, 0.075 * height, colour)


def _fixed(values: np.ndarray | list[float]) -> np.ndarray:
    return np.round(np.asarray(values) * (1 << SHIFT)).astype(np.int32)


def _capsule(
    image: np.ndarray, a: np.ndarray, b: np.ndarray, radius_a: float, radius_b: float, colour: np.ndarray
) -> None:
    """A tapered limb with round ends, and a lighter core on the side of the light (left)."""
    span = b - a
    normal = np.array([-span[1], span[0]]) / max(float(np.hypot(*span)), 1e-6)
    for size, offset, tone in ((1.0, 0.0, SHADE), (0.68, -0.22, 1.0)):
        ra, rb = radius_a * size, radius_b * size
        p, q = a + [offset * radius_a, 0], b + [offset * radius_b, 0]
        paint = tuple((colour * tone).tolist())
        corners = _fixed(np.array([p + normal * ra, q + normal * rb, q - normal * rb, p - normal * ra]))
        cv2.fillConvexPoly(image, corners, paint, cv2.LINE_AA, SHIFT)
        for centre, r in ((p, ra), (q, rb)):
            cv2.circle(image, _fixed(centre).tolist(), int(_fixed([r])[0]), paint, -1, cv2.LINE_AA, SHIFT)


def _polygon(image: np.ndarray, outline: np.ndarray, colour: np.ndarray) -> None:
    """A filled outline (N, 2) with a lighter core on the side of the light."""
    middle = outline.mean(0)
    for size, shift, tone in ((1.0, 0.0, SHADE), (0.75, -0.12, 1.0)):
        scaled = middle + (outline - middle) * [size, 0.94 * size + 0.06] + [shift * np.ptp(outline[:, 0]) / 2, 0]
        cv2.fillPoly(image, [_fixed(scaled)], tuple((colour * tone).tolist()), cv2.LINE_AA, SHIFT)


def _ellipse(image: np.ndarray, centre: np.ndarray, across: float, up: float, colour: np.ndarray) -> None:
    axes = _fixed([across, up]).tolist()
    cv2.ellipse(image, _fixed(centre).tolist(), axes, 0, 0, 360, tuple(colour.tolist()), -1, cv2.LINE_AA, SHIFT)


def draw_frames(walks: Walks, clothes: list[Clothes], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The frames, (H, W, 3) uint8 BGR, far people first."""
    limbs, trunk = pose(walks)
    street = background(rng)
    grain = rng.normal(3, 1.5, (8, *SIZE, 1)).clip(0, 6).astype(np.uint8).repeat(3, -1)
    for index, order in enumerate(np.argsort(walks.foot, axis=1, kind="stable")):
        image = street.copy()
        for p in order:
            _shadow(image, walks.x[index, p], walks.foot[index, p], walks.height[index, p])
        for p in order:
            scene = limbs[index, p], trunk[index, p], walks.height[index, p], walks.heading[index, p]
            draw_person(image, *scene, clothes[p])
        image = cv2.GaussianBlur(image, (3, 3), 0.7)  # a lens, not a drawing program
        yield cv2.add(image, grain[index % len(grain)])


def _shadow(image: np.ndarray, x: float, foot: float, height: float) -> None:
    """A soft patch under the feet, darkening what is there."""
    x1, x2 = (int(np.clip(x + s * 0.35 * height, 0, SIZE[1])) for s in (-1, 1))
    y1, y2 = (int(np.clip(foot + s * 0.06 * height, 0, SIZE[0])) for s in (-1, 1))
    rows, columns = np.arange(y1, y2)[:, None], np.arange(x1, x2)
    distance = ((columns - x) / (0.30 * height)) ** 2 + ((rows - foot) / (0.05 * height)) ** 2
    patch = image[y1:y2, x1:x2]
    patch[:] = patch * (1 - 0.4 * np.maximum(0, 1 - distance))[..., None]


def render_scene(
    path: str | Path, seconds: float = 16.0, fps: float = 25.0, people: int = 8, seed: int = 0
) -> MotTable:
    """Draw the scene into an H.264 mp4 and return its ground truth (see :func:`annotate`).

    Raises:
        InputError: a length, rate or number that makes no scene; a file that cannot be written.
    """
    if not (seconds > 0 and fps > 0 and 1 <= people <= 50 and round(seconds * fps) >= 2):
        raise InputError(
            f"a scene needs at least 2 frames and 1 to 50 people, got {seconds:g} s at {fps:g} fps, {people} people"
        )
    rng = np.random.default_rng(seed)
    walks = plan_walks(round(seconds * fps), fps, people, rng)
    truth = annotate(walks, figure_boxes(walks, *pose(walks)))
    try:
        _encode(Path(path), draw_frames(walks, dress(people, rng), rng), fps)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another folder") from None
    return truth


def _encode(path: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    import av

    with atomic_write(path, "wb") as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", Fraction(fps).limit_denominator(1001), {"preset": "veryfast"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


def write_ground_truth(path: str | Path, truth: MotTable) -> None:
    """A ``gt.txt`` of nine columns: frame and id from 1, tlwh, considered, class, visibility."""
    with atomic_write(path) as file:
        for frame, i, (x, y, w, h), flag, c, v in zip(
            *(truth.frame.tolist(), truth.id.tolist(), xyxy_to_tlwh(truth.xyxy).tolist()),
            *(truth.score.tolist(), truth.class_id.tolist(), truth.visibility.tolist()),
            strict=True,
        ):
            file.write(f"{frame + 1},{i},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{flag:.0f},{c},{v:.3f}\n")
