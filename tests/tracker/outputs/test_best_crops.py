"""The sharpest crops of each person: which are kept, whose they are, and going on in the middle."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame, MotTable, Step, Tracks
from retrace.tracker.outputs.best_crops import CropRows, read_rows, seen_share, sharpness, write_crops
from retrace.tracker.outputs.style import Style

NOISE = np.random.default_rng(0).integers(0, 255, (100, 40, 3)).astype(np.uint8)


def step(frame: int, blur: float, person: int = 1, x: int = 20, det: int = 0) -> Step:
    """Somebody at x whose picture is the softer the larger ``blur``; 10 frames/s."""
    image = np.full((140, 300, 3), 128, np.uint8)
    image[20:120, x : x + 40] = cv2.GaussianBlur(NOISE, (0, 0), blur) if blur else NOISE
    box = np.array([[x, 20, x + 40, 120]], np.float32)
    tracks = Tracks(np.array([person]), box, np.ones(1, np.float32), np.zeros(1, np.int32), np.array([det]))
    return Step(Frame(frame, frame / 10, image), Detections(box, [1.0]), tracks)


STEPS = [step(k, blur) for k, blur in enumerate([3, 2, 1, 2, 3, 4, 0, 4, 4, 4, 4, 4, 0.5, 4])]
STEPS += [step(20 + k, 1.5, person=2, x=200) for k in range(3)]


def written(folder: Path, steps: list[Step], most: int = 2, rows: CropRows | None = None) -> Path:
    rows = rows or CropRows(most)
    path = folder / "v.cropped.partial"
    path.write_bytes(b"".join(map(rows, steps)))
    return path


def table(steps: list[Step], ids: dict[int, int]) -> MotTable:
    found = MotTable.of(steps)
    keep = np.isin(found.id, [*ids])
    found = found.take(keep)
    new = np.array([ids[i] for i in found.id.tolist()], np.int64)
    return MotTable(found.frame, new, found.xyxy, found.score, found.class_id, found.visibility)


def test_the_sharpest_are_kept_half_a_second_apart(tmp_path: Path) -> None:
    """Frames 6 and 12 are sharpest; 2 is third, and neighbours of 6 do not count."""
    best = write_crops(tmp_path / "v.crops", written(tmp_path, STEPS), table(STEPS, {1: 1, 2: 2}), 2)
    found = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.jpg"))
    assert found == ["v.crops/0001/000006.jpg", "v.crops/0001/000012.jpg", "v.crops/0002/000020.jpg"]
    assert best == {1: "v.crops/0001/000006.jpg", 2: "v.crops/0002/000020.jpg"}
    assert cv2.imread(str(tmp_path / found[0])).shape == (100, 40, 3)


def test_people_of_the_finished_result(tmp_path: Path) -> None:
    """Both ids became person 7 afterwards; or the second was dropped as too short."""
    grown = written(tmp_path, STEPS)
    assert [*write_crops(tmp_path / "a", grown, table(STEPS, {1: 7, 2: 7}), 3)] == [7]
    assert len([*(tmp_path / "a" / "0007").iterdir()]) == 3
    assert [*write_crops(tmp_path / "b", grown, table(STEPS, {1: 1}), 3)] == [1]


def test_an_older_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "c" / "0009").mkdir(parents=True)
    write_crops(tmp_path / "c", written(tmp_path, STEPS), table(STEPS, {1: 1}), 1)
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["0001"]


@pytest.mark.parametrize("stop", [1, 5, 7, 13, 16])
def test_going_on_gives_the_same_bytes(tmp_path: Path, stop: int) -> None:
    whole = written(tmp_path, STEPS).read_bytes()
    first = written(tmp_path, STEPS[:stop])
    rows = CropRows(2)
    rows.restore(first, first.stat().st_size)
    assert first.read_bytes() + b"".join(map(rows, STEPS[stop:])) == whole


def test_who_is_only_predicted_gives_no_crop() -> None:
    assert CropRows(2)(step(0, 1, det=-1)) == b""
    assert CropRows(2)(Step(Frame(0, 0.0, None), Detections.empty(), step(0, 1).tracks)) == b""


def test_sharpness_and_what_is_seen() -> None:
    values = [sharpness(cv2.GaussianBlur(NOISE, (0, 0), s)) for s in (0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert sharpness(cv2.resize(NOISE[:25, :10], (40, 100))) < sharpness(NOISE), "few pixels are not sharp"
    # the second stands in front of the first's right half; the third is half outside
    boxes = np.array([(0, 0, 40, 100), (20, 0, 60, 110), (-20, 0, 20, 50.0)])
    assert seen_share(boxes, (200, 200)).tolist() == pytest.approx([0.5, 1, 0.5 * 0])


def test_faces_are_blurred(tmp_path: Path) -> None:
    _, plain = next(read_rows(written(tmp_path, STEPS[6:7])))
    _, soft = next(read_rows(written(tmp_path, STEPS[6:7], rows=CropRows(2, Style(blur="faces")))))
    plain_image, image = (cv2.imdecode(np.frombuffer(d, np.uint8), cv2.IMREAD_COLOR) for d in (plain, soft))
    assert (
        np.abs(np.diff(image[2:16].astype(int), axis=1)).mean()
        < 0.5 * np.abs(np.diff(plain_image[2:16].astype(int), axis=1)).mean()
    )
    assert np.abs(image[40:].astype(int) - plain_image[40:]).mean() < 3


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, STEPS)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="breaks off"):
        list(read_rows(path))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_rows(tmp_path / "nowhere"))
