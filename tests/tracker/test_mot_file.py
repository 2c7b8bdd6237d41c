"""MOTChallenge files: tables read and written, scores, and what seqinfo.ini says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import MotTable, Tracks
from retrace.tracker.mot_file import (
    format_tracks,
    read_detections,
    read_ground_truth,
    read_results,
    read_sequence_info,
    read_sequence_length,
    scores_to_unit,
    write_ground_truth,
    write_results,
)
from tests.tracker.mot_text import write


class TestTables:
    def test_results(self, tmp_path: Path) -> None:
        table = read_results(
            write(tmp_path, "2,5,10,20,30,40,0.5,-1,-1,-1\n1,9,0,0,1,2,1,-1,-1,-1\n1,3,0,0,1,2,1,-1,-1,-1\n")
        )
        assert (table.frame.tolist(), table.id.tolist()) == ([0, 0, 1], [3, 9, 5])
        assert table.xyxy[2].tolist() == [10, 20, 40, 60]
        assert table.class_id.tolist() == [1, 1, 1]
        assert (table.frame.dtype, table.id.dtype, table.xyxy.dtype) == (np.int64, np.int64, np.float64)

    def test_results_in_file_order(self, tmp_path: Path) -> None:
        table = read_results(write(tmp_path, "2,5,0,0,1,1,1\n1,9,0,0,1,1,1\n1,3,0,0,1,1,1\n"), by_id=False)
        assert (table.frame.tolist(), table.id.tolist()) == ([0, 0, 1], [9, 3, 5])

    def test_class_of_results(self, tmp_path: Path) -> None:
        table = read_results(write(tmp_path, "1,1,0,0,1,1,1,-1,-1,-1\n1,2,0,0,1,1,1,4,-1,-1\n"))
        assert table.class_id.tolist() == [1, 4]

    def test_ground_truth_with_classes(self, tmp_path: Path) -> None:
        table = read_ground_truth(write(tmp_path, "1,2,0,0,1,1,0,7,0.25\n1,1,0,0,1,1,1,1,1\n"))
        assert (table.id.tolist(), table.class_id.tolist()) == ([1, 2], [1, 7])
        assert (table.score.tolist(), table.visibility.tolist()) == ([1, 0], [1, 0.25])

    def test_ground_truth_of_mot15(self, tmp_path: Path) -> None:
        path = write(tmp_path, "1,2,0,0,1,1,1,-4.15,7.35,0\n")
        table = read_ground_truth(path)
        assert (table.class_id.tolist(), table.visibility.tolist()) == ([1], [1])
        assert read_ground_truth(path, classed=True).class_id.tolist() == [-4]

    def test_class_is_demanded(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="at least 8 columns of ground truth, got 7"):
            read_ground_truth(write(tmp_path, "1,2,0,0,1,1,1\n"), classed=True)

    def test_detections(self, tmp_path: Path) -> None:
        table = read_detections(write(tmp_path, "2,-1,0,0,1,1,0.5\n1,-1,9,0,1,1,0.7\n1,-1,3,0,1,1,0.2\n"))
        assert table.frame.tolist() == [0, 0, 1]
        assert table.score.tolist() == [0.7, 0.2, 0.5]  # file order inside a frame
        assert set(table.id.tolist()) == {-1}
        assert set(table.class_id.tolist()) == {0}

    def test_strict_ground_truth_of_seven_columns(self, tmp_path: Path) -> None:
        path = write(tmp_path, "1,2,0,0,1,1,1\n")
        assert len(read_ground_truth(path)) == 1
        with pytest.raises(InputError, match="line 1: expected at least 8 columns of ground truth, got 7"):
            read_ground_truth(path, classed=False, strict=True)


class TestWriting:
    TABLE = MotTable(
        frame=np.array([0, 4]),
        id=np.array([1, 12]),
        xyxy=np.array([[10.0, 20, 40, 60], [0.125, 0, 5, 5]]),
        score=np.array([0.9, 1.0]),
        class_id=np.array([1, 1]),
        visibility=np.ones(2),
    )

    def test_results_read_back(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "out.txt"
        write_results(path, self.TABLE)
        assert path.read_text().splitlines()[0] == "1,1,10.00,20.00,30.00,40.00,0.9000,-1,-1,-1"
        back = read_results(path)
        assert (back.frame.tolist(), back.id.tolist()) == ([0, 4], [1, 12])
        assert np.abs(back.xyxy - self.TABLE.xyxy).max() <= 0.01

    def test_classes_read_back_where_there_is_more_than_people(self, tmp_path: Path) -> None:
        path = tmp_path / "out.txt"
        write_results(path, replace(self.TABLE, class_id=np.array([1, 3])))
        assert [line.split(",")[7] for line in path.read_text().splitlines()] == ["1", "3"]
        assert read_results(path).class_id.tolist() == [1, 3]

    def test_tracks_of_a_frame(self) -> None:
        tracks = Tracks(
            np.array([3]),
            np.array([[1, 2, 4, 6]], np.float32),
            np.array([0.5]),
            np.zeros(1, int),
            np.zeros(1),
        )
        assert format_tracks(0, tracks) == "1,3,1.00,2.00,3.00,4.00,0.5000,-1,-1,-1\n"
        assert format_tracks(0, tracks, classes=True) == "1,3,1.00,2.00,3.00,4.00,0.5000,1,-1,-1\n"
        none = Tracks(*(np.zeros(0),), np.zeros((0, 4)), *(np.zeros(0),) * 3)
        assert format_tracks(0, none) == ""

    def test_ground_truth_reads_back(self, tmp_path: Path) -> None:
        path = tmp_path / "gt" / "gt.txt"
        write_ground_truth(
            path, replace(self.TABLE, class_id=np.array([1, 7]), visibility=np.array([1, 0.25]))
        )
        assert path.read_text().splitlines()[1] == "5,12,0.12,0.00,4.88,5.00,1,7,0.250"
        back = read_ground_truth(path)
        assert (back.frame.tolist(), back.id.tolist()) == ([0, 4], [1, 12])
        assert (back.class_id.tolist(), back.visibility.tolist()) == ([1, 7], [1, 0.25])


class TestScores:
    def test_unit_scores_stay(self) -> None:
        score = np.array([0, 0.5, 1])
        assert scores_to_unit(score)[0] is score
        assert scores_to_unit(score)[1] is None

    def test_raw_scores_by_min_max(self) -> None:
        unit, said = scores_to_unit(np.array([-10.0, 40, 90]))
        assert unit == pytest.approx([0.3, 0.65, 1.0])
        assert said is not None
        assert "-10..90" in said

    def test_one_value_only(self) -> None:
        """The same for all tells nothing of the boxes: -1 is "not given", 100 per cent, 0 both."""
        for value in (7.0, -1.0, 100.0, 0.0):
            unit, said = scores_to_unit(np.full(3, value))
            assert unit.tolist() == [1, 1, 1]
            assert said == f"all scores are {value:g}, which tells nothing: 1 for all"
        half = np.array([0.5, 0.5])
        assert scores_to_unit(half) == (half, None)

    def test_a_score_above_1_by_rounding_is_no_raw_score(self) -> None:
        unit, said = scores_to_unit(np.array([0.5, 1.0000001, -1e-9]))
        assert unit.tolist() == [0.5, 1, 0]
        assert said == "2 of 3 scores cut to [0, 1], where the others lie"

    def test_a_few_strays_do_not_make_a_file_raw(self) -> None:
        """One of a hundred is cut; two of a hundred are a raw file's."""
        score = np.linspace(0, 0.99, 100)
        score[50] = 1.5
        assert scores_to_unit(score)[0][[49, 50, 51]] == pytest.approx([0.49, 1, 0.51])
        score[60] = -3
        assert scores_to_unit(score)[0][60] == pytest.approx(0.3)

    def test_one_row_does_not_flatten_the_others(self) -> None:
        score = np.append(np.linspace(0, 100, 999), 1e6)
        unit, said = scores_to_unit(score)
        assert unit[500] == pytest.approx(0.65, abs=0.01)
        assert unit.min() == pytest.approx(0.3)
        assert unit.max() == 1
        assert said is not None
        assert "(0..1e+06 cut)" in said

    def test_none(self) -> None:
        assert scores_to_unit(np.zeros(0))[1] is None


class TestSequenceInfo:
    TEXT = "[Sequence]\nname=A\nimDir=img1\nframeRate=29.97\nseqLength=10\nimWidth=640\nimHeight=480\nimExt=.png\n"

    def test_read(self, tmp_path: Path) -> None:
        (tmp_path / "seqinfo.ini").write_text(self.TEXT)
        info = read_sequence_info(tmp_path)
        assert (info.name, info.fps, info.length, info.width, info.height) == ("A", 29.97, 10, 640, 480)
        assert info.image_ending == ".png"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                ("seqLength=10\n", ""),
                "seqLength is missing; expected a line seqLength=NUMBER under [Sequence]",
            ),
            (("=10\n", "=ten\n"), "seqLength is 'ten', expected a whole number above 0"),
            (("=10\n", "=1.5\n"), "seqLength is '1.5', expected a whole number above 0"),
            (("29.97", "inf"), "frameRate is 'inf', expected a number above 0"),
            (("29.97", "1e-300"), "frameRate is '1e-300', expected a number above 0"),
            (("29.97", "1e300"), "frameRate is 1e300, expected a number up to 1000000"),
            (("=10\n", f"={10**30}\n"), f"seqLength is {10**30}, expected a whole number up to 10000000"),
            (("=10\n", "=²\n"), "seqLength is '²', expected a whole number above 0"),
            (("=480", "=70000"), "imHeight is 70000, expected a whole number up to 65535"),
            (("=640", "=0"), "imWidth is '0', expected a whole number above 0"),
            (("[Sequence]", "[Other]"), "expected a part [Sequence]; it has [Other]"),
            (("[Sequence]\n", ""), "expected a [Sequence] line, then key=value lines"),
            (("imWidth", "seqLength"), "line 6: seqlength is given twice"),
            (("imDir=img1", "what"), "line 3: expected key=value"),
        ],
    )
    def test_faults(self, tmp_path: Path, change: tuple[str, str], said: str) -> None:
        (tmp_path / "seqinfo.ini").write_text(self.TEXT.replace(*change))
        with pytest.raises(InputError) as caught:
            read_sequence_info(tmp_path)
        assert str(caught.value).removeprefix(str(tmp_path / "seqinfo.ini")).lstrip(":, ") == said

    def test_evaluation_needs_the_length_only(self, tmp_path: Path) -> None:
        (tmp_path / "seqinfo.ini").write_text("[Sequence]\nseqLength=10\n")
        assert read_sequence_length(tmp_path) == 10
        (tmp_path / "seqinfo.ini").write_text("[Sequence]\nseqLength=99999999999\n")
        with pytest.raises(
            InputError, match="seqLength is 99999999999, expected a whole number up to 10000000"
        ):
            read_sequence_length(tmp_path)

    def test_a_file_that_is_no_text_or_too_large(self, tmp_path: Path) -> None:
        for data, said in (
            (b"\xff\xfe\x00", "not readable as text"),
            (b"#" * 2**21, "more than 1,048,576 bytes"),
        ):
            (tmp_path / "seqinfo.ini").write_bytes(data)
            with pytest.raises(InputError, match=said):
                read_sequence_info(tmp_path)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file"):
            read_sequence_info(tmp_path)
