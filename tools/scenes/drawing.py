"""A street scene drawn here: people-like figures with known identities, for a demo that needs no download.

The figures are jointed (head, torso, two-part arms and legs), walk with a gait tied to the ground they cover,
hide one another by depth, and differ in clothes. Two of three walk out of the picture, turn round there and
come back in the same clothes. The same seed draws the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_write, writing
from retrace.tools.scenes.walks import (
    HORIZON,
    LIMB_RADIUS,
    SIZE,
    TRUNK_RADIUS,
    Walks,
    annotate,
    figure_boxes,
    plan_walks,
    pose,
)
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import write_ground_truth

SHIFT = 4  # fractional bits of the coordinates given to OpenCV
SHADE = 0.78  # brightness of the side away from the light


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
    stripe: bool


def dress(people: int, rng: np.random.Generator) -> list[Clothes]:
    """Clothes for each person: hues spread round the circle, so that no two tops are alike."""
    skins = np.array([[150, 180, 228], [110, 145, 200], [70, 100, 150], [50, 70, 105]], float)
    hairs = np.array([[25, 25, 30], [30, 50, 80], [70, 110, 150], [95, 95, 100]], float)
    hues = (rng.permutation(people) + rng.uniform(0, 0.3, people)) / people
    return [
        Clothes(
            top=_colour(hue, rng.uniform(0.55, 0.95), rng.uniform(*((0.25, 0.5), (0.85, 1.0))[person % 2])),
            legs=_colour(rng.uniform(), rng.uniform(0.1, 0.5), rng.uniform(0.12, 0.32)),
            hair=hairs[rng.integers(4)],
            skin=skins[rng.integers(4)],
            shoes=np.full(3, rng.choice([25.0, 60.0, 215.0])),
            bag=_colour(rng.uniform(), 0.6, 0.35) if person % 4 == 1 else None,
            short_sleeves=rng.uniform() < 0.5,
            stripe=person % 3 == 2,
        )
        for person, hue in enumerate(hues)
    ]


def _colour(hue: float, saturation: float, value: float) -> np.ndarray:
    """Hue, saturation, value in [0, 1] -> BGR in [0, 255]."""
    hsv = np.array([[[hue * 360, saturation, value]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].astype(float) * 255


def background(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 BGR: a house front above a pavement of slabs, both low in contrast, with grain."""
    height, width = SIZE
    base = 232  # px, the foot of the wall
    rows = np.arange(height)[:, None, None]
    wall, ground = np.array([168, 176, 186]) - 0.05 * rows, np.array([150, 152, 155]) + 0.05 * rows
    street = np.tile(np.where(rows < base, wall, ground), (1, width, 1)).astype(np.float32)
    for left in range(30, width, 150):  # windows
        cv2.rectangle(street, (left, 50), (left + 80, 150), (150, 150, 150), -1)
        cv2.rectangle(street, (left + 5, 55), (left + 75, 145), (142, 134, 126), -1)
    cv2.rectangle(street, (0, base - 14), (width, base), (140, 146, 152), -1)
    for across in range(-30, 31):  # slab joints meet at the horizon
        top = width / 2 + across * 110 * (base - HORIZON) / (height - HORIZON)
        foot = width // 2 + across * 110
        cv2.line(street, (round(top), base), (foot, height), (146, 148, 152), 1, cv2.LINE_AA)
    for row in HORIZON + 900 / np.arange(2.2, 8.8, 0.45):
        cv2.line(street, (0, round(row)), (width, round(row)), (147, 149, 153), 1)
    for cell, strength in ((1, 5.0), (4, 4.0), (24, 5.0), (90, 7.0)):  # grain, stains, clouds of light
        noise = rng.normal(0, strength, (height // cell + 2, width // cell + 2)).astype(np.float32)
        street += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return cv2.GaussianBlur(np.clip(street, 0, 250).astype(np.uint8), (3, 3), 0.8)


def draw_person(
    image: np.ndarray, limbs: np.ndarray, trunk: np.ndarray, height: float, heading: float, c: Clothes
) -> None:
    """One figure into ``image``: limbs (2, 7, 2), trunk (3, 2) px; far limbs first, near arm last."""
    near = int(np.cos(heading) > 0)
    radius = LIMB_RADIUS * height
    _arm(image, limbs[1 - near], radius, c, SHADE)
    for side, shade in ((1 - near, SHADE), (near, 1.0)):
        for first, colour in ((5, c.shoes), (4, c.legs), (3, c.legs)):
            _limb(image, limbs[side], radius, first, colour * shade)
    _trunk(image, limbs, trunk, height, heading, c)
    _arm(image, limbs[near], radius, c, 0.92)


def _arm(image: np.ndarray, joints: np.ndarray, radius: np.ndarray, c: Clothes, shade: float) -> None:
    _limb(image, joints, radius, 1, (c.skin if c.short_sleeves else c.top) * shade)
    _capsule(image, joints[2], joints[2], (radius[2], radius[2]), c.skin * shade)
    _limb(image, joints, radius, 0, c.top * shade)


def _limb(image: np.ndarray, joints: np.ndarray, radius: np.ndarray, first: int, colour: np.ndarray) -> None:
    _capsule(image, joints[first], joints[first + 1], (radius[first], radius[first + 1]), colour)


def _trunk(
    image: np.ndarray, limbs: np.ndarray, trunk: np.ndarray, height: float, heading: float, c: Clothes
) -> None:
    """Torso between shoulders and hips, a bag on the back, neck, head with hair and face."""
    head, neck, pelvis = trunk
    ahead, facing = np.cos(heading), np.sin(heading)
    bag = neck + np.array([[-0.085 * ahead, 0.09], [-0.085 * ahead, 0.19]]) * height
    bag_radii = (0.07 * height, 0.075 * height)
    if c.bag is not None and facing >= 0:
        _capsule(image, bag[0], bag[1], bag_radii, c.bag)
    broad = abs(limbs[1, 0, 0] - limbs[0, 0, 0]) / 2 + 0.045 * height  # half width at the shoulders
    waist, hem = max(0.7 * broad, 0.075 * height), max(0.75 * broad, 0.085 * height)
    middle = (neck + pelvis) / 2
    spine = np.stack([neck, neck, neck, middle, pelvis])
    spine[:, 1] += np.array([0.01, 0.045, 0.11, 0.04, 0.035]) * height
    half = np.array([0.3 * broad, 0.9 * broad, broad, waist, hem])[:, None] * [1, 0]
    _polygon(image, np.concatenate([spine + half, (spine - half)[::-1]]), c.top)
    if c.stripe:
        band = np.array([0.85 * waist, 0])
        _capsule(image, middle - band, middle + band, (0.03 * height, 0.03 * height), 255 - c.top)
    if c.bag is not None and facing < 0:
        _capsule(image, bag[0], bag[1], bag_radii, c.bag)
    _capsule(image, neck, head, (0.028 * height, 0.03 * height), c.skin * 0.9)
    _ellipse(image, head, TRUNK_RADIUS[0] * height, c.hair)
    if facing > -0.5:  # the face looks ahead, under the hair
        look = head + np.array([0.018 * ahead, 0.016]) * height
        _ellipse(image, look, np.array([0.042, 0.056]) * height, c.skin)


def _fixed(values: np.ndarray) -> np.ndarray:
    """Pixels -> OpenCV's fixed-point coordinates."""
    return np.round(values * (1 << SHIFT)).astype(np.int32)


def _capsule(
    image: np.ndarray, a: np.ndarray, b: np.ndarray, radii: tuple[float, float], colour: np.ndarray
) -> None:
    """A tapered limb with round ends, and a lighter core on the side of the light (left)."""
    ends, radius = np.stack([a, b]), np.array(radii)
    span = b - a
    normal = np.array([-span[1], span[0]]) / max(float(np.hypot(*span)), 1e-6)
    for size, offset, tone in ((1.0, 0.0, SHADE), (0.68, -0.22, 1.0)):
        paint = tuple((colour * tone).tolist())
        middle = ends + (offset * radius)[:, None] * [1, 0]
        edge = (size * radius)[:, None] * normal
        corners = _fixed(np.concatenate([middle + edge, (middle - edge)[::-1]]))
        cv2.fillConvexPoly(image, corners, paint, cv2.LINE_AA, SHIFT)
        for centre, r in zip(_fixed(middle).tolist(), _fixed(size * radius).tolist(), strict=True):
            cv2.circle(image, centre, r, paint, -1, cv2.LINE_AA, SHIFT)


def _polygon(image: np.ndarray, outline: np.ndarray, colour: np.ndarray) -> None:
    """A filled outline (N, 2) with a lighter core on the side of the light."""
    middle = outline.mean(0)
    width = float(np.ptp(outline[:, 0]))
    for size, offset, tone in (((1.0, 1.0), 0.0, SHADE), ((0.75, 0.76), -0.06, 1.0)):
        scaled = middle + (outline - middle) * size + np.array([offset * width, 0])
        cv2.fillPoly(image, [_fixed(scaled)], tuple((colour * tone).tolist()), cv2.LINE_AA, SHIFT)


def _ellipse(image: np.ndarray, centre: np.ndarray, axes: np.ndarray, colour: np.ndarray) -> None:
    where, paint = (_fixed(centre).tolist(), _fixed(axes).tolist()), tuple(colour.tolist())
    cv2.ellipse(image, *where, 0, 0, 360, paint, -1, cv2.LINE_AA, SHIFT)


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
    if not (0 < fps <= 240 and 2 <= seconds * fps <= 1e5 and 1 <= people <= 50):
        raise InputError(
            "a scene needs 2 to 100000 frames at up to 240 a second and 1 to 50 people; "
            f"got {seconds:g} s at {fps:g} frames/s, {people} people"
        )
    rng = np.random.default_rng(seed)
    walks = plan_walks(round(seconds * fps), fps, people, rng)
    truth = annotate(walks, figure_boxes(walks, *pose(walks)))
    with writing(path, what="folder"):
        _encode(Path(path), draw_frames(walks, dress(people, rng), rng), fps)
    return truth


def _encode(path: Path, frames: Iterator[np.ndarray], fps: float) -> None:
    import av

    rate = Fraction(fps).limit_denominator(1001)
    with atomic_write(path, "wb") as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate, {"preset": "veryfast"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


def save_scene(
    folder: Path, seconds: float = 16.0, fps: float = 25.0, people: int = 8, seed: int = 0
) -> Path:
    """The scene as FOLDER/scene.mp4, its truth as FOLDER/scene/{gt/gt.txt,seqinfo.ini}; the mp4's path."""
    video, sequence = folder / "scene.mp4", folder / "scene"
    truth = render_scene(video, seconds, fps, people, seed)
    write_ground_truth(sequence / "gt" / "gt.txt", truth)
    with atomic_write(sequence / "seqinfo.ini") as file:
        file.write(
            f"[Sequence]\nname=scene\nimDir=img1\nframeRate={fps:g}\nseqLength={round(seconds * fps)}\n"
            f"imWidth={SIZE[1]}\nimHeight={SIZE[0]}\nimExt=.jpg\n"
        )
    return video
