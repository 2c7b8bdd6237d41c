"""Perfect association by hand."""

from __future__ import annotations

import pytest

from retrace.eval.mot.oracle import perfect_association, shown_people
from retrace.eval.mot.score import evaluate
from retrace.tracker.data import Detections
from tests.eval.scenes import table

A, B = (0, 0, 10, 10), (100, 0, 10, 10)


def test_true_identities_and_singletons() -> None:
    gt = table([(0, 4, *A), (0, 7, *B), (1, 4, *A), (1, 7, *B)])
    boxes = table([(0, -1, *B), (0, -1, *A), (1, -1, *A), (1, -1, 50, 50, 9, 9)])
    tracks = perfect_association(gt, boxes, 2, "MOT17")
    assert tracks.id[:3].tolist() == [7, 4, 4]
    assert tracks.id[3] > 7  # matches nothing: a track of its own
    row = evaluate(gt, tracks, 2, "MOT17").row()
    assert (row["TP"], row["FN"], row["FP"], row["IDSW"]) == (3, 1, 1, 0)
    assert row["AssA"] == pytest.approx((2 * 1 + 1 * 0.5) / 3)  # person 4: 2 of 2 frames; person 7: 1 of 2


def test_floor_leaves_boxes_out() -> None:
    gt = table([(0, 4, *A)])
    boxes = table([(0, -1, *A, 0.5), (0, -1, *B, 0.4)])
    assert len(perfect_association(gt, boxes, 1, "MOT17", 0.45)) == 1


def test_only_scored_ground_truth_gives_identities() -> None:
    gt = table([(0, 4, *A, 0, 1), (0, 5, *B, 1, 8)])
    boxes = table([(0, -1, *A), (0, -1, *B)])
    assert not {4, 5} & set(perfect_association(gt, boxes, 1, "MOT17").id.tolist())
    assert perfect_association(gt, boxes, 1, "MOT15").id[1] == 5  # every class alike


def test_nothing() -> None:
    assert len(perfect_association(table([]), table([]), 3, "MOT17")) == 0


def test_who_is_shown() -> None:
    """People 4 and 7 are the first and the second; a box beside everybody shows nobody; frames without boxes stay."""
    gt = table([(0, 4, *A), (0, 7, *B), (2, 7, *B)])
    far, a, b = (50, 50, 59, 59), (0, 0, 10, 10), (100, 0, 110, 10)
    boxes = [Detections([far, b, a], [0.9, 0.9, 0.2]), Detections.empty(), Detections([b], [0.9])]
    assert [one.tolist() for one in shown_people(gt, boxes, "MOT17")] == [[0, 2, 1], [], [2]]
    assert [one.tolist() for one in shown_people(table([]), boxes[:1], "MOT17")] == [[0, 0, 0]]
