"""One test for each reason the server would refuse an archive."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import pytest

from retrace.configs import InputError
from retrace.eval.mot import submission
from retrace.eval.mot.archive import collect, write_archive
from retrace.eval.mot.submission import Finding, check, expected_files

LINE = "1,1,10.5,10.5,20.0,40.0,0.9,-1,-1,-1\n"


@pytest.fixture
def good() -> dict[str, str]:
    """A complete MOT20 test set."""
    return dict.fromkeys(expected_files("MOT20", "test"), LINE)


def zipped(tmp_path: Path, files: dict[str, str]) -> Path:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def reasons(tmp_path: Path, files: dict[str, str], **about: Path) -> list[str]:
    return [str(f) for f in check(zipped(tmp_path, files), **about)]  # type: ignore[arg-type]


def only(tmp_path: Path, files: dict[str, str], text: str) -> str:
    """What is found when one file of a complete archive has this content."""
    found = reasons(tmp_path, files | {"MOT20-04.txt": text})
    assert len(found) == 1, found
    return found[0]


def test_complete_sets_pass(tmp_path: Path, good: dict[str, str]) -> None:
    assert reasons(tmp_path, good) == []
    for benchmark, which, count in (
        ("MOT17", "all", 42),
        ("MOT17", "test", 21),
        ("MOT20", "all", 8),
        ("MOT20", "test", 4),
    ):
        names = expected_files(benchmark, which)
        assert len(names) == count
        warned = [f.text for f in check(zipped(tmp_path, dict.fromkeys(names, LINE))) if not f.refused]
        assert len(reasons(tmp_path, dict.fromkeys(names, LINE))) == len(warned) == int(which == "all")


def test_folder_is_checked_as_well(tmp_path: Path, good: dict[str, str]) -> None:
    for name, text in good.items():
        (tmp_path / name).write_text(text)
    assert check(tmp_path) == []


class TestNames:
    def test_missing_sequences(self, tmp_path: Path) -> None:
        # the classic: seven results where 42 (or 21) are needed
        files = {f"MOT17-{n}-FRCNN.txt": LINE for n in ("01", "03", "06", "07", "08", "12", "14")}
        (text,) = reasons(tmp_path, files)
        assert text.startswith(
            "REFUSED: archive: has 7 of 21 files of the set 'test'; missing: MOT17-01-DPM.txt"
        )

    def test_some_training_sequences(self, tmp_path: Path, good: dict[str, str]) -> None:
        text, _ = reasons(tmp_path, good | {"MOT20-01.txt": LINE})
        assert "has 5 of 8 files of the set 'all'" in text

    def test_sub_folder(self, tmp_path: Path, good: dict[str, str]) -> None:
        found = reasons(tmp_path, {f"data/{name}": text for name, text in good.items()})
        assert "data/MOT20-04.txt: lies in a folder; all files must be in the root" in found[0]
        assert any("has 0 of 4 files" in text for text in found)

    def test_backslash_is_a_folder(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert "lies in a folder" in reasons(tmp_path, good | {"data\\MOT20-04.txt": LINE})[0]

    def test_case(self, tmp_path: Path, good: dict[str, str]) -> None:
        good["mot20-04.txt"] = good.pop("MOT20-04.txt")
        found = reasons(tmp_path, good)
        assert (
            "mot20-04.txt: is no sequence of MOT20 (names are case-sensitive); did you mean MOT20-04.txt?"
            in found[0]
        )

    def test_unknown_sequence(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert "MOT20-99.txt: is no sequence" in reasons(tmp_path, good | {"MOT20-99.txt": LINE})[0]

    @pytest.mark.parametrize("name", ["a.txt", "tracker/dancetrack0003.txt"])
    def test_of_another_server_nothing_is_said(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InputError, match="nothing is known here about any other server"):
            check(zipped(tmp_path, {name: LINE}))

    def test_backslashes_are_folders(self, tmp_path: Path, good: dict[str, str]) -> None:
        """Windows tools write them; the reason is told, and the benchmark is known all the same."""
        found = reasons(tmp_path, {f"data\\{name}": text for name, text in good.items()})
        assert (
            found[0]
            == "REFUSED: data\\MOT20-04.txt: lies in a folder; all files must be in the root of the zip"
        )

    def test_stray_file_is_a_warning(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert reasons(tmp_path, good | {"README.md": "x"}) == [
            "warning: README.md: is no result file and is ignored"
        ]

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_name_twice(self, tmp_path: Path, good: dict[str, str]) -> None:
        path = zipped(tmp_path, good)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("MOT20-04.txt", LINE)
        assert check(path) == [Finding(True, "MOT20-04.txt", "is in the archive 2 times")]


class TestContent:
    def test_frame_zero(self, tmp_path: Path, good: dict[str, str]) -> None:
        text = only(tmp_path, good, "0,1,1,1,5,5,1,-1,-1,-1\n")
        assert text == "REFUSED: MOT20-04.txt: line 1: frames are 1-based, got 0"

    def test_frame_beyond_the_length(self, tmp_path: Path, good: dict[str, str]) -> None:
        text = only(tmp_path, good, LINE + "2081,1,1,1,5,5,1,-1,-1,-1\n")
        assert text.endswith("line 2: frame 2081 is beyond the sequence's 2080")

    def test_duplicate_id(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert only(tmp_path, good, LINE + LINE).endswith("line 2: id 1 is twice in frame 1")

    @pytest.mark.parametrize("line", ["1,1,1,1,5,5\n", "1,1,1,1,5,5,1\n", "1,1,1,1,5,5,1,-1,-1\n"])
    def test_columns(self, tmp_path: Path, good: dict[str, str], line: str) -> None:
        assert f"{line.count(',') + 1}" in only(tmp_path, good, line)

    def test_columns_that_change(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert "line 2: expected 10 columns" in only(tmp_path, good, LINE + "2,1,1,1,5,5,1\n")

    @pytest.mark.parametrize("value", ["nan", "inf"])
    def test_not_finite(self, tmp_path: Path, good: dict[str, str], value: str) -> None:
        text = only(tmp_path, good, f"1,1,1,{value},5,5,1,-1,-1,-1\n")
        assert f"line 1: column 4 is {value}, expected a finite number" in text

    def test_not_a_number(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert "column 7 is not a number: 'high'" in only(tmp_path, good, "1,1,1,1,5,5,high,-1,-1,-1\n")

    def test_class_column(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert "column 8 is 2" in only(tmp_path, good, "1,1,1,1,5,5,1,2,-1,-1\n")

    def test_detections(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert "id -1: a detection file is no tracking result" in only(
            tmp_path, good, "1,-1,1,1,5,5,1,-1,-1,-1\n"
        )

    def test_blank_line(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert "line 2: a blank line" in only(tmp_path, good, LINE + "\n")

    @pytest.mark.parametrize("text", ["\n", "\n\n", " ", "\r\n", "\t\n"])
    def test_blank_is_not_empty(self, tmp_path: Path, good: dict[str, str], text: str) -> None:
        assert only(tmp_path, good, text).startswith(
            "REFUSED: MOT20-04.txt: line 1: a blank line; TrackEval refuses"
        )

    def test_byte_order_mark(self, tmp_path: Path, good: dict[str, str]) -> None:
        text = only(tmp_path, good, "\ufeff" + LINE)
        assert text.startswith("REFUSED: MOT20-04.txt: line 1: begins with a byte order mark")

    def test_huge_id(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert "line 2: id 10000001 is beyond 10000000" in only(
            tmp_path, good, LINE + LINE.replace("1,1,", "2,10000001,")
        )
        assert reasons(tmp_path, good | {"MOT20-04.txt": LINE.replace("1,1,", "2,10000000,")}) == []

    def test_huge_coordinate(self, tmp_path: Path, good: dict[str, str]) -> None:
        text = only(tmp_path, good, LINE.replace("10.5", "2000000000"))
        assert text.startswith("REFUSED: MOT20-04.txt: line 1: column 3 is 2000000000, beyond 1e+09")

    def test_binary(self, tmp_path: Path, good: dict[str, str]) -> None:
        path = zipped(tmp_path, good)
        with zipfile.ZipFile(path, "w") as archive:
            for name in good:
                archive.writestr(name, b"\xff\xfe\x00" if name == "MOT20-04.txt" else LINE)
        assert "not a text file" in str(check(path)[0])

    def test_empty_file_is_a_warning(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert only(tmp_path, good, "").startswith("warning: MOT20-04.txt: is empty: allowed")

    def test_id_zero_and_flat_boxes_are_warnings(self, tmp_path: Path, good: dict[str, str]) -> None:
        assert only(tmp_path, good, "1,0,1,1,5,5,1,-1,-1,-1\n").startswith("warning: MOT20-04.txt: has id 0")
        assert "without area" in only(tmp_path, good, "1,1,1,1,0,5,1,-1,-1,-1\n")


class TestGroundTruthCopied:
    FILES = dict.fromkeys(expected_files("MOT20", "all"), LINE)
    COPY = "".join(f"{t},8,{t},10,20,40,0.9,-1,-1,-1\n" for t in range(1, 41))

    @pytest.fixture
    def train(self, tmp_path: Path) -> Path:
        for number in ("01", "02", "03", "05"):
            folder = tmp_path / "train" / f"MOT20-{number}" / "gt"
            folder.mkdir(parents=True)
            (folder / "gt.txt").write_text("".join(f"{t},1,{t},10,20,40,1,1,1\n" for t in range(1, 41)))
        return tmp_path / "train"

    def test_told_by_its_columns(self, tmp_path: Path, good: dict[str, str]) -> None:
        found = reasons(tmp_path, good | {"MOT20-04.txt": "1,1,10,10,20,40,1,1,0.5\n2,1,10,10,20,40,0,7,1\n"})
        assert any("looks like a ground-truth file" in text for text in found)

    @pytest.mark.parametrize("shift", ["20", "20.3", "19.7"])
    def test_told_by_its_boxes_however_little_they_are_moved(
        self, tmp_path: Path, train: Path, shift: str
    ) -> None:
        # widths 20 and 20.3: IoU 20 / 20.3 = 0.985
        copied = self.COPY.replace(",20,40,", f",{shift},40,")
        (text,) = reasons(tmp_path, self.FILES | {"MOT20-01.txt": copied}, gt=train)
        assert "REFUSED: MOT20-01.txt: 100 % of its boxes are the ground truth's" in text

    def test_a_tracker_s_boxes_are_none(self, tmp_path: Path, train: Path) -> None:
        tracked = self.COPY.replace(",20,40,", ",22,40,")  # IoU 20 / 22 = 0.909
        assert reasons(tmp_path, self.FILES | {"MOT20-01.txt": tracked}, gt=train) == []

    def test_a_tenth_by_the_tracker_is_none(self, tmp_path: Path, train: Path) -> None:
        mixed = self.COPY + "".join(f"{t},9,500,10,20,40,0.9,-1,-1,-1\n" for t in range(1, 5))  # 40 of 44
        assert reasons(tmp_path, self.FILES | {"MOT20-01.txt": mixed}, gt=train) == []

    def test_not_compared_is_warned_about(self, tmp_path: Path, train: Path) -> None:
        (text,) = reasons(tmp_path, self.FILES)
        assert text.startswith(
            "warning: archive: training results were not compared with the ground truth (none was given)"
        )
        assert text.endswith("MOT20-01, MOT20-02, MOT20-03, MOT20-05")
        (train / "MOT20-03" / "gt" / "gt.txt").unlink()
        (text,) = reasons(tmp_path, self.FILES, gt=train)
        assert text.endswith("train has no gt/gt.txt of them): MOT20-03")

    def test_no_folder(self, tmp_path: Path, good: dict[str, str]) -> None:
        with pytest.raises(InputError, match=r"nowhere: no such folder of training sequences"):
            reasons(tmp_path, good, gt=tmp_path / "nowhere")


@pytest.mark.parametrize("part", ["data", "end"])
def test_damaged_zip_is_one_finding(tmp_path: Path, good: dict[str, str], part: str) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in good:
            archive.writestr(name, "".join(f"{t},1,{t}.5,10,20,40,0.9,-1,-1,-1\n" for t in range(1, 400)))
    data = bytearray(path.read_bytes())
    if part == "data":
        data[60:400] = b"\xff" * 340  # zlib.error: invalid block type
    else:
        del data[300:1300]  # the directory points beyond what is there
    path.write_bytes(data)
    (found,) = check(path)
    assert found.refused
    assert "not readable as a zip archive" in found.text


def test_unknown_compression_and_early_end(
    tmp_path: Path, good: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path, good)
    for error in (EOFError(), NotImplementedError("That compression method is not supported")):
        monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda *_, error=error: (_ for _ in ()).throw(error))
        (found,) = check(path)
        assert found.refused


def test_what_is_no_result_is_not_unpacked(
    tmp_path: Path, good: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bomb under another name is never opened, one under a result's name is read to the limit and refused."""
    monkeypatch.setattr(submission, "LARGEST_FILE", 1000)
    path = zipped(tmp_path, good | {"bomb.txt": "0" * 10**6, "MOT20-04.txt": LINE * 100})
    opened = []
    read = zipfile.ZipFile.open

    def counted(archive: zipfile.ZipFile, name: zipfile.ZipInfo, *more: str) -> IO[bytes]:
        opened.append(name.filename)
        return read(archive, name, *more)

    monkeypatch.setattr(zipfile.ZipFile, "open", counted)
    found = [str(finding) for finding in check(path)]
    assert sorted(opened) == sorted(good)
    assert any(line.startswith("REFUSED: MOT20-04.txt: is longer than") for line in found)
    assert any(line.startswith("REFUSED: bomb.txt: is no sequence of MOT20") for line in found)


def test_results_of_a_stopped_run_are_named(tmp_path: Path) -> None:
    (tmp_path / "MOT20-04.txt").write_text(LINE)
    (tmp_path / "MOT20-06.txt.partial").write_text(LINE)
    with pytest.raises(
        InputError, match=r"no result for MOT20-06.*\(MOT20-06.txt.partial is there: that run was stopped"
    ):
        collect(tmp_path, "MOT20")


def test_no_zip(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("no archive")
    assert "not readable as a zip" in str(check(tmp_path / "x.zip")[0])
    with pytest.raises(InputError, match="no such file"):
        check(tmp_path / "y.zip")


class TestCollect:
    def results(self, tmp_path: Path, names: list[str]) -> Path:
        for name in names:
            (tmp_path / name).write_text(LINE)
        return tmp_path

    def test_three_copies(self, tmp_path: Path) -> None:
        folder = self.results(
            tmp_path, [f"MOT17-{n}.txt" for n in ("01", "03", "06", "07", "08", "12", "14")]
        )
        files, which = collect(folder, "MOT17")
        assert (which, len(files)) == ("test", 21)
        assert files["MOT17-01-SDP.txt"].name == "MOT17-01.txt"

    def test_one_detector_serves_the_others(self, tmp_path: Path) -> None:
        folder = self.results(
            tmp_path, [f"MOT17-{n}-FRCNN.txt" for n in ("01", "03", "06", "07", "08", "12", "14")]
        )
        assert collect(folder, "MOT17")[0]["MOT17-08-DPM.txt"].name == "MOT17-08-FRCNN.txt"

    def test_own_file_comes_first(self, tmp_path: Path) -> None:
        names = list(expected_files("MOT17", "test"))
        files, _ = collect(self.results(tmp_path, names), "MOT17")
        assert all(path.name == name for name, path in files.items())

    def test_two_of_three(self, tmp_path: Path) -> None:
        folder = self.results(tmp_path, ["MOT17-01-DPM.txt", "MOT17-01-SDP.txt"])
        with pytest.raises(InputError, match=r"MOT17-01-DPM.txt and MOT17-01-SDP.txt are there"):
            collect(folder, "MOT17")

    def test_one_for_all_beside_one_of_a_detector(self, tmp_path: Path) -> None:
        """Which of them would be sent in was nobody's choice."""
        folder = self.results(tmp_path, ["MOT17-01.txt", "MOT17-01-FRCNN.txt"])
        with pytest.raises(
            InputError, match=r"MOT17-01.txt and MOT17-01-FRCNN.txt are there; give all three"
        ):
            collect(folder, "MOT17")

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no result for MOT20-06, MOT20-07, MOT20-08 \(the set 'test'"):
            collect(self.results(tmp_path, ["MOT20-04.txt"]), "MOT20")

    def test_training_sequences_make_the_whole_set(self, tmp_path: Path) -> None:
        folder = self.results(tmp_path, list(expected_files("MOT20", "all")))
        assert collect(folder, "MOT20")[1] == "all"
        assert len(collect(folder, "MOT20", "test")[0]) == 4


def test_same_input_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(LINE)
    for name in ("1.zip", "2.zip"):
        with open(tmp_path / name, "wb") as file:
            write_archive(file, {"MOT20-04.txt": tmp_path / "a"})
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_benchmarks_and_sets_that_are_none_are_refused(tmp_path: Path, good: dict[str, str]) -> None:
    for ask in (
        lambda: expected_files("MOT21", "all"),
        lambda: collect(tmp_path, "MOT21"),
        lambda: check(zipped(tmp_path, good), "MOT21"),
    ):
        with pytest.raises(InputError, match="`benchmark` MOT21: did you mean 'MOT20'"):
            ask()
    for ask in (lambda: expected_files("MOT20", "train"), lambda: collect(tmp_path, "MOT20", "train")):
        with pytest.raises(InputError, match="`which` train: known: "):
            ask()
