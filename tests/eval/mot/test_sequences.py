"""Folders: what is found, what is cut, and every refusal with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrace.configs import InputError
from retrace.eval.mot.sequences import (
    find_sequences,
    find_truth,
    guess_benchmark,
    read_sequence,
    score_sequence,
    score_sequences,
)
from tests.eval.folders import GT, RESULT, make


def refusal(tmp_path: Path, gt: str = GT, result: str = RESULT, benchmark: str = "MOT17") -> str:
    """The message for one sequence, without the folder."""
    folders = make(tmp_path, "MOT17-99", gt, result)
    with pytest.raises(InputError) as caught:
        score_sequences(find_sequences(*folders), benchmark)
    return str(caught.value).replace(str(tmp_path), "")


def test_scores_a_folder(tmp_path: Path) -> None:
    make(tmp_path, "B", GT, RESULT)
    folders = make(tmp_path, "A", GT, "")
    found = score_sequences(find_sequences(*folders), "MOT17")
    assert list(found) == ["A", "B"]
    assert [found[n].clear.TP for n in found] == [0, 2]


def test_file_order_inside_a_frame_is_kept(tmp_path: Path) -> None:
    folders = make(tmp_path, "A", GT, "2,5,0,0,9,9,1\n1,9,0,0,9,9,1\n1,3,0,0,9,9,1\n")
    _, result = read_sequence(find_sequences(*folders)[0], "MOT17")
    assert (result.frame.tolist(), result.id.tolist()) == ([0, 0, 1], [9, 3, 5])


class TestRefusals:
    def test_duplicate_id(self, tmp_path: Path) -> None:
        text = refusal(tmp_path, result="2,4,0,0,5,5,1\n1,7,0,0,5,5,1\n1,7,50,0,5,5,1\n")
        assert text == "/results/MOT17-99.txt, line 3: id 7 is twice in frame 1"

    def test_duplicate_id_in_ground_truth(self, tmp_path: Path) -> None:
        text = refusal(tmp_path, gt="1,1,0,0,5,5,1,1,1\n1,1,9,0,5,5,1,1,1\n")
        assert text == "/gt/MOT17-99/gt/gt.txt, line 2: id 1 is twice in frame 1"

    def test_frame_beyond_the_sequence(self, tmp_path: Path) -> None:
        text = refusal(tmp_path, result="1,7,0,0,5,5,1\n2,7,0,0,5,5,1\n9,7,0,0,5,5,1\n")
        assert text == "/results/MOT17-99.txt, line 3: frame 9 is outside the sequence (1..3)"

    def test_blank_line(self, tmp_path: Path) -> None:
        text = refusal(tmp_path, result="1,7,0,0,5,5,1\n\n2,7,0,0,5,5,1\n")
        assert text.startswith("/results/MOT17-99.txt, line 2: a blank line")

    def test_ground_truth_of_seven_columns_without_rules(self, tmp_path: Path) -> None:
        assert "at least 8 columns" in refusal(tmp_path, gt="1,1,0,0,5,5,1\n", benchmark="custom")

    def test_stopped_run(self, tmp_path: Path) -> None:
        gt, results = make(tmp_path, "A", GT, None)
        (results / "A.txt.partial").write_text(RESULT)
        with pytest.raises(InputError, match=r"A\.txt\.partial is there: that run was stopped"):
            find_sequences(gt, results)

    def test_frame_zero(self, tmp_path: Path) -> None:
        assert refusal(tmp_path, result="0,7,0,0,5,5,1\n").endswith("line 1: frames are 1-based, got 0")

    def test_not_a_number(self, tmp_path: Path) -> None:
        text = refusal(tmp_path, result="1,1,0,0,5,5,1\n2,1,0,x,5,5,1\n")
        assert text.endswith("MOT17-99.txt, line 2: column 4 is not a number: 'x'")

    def test_class_of_ground_truth(self, tmp_path: Path) -> None:
        text = refusal(tmp_path, gt="1,1,0,0,5,5,1,1,1\n1,2,0,0,5,5,1,14,1\n")
        assert text.endswith("gt.txt, line 2: class 14 is none of MOT17's (1..13)")

    def test_class_of_result(self, tmp_path: Path) -> None:
        text = refusal(tmp_path, result="1,1,0,0,5,5,1,3,-1,-1\n")
        assert "line 1: class 3 in a result" in text

    def test_class_of_result_counts_without_preprocessing_too(self, tmp_path: Path) -> None:
        assert "class 3" in refusal(tmp_path, result="1,1,0,0,5,5,1,3,-1,-1\n", benchmark="custom")

    def test_ground_truth_without_class(self, tmp_path: Path) -> None:
        assert "at least 8 columns" in refusal(tmp_path, gt="1,1,0,0,5,5,1\n")

    def test_detections_as_results(self, tmp_path: Path) -> None:
        assert "id -1 is negative" in refusal(tmp_path, result="1,-1,0,0,5,5,1\n")

    def test_missing_result(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"A\.txt: no such file; every sequence needs one"):
            find_sequences(*make(tmp_path, "A", GT, None))

    def test_missing_ground_truth(self, tmp_path: Path) -> None:
        gt, results = make(tmp_path, "A", GT, RESULT)
        (gt / "A" / "gt" / "gt.txt").unlink()
        with pytest.raises(InputError, match="without ground truth"):
            find_sequences(gt, results)

    def test_missing_seqinfo(self, tmp_path: Path) -> None:
        gt, results = make(tmp_path, "A", GT, RESULT)
        (gt / "A" / "seqinfo.ini").unlink()
        with pytest.raises(InputError, match=r"seqinfo\.ini"):
            find_sequences(gt, results)

    def test_folder_without_sequences(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="no sequence folder"):
            find_sequences(tmp_path / "empty", tmp_path)
        with pytest.raises(InputError, match="no such folder of results"):
            find_sequences(tmp_path, tmp_path / "nowhere")

    def test_unknown_name(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no sequence 'Z'"):
            find_sequences(*make(tmp_path, "A", GT, RESULT), names=["Z"])


class TestValHalf:
    # 7 frames: the first 7 // 2 + 1 = 4 are the training half, full frame 5 is val frame 1
    GT = "4,1,10,10,20,40,1,1,1\n5,1,20,10,20,40,1,1,1\n7,1,30,10,20,40,1,1,1\n"

    def test_full_ground_truth_is_cut_and_renumbered(self, tmp_path: Path) -> None:
        folders = make(tmp_path, "A", self.GT, "1,1,20,10,20,40,1\n3,1,30,10,20,40,1\n", length=7)
        (sequence,) = find_sequences(*folders, "val-half")
        assert (sequence.length, sequence.gt_skip, sequence.result_skip) == (3, 4, 0)
        assert score_sequence(sequence, "MOT17").row()["HOTA"] == 1

    def test_results_in_full_numbering_on_demand(self, tmp_path: Path) -> None:
        result = "1,9,0,0,5,5,1\n5,1,20,10,20,40,1\n7,1,30,10,20,40,1\n"
        (sequence,) = find_sequences(*make(tmp_path, "A", self.GT, result, 7), "val-half", "full")
        assert score_sequence(sequence, "MOT17").row()["HOTA"] == 1

    def test_full_numbering_is_refused_without_it(self, tmp_path: Path) -> None:
        (sequence,) = find_sequences(*make(tmp_path, "A", self.GT, "5,1,20,10,20,40,1\n", 7), "val-half")
        with pytest.raises(InputError, match=r"line 1: frame 5 is outside the sequence \(1\.\.3\)"):
            score_sequence(sequence, "MOT17")

    def test_cut_ground_truth_is_told_by_its_length(self, tmp_path: Path) -> None:
        (sequence,) = find_sequences(*make(tmp_path, "MOT17-02-FRCNN", GT, RESULT, length=299), "val-half")
        assert (sequence.length, sequence.gt_skip) == (299, 0)

    def test_full_length_of_a_known_sequence(self, tmp_path: Path) -> None:
        (sequence,) = find_sequences(*make(tmp_path, "MOT17-02-FRCNN", GT, RESULT, length=600), "val-half")
        assert (sequence.length, sequence.gt_skip) == (299, 301)

    def test_other_length_of_a_known_sequence(self, tmp_path: Path) -> None:
        with pytest.raises(
            InputError, match="seqLength is 300, but MOT17-02-FRCNN has 600 frames, 299 in val-half"
        ):
            find_sequences(*make(tmp_path, "MOT17-02-FRCNN", GT, RESULT, length=300), "val-half")


def test_one_result_serves_every_detector(tmp_path: Path) -> None:
    gt, results = make(tmp_path, "MOT17-02-SDP", GT, None)
    (results / "MOT17-02.txt").write_text(RESULT)
    assert find_sequences(gt, results)[0].result_path.name == "MOT17-02.txt"


def test_processes_give_the_same_and_the_same_refusal(tmp_path: Path) -> None:
    make(tmp_path, "A", GT, RESULT)
    folders = make(tmp_path, "B", GT, "1,1,12,10,20,40,1\n")
    sequences = find_sequences(*folders)
    alone, together = (score_sequences(sequences, "MOT17", jobs) for jobs in (1, 2))
    assert [m.row() for m in alone.values()] == [m.row() for m in together.values()]
    (folders[1] / "B.txt").write_text("9,1,0,0,5,5,1\n")
    with pytest.raises(InputError, match=r"B\.txt, line 1"):
        score_sequences(sequences, "MOT17", 2)


def test_benchmark_by_name() -> None:
    assert guess_benchmark(["MOT17-02-FRCNN", "MOT17-04-SDP"]) == "MOT17"
    assert guess_benchmark(["TUD-Campus", "Venice-2"]) == "MOT15"
    assert guess_benchmark(["dancetrack0004"]) == "DanceTrack"
    assert guess_benchmark(["mine", "yours"]) == guess_benchmark([]) == "custom"
    for names in (["MOT17-02", "foo"], ["foo", "MOT17-02"]):
        with pytest.raises(InputError, match=r"not of one benchmark: .*foo \(no benchmark\)"):
            guess_benchmark(names)
    with pytest.raises(InputError, match=r"MOT20-01 \(MOT20\), MOT17-02 \(MOT17\); say `benchmark`"):
        guess_benchmark(["MOT20-01", "MOT17-02"])


def test_words_that_are_none_are_refused(tmp_path: Path) -> None:
    """A title must not say half where the second half of a split, or all of it, was scored."""
    gt, results = make(tmp_path, "A", GT, RESULT)
    for split in ("half", "train", None):
        with pytest.raises(InputError, match=r"`split` .*known: all, val-half"):
            find_sequences(gt, results, split)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"`split` .*known: all, val-half"):
            find_truth(gt / "A", split)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`numbering` fulll: did you mean 'full'"):
        find_sequences(gt, results, numbering="fulll")
