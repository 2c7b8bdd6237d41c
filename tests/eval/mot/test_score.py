"""The evaluation against TrackEval 1.3.0 on random scenes, and scenes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings

from retrace.configs import InputError
from retrace.eval.mot.score import combine, evaluate
from retrace.tracker.data import MotTable
from tests.eval import reference
from tests.eval.compare import differences
from tests.eval.scenes import random_scene, scenes, table

BOX = (10, 10, 20, 40)
BENCHMARKS = ("MOT15", "MOT16", "MOT17", "MOT20", "custom")


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@settings(max_examples=80, deadline=None)
@given(scene=scenes())
def test_equals_trackeval_on_random_scenes(scene: tuple[MotTable, MotTable, int], benchmark: str) -> None:
    gt, result, length = scene
    considered = gt.class_id[np.trunc(gt.score) != 0]
    assume(benchmark != "custom" or not len(considered) or (considered == 1).any())  # else: refused
    assert differences(evaluate(gt, result, length, benchmark), reference.judge(*scene, benchmark)) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("boxes", [12, 40, 150])
def test_equals_trackeval_in_crowds_full_of_ties(seed: int, boxes: int) -> None:
    gt, result = random_scene(np.random.default_rng(seed), 800 // boxes, boxes)
    length = 800 // boxes
    ours = evaluate(gt, result, length, "MOT17")
    assert differences(ours, reference.judge(gt, result, length, "MOT17")) == []


def test_order_of_rows_breaks_ties_as_in_trackeval() -> None:
    # two results on the same true box: which one is matched depends on their order, and so does IDSW
    gt = table([(0, 1, *BOX), (1, 1, *BOX), (2, 1, *BOX)])
    one = table([(0, 5, *BOX), (0, 6, *BOX), (1, 6, *BOX), (2, 5, *BOX)])
    two = table([(0, 6, *BOX), (0, 5, *BOX), (1, 6, *BOX), (2, 5, *BOX)])
    switches = []
    for result in (one, two):
        ours = evaluate(gt, result, 3)
        assert differences(ours, reference.judge(gt, result, 3, "custom")) == []
        switches.append(ours.clear.IDSW)
    assert switches == [2, 1]


def test_combination_equals_trackeval() -> None:
    rng = np.random.default_rng(5)
    ours, theirs = [], {}
    for k, boxes in enumerate((3, 10, 0, 20)):
        gt, result = random_scene(rng, 12, boxes)
        ours.append(evaluate(gt, result, 12, "MOT20"))
        theirs[f"s{k}"] = reference.judge(gt, result, 12, "MOT20")
    assert differences(combine(ours), reference.combine(theirs)) == []


def test_perfect_result_scores_one() -> None:
    gt, _ = random_scene(np.random.default_rng(0), 10, 8)
    gt = gt.take(np.flatnonzero((gt.score > 0) & (gt.class_id == 1)))
    row = evaluate(gt, gt, 10, "MOT17").row()
    assert all(row[n] == 1 for n in ("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDP", "IDR"))
    assert row["FP"] == row["FN"] == row["IDSW"] == row["PT"] == row["ML"] == 0
    assert row["TP"] == len(gt)


def test_relabelling_ids_changes_nothing() -> None:
    # free coordinates: no ties, where the order of ids could matter
    rng = np.random.default_rng(3)
    place = lambda: (*rng.random(2) * 50, *(20 + rng.random(2) * 20))  # noqa: E731
    gt = table([(t, k, *place()) for t in range(8) for k in range(5)])
    result = table([(t, k, *place()) for t in range(8) for k in range(5)])
    other = MotTable(
        result.frame, 900 - 7 * result.id, result.xyxy, result.score, result.class_id, result.visibility
    )
    a, b = evaluate(gt, result).row(), evaluate(gt, other).row()
    assert a == pytest.approx(b, abs=1e-12)


def test_id_switch_by_hand() -> None:
    # one person, 10 frames; the result changes its id after 6, misses frame 9, and has one false box
    gt = table([(t, 1, *BOX) for t in range(10)])
    result = table([(t, 1 if t < 6 else 2, *BOX) for t in range(9)] + [(9, 2, 500, 500, 20, 40)])
    row = evaluate(gt, result).row()
    assert (row["TP"], row["FN"], row["FP"], row["IDSW"]) == (9, 1, 1, 1)
    assert row["MOTA"] == pytest.approx((9 - 1 - 1) / 10)
    assert row["MOTP"] == 1
    assert (row["MT"], row["PT"], row["ML"], row["Frag"]) == (1, 0, 0, 0)  # 9 of 10 is above 0.8
    assert (row["IDTP"], row["IDFN"], row["IDFP"]) == (6, 4, 4)  # the longer identity wins
    assert row["IDF1"] == pytest.approx(2 * 6 / (10 + 10))
    # HOTA: DetA = 9 / (9 + 1 + 1); id 1 shares 6 of 10 + 6 - 6, id 2 shares 3 of 10 + 4 - 3
    deta, assa = 9 / 11, (6 * 6 / 10 + 3 * 3 / 11) / 9
    assert row["DetA"] == pytest.approx(deta)
    assert row["AssA"] == pytest.approx(assa)
    assert row["HOTA"] == pytest.approx((deta * assa) ** 0.5)


def test_exactly_four_fifths_is_not_mostly_tracked() -> None:
    gt = table([(t, 1, *BOX) for t in range(10)])
    row = evaluate(gt, table([(t, 1, *BOX) for t in range(8)])).row()
    assert (row["MT"], row["PT"]) == (0, 1)


def test_fragment_counts_restarts_only() -> None:
    # tracked in frames 0, 2 and 4: three pieces, two restarts. Frame 1 and 3 have a result elsewhere, so that
    # they count as frames; without any result box they would not (as in TrackEval)
    gt = table([(t, 1, *BOX) for t in range(5)])
    seen = [(t, 1, *BOX) for t in (0, 2, 4)]
    assert evaluate(gt, table([*seen, (1, 2, 500, 0, 5, 5), (3, 2, 500, 0, 5, 5)])).clear.Frag == 2
    assert evaluate(gt, table(seen)).clear.Frag == 0


def test_switch_is_against_the_last_match_ever() -> None:
    gt = table([(t, 1, *BOX) for t in range(6)])
    result = table([(0, 1, *BOX), (4, 2, *BOX), (5, 2, *BOX), *[(t, 9, 500, 0, 5, 5) for t in range(6)]])
    assert evaluate(gt, result).clear.IDSW == 1


def test_localisation_at_alpha() -> None:
    # width 20 of 20, shifted by 5: IoU 15/25 = 0.6, so alphas 0.05 .. 0.60 match (12 of 19)
    row = evaluate(table([(0, 1, 0, 0, 20, 10)]), table([(0, 1, 5, 0, 20, 10)]))
    assert row.hota.TP.tolist() == [1.0] * 12 + [0.0] * 7
    assert row.row()["HOTA"] == pytest.approx(12 / 19)
    assert row.row()["MOTP"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("gt", "result", "expected"),
    [
        ([], [], {"HOTA": 0, "FN": 0, "FP": 0, "MOTA": 0, "LocA": 1}),
        ([(0, 1, *BOX)], [], {"HOTA": 0, "FN": 1, "FP": 0, "MOTA": 0, "ML": 1, "IDFN": 1}),
        ([], [(0, 1, *BOX)], {"HOTA": 0, "FN": 0, "FP": 1, "MOTA": 0, "IDFP": 1}),
        ([(0, 1, *BOX)], [(0, 1, *BOX)], {"HOTA": 1, "FN": 0, "FP": 0, "MOTA": 1, "MT": 1, "IDF1": 1}),
    ],
)
def test_empty_sides_and_one_box(gt: list, result: list, expected: dict[str, float]) -> None:
    ours = evaluate(table(gt), table(result), 1)
    assert {name: ours.row()[name] for name in expected} == expected
    assert differences(ours, reference.judge(table(gt), table(result), 1, "custom")) == []


class TestPreprocessing:
    def test_result_on_a_distractor_is_left_out(self) -> None:
        gt = table([(0, 1, *BOX, 1, 1), (0, 2, 100, 10, 20, 40, 1, 8)])
        result = table([(0, 1, *BOX), (0, 2, 100, 10, 20, 40)])
        assert evaluate(gt, result, 1, "MOT17").count.boxes == 1
        assert evaluate(gt, result, 1, "MOT15").clear.TP == 2  # MOT15 has no classes

    def test_non_motorised_vehicles_are_distractors_in_mot20_only(self) -> None:
        gt = table([(0, 1, *BOX, 1, 1), (0, 2, 100, 10, 20, 40, 1, 6)])
        result = table([(0, 1, *BOX), (0, 2, 100, 10, 20, 40)])
        assert evaluate(gt, result, 1, "MOT20").clear.FP == 0
        assert evaluate(gt, result, 1, "MOT17").clear.FP == 1

    def test_flag_zero_is_not_scored_and_its_result_is_a_false_positive(self) -> None:
        gt = table([(0, 1, *BOX, 0, 1), (0, 2, 100, 10, 20, 40, 1, 1)])
        row = evaluate(gt, table([(0, 1, *BOX)]), 1, "MOT17").row()
        assert (row["FP"], row["FN"], row["GT"]) == (1, 1, 1)


class TestRefusals:
    def message(self, gt: MotTable, result: MotTable, length: int, benchmark: str = "MOT17") -> str:
        with pytest.raises(InputError) as caught:
            evaluate(gt, result, length, benchmark)
        return str(caught.value)

    def test_id_twice(self) -> None:
        twice = table([(0, 3, *BOX), (0, 4, *BOX), (0, 3, *BOX)])
        assert self.message(twice, table([]), 1) == "ground truth, row 2: id 3 is twice in frame 1"
        assert self.message(table([]), twice, 1) == "result, row 2: id 3 is twice in frame 1"

    def test_frame_outside(self) -> None:
        assert "frame 6 is outside the sequence (1..5)" in self.message(table([]), table([(5, 1, *BOX)]), 5)

    def test_foreign_class(self) -> None:
        assert "class 14" in self.message(table([(0, 1, *BOX, 1, 14)]), table([]), 1)
        assert "class 2 in a result" in self.message(table([]), table([(0, 1, *BOX, 1, 2)]), 1)

    def test_negative_id(self) -> None:
        assert "id -1 is negative" in self.message(table([]), table([(0, -1, *BOX)]), 1)

    def test_wild_box(self) -> None:
        assert "not finite" in self.message(table([]), table([(0, 1, 0, 0, 1e12, 1)]), 1)

    def test_unknown_benchmark(self) -> None:
        assert "unknown benchmark 'MOT18'" in self.message(table([]), table([]), 1, "MOT18")

    def test_rows_out_of_order(self) -> None:
        swapped = table([(0, 1, *BOX), (1, 1, *BOX)]).take(np.array([1, 0]))
        assert "ascend by frame" in self.message(swapped, table([]), 2)

    def test_nothing_to_combine(self) -> None:
        with pytest.raises(InputError, match="no sequences"):
            combine([])
