"""Reading and writing MOTChallenge text: every delimiter and layout, and every fault with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import InputError
from tracker import mot_file
from tracker.data import MotTable, Tracks
from tracker.mot_file import (
    atomic_write,
    format_tracks,
    parse_rows,
    read_detections,
    read_ground_truth,
    read_results,
    read_rows,
    read_sequence_info,
    read_sequence_length,
    row_line,
    scores_to_unit,
    write_results,
)

ROWS = [[1, 3, 10.5, 20, 30, 40.25, 0.9, -1, -1, -1], [2, 3, -4, 0.125, 30, 40, 1, -1, -1, -1]]


def text_of(rows: list, mark: str = ",", end: str = "\n") -> str:
    return "".join(mark.join(str(v) for v in row) + end for row in rows)


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "file.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fault(tmp_path: Path, content: str | bytes, kind: str = "results") -> str:
    with pytest.raises(InputError) as caught:
        read_rows(write(tmp_path, content), kind)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(tmp_path / "file.txt"))


class TestLayouts:
    @pytest.mark.parametrize("mark", [",", ";", "\t", " ", ", ", "  "])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_delimiters_and_line_ends(self, tmp_path: Path, mark: str, end: str) -> None:
        assert read_rows(write(tmp_path, text_of(ROWS, mark, end)), "results").tolist() == ROWS

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        content = b"\xef\xbb\xbf" + text_of(ROWS).encode()
        assert read_rows(write(tmp_path, content), "results").tolist() == ROWS

    def test_no_line_end_at_the_end(self, tmp_path: Path) -> None:
        assert read_rows(write(tmp_path, text_of(ROWS).rstrip()), "results").tolist() == ROWS

    def test_delimiter_at_the_end_of_lines(self, tmp_path: Path) -> None:
        assert read_rows(write(tmp_path, text_of(ROWS, end=",\n")), "results").tolist() == ROWS

    def test_blank_lines(self, tmp_path: Path) -> None:
        assert read_rows(write(tmp_path, "\n" + text_of(ROWS, end="\n\n")), "results").tolist() == ROWS

    def test_blanks_around_numbers(self, tmp_path: Path) -> None:
        assert read_rows(write(tmp_path, " 1 , 2 ,3,4,5 ,6,7\n"), "results").tolist() == [
            [1, 2, 3, 4, 5, 6, 7]
        ]

    @pytest.mark.parametrize("number", ["1e-05", "+3", "2.5E1", ".5", "5.", "-.5", "007"])
    def test_ways_to_write_a_number(self, tmp_path: Path, number: str) -> None:
        rows = read_rows(write(tmp_path, f"1,1,{number},1,1,1,1\n"), "results")
        assert rows[0, 2] == float(number)

    @pytest.mark.parametrize("content", ["", "\n", " \n\n", "\ufeff"])
    def test_empty(self, tmp_path: Path, content: str) -> None:
        path = write(tmp_path, content)
        assert read_rows(path, "results").shape == (0, 10)
        assert len(read_results(path)) == len(read_ground_truth(path)) == len(read_detections(path)) == 0

    def test_seven_columns(self, tmp_path: Path) -> None:
        assert read_rows(write(tmp_path, "1,-1,1,2,3,4,0.5\n"), "detections").shape == (1, 7)

    @pytest.mark.parametrize("tail", ["-1,-1,-1", "-1,-1,-1.5", "1,-1,-1,-1", "-1,-1"])
    def test_constant_tails(self, tmp_path: Path, tail: str) -> None:
        line = f"1,1,1,2,3,4,{tail}"
        rows = read_rows(write(tmp_path, f"{line}\n{line}\n"), "results")
        assert rows.tolist() == [[float(v) for v in line.split(",")]] * 2

    @given(st.lists(st.lists(st.floats(-1e9, 1e9), min_size=5, max_size=5), min_size=1, max_size=6))
    def test_numbers_are_python_s_to_the_bit(self, values: list[list[float]]) -> None:
        rows = [[k, k, *(f"{v:.6f}" for v in row)] for k, row in enumerate(values, 1)]
        expected = [[float(v) for v in row] for row in rows]
        data = text_of(rows).encode()
        swept = mot_file._sweep(data, 7)
        assert swept is not None
        assert swept.tolist() == expected
        assert parse_rows(data.replace(b",", b" , "), Path("x"), "results").tolist() == expected


class TestFaults:
    """The fast sweep must not wave anything through that the slow way would refuse."""

    @pytest.mark.parametrize(
        "cell", ["x", "1x", "1.2.3", "1-2", "--1", "-", ".", "-.", "1 2", "0x10", "é", "1.-", "#1"]
    )
    @pytest.mark.parametrize("column", [1, 4, 10])
    def test_no_number(self, tmp_path: Path, cell: str, column: int) -> None:
        row = [*ROWS[1]]
        row[column - 1] = cell  # type: ignore[call-overload]
        message = fault(tmp_path, text_of([ROWS[0], row]))
        assert message.startswith(", line 2: ")
        assert f"column {column} is not a number: {cell!r}" in message

    @pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
    def test_not_finite(self, tmp_path: Path, value: str) -> None:
        message = fault(tmp_path, f"1,1,1,1,1,1,1\n\n2,1,{value},1,1,1,1\n")
        assert message == f", line 3: column 3 is {value}, expected a finite number"

    @pytest.mark.parametrize("value", ["1e300", "9223372036854775808", "-1e10", "9" * 400, "1000000001"])
    @pytest.mark.parametrize("column", [2, 3, 8])
    def test_huge(self, tmp_path: Path, value: str, column: int) -> None:
        row = ["1"] * 10
        row[column - 1] = value
        message = fault(tmp_path, ",".join(row) + "\n")
        said = ", expected a finite number" if len(value) == 400 else ", beyond 1e+09"
        assert message == f", line 1: column {column} is {value[:40]}{said}"

    @pytest.mark.parametrize("value", ["1e300", "9223372036854775808", "10000001"])
    def test_huge_frame(self, tmp_path: Path, value: str) -> None:
        assert fault(tmp_path, f"{value},1,1,1,1,1,1\n") == f", line 1: frame {value} is beyond 10000000"

    def test_empty_cell(self, tmp_path: Path) -> None:
        assert fault(tmp_path, "1,1,,1,1,1,1\n") == ", line 1: column 3 is not a number: ''"

    def test_too_few_columns(self, tmp_path: Path) -> None:
        message = fault(tmp_path, "1,1,1,1,1,1\n", "ground truth")
        assert message == ", line 1: expected at least 7 columns of ground truth, got 6: '1,1,1,1,1,1'"

    @pytest.mark.parametrize("second", ["2,1,1,1,1,1,1,1", "2,1,1,1,1,1,1"])
    def test_columns_change(self, tmp_path: Path, second: str) -> None:
        first = "1,1,1,1,1,1,1,-1,-1,-1"
        count = second.count(",") + 1
        message = fault(tmp_path, f"{first}\n{second}\n")
        assert message == f", line 2: expected 10 columns as in the lines before, got {count}"

    def test_columns_that_add_up(self, tmp_path: Path) -> None:
        # 8 + 10 numbers are as many as 9 + 9: the count alone would not tell
        message = fault(tmp_path, "1,1,1,1,1,1,1,1,1\n2,1,1,1,1,1,1,1\n3,1,1,1,1,1,1,1,1,1\n")
        assert message == ", line 2: expected 9 columns as in the lines before, got 8"

    def test_frame_from_one(self, tmp_path: Path) -> None:
        assert fault(tmp_path, "1,1,1,1,1,1,1\n0,1,1,1,1,1,1\n") == ", line 2: frames are 1-based, got 0"
        assert fault(tmp_path, "-3,1,1,1,1,1,1\n") == ", line 1: frames are 1-based, got -3"

    @pytest.mark.parametrize(("line", "name"), [("1.5,1", "frame"), ("1,1.5", "id")])
    def test_whole_numbers(self, tmp_path: Path, line: str, name: str) -> None:
        assert fault(tmp_path, f"{line},1,1,1,1,1\n").startswith(
            f", line 1: {name} must be a whole number, got "
        )

    def test_no_text(self, tmp_path: Path) -> None:
        assert (
            fault(tmp_path, b"\x89PNG\xff\xfe\n1,1\n") == ": not a text file; expected MOTChallenge results"
        )

    def test_prose(self, tmp_path: Path) -> None:
        assert ", line 1: expected at least 7 columns" in fault(tmp_path, "hello world\n")

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read"):
            read_rows(tmp_path / "none.txt", "results")
        with pytest.raises(InputError, match="cannot be read"):
            read_rows(tmp_path, "results")


class TestStrict:
    """What TrackEval refuses and a tracker's own input may have."""

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            ("\n", 1),
            (" \n", 1),
            ("\n" + text_of(ROWS), 1),
            (text_of(ROWS, end="\n\n"), 2),
            (text_of(ROWS) + "\n", 3),
        ],
    )
    def test_blank_lines(self, tmp_path: Path, content: str, line: int) -> None:
        path = write(tmp_path, content)
        read_rows(path, "results")
        for read in (read_results, read_ground_truth):
            with pytest.raises(InputError, match=f"line {line}: a blank line; TrackEval refuses"):
                read(path, strict=True)

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        path = write(tmp_path, "\ufeff" + text_of(ROWS))
        with pytest.raises(InputError, match="line 1: begins with a byte order mark"):
            read_results(path, strict=True)

    def test_ground_truth_of_seven_columns(self, tmp_path: Path) -> None:
        path = write(tmp_path, "1,2,0,0,1,1,1\n")
        assert len(read_ground_truth(path)) == 1
        with pytest.raises(InputError, match="line 1: expected at least 8 columns of ground truth, got 7"):
            read_ground_truth(path, classed=False, strict=True)

    def test_plain_files_and_empty_ones_pass(self, tmp_path: Path) -> None:
        assert read_rows(write(tmp_path, text_of(ROWS)), "results", strict=True).tolist() == ROWS
        assert len(read_rows(write(tmp_path, ""), "results", strict=True)) == 0


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

    def test_row_line(self, tmp_path: Path) -> None:
        path = write(tmp_path, "\n1,1,0,0,1,1,1\n\n2,1,0,0,1,1,1\n")
        assert [row_line(path, k) for k in (0, 1)] == [2, 4]


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

    def test_tracks_of_a_frame(self) -> None:
        tracks = Tracks(
            np.array([3]), np.array([[1, 2, 4, 6]], np.float32), np.array([0.5]), np.zeros(1), np.zeros(1)
        )
        assert format_tracks(0, tracks) == "1,3,1.00,2.00,3.00,4.00,0.5000,-1,-1,-1\n"
        none = Tracks(*(np.zeros(0),), np.zeros((0, 4)), *(np.zeros(0),) * 3)
        assert format_tracks(0, none) == ""

    def test_interrupted_write_leaves_the_earlier_file(self, tmp_path: Path) -> None:
        path = tmp_path / "out.txt"
        path.write_text("before")

        def write_half() -> None:
            with atomic_write(path) as file:
                file.write("half")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            write_half()
        assert path.read_text() == "before"
        assert list(tmp_path.iterdir()) == [path]


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
        assert scores_to_unit(np.array([7.0, 7.0]))[0].tolist() == [0.3, 0.3]

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
            (("=640", "=0"), "imWidth is '0', expected a whole number above 0"),
            (("[Sequence]", "[Other]"), "expected a part [Sequence]; it has ['Other']"),
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
        with pytest.raises(InputError, match="seqLength is 99999999999, expected at most 10000000"):
            read_sequence_length(tmp_path)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file"):
            read_sequence_info(tmp_path)
