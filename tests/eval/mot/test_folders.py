"""A folder of results in one call: what it gives, and whose rules it goes by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.eval.mot import evaluate, score_folder
from retrace.eval.mot.sequences import near_misses
from tests.eval.folders import GT, RESULT, make
from tests.eval.scenes import table

BOX, AWAY = (10, 10, 20, 40), (200, 10, 20, 40)
PERSON = "1,1,10,10,20,40,1,1,1\n2,1,10,10,20,40,1,1,1\n"
CAR = "1,2,200,10,20,40,1,3,1\n2,2,200,10,20,40,1,3,1\n"


def test_everything_in_one_call(tmp_path: Path) -> None:
    make(tmp_path, "MOT17-97", GT, "1,1,10,10,20,40,1\n2,2,10,10,20,40,1\n")  # a switch: MOTA 1/2
    gt, results = make(tmp_path, "MOT17-98", GT, RESULT)
    heard: list[tuple[int, int | None]] = []
    found = score_folder(
        gt, results, intervals=True, compare=results, progress=lambda *done: heard.append(done)
    )
    assert (found.benchmark, found.split, list(found.metrics)) == ("MOT17", "all", ["MOT17-97", "MOT17-98"])
    assert found.combined.clear.MOTA == 0.75
    assert [section.key for section in found.sections] == ["intervals", "comparison"]
    assert heard == [(1, 2), (2, 2)]
    assert json.loads(json.dumps(found.as_json()))["combined"]["IDSW"] == 1
    assert "notes" not in found.as_json()


class TestOwnGroundTruth:
    """Names of one's own: TrackEval's default looks at the class, and so do we."""

    def test_only_pedestrians_count(self, tmp_path: Path) -> None:
        gt, results = make(tmp_path, "street", PERSON + CAR, RESULT)
        found = score_folder(gt, results)
        assert (found.benchmark, found.combined.clear.FN, found.combined.clear.TP) == ("custom", 0, 2)
        assert found.notes == [
            "classes 1, 3 in the ground truth: only pedestrians (class 1) are scored, result boxes on 2, 7, 8, 12 "
            "are neither right nor wrong; with benchmark MOT15 all classes are alike"
        ]
        assert score_folder(gt, results, benchmark="MOT15").combined.clear.FN == 2

    def test_result_on_a_distractor_is_neither_right_nor_wrong(self) -> None:
        gt = table([(0, 1, *BOX), (0, 2, *AWAY, 1, 8)])
        result = table([(0, 1, *BOX), (0, 2, *AWAY)])
        clear = evaluate(gt, result).clear
        assert (clear.TP, clear.FP) == (1, 0)

    @pytest.mark.parametrize("unknown", [0, -1])
    def test_without_classes_all_are_people(self, tmp_path: Path, unknown: int) -> None:
        text = PERSON.replace(",1,1,1\n", f",1,{unknown},1\n")
        gt, results = make(tmp_path, "street", text, RESULT)
        found = score_folder(gt, results)
        assert (found.combined.clear.TP, found.combined.clear.FN) == (2, 0)

    def test_world_coordinates_are_no_classes(self, tmp_path: Path) -> None:
        """Ten columns are MOT15's: the eighth is a place."""
        text = "1,1,10,10,20,40,1,3.5,2,0\n2,1,10,10,20,40,1,3.7,2,0\n"
        found = score_folder(*make(tmp_path, "street", text, RESULT))
        assert (found.combined.clear.TP, found.notes) == (2, [])

    def test_no_pedestrian_at_all_is_refused(self, tmp_path: Path) -> None:
        folders = make(tmp_path, "street", CAR, RESULT)
        with pytest.raises(InputError, match=r"no ground-truth box is a pedestrian.*classes are 3; .*MOT15"):
            score_folder(*folders)
        with pytest.raises(InputError, match="no ground-truth box is a pedestrian"):
            evaluate(table([(0, 1, *BOX, 1, 3)]), table([]))

    def test_a_class_of_another_list_is_refused(self, tmp_path: Path) -> None:
        folders = make(tmp_path, "street", PERSON + CAR.replace(",3,1\n", ",62,1\n"), RESULT)
        with pytest.raises(
            InputError, match=r"line 3: class 62 is none of MOTChallenge's .*`benchmark` MOT15"
        ):
            score_folder(*folders)

    def test_a_name_that_nearly_is_a_benchmark_s(self, tmp_path: Path) -> None:
        names = ["MOT17_02", "mot17-02-frcnn", "MOT20-01", "Dancetrack0004", "street", "kitti-car-1"]
        assert near_misses(names) == [
            ("MOT17_02", "MOT17"),
            ("mot17-02-frcnn", "MOT17"),
            ("Dancetrack0004", "DanceTrack"),
        ]
        found = score_folder(*make(tmp_path, "MOT17_02", GT, RESULT))
        assert found.notes == ["MOT17_02 is named nearly like MOT17, and is scored as custom"]

    def test_faults(self, shared: Path) -> None:
        """TrackEval 1.3.0 with its defaults says 84.21."""
        folder = shared.parent / "faults" / "reid" / "mot-classes-ignored-for-own-names"
        for name in ("street1", "MOT17_02"):
            row = score_folder(folder / "gt", folder / "res", sequences=[name]).combined.row()
            assert (round(100 * row["HOTA"], 2), row["MOTA"]) == (84.21, 1)


def test_results_of_the_whole_sequence_name_the_remedy(tmp_path: Path) -> None:
    folders = make(
        tmp_path, "A", "".join(f"{t},1,10,10,20,40,1,1,1\n" for t in range(1, 8)), "7,1,1,1,9,9,1\n", 7
    )
    with pytest.raises(
        InputError,
        match=r"A\.txt, line 1: frame 7 is outside the sequence \(1\.\.3\); if this is of the whole sequence "
        r"\(1\.\.7\): `split` val-half, `numbering` full",
    ):
        score_folder(*folders, split="val-half")
    assert score_folder(*folders, split="val-half", numbering="full").combined.count.boxes == 1


def test_negative_ids_are_told_apart(tmp_path: Path) -> None:
    for kind, said in (
        ("gt", "ids of ground truth begin at 0"),
        ("result", "a detection file is no tracking result"),
    ):
        place = tmp_path / kind
        gt, result = (text.replace(",1,", ",-1,", 1) if kind == which else text for which, text in
                      (("gt", GT), ("result", RESULT)))  # fmt: skip
        with pytest.raises(InputError, match=said):
            score_folder(*make(place, "A", gt, result))
