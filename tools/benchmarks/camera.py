"""Camera motion: error, cost and what it does for tracking, on real videos behind a camera that is made to move.

A window pans, rolls, zooms and shakes over frames of a camera that stands (PETS09-S2L1 as vtest.avi, TUD-Campus,
TUD-Stadtmitte), so every warp from frame to frame is known. ``accuracy`` compares what each method tells with it,
px at the worst corner of the window, with the people of the ground truth masked and without; in the case "crowd"
pasted people walk with the camera and cover about half of the picture. ``speed`` is CPU ms a frame.
``effect`` tracks the moved boxes with preset ``default``, motion only, and scores against the moved ground truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from retrace.configs import InputError
from retrace.eval.mot.score import evaluate
from retrace.tools.benchmarks.side_by_side import shared_folder
from retrace.tracker import Detections, Tracker
from retrace.tracker.camera.estimators import METHODS
from retrace.tracker.camera.warps import Camera, EstimatedCamera, FileCamera, shares
from retrace.tracker.data import Frame, MotTable
from retrace.tracker.detection.boxes_file import detections_from_table
from retrace.tracker.mot_file import read_detections, read_ground_truth
from retrace.tracker.pipeline import run
from retrace.tracker.sources import open_source

PETS = "PETS09-S2L1"
CASES = (PETS, "TUD-Campus", "TUD-Stadtmitte")
WINDOW = 0.66  # of the picture's sides
PARTS = ("accuracy", "speed", "effect")
Row = dict[str, Any]
Path3 = np.ndarray  # (F, 3, 3): points of the scene -> points of the window, px


@dataclass(frozen=True, slots=True)
class Footage:
    """A standing camera's sequence."""

    images: list[np.ndarray]
    people: MotTable  # ground truth
    fps: float


def measure(
    data: Path | None = None,
    frames: int = 795,
    parts: Sequence[str] = PARTS,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, list[Row]]:
    """Part -> rows of its table.

    Args:
        data: folder with MOT15-train/ and videos/vtest.avi; None: the shared folder's.
        frames: of PETS09-S2L1 (795); ``speed`` takes 60 of them at most.
        parts: of PARTS.
        say: told the lines of each table, each as soon as it is known.

    Raises:
        InputError: no such data, or another part.
    """
    data = data or shared_folder() / "data"
    if not (data / "MOT15-train").is_dir():
        raise InputError(f"`data` {data}: expected a folder with MOT15-train/ and videos/vtest.avi")
    for part in parts:
        if part not in PARTS:
            raise InputError(f"`parts` {part}: expected some of {','.join(PARTS)}")
    cv2.setNumThreads(1)
    measures = {"accuracy": accuracy, "speed": speed, "effect": effect}
    return {part: show(part, measures[part](data, frames), say) for part in parts}


def show(title: str, rows: Iterable[Row], say: Callable[[str], None]) -> list[Row]:
    """Print a table, each row as soon as it is there."""
    told: list[Row] = []
    for row in rows:
        if not told:
            say(f"\n{title}\n| " + " | ".join(row) + " |\n" + "|---" * len(row) + "|")
        say("| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()) + " |")
        told.append(row)
    return told


def open_footage(data: Path, name: str, frames: int) -> Footage:

    folder = data / "MOT15-train" / name
    source = open_source(str(data / "videos" / "vtest.avi" if name == PETS else folder))
    images = [f.image for _, f in zip(range(frames), source.frames(), strict=False) if f.image is not None]
    return Footage(images, read_ground_truth(folder / "gt" / "gt.txt"), 7.0 if name == PETS else 25.0)


def window_size(image: np.ndarray) -> tuple[int, int]:
    """(width, height) px of the window."""
    return round(image.shape[1] * WINDOW), round(image.shape[0] * WINDOW)


def camera_path(frames: int, image: np.ndarray, kind: str) -> Path3:
    """Where the window is: "still", "pan" (up to 10 px a frame, with roll and zoom) or "shake" (from the hand)."""
    width, height = window_size(image)
    room = (np.array(image.shape[1::-1]) - (width, height)) / 2 * 0.6  # so that no corner leaves the picture
    k = np.arange(frames)
    x, y, angle, zoom = *np.zeros((3, frames)), np.ones(frames)
    if kind == "pan":
        x, y = room[0] * np.sin(k / 10), room[1] * np.sin(k / 8)
        angle, zoom = np.deg2rad(1.5) * np.sin(k / 9), 1 + 0.05 * np.sin(k / 15)
    elif kind == "shake":
        rng = np.random.default_rng(1)
        wave = np.stack([np.convolve(n, (0.25, 0.5, 0.25), "same") for n in rng.normal(size=(3, frames))])
        x, y, angle = 6 * wave[0], 6 * wave[1], np.deg2rad(0.4) * wave[2]
    path = np.zeros((frames, 3, 3))
    path[:, 2, 2] = 1
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    path[:, 0, :2], path[:, 1, :2] = np.stack((cos, -sin), 1), np.stack((sin, cos), 1)
    centre = np.stack((image.shape[1] / 2 + x, image.shape[0] / 2 + y), 1)
    path[:, :2, 2] = np.array((width, height)) / 2 - np.einsum("fij,fj->fi", path[:, :2, :2], centre)
    return path


def steps_of(path: Path3) -> np.ndarray:
    """(F, 2, 3): each frame's warp from the frame before; the first is the identity."""
    warps = np.tile(np.eye(3), (len(path), 1, 1))
    warps[1:] = path[1:] @ np.linalg.inv(path[:-1])
    return warps[:, :2]


def photograph(image: np.ndarray, place: np.ndarray) -> np.ndarray:
    """What the window shows. OpenCV's pixel centres are half a pixel off our points."""
    centres = place[:2].copy()
    centres[:, 2] += 0.5 * centres[:, :2].sum(axis=1) - 0.5
    return cv2.warpAffine(
        image, centres, window_size(image), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def moved(table: MotTable, path: Path3, size: tuple[int, int]) -> MotTable:
    """Boxes as the window sees them: centres warped, sides zoomed; those whose centre is outside are left out."""
    table = table.take(table.frame < len(path))
    place = path[table.frame]
    centre = (table.xyxy[:, :2] + table.xyxy[:, 2:]) / 2
    centre = np.einsum("rij,rj->ri", place[:, :2, :2], centre) + place[:, :2, 2]
    half = (table.xyxy[:, 2:] - table.xyxy[:, :2]) / 2 * np.sqrt(np.linalg.det(place[:, :2, :2]))[:, None]
    inside = ((centre >= 0) & (centre < size)).all(axis=1)
    return replace(table, xyxy=np.hstack((centre - half, centre + half))).take(inside)


def add_crowd(images: list[np.ndarray], footage: Footage) -> tuple[list[np.ndarray], np.ndarray]:
    """Six large people who stay where they are in the picture, as when a camera goes along with them."""
    height, width = images[0].shape[:2]
    sides = footage.people.xyxy[:, 2:] - footage.people.xyxy[:, :2]
    rows = np.argsort(-sides[:, 1], kind="stable")[:: len(sides) // 60 or 1][:6]
    left, wide, high = np.linspace(0, 0.84, 6) * width, round(0.13 * width), round(0.75 * height)
    boxes = np.array([(x, height - high, x + wide, height) for x in left.round()])
    images = [image.copy() for image in images]
    for row, (x1, y1, x2, y2) in zip(rows, boxes.astype(int), strict=True):
        a, b, c, d = footage.people.xyxy[row].round().clip(0).astype(int)
        person = cv2.resize(footage.images[footage.people.frame[row]][b:d, a:c], (x2 - x1, y2 - y1))
        for image in images:
            image[y1:y2, x1:x2] = person
    return images, boxes


def told_by(camera: EstimatedCamera, frames: Iterator[tuple[Frame, np.ndarray]]) -> tuple[np.ndarray, float]:
    """(F, 2, 3) warps (identity where none was told), and CPU ms a frame; people (N, 4) come with each frame."""
    told, spent = [], 0.0
    for frame, people in frames:
        seen = Detections(people, np.ones(len(people)))
        begin = time.process_time()
        warp = camera(frame, seen)
        spent += time.process_time() - begin
        told.append(np.eye(2, 3) if warp is None else warp)
    return np.array(told), 1000 * spent / len(told)


def corner_errors(told: np.ndarray, truth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(F,) px at the worst corner."""
    corners = np.array([(x, y, 1) for x in (0, size[0]) for y in (0, size[1])])
    apart = np.einsum("fij,cj->fci", told - truth, corners)
    return np.hypot(apart[..., 0], apart[..., 1]).max(axis=1)


def accuracy(data: Path, length: int) -> Iterator[Row]:
    for name in (*CASES, "crowd"):
        footage = open_footage(data, PETS if name == "crowd" else name, min(length, 200))
        size = window_size(footage.images[0])
        for kind in ("pan", "shake"):
            path = camera_path(len(footage.images), footage.images[0], kind)
            images = [photograph(image, place) for image, place in zip(footage.images, path, strict=True)]
            people = [table.xyxy for table in moved(footage.people, path, size).by_frame(len(path))]
            if name == "crowd":
                images, boxes = add_crowd(images, open_footage(data, "TUD-Campus", 99))
                people = [np.vstack((there, boxes)) for there in people]
            for row in errors(images, people, steps_of(path), footage.fps):
                yield {"clip": name, "camera": kind} | row


def errors(
    images: list[np.ndarray], people: list[np.ndarray], truth: np.ndarray, fps: float
) -> Iterator[Row]:
    """What each method is wrong by, with people masked and without; "none": what standing would be wrong by."""
    for method in ("none", *METHODS):
        row: Row = {"method": method}
        for label, limit in (("masked", None), ("unmasked", 0)):
            told = np.tile(np.eye(2, 3), (len(truth), 1, 1))
            if method != "none":
                frames = (
                    (Frame(k, k / fps, i), p[:limit])
                    for k, (i, p) in enumerate(zip(images, people, strict=True))
                )
                told, _ = told_by(EstimatedCamera(method), frames)
            error = corner_errors(told, truth, images[0].shape[1::-1])[1:]
            row |= {
                f"{label} median px": float(np.median(error)),
                f"{label} 95 %": float(np.quantile(error, 0.95)),
            }
            row |= {f"{label} max": float(error.max())}
        yield row


def speed(data: Path, length: int) -> Iterator[Row]:
    """CPU ms a frame of a camera that pans, and of one that stands, for frames scaled to that size."""
    footage = open_footage(data, PETS, min(60, length))
    for label, size in (("480p", (854, 480)), ("1080p", (1920, 1080))):
        stills = [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in footage.images]
        path = camera_path(len(stills), stills[0], "pan")
        moving = [cv2.resize(photograph(i, p), size) for i, p in zip(stills, path, strict=True)]
        for method in METHODS:
            row: Row = {"size": label, "method": method}
            for kind, images in (("moving", moving), ("standing", stills)):
                frames = (
                    (Frame(k, k / footage.fps, image), np.zeros((0, 4))) for k, image in enumerate(images)
                )
                row[f"{kind} ms"] = told_by(EstimatedCamera(method), frames)[1]
            yield row


def effect(data: Path, length: int) -> Iterator[Row]:
    """Of ``default`` on PETS09-S2L1 behind a moving window: no compensation, the true warps, each method."""
    footage = open_footage(data, PETS, length)
    size = window_size(footage.images[0])
    for boxes in ("det", "det_sort_frcnn"):
        found = read_detections(data / "MOT15-train" / PETS / boxes / "det.txt")
        for kind in ("still", "pan", "shake"):
            path = camera_path(len(footage.images), footage.images[0], kind)
            gt, seen = moved(footage.people, path, size), moved(found, path, size)
            cameras: dict[str, Camera | None] = {"none": None}
            cameras["true warps"] = FileCamera(dict(enumerate(steps_of(path))))
            for name, camera in {**cameras, **{m: EstimatedCamera(m) for m in METHODS}}.items():
                row = score(footage, path, gt, seen, camera)
                numbers = {m: float(100 * row[m]) for m in ("HOTA", "AssA", "IDF1", "MOTA")}
                told = {"told to move": shares(camera)["moving"] if camera else 0.0}
                yield (
                    {"boxes": boxes, "camera": kind, "compensation": name}
                    | numbers
                    | {"IDSW": row["IDSW"]}
                    | told
                )


def score(
    footage: Footage, path: Path3, gt: MotTable, seen: MotTable, camera: Camera | None
) -> dict[str, float | int]:
    """All metrics of ``default``, motion only, fed with the boxes of ``seen``."""
    frames = (Frame(k, k / footage.fps, photograph(i, path[k])) for k, i in enumerate(footage.images))
    tracker = Tracker.from_config("default", fps=footage.fps)
    result = MotTable.of(run(frames, detections_from_table(seen), tracker, camera=camera))
    return evaluate(gt, result, len(path), "MOT15").row()
