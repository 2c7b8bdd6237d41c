"""The drawn scene: the pixels against its ground truth, its files."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from retrace.configs import InputError
from retrace.tools.scenes import drawing
from retrace.tools.scenes.walks import SIZE, Walks, figure_boxes, plan_walks, pose
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.detection.hog import hog_windows, people_in_windows
from retrace.tracker.mot_file import read_ground_truth, read_sequence_info
from tests.tools.scenes.people import standing, truth_of, walks_of

HEIGHT, WIDTH = SIZE


def frames_of(seed: int, count: int = 3) -> list[bytes]:
    rng = np.random.default_rng(seed)
    walks = plan_walks(count, 25.0, 4, rng)
    return [image.tobytes() for image in drawing.draw_frames(walks, drawing.dress(4, rng), rng)]


@pytest.mark.parametrize("heading", [0.0, np.pi, np.pi / 2, -np.pi / 2, 0.6])
@pytest.mark.parametrize("gait", [0.0, 1.5, 3.0])
def test_boxes_are_tight_around_what_is_drawn(heading: float, gait: float) -> None:
    walks = standing([400.0], [180.0], heading, gait)
    limbs, trunk = pose(walks)
    image = np.zeros((*SIZE, 3), np.uint8)
    clothes = drawing.dress(1, np.random.default_rng(0))[0]  # the first person carries no bag
    drawing.draw_person(image, limbs[0, 0], trunk[0, 0], 180.0, heading, clothes)
    rows, columns = np.nonzero(image.any(2))
    drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    box = figure_boxes(walks, limbs, trunk)[0, 0]
    np.testing.assert_allclose(box, drawn, atol=4)
    assert 0.9 * 180 < box[3] - box[1] < 1.08 * 180


def test_who_is_nearer_hides_who_is_farther() -> None:
    walks = standing([480.0, 480.0], [190.0, 120.0])
    near, far = clothes = drawing.dress(2, np.random.default_rng(1))
    image = next(iter(drawing.draw_frames(walks, clothes, np.random.default_rng(0))))
    x1, y1, x2, _ = figure_boxes(walks, *pose(walks))[0, 0]
    seen = image[round(y1 + 0.28 * 190), round((x1 + x2) / 2)].astype(float)
    assert np.abs(seen - near.top).max() < 0.3 * 255 < np.abs(near.top - far.top).max()


def test_same_seed_same_frames_other_seed_other_frames() -> None:
    assert frames_of(5) == frames_of(5)
    assert frames_of(5) != frames_of(6)


def test_tops_differ_between_all_people() -> None:
    tops = np.array([c.top for c in drawing.dress(8, np.random.default_rng(0))])
    apart = np.abs(tops[:, None] - tops).max(2) + 255 * np.eye(8)
    assert apart.min() > 20


def test_saved_scene_reads_back(tmp_path: Path) -> None:
    video = drawing.save_scene(tmp_path, seconds=0.4, fps=12.5, people=3, seed=2)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert float(stream.average_rate or 0) == 12.5
        shapes = [(f.height, f.width) for f in container.decode(video=0)]
    assert shapes == [SIZE] * 5
    info = read_sequence_info(tmp_path / "scene")
    assert (info.fps, info.length, info.width, info.height) == (12.5, 5, WIDTH, HEIGHT)
    truth = truth_of(plan_walks(5, 12.5, 3, np.random.default_rng(2)))
    read = read_ground_truth(tmp_path / "scene" / "gt" / "gt.txt")
    assert read.frame.tolist() == truth.frame.tolist()
    assert read.id.tolist() == truth.id.tolist()
    np.testing.assert_allclose(read.xyxy, truth.xyxy, atol=0.011)
    np.testing.assert_allclose(read.visibility, truth.visibility, atol=0.001)
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    "wrong",
    [{"people": 0}, {"people": 51}, {"seconds": 0}, {"fps": -1}, {"fps": float("nan")}, {"seconds": 0.04}],
)
def test_a_scene_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="2 to 100000 frames"):
        drawing.render_scene(tmp_path / "scene.mp4", **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.scene\.mp4: cannot be written"):
        drawing.render_scene(tmp_path / "file" / "scene.mp4", seconds=0.2)


def test_the_built_in_people_detector_finds_the_figures() -> None:
    """Recall at IoU 0.5 of people who are seen by more than half: the demo must work on this scene, too."""
    walks, look = walks_of(), hog_windows(min_score=0.1)
    truth = truth_of(walks)
    few = Walks(*(a[::50] for a in (walks.x, walks.height, walks.heading, walks.gait)))
    rng = np.random.default_rng(0)
    found = total = 0
    for frame, image in zip(
        range(0, 400, 50), drawing.draw_frames(few, drawing.dress(8, rng), rng), strict=True
    ):
        shown = truth.xyxy[(truth.frame == frame) & (truth.visibility > 0.5)]
        hit = iou_matrix(shown, people_in_windows(*look(image)).xyxy.astype(np.float64)) >= 0.5
        found += hit[linear_sum_assignment(hit, maximize=True)].sum()
        total += len(shown)
    assert total > 30
    assert found / total >= 0.7
