"""Who walks where in the drawn scene, and the ground truth of it."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tools.scenes.walks import HEIGHTS, SIZE, annotate
from tests.tools.scenes.people import standing, truth_of, walks_of

HEIGHT, WIDTH = SIZE


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
    assert HEIGHTS[0] <= height.min()
    assert height.max() <= HEIGHTS[1]


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
    truth = annotate(standing([0, -30, 320, 340], [120, 120, 120, 150]), boxes)
    assert truth.id.tolist() == [1, 3, 4]
    assert truth.xyxy[0].tolist() == [0, 300, 50, 400]
    assert truth.visibility[1:].tolist() == [0.5, 1.0]
    # Of person 1's left half nothing is seen; person 2 (same depth) does not hide it.
    assert truth.visibility[0] == 0.5
