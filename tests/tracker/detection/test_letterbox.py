"""Where a picture lies in a network's input, and what becomes of its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker.detection.letterbox import fill, place


def test_the_four_ways_by_hand() -> None:
    # 100 high, 200 wide into 80 x 80: ratio 0.4 -> 40 high, 80 wide; 40 px of border
    middle = place((100, 200), (80, 80), "letterbox")
    assert (middle.inner, middle.outer, middle.shift, middle.scale) == (
        (40, 80),
        (80, 80),
        (0, 20),
        (0.4, 0.4),
    )
    corner = place((100, 200), (80, 80), "corner")
    assert (corner.inner, corner.shift, corner.scale) == ((40, 80), (0, 0), (0.4, 0.4))
    stretch = place((100, 200), (80, 80), "stretch")
    assert (stretch.inner, stretch.shift, stretch.scale) == ((80, 80), (0, 0), (0.4, 0.8))
    as_is = place((100, 200), (80, 80), "none")
    assert (as_is.inner, as_is.outer, as_is.scale) == ((100, 200), (100, 200), (1.0, 1.0))


def test_a_network_of_any_size_gets_no_more_border_than_it_must() -> None:
    # 576 x 768 at 416 on the long side: ratio 0.5417 -> 312 x 416, and 312 is filled up to 320
    some = place((576, 768), (416, 416), "letterbox", multiple=32)
    assert (some.inner, some.outer, some.shift) == ((312, 416), (320, 416), (0, 4))
    assert place((576, 768), (416, 416), "stretch", multiple=32).outer == (320, 416)


def test_an_odd_border_is_thinner_above_and_lengths_are_cut_as_the_references_cut() -> None:
    # 99 x 200 into 80 x 80: 39.6 -> 40 by rounding (Ultralytics), 39 by cutting (YOLOX)
    assert place((99, 200), (80, 80), "letterbox").inner == (40, 80)
    assert place((99, 200), (80, 80), "corner").inner == (39, 80)
    assert place((97, 200), (80, 80), "letterbox").shift == (0, 20)  # 39 high: 41 of border, 20 above


@pytest.mark.parametrize("resize", ["letterbox", "corner", "stretch", "none"])
def test_boxes_come_back_to_where_they_were(resize: str) -> None:
    size = (90, 150)
    placement = place(size, (64, 64), resize)
    boxes = np.array([[3, 5, 40, 80], [0, 0, 150, 90]], float)
    there = boxes * (placement.scale * 2) + placement.shift * 2
    np.testing.assert_allclose(placement.back(there, size), boxes, atol=1e-9)
    outside = placement.back(there + np.array([-999, -999, 999, 999]), size)
    assert outside.tolist() == [[0, 0, 150, 90]] * 2  # cut to the picture


def test_pixels_order_scale_and_border() -> None:
    image = np.empty((2, 4, 3), np.uint8)
    image[:] = (10, 20, 30)  # BGR
    batch = fill([image, image], place((2, 4), (4, 4), "letterbox"), 114, True, (5, 0, 0), (10, 1, 2))
    assert batch.shape == (2, 3, 4, 4)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch[1, :, 1, 0], [(30 - 5) / 10, 20, 10 / 2])
    np.testing.assert_allclose(batch[1, :, 0, 0], [(114 - 5) / 10, 114, 114 / 2], rtol=1e-6)
    bgr = fill([image], place((2, 4), (4, 4), "corner"), 7, False, (0, 0, 0), (1, 1, 1), np.uint8)
    assert bgr.dtype == np.uint8
    assert bgr[0, :, 0, 0].tolist() == [10, 20, 30]
    assert bgr[0, :, 3, 0].tolist() == [7, 7, 7]
    half = fill([image], place((2, 4), (4, 4), "corner"), 7, False, (0, 0, 0), (2, 2, 2), np.float16)
    assert half.dtype == np.float16
    assert half[0, :, 0, 0].tolist() == [5, 10, 15]
