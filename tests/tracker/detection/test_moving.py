"""Where something moved: the background, areas around what is apart from it, and which share of a box moved."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker.detection.moving import Background, areas, merged, share


def scene(x: int | None, grey: int = 90) -> np.ndarray:
    """(60, 100, 3) of one grey, with a bright 10 x 20 person at column x."""
    image = np.full((60, 100, 3), grey, np.uint8)
    if x is not None:
        image[20:40, x : x + 10] = 200
    return image


def test_who_walks_is_apart_and_leaves_no_trace() -> None:
    background = Background()
    assert background.apart(scene(None), 0.0)[1] is None  # nothing to compare with yet
    for step in range(1, 30):
        mask, stands = background.apart(scene(2 * step), step / 10)
        assert stands
        seen = mask[22:38, 2 * step + 2 : 2 * step + 8]
        assert seen.all()
        assert mask.sum() <= 12 * 22  # the person and a px of blur, nothing where he came from
    assert background.apart(scene(None), 3.0)[0].sum() == 0


def test_who_stands_is_seen_for_a_while_and_then_belongs_to_the_place() -> None:
    # 110 levels apart, seen while more than 20: two steps of twelve before 3 s are over, then one a second: 66 more
    background = Background()
    background.apart(scene(None), 0.0)
    apart = [bool(background.apart(scene(50), second)[0][30, 55]) for second in range(1, 75)]
    assert apart.index(False) == 2 + 66


def test_a_camera_that_moves_is_told_and_caught_up_with() -> None:
    background = Background()
    background.apart(scene(None), 0.0)
    mask, stands = background.apart(scene(None, grey=200), 0.1)
    assert stands is False
    assert mask.all()
    background.apart(scene(None, grey=200), 0.2)
    background.apart(scene(None, grey=200), 0.3)
    assert background.apart(scene(None, grey=200), 0.4)[1]


def test_another_size_and_time_that_does_not_go_on_begin_anew() -> None:
    background = Background()
    background.apart(scene(None), 5.0)
    assert background.apart(scene(None), 5.1)[1]
    assert not background.apart(scene(None), 5.1)[1]
    assert background.apart(scene(None), 5.2)[1]
    assert not background.apart(np.zeros((30, 30, 3), np.uint8), 5.3)[1]


def test_a_background_goes_on_from_what_was_kept() -> None:
    one, other = Background(), Background()
    for step in range(5):
        one.apart(scene(10 * step), step / 10)
    other.load_state_dict(one.state_dict())
    for step in range(5, 9):
        mask, stands = one.apart(scene(10 * step), step / 10)
        again, also = other.apart(scene(10 * step), step / 10)
        assert (mask.tobytes(), stands) == (again.tobytes(), also)
    fresh = Background()
    fresh.load_state_dict(Background().state_dict())
    assert not fresh.apart(scene(None), 0.0)[1]


def test_large_pictures_are_watched_small() -> None:
    background = Background()
    assert background.apart(np.zeros((1080, 1920, 3), np.uint8), 0.0)[0].shape == (216, 384)  # a fifth


def test_areas_by_hand() -> None:
    mask = np.zeros((50, 80), np.uint8)
    mask[10:20, 30:34] = 1  # 4 x 10
    mask[40, 40] = 1  # noise
    # a quarter of 10 rows is 2.5 px on each side -> 27.5, 7.5, 36.5, 22.5; halves go to the even number
    assert areas(mask, 5, 0.25, 0).tolist() == [[28, 8, 36, 22]]
    assert areas(mask, 5, 0.25, 4).tolist() == [[26, 6, 38, 24]]
    assert areas(mask, 100, 0.25, 4).tolist() == []
    mask[10:20, :4] = 1
    assert areas(mask, 5, 1.0, 0).tolist() == [[0, 0, 14, 30], [20, 0, 44, 30]]  # cut at the edge


def test_rectangles_are_merged_where_that_is_no_more_to_look_at() -> None:
    side_by_side = np.array([[0, 0, 10, 10], [10, 0, 20, 10]])
    assert merged(side_by_side).tolist() == [[0, 0, 20, 10]]
    corner_to_corner = np.array([[0, 0, 10, 10], [9, 9, 19, 19]])  # 361 px around them, 200 in them
    assert merged(corner_to_corner).tolist() == corner_to_corner.tolist()
    nested = np.array([[0, 0, 30, 30], [5, 5, 9, 9], [28, 0, 40, 30]])
    assert merged(nested).tolist() == [[0, 0, 40, 30]]
    assert merged(np.zeros((0, 4), np.int64)).shape == (0, 4)


@pytest.mark.parametrize("seed", range(5))
def test_everything_that_moved_lies_in_an_area(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 90), np.uint8)
    for x, y, w, h in rng.integers((0, 0, 3, 5), (80, 50, 12, 25), (6, 4)):
        mask[y : y + h, x : x + w] = 1
    covered = np.zeros_like(mask)
    for x1, y1, x2, y2 in areas(mask, 1, 0.2, 2):
        covered[y1:y2, x1:x2] = 1
    assert (covered >= mask).all()


def test_the_share_as_its_slow_twin() -> None:
    rng = np.random.default_rng(1)
    mask = (rng.uniform(size=(40, 60)) < 0.4).astype(np.uint8)
    low = rng.uniform((-10, -10), (60, 40), (50, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 30, (50, 2))], axis=1)
    for box, found in zip(boxes, share(mask, boxes), strict=True):
        x1, y1, x2, y2 = (round(v) for v in box)
        x1, y1 = min(max(x1, 0), 59), min(max(y1, 0), 39)
        x2, y2 = min(max(x2, x1 + 1), 60), min(max(y2, y1 + 1), 40)
        assert found == pytest.approx(mask[y1:y2, x1:x2].mean())
    assert share(mask, np.zeros((0, 4))).shape == (0,)
