"""Drawing: the same colours in every run, legible labels, trails that are forgotten, dashes for predictions."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import pytest

from retrace.tracker.data import Detections, Frame, Step, Tracks
from retrace.tracker.outputs.draw import Painter, Trails, colours_of, draw
from retrace.tracker.outputs.style import Style

GREY = np.full((720, 1280, 3), 100, np.uint8)


def tracks(*boxes: tuple[int, float, float, float, float], predicted: bool = False) -> Tracks:
    """Rows (id, x1, y1, x2, y2)."""
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    n = len(rows)
    return Tracks(
        rows[:, 0].astype(np.int64),
        rows[:, 1:],
        np.ones(n, np.float32),
        np.zeros(n, np.int32),
        np.full(n, -1) if predicted else np.arange(n),
    )


def painted(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (image == colour).all(-1)


def test_the_input_is_not_touched_and_without_tracks_nothing_is_drawn() -> None:
    image = GREY.copy()
    out = draw(image, tracks())
    assert out is not image
    assert np.array_equal(out, GREY)
    draw(image, tracks((1, 10, 10, 50, 90)))
    assert np.array_equal(image, GREY)


def test_a_box_is_drawn_where_it_is_in_the_colour_of_its_id() -> None:
    out = draw(GREY, tracks((7, 100.4, 200, 300, 600)))
    [colour] = colours_of(np.array([7]))
    assert painted(out, colour)[400, 100]
    assert painted(out, colour)[600, 200]
    assert painted(out, colour)[400, 300]
    assert (out[400, 110:290] == 100).all()


@pytest.mark.parametrize(("high", "wide_line"), [(240, 1), (432, 2), (720, 2), (1440, 4)])
def test_lines_grow_with_the_picture_and_are_never_a_pale_pixel_in_a_video(high: int, wide_line: int) -> None:
    """2 px at 720, in proportion; thumbnails below 360 px have thin ones."""
    out = draw(np.full((high, 2 * high, 3), 100, np.uint8), tracks((7, 50, 100, 150, 200)))
    assert (out[150, 40:100] != 100).any(-1).sum() in (wide_line, wide_line + 1)  # OpenCV's even widths


def test_colours_depend_on_the_id_alone_and_neighbours_are_far_apart() -> None:
    colours = colours_of(np.arange(1, 101))
    assert colours_of(np.array([57])) == [colours[56]]
    assert colours == colours_of(np.arange(1, 101))
    assert len(set(colours)) > 90
    hues = np.array([colorsys.rgb_to_hsv(r, g, b)[0] for b, g, r in colours])
    for ahead in (1, 2, 3):
        apart = np.abs(hues[ahead:] - hues[:-ahead])
        assert np.minimum(apart, 1 - apart).min() > 0.1  # turns of the hue circle
    assert colours_of(np.zeros(0, np.int64)) == []


def test_no_two_of_the_first_59_ids_have_nearly_the_same_colour() -> None:
    """CIE76 distance in CIELAB; 2.3 is just noticeable side by side. Ids 1 and 22 once had the same blue."""
    colours = np.array(colours_of(np.arange(1, 60)), np.float32)
    lab = cv2.cvtColor(colours[None] / 255, cv2.COLOR_BGR2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab, axis=2)
    assert apart[~np.eye(59, dtype=bool)].min() > 11
    assert np.ptp(lab[:, 0]) > 40  # lightness, of 100: colour-blind eyes go by it


def test_an_only_predicted_track_is_dashed() -> None:
    box = (3, 100.0, 200.0, 300.0, 600.0)
    [colour] = colours_of(np.array([3]))
    seen = painted(draw(GREY, tracks(box)), colour)
    guessed = painted(draw(GREY, tracks(box, predicted=True)), colour)
    edge = slice(210, 590)
    assert seen[edge, 300].all()
    assert 0.3 < guessed[edge, 300].mean() < 0.8


@pytest.mark.parametrize("ground", [0, 100, 255])
def test_a_label_stands_out_on_any_ground(ground: int) -> None:
    """On its own plate, with ink that differs from it."""
    for i in range(1, 40):
        image = np.full((300, 300, 3), ground, np.uint8)
        out = draw(image, tracks((i, 100, 150, 200, 290)))
        plate = out[130:149, 98:130].reshape(-1, 3).astype(float) @ [0.114, 0.587, 0.299]
        [(blue, green, red)] = colours_of(np.array([i]))
        luma = 0.114 * blue + 0.587 * green + 0.299 * red
        assert np.abs(plate - luma).max() > 90


def test_a_class_is_named_behind_the_id_where_names_are_given() -> None:
    """A longer plate for the class that has a name, the same as ever for one that has none."""
    person = tracks((1, 100, 150, 200, 290))
    plain = draw(GREY, person)
    both = ("id", "class")
    assert np.array_equal(draw(GREY, person, style=Style(both, {2: "car"})), plain)
    assert np.array_equal(draw(GREY, person, style=Style(names={0: "person"})), plain)
    named = draw(GREY, person, style=Style(both, {0: "person"}))
    assert (named[:149] != 100).any(-1).sum() > 2 * (plain[:149] != 100).any(-1).sum()


def test_boxes_of_a_larger_picture_are_drawn_in_proportion() -> None:
    half = cv2.resize(GREY, (640, 360))
    big = tracks((1, 200, 400, 600, 600))
    small = tracks((1, 100, 200, 300, 300))
    assert np.array_equal(draw(half, big, ratio=(0.5, 0.5)), draw(half, small))
    seen = Painter().paint(Step(Frame(0, 0.0, GREY), Detections.empty(), big), width=640)
    assert np.array_equal(seen, draw(half, small))


def test_labels_grow_with_the_image() -> None:
    def high(size: int) -> int:
        image = np.full((size, size, 3), 100, np.uint8)
        out = draw(image, tracks((1, size / 2, size / 2, size * 0.75, size - 2)))
        return int((out[: size // 2 - 4] != 100).any(-1).any(1).sum())

    assert high(2160) > 2 * high(720) > 2 * 8


@pytest.mark.parametrize(
    "box",
    [
        (1, -50.0, -60.0, 1400.0, 900.0),
        (1, 1270.0, 710.0, 1300.0, 800.0),
        (1, -1e9, 10.0, 1e9, 1e9),
        (1, 5.0, 2.0, 30.0, 60.0),
    ],
)
@pytest.mark.parametrize("predicted", [False, True])
def test_boxes_at_and_over_the_border_are_drawn_without_trouble(
    box: tuple[int, float, float, float, float], predicted: bool
) -> None:
    out = draw(GREY, tracks(box, predicted=predicted), Trails())
    assert out.shape == GREY.shape
    assert not np.array_equal(out, GREY)  # its label at least


def test_what_is_outside_leaves_no_label() -> None:
    assert np.array_equal(draw(GREY, tracks((1, 2000, 100, 2100, 300))), GREY)


def test_trails_hold_foot_points_in_order_and_forget() -> None:
    trails = Trails(seconds=1.0)
    assert trails.lines() == {}
    for step in range(30):  # 10 frames/s; id 2 is there in even frames only, id 9 in the first
        rows = [(1, step, 0.0, step + 10, 50.0)]
        rows += [(2, 0.0, step, 4.0, step + 1)] if step % 2 == 0 else []
        rows += [(9, 0.0, 0.0, 1.0, 1.0)] if step == 0 else []
        trails.add(step / 10, tracks(*rows))
    lines = trails.lines()
    assert set(lines) == {1, 2}
    assert lines[1].tolist() == [[step + 5, 50] for step in range(19, 30)]  # the last second, both ends
    assert lines[2].tolist() == [[2, step + 1] for step in range(20, 30, 2)]


def test_trails_are_bounded_whatever_the_rate() -> None:
    trails = Trails(seconds=1e9, most=5)
    for step in range(100):
        trails.add(step, tracks((1, 0, 0, 1, 1)))
    assert len(trails.lines()[1]) == 5


def test_a_trail_is_drawn_for_the_tracks_of_the_frame_only() -> None:
    trails = Trails()
    for step in range(10):
        trails.add(
            step / 10,
            tracks((1, 100 + 40 * step, 100, 140 + 40 * step, 300), (2, 100 + 40 * step, 400, 140, 600)),
        )
    out = draw(GREY, tracks((1, 460, 100, 500, 300)), trails)
    one, two = colours_of(np.array([1, 2]))
    along = np.abs(out[300, 130:440].astype(int) - one).sum(-1)  # from the oldest to the newest
    assert (along[0] > 2 * along[155], along[-1]) == (True, 0), "it fades"
    assert (np.diff(along) <= 0).all()
    assert not painted(out, two).any()


def test_a_frame_without_an_image_is_grey_and_large_enough() -> None:
    step = Step(Frame(0, 0.0, None), Detections.empty(), tracks((1, 700, 500, 800, 700)))
    assert Painter().paint(step).shape == (701, 801, 3)
    assert Painter(size=(720, 1280)).paint(step).shape == (720, 1280, 3)
    empty = Step(Frame(0, 0.0, None), Detections.empty(), tracks())
    assert Painter().paint(empty).shape == (480, 640, 3)


def test_an_image_that_is_a_view_can_be_drawn_on() -> None:
    flipped = cv2.cvtColor(np.full((50, 80), 9, np.uint8), cv2.COLOR_GRAY2BGR)[:, ::-1]
    assert draw(flipped, tracks((1, 5, 5, 40, 45))).shape == (50, 80, 3)
