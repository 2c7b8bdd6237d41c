"""py-motmetrics on our boxes: where it agrees with TrackEval's counting, and where it does not, and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from retrace.eval.mot.preprocess import Prepared, prepare
from retrace.eval.mot.score import score_prepared
from retrace.eval.mot.sequences import find_sequences, read_sequence
from tests.eval.scenes import Row, table

pytest.importorskip("motmetrics")
from retrace.eval.mot.extended import accumulate, extended_table

BOX = (10, 10, 20, 40)


def theirs(scene: Prepared) -> dict[str, float]:
    head, row, _ = extended_table({"s": accumulate(scene)})
    return {str(name): float(value) for name, value in zip(head[1:], row[1:], strict=True)}  # type: ignore[arg-type]


def scene(gt: list[Row], result: list[Row], length: int) -> Prepared:
    return prepare(table(gt), table(result), length, "custom")


@pytest.mark.parametrize("seed", range(5))
def test_agreement_where_nothing_is_contested(seed: int) -> None:
    # people far apart: only one matching is possible, so both must count the same
    rng = np.random.default_rng(seed)
    rows = [(t, k, 100.0 * k, 0, 20, 40) for t in range(20) for k in range(4)]
    found = [(t, k + 10 * int(rng.integers(2)), *box) for t, k, *box in rows if rng.random() > 0.3]
    ours = scene(rows, found, 20)
    row, other = score_prepared(ours).row(), theirs(ours)
    for name, key in (
        ("idf1", "IDF1"),
        ("idp", "IDP"),
        ("idr", "IDR"),
        ("mota", "MOTA"),
        ("recall", "Recall"),
        ("precision", "Precision"),
    ):
        assert other[name] == pytest.approx(row[key], abs=1e-12)
    for name, key in (
        ("false_positives", "FP"),
        ("misses", "FN"),
        ("switches", "IDSW"),
        ("mostly_lost", "ML"),
        ("fragmentations", "Frag"),
        ("frames", "Frames"),
        ("unique_objects", "GT_IDs"),
    ):
        assert other[name] == row[key]
    tracked = other["mostly_tracked"] + other["partially_tracked"]  # parted at 0.8: see below
    assert tracked == row["MT"] + row["PT"]
    assert other["motp"] == pytest.approx(1 - row["MOTP"], abs=1e-12)  # theirs is a distance


def test_mostly_tracked_from_four_fifths_on() -> None:
    """py-motmetrics counts 0.8, TrackEval only what is above."""
    ours = scene([(t, 1, *BOX) for t in range(10)], [(t, 1, *BOX) for t in range(8)], 10)
    assert (score_prepared(ours).clear.MT, theirs(ours)["mostly_tracked"]) == (0, 1)


def test_a_match_is_remembered_beyond_the_previous_frame() -> None:
    """Frame 2 offers the old partner (IoU 0.6) and a better one (1.0) after a frame in which the person was
    missed: py-motmetrics keeps the old one, TrackEval remembers only the previous frame and switches."""
    gt = [(t, 1, *BOX) for t in range(3)]
    elsewhere = (1, 9, 500, 10, 20, 40)
    result = [(0, 1, *BOX), elsewhere, (2, 1, 15, 10, 20, 40), (2, 2, *BOX)]
    ours = scene(gt, result, 3)
    assert (score_prepared(ours).clear.IDSW, theirs(ours)["switches"]) == (1, 0)


@pytest.mark.shared
def test_identity_metrics_agree_on_real_results(shared: Path) -> None:
    results = shared / "results-MOT17-val-half" / "DeepOCSORT"
    for sequence in find_sequences(
        shared / "MOT17-val-half", results, names=["MOT17-05-FRCNN", "MOT17-13-FRCNN"]
    ):
        ours = prepare(*read_sequence(sequence, "MOT17"), sequence.length, "MOT17")
        row, other = score_prepared(ours).row(), theirs(ours)
        for name, key in (("idf1", "IDF1"), ("idp", "IDP"), ("idr", "IDR")):
            assert other[name] == pytest.approx(row[key], abs=1e-12)
