import numpy as np
import pytest

from retrace.tracker.boxes import area, clip, grown, iou_matrix, largest_overlap, tlwh_to_xyxy, xyxy_to_tlwh
from tests.tracker.slow_boxes import random_boxes, slow_iou


def test_conversions_are_inverse():
    tlwh = np.array([[10.0, 20.0, 30.0, 40.0]])
    assert tlwh_to_xyxy(tlwh).tolist() == [[10, 20, 40, 60]]
    assert xyxy_to_tlwh(tlwh_to_xyxy(tlwh)).tolist() == tlwh.tolist()
    assert tlwh.tolist() == [[10, 20, 30, 40]], "the input stays as it was"


def test_iou_by_hand():
    a = np.array([[0.0, 0, 10, 10]])
    b = np.array([[5.0, 0, 15, 10], [0, 0, 10, 10], [10, 0, 20, 10], [2, 2, 4, 4]])
    # 50 / 150; same; touching edges share nothing; 4 inside 100
    assert np.allclose(iou_matrix(a, b), [[50 / 150, 1, 0, 4 / 100]])


def test_iou_equals_its_slow_twin():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 23), random_boxes(rng, 17)
    assert np.allclose(iou_matrix(a, b), [[slow_iou(x, y) for y in b] for x in a], atol=1e-15)


def test_clip_and_area():
    boxes = np.array([[-5.0, -5, 30, 12], [50, 50, 60, 60]])
    cut = clip(boxes, (10, 20))
    assert cut.tolist() == [[0, 0, 20, 10], [20, 10, 20, 10]]
    assert area(cut).tolist() == [200, 0]


def test_grown_by_hand():
    """C-BIoU: 0.3 of 20 and 0.3 of 40 px on each side."""
    box = np.array([[0.0, 0, 20, 40]], np.float32)
    assert grown(box, 0.3).tolist() == [[-6, -12, 26, 52]]
    assert grown(box, 0.3).dtype == np.float32
    assert grown(box, 0).tolist() == box.tolist()
    apart = np.array([[25.0, 0, 45, 40]])
    assert iou_matrix(box, apart) == 0
    assert np.allclose(iou_matrix(grown(box, 0.3), grown(apart, 0.3)), 7 / (2 * 32 - 7))


def test_empty():
    none = np.zeros((0, 4))
    assert grown(none, 0.3).shape == (0, 4)
    assert iou_matrix(none, np.ones((3, 4))).shape == (0, 3)
    assert tlwh_to_xyxy(none).shape == xyxy_to_tlwh(none).shape == clip(none, (5, 5)).shape == (0, 4)


def test_largest_overlap_is_with_another_box() -> None:
    xyxy = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [9, 0, 19, 10], [50, 0, 60, 10]], float)
    found = largest_overlap(xyxy)
    assert found == pytest.approx([5 / 15, 6 / 14, 6 / 14, 0])
    assert largest_overlap(np.zeros((0, 4))).shape == (0,)
