"""Pictures upright and in eight bits."""

from __future__ import annotations

import numpy as np
import pytest

from retrace.tracker.sources.pixels import FULL, eight_bits, levels_of, orient, turns_sideways

IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
ONE = 1 << 16  # of FFmpeg's fixed point


def matrix(a: int, b: int, c: int, d: int) -> np.ndarray:
    return np.array([[a * ONE, b * ONE, 0], [c * ONE, d * ONE, 0], [0, 0, 1 << 30]], np.int32)


def slow_orient(image: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Every pixel (x, y) goes to (a x + c y, b x + d y), and all are shifted so that the smallest is 0."""
    height, width = image.shape[:2]
    places = {(a * x + c * y, b * x + d * y): image[y, x] for x in range(width) for y in range(height)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    right, bottom = max(x for x, _ in places), max(y for _, y in places)
    out = np.zeros((bottom - top + 1, right - left + 1, 3), np.uint8)
    for (x, y), pixel in places.items():
        out[y - top, x - left] = pixel
    return out


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("sideways", [False, True])
def test_every_turn_and_mirror_is_as_its_matrix_says(signs: tuple[int, int], sideways: bool) -> None:
    one, other = signs
    quarter = (0, one, other, 0) if sideways else (one, 0, 0, other)
    assert np.array_equal(orient(IMAGE, matrix(*quarter)), slow_orient(IMAGE, *quarter))
    assert turns_sideways(matrix(*quarter)) == sideways


def test_a_mirror_is_no_half_turn() -> None:
    assert np.array_equal(orient(IMAGE, matrix(-1, 0, 0, 1)), IMAGE[:, ::-1])
    assert np.array_equal(orient(IMAGE, matrix(1, 0, 0, -1)), IMAGE[::-1])
    assert np.array_equal(orient(IMAGE, matrix(0, 1, 1, 0)), IMAGE.swapaxes(0, 1))


def test_levels_are_the_range_that_is_used() -> None:
    """One dead pixel of 10,000 sets no range; several images have one range together."""
    cold, warm = np.full((100, 100), 7000, np.uint16), np.full((100, 100), 8000, np.uint16)
    cold[0, 0], warm[0, 0] = 0, 65535
    assert levels_of([cold, warm]) == (7000, 8000)
    assert levels_of([np.full((2, 2), np.nan, np.float32)]) == FULL
    assert levels_of([]) == FULL


def test_levels_are_stretched_to_eight_bits_and_cut_beyond() -> None:
    deep = np.array([[6000, 7000, 7500, 8000, 9000]], np.uint16)
    assert eight_bits(deep, (7000, 8000))[0].tolist() == [[v] * 3 for v in (0, 0, 128, 255, 255)]
    colour = np.array([[[0, 257, 65535]]], np.uint16)
    assert eight_bits(colour, FULL).tolist() == [[[0, 1, 255]]]
    odd = np.array([[np.nan, np.inf, -np.inf]], np.float32)
    assert eight_bits(odd, (0, 1))[0, :, 0].tolist() == [0, 255, 0]
    assert eight_bits(deep, (5, 5)).max() == 255  # no range at all
