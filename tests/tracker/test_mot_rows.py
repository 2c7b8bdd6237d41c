"""The numbers of MOTChallenge text: every delimiter and layout, and every fault with its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrace.configs import InputError
from retrace.tracker import mot_rows
from retrace.tracker.mot_file import read_detections, read_ground_truth, read_results
from retrace.tracker.mot_rows import parse_rows, read_rows, row_line
from tests.tracker.mot_text import write


@pytest.fixture(scope="module", autouse=True, params=[mot_rows.SMALL, 0], ids=["small", "large"])
def _both_parsers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything holds for small files and for large ones, which another parser reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mot_rows, "SMALL", request.param)
        yield


ROWS = [[1, 3, 10.5, 20, 30, 40.25, 0.9, -1, -1, -1], [2, 3, -4, 0.125, 30, 40, 1, -1, -1, -1]]


def text_of(rows: list, mark: str = ",", end: str = "\n") -> str:
    return "".join(mark.join(str(v) for v in row) + end for row in rows)


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
        swept = mot_rows._sweep(data, 7)
        assert swept is not None
        assert swept.tolist() == expected
        assert parse_rows(data.replace(b",", b" , "), Path("x"), "results").tolist() == expected

    def test_row_line(self, tmp_path: Path) -> None:
        path = write(tmp_path, "\n1,1,0,0,1,1,1\n\n2,1,0,0,1,1,1\n")
        assert [row_line(path, k) for k in (0, 1)] == [2, 4]


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

    def test_plain_files_and_empty_ones_pass(self, tmp_path: Path) -> None:
        assert read_rows(write(tmp_path, text_of(ROWS)), "results", strict=True).tolist() == ROWS
        assert len(read_rows(write(tmp_path, ""), "results", strict=True)) == 0
