"""Crops of ground truth: which boxes, which part, which camera; and nobody on both sides of the cut."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.reid.data.sets import has_match, read_reid_set
from retrace.tools.mot_crops import main
from retrace.tools.terminal.console import guarded
from retrace.tracker.data import MotTable
from retrace.tracker.mot_file import SequenceInfo
from retrace.tracker.outputs import crops as crops_file
from retrace.tracker.outputs.crop_choice import (
    GALLERY,
    QUERY,
    TRAIN,
    CropFilter,
    choose,
    estimate_visibility,
    halves,
)
from retrace.tracker.sources import Source, open_source
from tests.conftest import ROOT

INFO = SequenceInfo("S", fps=10, length=100, width=200, height=100)
ALL = CropFilter(min_visibility=0, min_height=0, every=1, cut=0.5, gap=1)


def table(rows: list[tuple[float, ...]]) -> MotTable:
    """Rows of frame, id, x1, y1, x2, y2[, flag, class, visibility]."""
    full = np.array([(*row, *(1, 1, 1)[len(row) - 6 :]) for row in rows], float).reshape(-1, 9)
    full = full[np.lexsort((full[:, 1], full[:, 0]))]
    return MotTable(
        full[:, 0].astype(int),
        full[:, 1].astype(int),
        full[:, 2:6],
        full[:, 6],
        full[:, 7].astype(int),
        full[:, 8],
    )


def life(person: int, first: int, last: int, step: int = 1) -> list[tuple[float, ...]]:
    return [(frame, person, 10, 10, 30, 60) for frame in range(first, last + 1, step)]


# ---- which boxes


def kept(rows: list[tuple[float, ...]], wish: CropFilter = ALL) -> list[tuple[int, int]]:
    crops = choose(table(rows), INFO, wish)
    return list(zip(crops.frame.tolist(), crops.id.tolist(), strict=True))


BOX = (10, 10, 30, 60)


def test_pedestrians_that_count() -> None:
    rows = [(0, 1, *BOX), (0, 2, *BOX, 0), (0, 3, *BOX, 1, 7), (0, 4, *BOX, 1, 1, 0.9), (100, 5, *BOX)]
    assert kept(rows) == [(0, 1), (0, 4)]  # not: the flag, a static person, beyond the sequence


def test_filters() -> None:
    rows = [(0, 1, *BOX, 1, 1, 0.29), (0, 2, *BOX, 1, 1, 0.3), (0, 3, 10, 10, 30, 49, 1, 1, 1), (1, 4, *BOX)]
    assert kept(rows, CropFilter(0.3, 40, 1, 0.5, 1)) == [(0, 2), (1, 4)]
    assert kept(rows, CropFilter(0.3, 39, 2, 0.5, 1)) == [(0, 2), (0, 3)]


def test_boxes_are_cut_to_the_image_before_they_are_measured() -> None:
    crops = choose(
        table([(0, 1, -5.5, -10, 12.2, 60.5), (0, 2, 190, 60, 250, 160), (0, 3, 201, 0, 250, 90)]), INFO, ALL
    )
    assert crops.id.tolist() == [1, 2]
    assert crops.xyxy.tolist() == [[0, 0, 13, 61], [190, 60, 200, 100]]
    assert kept([(0, 1, -5, -10, 12, 60), (0, 2, 190, 60, 250, 160)], CropFilter(0, 41, 1, 0.5, 1)) == [
        (0, 1)
    ]


def test_visibility_where_the_file_has_none() -> None:
    """1 stands in front of 2 (its lower edge is lower) and hides the left half of it; 3 is half outside."""
    rows = [(0, 1, 0, 20, 20, 100), (0, 2, 10, 20, 30, 60), (0, 3, 190, 20, 210, 90), (1, 2, 10, 20, 30, 60)]
    gt = table(rows)
    inside = np.clip(gt.xyxy, 0, [200, 100, 200, 100])
    assert estimate_visibility(gt, inside).tolist() == [1, 0.5, 0.5, 1]
    assert kept(rows, CropFilter(0.6, 0, 1, 0.5, 1)) == [(0, 1), (1, 2)]


def test_visibility_equals_the_slow_one() -> None:
    random = np.random.default_rng(1)
    low = random.uniform(-20, 150, (60, 2))
    gt = table([(k % 7, k, *a, *(a + random.uniform(5, 60, 2))) for k, a in enumerate(low)])
    inside = np.clip(gt.xyxy, 0, [200, 100, 200, 100])
    slow = []
    for k, (x1, y1, x2, y2) in enumerate(inside):
        hidden = 0.0
        for j, (u1, v1, u2, v2) in enumerate(inside):
            if gt.frame[j] == gt.frame[k] and gt.xyxy[j, 3] > gt.xyxy[k, 3]:
                hidden = max(hidden, max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1)))
        whole = (gt.xyxy[k, 2] - gt.xyxy[k, 0]) * (gt.xyxy[k, 3] - gt.xyxy[k, 1])
        slow.append(((x2 - x1) * (y2 - y1) - hidden) / whole)
    np.testing.assert_allclose(estimate_visibility(gt, inside), slow, atol=1e-12)


# ---- which part


def test_nobody_is_on_both_sides() -> None:
    """Cut at frame 50: 1 leaves before, 2 spans it, 3 comes after, 4 was there, but hidden, before it."""
    hidden = [(40, 4, *BOX, 1, 1, 0.0)]
    rows = life(1, 0, 20) + life(2, 30, 80) + life(3, 50, 99) + hidden + [(60, 4, *BOX, 1, 1, 0.9)]
    crops = choose(table(rows), INFO, CropFilter(0.3, 0, 1, 0.5, 1))
    train, test = crops.part == TRAIN, crops.part != TRAIN
    assert np.unique(crops.id[train]).tolist() == [1, 2]
    assert np.unique(crops.id[test]).tolist() == [3]
    assert crops.frame[train].max() == 49
    assert crops.frame[test].min() == 50
    assert crops.visibility.min() >= 0.3


@pytest.mark.parametrize(("cut", "parts"), [(0, {QUERY, GALLERY}), (1, {TRAIN})])
def test_all_on_one_side(cut: float, parts: set[int]) -> None:
    crops = choose(table(life(1, 0, 99)), INFO, CropFilter(0, 0, 1, cut, 1))
    assert {*crops.part.tolist()} == parts


def test_two_halves_make_two_cameras() -> None:
    """Frames 50..90 at 10 fps are 5..9 s, middle 7: early to 6.5 s (frame 65), late from 7.5 s (frame 75)."""
    crops = choose(table(life(3, 50, 90, 5)), INFO, ALL)
    assert crops.frame.tolist() == [50, 55, 60, 65, 75, 80, 85, 90]  # 70 is in the gap
    assert crops.late.tolist() == [False] * 4 + [True] * 4
    assert crops.part.tolist() == [GALLERY, GALLERY, QUERY, GALLERY] * 2


@pytest.mark.parametrize(
    ("time", "gap", "half", "query"),
    [
        ([0, 1, 2], 1, [0, -1, 1], []),  # one image a half: they are each other's gallery, nobody asks
        ([0, 0.1, 2], 1, [0, 0, 1], [1]),  # the late one answers, and does not ask
        ([0, 0.5, 0.9], 1, [0, 0, 0], []),  # too short for the gap: somebody to be confused with
        ([0, 1], 1, [0, 1], []),
        ([5], 0, [0], []),
        ([0, 1, 2, 3], 0, [0, 0, 1, 1], [1, 3]),
    ],
)
def test_halves(time: list[float], gap: float, half: list[int], query: list[int]) -> None:
    found = halves(np.array(time, float), gap)
    assert [array.tolist() for array in found] == [half, query]


def test_every_query_has_a_match_and_the_gap_is_kept() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        time, gap = np.sort(random.uniform(0, 5, random.integers(1, 9))), float(random.uniform(0, 3))
        half, query = halves(time, gap)
        gallery = np.setdiff1d(np.flatnonzero(half >= 0), query)
        for k in query:
            assert (half[gallery] == 1 - half[k]).any()
        if (half == 1).any():
            assert time[half == 1].min() - time[half == 0].max() >= gap - 1e-9


def test_no_boxes() -> None:
    assert kept([]) == []
    assert kept([(0, 1, *BOX, 0)]) == []


# ---- the command


def colour(person: int) -> tuple[int, int, int]:
    return (40 * person, 250 - 30 * person, 20 + 20 * person)


def write_sequence(folder: Path, frames: int = 40, images: bool = True, video: Path | None = None) -> Path:
    """Two people of plain colour: 1 from the first frame on, 2 from the 21st; 10 frames a second."""
    (folder / "gt").mkdir(parents=True)
    info = f"frameRate=10\nseqLength={frames}\nimWidth=160\nimHeight=120"
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nname={folder.name}\n{info}\nimDir=img1\nimExt=.jpg\n")
    lines, pictures = [], []
    for frame in range(frames):
        picture = np.full((120, 160, 3), 128, np.uint8)
        for person, left in ((1, 10 + frame), (2, 90)):
            if person == 1 or frame >= 20:
                picture[20:100, left : left + 30] = colour(person)
                lines.append(f"{frame + 1},{person},{left},20,30,80,1,1,1\n")
        pictures.append(picture)
    (folder / "gt/gt.txt").write_text("".join(lines))
    if images:
        (folder / "img1").mkdir()
        for k, picture in enumerate(pictures, 1):
            cv2.imwrite(str(folder / f"img1/{k:06d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    if video is not None:
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))
        for picture in pictures:
            writer.write(picture)
        writer.release()
    return folder


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        guarded(main, [str(word) for word in argv])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def lines_of(out: Path) -> list[dict[str, str]]:
    with open(out / "images.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("frames_from", ["img1", "video", "results"])
def test_writes_a_set_that_reads_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], frames_from: str
) -> None:
    video = tmp_path / "clip.avi" if frames_from != "img1" else None
    given = write_sequence(tmp_path / "gt/A", images=video is None, video=video).parent
    if frames_from == "results":  # as track.py writes them, with scores that are no flags
        rows = [line.split(",")[:6] for line in (given / "A/gt/gt.txt").read_text().splitlines()]
        given = tmp_path / "A.txt"
        given.write_text("".join(",".join([*row, ".87", "-1", "-1", "-1"]) + "\n" for row in rows))
    options = ["--video", f"A={video}"] if video else []
    out = tmp_path / "new" / "crops"
    code, text, err = run(capsys, given, "--out", out, "--every", "2", "--gap", "0.5", *options)
    assert (code, err) == (0, "")
    # 1 in frames 0, 2 .. 18; 2 in 20 .. 38: 2.0 .. 3.8 s, middle 2.9, early to 2.6 s (4), late from 3.2 s (4)
    assert "A: train 10 crops of 1 people, query 2 and gallery 6 of 1\n" in text
    found = read_reid_set(out)
    assert found.train is not None
    assert found.query is not None
    assert found.gallery is not None
    assert [len(found.train), len(found.query), len(found.gallery)] == [10, 2, 6]
    assert has_match(found.query, found.gallery).all()
    for images, person in ((found.train, 1), (found.query, 2), (found.gallery, 2)):
        for path in images.paths:
            crop = cv2.imread(str(path))
            assert crop.shape == (80, 30, 3)
            assert np.abs(crop.astype(int) - colour(person)).mean() < 12
    first = lines_of(out)[0]
    assert first == {
        "path": "train/A/000001_000001.jpg",
        "id": "A/1",
        "camera": "A",
        "split": "train",
        "frame": "1",
        "visibility": "1.00",
    }
    assert {row["camera"] for row in lines_of(out) if row["split"] != "train"} == {"A/early", "A/late"}
    assert {row["id"] for row in lines_of(out)} == {"A/1", "A/2"}
    assert json.loads((out / "crops.json").read_text())["every"] == 2
    assert [path.name for path in out.parent.iterdir()] == ["crops"]


@pytest.mark.parametrize("length", [None, 5, 90])
def test_results_are_as_long_as_they_reach_at_least(tmp_path: Path, length: int | None) -> None:
    """A container may know no number of frames, or estimate too few: no box is left out for that."""
    write_sequence(tmp_path / "A", images=False, video=tmp_path / "clip.avi")
    results = tmp_path / "A.txt"
    results.write_text("40,1,10,10,30,60,.9,-1,-1,-1\n")
    source = replace(open_source(tmp_path / "clip.avi"), length=length)
    table, info = crops_file._table(results, source)
    assert len(table) == 1
    assert (info.length, info.fps, info.width, info.height) == (max(40, length or 0), 10, 160, 120)


def test_several_sequences_share_no_identity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("A", "B"):
        write_sequence(tmp_path / "gt" / name)
    write_sequence(tmp_path / "gt" / "C", images=False)
    code, text, _ = run(capsys, tmp_path / "gt", "--out", tmp_path / "out")
    assert code == 0
    assert "C: left out, no img1/ with its frames, and no video of it" in text
    assert {row["id"] for row in lines_of(tmp_path / "out")} == {"A/1", "A/2", "B/1", "B/2"}


def test_the_three_copies_of_mot17_count_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for detector in ("DPM", "FRCNN", "SDP"):
        write_sequence(tmp_path / "gt" / f"MOT17-02-{detector}")
    run(capsys, tmp_path / "gt", "--out", tmp_path / "all")
    run(capsys, tmp_path / "gt" / "MOT17-02-SDP", "--out", tmp_path / "one")
    assert lines_of(tmp_path / "all") == lines_of(tmp_path / "one")
    assert {row["camera"] for row in lines_of(tmp_path / "all")} >= {"MOT17-02"}


def test_unreadable_frames_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_sequence(tmp_path / "A")
    (folder / "img1/000001.jpg").write_bytes(b"broken")
    code, text, _ = run(capsys, folder, "--out", tmp_path / "out", "--every", "2", "--gap", "0.5")
    assert code == 0
    assert (
        "A: train 9 crops of 1 people, query 2 and gallery 6 of 1; 1 crops lost, their frames cannot" in text
    )


def test_tud_stadtmitte(tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Crops by hand from the same files: one for each box that passes the filters."""
    folder = shared / "MOT15-train/TUD-Stadtmitte"
    options = ("--cut", "1", "--min-visibility", "0", "--min-height", "150", "--every", "10")
    code, _, _ = run(capsys, folder, "--out", tmp_path / "out", *options)
    assert code == 0
    expected = []
    for line in (folder / "gt/gt.txt").read_text().splitlines():
        frame, person, _, top, _, height, *_ = map(float, line.split(","))
        if (frame - 1) % 10 == 0 and min(480, top + height) - max(0, top) >= 150:
            expected.append(f"{int(person):06d}_{int(frame):06d}.jpg")
    assert len(expected) > 50
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.jpg")) == sorted(expected)


def test_a_stopped_run_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_sequence(tmp_path / "A")
    (tmp_path / "out.partial").mkdir()  # of a run that was killed
    (tmp_path / "out.partial" / "old.jpg").write_bytes(b"")
    write = crops_file._write

    def stop(path: Path, image: np.ndarray) -> None:
        write(path, image)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(crops_file, "_write", stop)
        assert run(capsys, folder, "--out", tmp_path / "out")[0] == 130
    assert [path.name for path in tmp_path.iterdir()] == ["A"]
    assert run(capsys, folder, "--out", tmp_path / "out")[0] == 0
    assert not list((tmp_path / "out").rglob("old.jpg"))


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert err.count("\n") == 1
    return err


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_sequence(tmp_path / "gt" / "A"), tmp_path / "out"
    bare = write_sequence(tmp_path / "bare" / "B", images=False)
    (tmp_path / "nothing").mkdir()
    assert "no such folder" in refused(capsys, tmp_path / "x", "--out", out)
    assert "no gt/gt.txt in it" in refused(capsys, tmp_path / "nothing", "--out", out)
    assert "is already there" in refused(capsys, folder, "--out", tmp_path / "nothing")
    assert "no img1/ with its frames; give them: --video B=FILE" in refused(capsys, bare, "--out", out)
    assert "expected SEQUENCE=FILE" in refused(capsys, folder, "--out", out, "--video", "A")
    results = tmp_path / "A.txt"
    results.write_text("1,1,10,10,30,60,.9,-1,-1,-1\n")
    assert "results hold no pictures; give them: --video A=FILE" in refused(capsys, results, "--out", out)
    assert "two sequences of one name" in refused(capsys, folder, results, "--out", out)
    assert "no crop is left" in refused(
        capsys, results, "--out", out, "--video", f"A={folder}", "--min-height", "99"
    )
    assert "A has a video already" in refused(
        capsys, folder, "--out", out, "--video", "A=x", "--video", "A=y"
    )
    assert "no such sequence; did you mean" in refused(capsys, folder, "--out", out, "--video", "AA=x")
    assert "no such file" in refused(capsys, folder, "--out", out, "--video", f"A={tmp_path / 'x.avi'}")
    for option, value in (("visibility", "1.1"), ("visibility", "nan"), ("height", "-1")):
        assert "expected a number in" in refused(capsys, folder, "--out", out, f"--min-{option}", value)
    for option, value in (("every", "0"), ("cut", "2"), ("gap", "-1")):
        assert "expected a number in" in refused(capsys, folder, "--out", out, f"--{option}", value)
    assert "no crop is left" in refused(capsys, folder, "--out", out, "--min-height", "100")
    copy = write_sequence(tmp_path / "other" / "A")
    assert "two sequences of one name" in refused(capsys, folder, copy, "--out", out)
    assert not out.exists()
    assert not out.with_name("out.partial").exists()


def test_a_live_stream_is_no_sequence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_sequence(tmp_path / "A")
    camera = Source("camera0", 30, (120, 160), None, True, lambda source, start: iter(()))
    monkeypatch.setattr("retrace.tracker.outputs.crops.open_source", lambda spec: camera)
    assert "not a live stream" in refused(capsys, folder, "--out", tmp_path / "out", "--video", "A=0")


def test_frames_of_another_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_sequence(tmp_path / "A")
    ini = folder / "seqinfo.ini"
    ini.write_text(ini.read_text().replace("160", "320"))
    assert "frame 1 is 160x120, seqinfo.ini says 320x120" in refused(
        capsys, folder, "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()


def test_results_of_another_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The video has 40 frames of 160 x 120 px."""
    write_sequence(tmp_path / "A", images=False, video=tmp_path / "clip.avi")
    results, out = tmp_path / "run" / "door.txt", tmp_path / "out"
    results.parent.mkdir()

    def told(left: int, frames: int) -> str:
        rows = [f"{k},1,{left},10,30,60,.9,-1,-1,-1" for k in range(1, frames + 1)]
        results.write_text("\n".join(rows))
        return refused(capsys, results, "--out", out, "--video", f"door={tmp_path / 'clip.avi'}")

    assert "goes on to frame 60, but clip ends at 40: give the results of this video" in told(10, 60)
    assert "100 % of its boxes lie outside of the pictures of clip" in told(1000, 20)
    (results.parent / "run.json").write_text(json.dumps({"sequences": {"door": {"size": [480, 640]}}}))
    assert "its run.json says 640 x 480 px, unlike the pictures of clip, which have 160 x 120 px" in told(
        10, 20
    )
    assert not out.exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_sequence(tmp_path / "A")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(capsys, folder, "--out", tmp_path / "file" / "out")


def test_help_imports_nothing_but_the_standard_library() -> None:
    probe = (
        "import sys, retrace.tools.mot_crops as t; t.parser().format_help()\n"
        "print({'numpy', 'cv2', 'scipy', 'torch', 'av'} & {*sys.modules} or '')"
    )
    env = os.environ | {"COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True, env=env
    )
    assert not done.stdout.split()
