"""The sharpest pictures of each person, a folder a person. Whoever is half behind somebody, half outside or half
recognised (a low score) counts as less sharp.

While a source is tracked, crops that are among somebody's best so far go to the end of one file, so that a stopped run
can go on from any of its bytes; at the end the best of all go into folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_folder, reading
from retrace.tracker.boxes import area, clip, iou_matrix
from retrace.tracker.data import MotTable, Step
from retrace.tracker.outputs.blur import hidden
from retrace.tracker.outputs.style import Style

GROWN = ".cropped"  # NAME.cropped.partial while the run goes on
ROW = np.dtype(
    [("frame", "<i8"), ("time", "<f8"), ("id", "<i8"), ("xyxy", "<f4", 4), ("worth", "<f4"), ("bytes", "<u4")]
)
SPACING = 0.5  # s between two crops of a person: neighbouring frames are one picture
SAME_BOX = 0.5  # intersection over union with a box of the finished result whose person it is
SMALLEST = 8  # px, side of a crop
LOOK_AT = (64, 128)  # px, (width, height) at which sharpness is measured, so that large and near is sharper
QUALITY = 92  # of the JPEGs


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of (h, w, 3) uint8 BGR at 64x128 px: how much fine detail there is."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    shrinks = image.shape[0] >= LOOK_AT[1]
    small = cv2.resize(grey, LOOK_AT, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return float(cv2.Laplacian(small, cv2.CV_32F).var())


def seen_share(xyxy: np.ndarray, picture: tuple[int, int]) -> np.ndarray:
    """(N,) share of each box (N, 4) px that lies in a picture of (height, width) and behind no other single box.
    Whose lower edge is lower is in front: people stand on one floor."""
    inside = clip(xyxy, picture)
    low, high = np.maximum(inside[:, None, :2], inside[:, :2]), np.minimum(inside[:, None, 2:], inside[:, 2:])
    common = np.maximum(high - low, 0).prod(2) * (xyxy[:, 3] > xyxy[:, 3, None])
    hidden_part = common.max(1, initial=0)
    return ((area(inside) - hidden_part) / np.maximum(area(xyxy), 1e-9)).clip(0, 1)


class CropRows:
    """Step -> what is appended for it: a row and a JPEG for each box that is one of its person's best so far."""

    def __init__(self, most: int, style: Style | None = None) -> None:
        """``most``: crops a person. ``style``: whether faces are blurred."""
        self._most, self._style = most, style or Style()
        self._best: dict[int, list[tuple[float, float]]] = {}  # id -> (time, worth) of those kept so far

    def __call__(self, step: Step) -> bytes:
        image, tracks = step.frame.image, step.tracks
        if image is None or not len(tracks):
            return b""
        share, told, shown = seen_share(tracks.xyxy, image.shape[:2]), [], image
        for k in np.flatnonzero(tracks.det_index >= 0).tolist():
            cut = _cut(image, tracks.xyxy[k])
            if cut is None:
                continue
            # as the file keeps it
            worth = float(np.float32(sharpness(image[cut]) * share[k] * tracks.score[k]))
            person = int(tracks.id[k])
            if not self._takes(person, step.frame.time, worth):
                continue
            if shown is image and self._style.blur is not None:
                shown = hidden(step, self._style.blur, self._style.names)
            data = cv2.imencode(".jpg", shown[cut], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            row = np.array((step.frame.index, step.frame.time, person, tracks.xyxy[k], worth, len(data)), ROW)
            told.append(row.tobytes() + data)
        return b"".join(told)

    def restore(self, grown: Path, position: int) -> None:
        """Know again what the first ``position`` bytes of a file hold.

        Raises:
            InputError: it is damaged.
        """
        for row, _ in read_rows(grown, position):
            self._takes(int(row["id"]), float(row["time"]), float(row["worth"]))

    def _takes(self, person: int, time: float, worth: float) -> bool:
        """Whether that is one of the best now; a better one replaces its neighbour in time, else the worst."""
        best = self._best.setdefault(person, [])
        near = [one for one in best if abs(one[0] - time) < SPACING]
        worse = near or (best if len(best) >= self._most else [])
        if worse:
            if max(near, default=min(best, key=_worth), key=_worth)[1] >= worth:
                return False
            for one in near or [min(best, key=_worth)]:
                best.remove(one)
        best.append((time, worth))
        return True


def _worth(one: tuple[float, float]) -> float:
    return one[1]


def read_rows(grown: Path, position: int | None = None) -> Iterator[tuple[np.void, bytes]]:
    """The rows (``ROW``) and JPEGs of a file that :class:`CropRows` filled, up to ``position`` bytes.

    Raises:
        InputError: it cannot be read, or breaks off.
    """
    with reading(grown, "start without resuming"), open(grown, "rb") as file:
        while position is None or file.tell() < position:
            head = file.read(ROW.itemsize)
            if not head:
                return
            row = np.frombuffer(head.ljust(ROW.itemsize, b"\0"), ROW)[0]
            data = file.read(int(row["bytes"]))
            if len(head) < ROW.itemsize or len(data) < row["bytes"]:
                raise InputError(f"{grown}: breaks off; start without resuming")
            yield row, data


@dataclass(frozen=True, slots=True)
class Crop:
    """One picture of a person of the finished result."""

    person: int
    frame: int
    time: float  # s
    worth: float
    number: int  # of the row in the file


def choose_crops(rows: list[np.void], table: MotTable, most: int) -> list[Crop]:
    """The ``most`` best crops of each person, best first, ``SPACING`` s apart; whose box is in no result is nobody's.

    Args:
        rows: of :func:`read_rows`, with the ids that the tracker gave.
        table: the result, in which people may have other ids, or none.
    """
    found: list[Crop] = []
    for number, row in enumerate(rows):
        here = table.take(slice(*np.searchsorted(table.frame, (row["frame"], row["frame"] + 1))))
        overlap = iou_matrix(here.xyxy, row["xyxy"][None].astype(float))[:, 0]
        if len(overlap) and overlap.max() >= SAME_BOX:
            person = int(here.id[overlap.argmax()])
            found.append(Crop(person, int(row["frame"]), float(row["time"]), float(row["worth"]), number))
    chosen: list[Crop] = []
    kept: dict[int, list[Crop]] = {}
    for crop in sorted(found, key=lambda one: (one.person, -one.worth, one.frame)):
        mine = kept.setdefault(crop.person, [])
        if len(mine) < most and all(abs(crop.time - other.time) >= SPACING for other in mine):
            mine.append(crop)
            chosen.append(crop)
    return chosen


def write_crops(folder: Path, grown: Path, table: MotTable, most: int) -> dict[int, str]:
    """FOLDER/0007/000123.jpg (person, frame from 0) of the best; the folder has its name once it is whole.

    Returns:
        each person's best, as FOLDER's name and the path below it.

    Raises:
        InputError: the place cannot be written, or ``grown`` not be read.
    """
    chosen = {crop.number: crop for crop in choose_crops([row for row, _ in read_rows(grown)], table, most)}
    with atomic_folder(folder, replace=True) as partial:
        for number, (_, data) in enumerate(read_rows(grown)):
            if number in chosen:
                path = partial / _name(chosen[number])
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
    best: dict[int, str] = {}
    for crop in sorted(chosen.values(), key=lambda one: -one.worth):
        best.setdefault(crop.person, f"{folder.name}/{_name(crop)}")
    return best


def _name(crop: Crop) -> str:
    return f"{crop.person:04d}/{crop.frame:06d}.jpg"


def _cut(image: np.ndarray, box: np.ndarray) -> tuple[slice, slice] | None:
    """Where a box (4,) px lies in an image, in whole pixels; None: too small a part of it."""
    x1, y1 = np.floor(box[:2]).clip(0, image.shape[1::-1]).astype(int).tolist()
    x2, y2 = np.ceil(box[2:]).clip(0, image.shape[1::-1]).astype(int).tolist()
    return None if min(x2 - x1, y2 - y1) < SMALLEST else (slice(y1, y2), slice(x1, x2))
