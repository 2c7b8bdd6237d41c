"""The drawn scene: its identities, its ground truth against the pixels, its files."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from configs import InputError
from tools import scene
from tracker.boxes import iou_matrix
from tracker.hog import open_hog
from tracker.mot_file import read_ground_truth, read_sequence_info

HEIGHT, WIDTH = scene.SIZE


def walks_of(seed: int = 0, frames: int = 400, people: int = 8) -> scene.Walks:
    return scene.plan_walks(frames, 25.0, people, np.random.default_rng(seed))


def truth_of(walks: scene.Walks) -> scene.MotTable:
    return scene.annotate(walks, scene.figure_boxes(walks, *scene.pose(walks)))


def standing(x: list[float], height: list[float], heading: float = 0.0, gait: float = 0.7) -> scene.Walks:
    """One frame with people at the given places."""
    rows = np.array([x]), np.array([height])
    return scene.Walks(*rows, np.full((1, len(x)), heading), np.full((1, len(x)), gait))


def frames_of(seed: int, count: int = 3) -> list[bytes]:
    rng = np.random.default_rng(seed)
    walks = scene.plan_walks(count, 25.0, 4, rng)
    return [image.tobytes() for image in scene.draw_frames(walks, scene.dress(4, rng), rng)]


@pytest.mark.parametrize("people", [1, 2, 8, 15])
def test_everybody_promised_is_there_from_the_first_frame(people: int) -> None:
    truth = truth_of(walks_of(frames=10, people=people))
    assert truth.id[truth.frame == 0].tolist() == list(range(1, people + 1))


@pytest.mark.parametrize("seed", range(5))
def test_two_of_three_leave_and_come_back_and_one_of_three_stays(seed: int) -> None:
    truth = truth_of(walks_of(seed))
    for person in range(1, 9):
        seen = truth.frame[truth.id == person]
        away = np.diff(seen).max()  # 1: never away
        if person % 3 == 1:
            assert len(seen) == 400
        else:
            assert away > 25, f"person {person} was never away for a second"


def test_paths_are_smooth() -> None:
    walks = walks_of()
    step = np.hypot(np.diff(walks.x, axis=0), np.diff(walks.foot, axis=0)) / walks.height[1:]
    assert step.max() < 0.08  # body heights a frame: 3.4 m/s
    assert np.abs(np.diff(step, axis=0)).max() < 0.01  # nobody jerks


def test_sizes_stay_between_the_far_and_the_near_end() -> None:
    height = walks_of(3).height
    assert scene.HEIGHTS[0] <= height.min()
    assert height.max() <= scene.HEIGHTS[1]


def test_truth_is_sorted_and_inside_the_picture() -> None:
    truth = truth_of(walks_of(1))
    assert (np.diff(truth.frame * 100 + truth.id) > 0).all()
    assert (truth.xyxy[:, :2] >= 0).all()
    assert (truth.xyxy[:, 2:] <= [WIDTH, HEIGHT]).all()
    assert (truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all()
    assert ((truth.visibility >= 0) & (truth.visibility <= 1)).all()
    assert (truth.visibility < 0.5).any()  # people do hide one another


def test_annotate_clips_leaves_out_and_measures_what_is_seen() -> None:
    # 1 sticks out to the left by half, 2 by four fifths; 3 stands behind 4, which covers its right half.
    boxes = np.array(
        [[[-50, 300, 50, 400], [-80, 300, 20, 400], [300, 300, 340, 400], [320, 290, 360, 420]]], float
    )
    truth = scene.annotate(standing([0, -30, 320, 340], [120, 120, 120, 150]), boxes)
    assert truth.id.tolist() == [1, 3, 4]
    assert truth.xyxy[0].tolist() == [0, 300, 50, 400]
    assert truth.visibility[1:].tolist() == [0.5, 1.0]
    # Of person 1's left half nothing is seen; person 2 (same depth) does not hide it.
    assert truth.visibility[0] == 0.5


@pytest.mark.parametrize("heading", [0.0, np.pi, np.pi / 2, -np.pi / 2, 0.6])
@pytest.mark.parametrize("gait", [0.0, 1.5, 3.0])
def test_boxes_are_tight_around_what_is_drawn(heading: float, gait: float) -> None:
    walks = standing([400.0], [180.0], heading, gait)
    limbs, trunk = scene.pose(walks)
    image = np.zeros((*scene.SIZE, 3), np.uint8)
    clothes = scene.dress(1, np.random.default_rng(0))[0]  # the first person carries no bag
    scene.draw_person(image, limbs[0, 0], trunk[0, 0], 180.0, heading, clothes)
    rows, columns = np.nonzero(image.any(2))
    drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    box = scene.figure_boxes(walks, limbs, trunk)[0, 0]
    np.testing.assert_allclose(box, drawn, atol=4)
    assert 0.9 * 180 < box[3] - box[1] < 1.08 * 180


def test_who_is_nearer_hides_who_is_farther() -> None:
    walks = standing([480.0, 480.0], [190.0, 120.0])
    near, far = clothes = scene.dress(2, np.random.default_rng(1))
    image = next(iter(scene.draw_frames(walks, clothes, np.random.default_rng(0))))
    x1, y1, x2, _ = scene.figure_boxes(walks, *scene.pose(walks))[0, 0]
    seen = image[round(y1 + 0.28 * 190), round((x1 + x2) / 2)].astype(float)
    assert np.abs(seen - near.top).max() < 0.3 * 255 < np.abs(near.top - far.top).max()


def test_same_seed_same_frames_other_seed_other_frames() -> None:
    assert frames_of(5) == frames_of(5)
    assert frames_of(5) != frames_of(6)


def test_tops_differ_between_all_people() -> None:
    tops = np.array([c.top for c in scene.dress(8, np.random.default_rng(0))])
    apart = np.abs(tops[:, None] - tops).max(2) + 255 * np.eye(8)
    assert apart.min() > 20


def test_saved_scene_reads_back(tmp_path: Path) -> None:
    video = scene.save_scene(tmp_path, seconds=0.4, fps=12.5, people=3, seed=2)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert float(stream.average_rate or 0) == 12.5
        shapes = [(f.height, f.width) for f in container.decode(video=0)]
    assert shapes == [scene.SIZE] * 5
    info = read_sequence_info(tmp_path / "scene")
    assert (info.fps, info.length, info.width, info.height) == (12.5, 5, WIDTH, HEIGHT)
    truth = truth_of(scene.plan_walks(5, 12.5, 3, np.random.default_rng(2)))
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
        scene.render_scene(tmp_path / "scene.mp4", **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file.scene\.mp4: cannot be written"):
        scene.render_scene(tmp_path / "file" / "scene.mp4", seconds=0.2)


def test_the_built_in_people_detector_finds_the_figures() -> None:
    """Recall at IoU 0.5 of people who are seen by more than half: the demo must work on this scene, too."""
    walks, find = walks_of(), open_hog(min_score=0.1)
    truth = truth_of(walks)
    few = scene.Walks(*(a[::50] for a in (walks.x, walks.height, walks.heading, walks.gait)))
    rng = np.random.default_rng(0)
    found = total = 0
    for frame, image in zip(range(0, 400, 50), scene.draw_frames(few, scene.dress(8, rng), rng), strict=True):
        shown = truth.xyxy[(truth.frame == frame) & (truth.visibility > 0.5)]
        hit = iou_matrix(shown, find(image).xyxy.astype(np.float64)) >= 0.5
        found += hit[linear_sum_assignment(hit, maximize=True)].sum()
        total += len(shown)
    assert total > 30
    assert found / total >= 0.7
