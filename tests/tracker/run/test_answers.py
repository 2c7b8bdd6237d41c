"""What a run leaves besides boxes: answers, tables, crops, other formats; the same after going on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame, Step
from retrace.tracker.detection.boxes_file import Detector, open_detections
from retrace.tracker.run import Job, SourceReport, checkpoint, track_source
from tests.small_video import LENGTH, make_video, squares

# the red square's feet go from x = 22 to 138, the blue one's from 72 to 43; both at y = 70
REGIONS = """
lines: [{name: door, points: [[100, 0], [100, 96]]}]
zones: [{name: hall, points: [[110, 50], [190, 50], [190, 90], [110, 90]]}]
"""
SAVE = ("csv", "jsonl", "coco", "cvat", "persons", "people", "crops", "heat", "detections", "video", "sheet")
NAMES = {0: "person", 2: "car"}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    (tmp_path / "r.yaml").write_text(REGIONS)
    return make_video(tmp_path / "squares.mp4")


def finder(kept: tuple[int, ...] = (0,)) -> Detector:
    """The two squares, of the classes ``kept``."""

    def find(frame: Frame) -> Detections:
        seen = squares(frame)
        seen.class_id[:] = kept if len(kept) == 2 else kept * 2
        return seen

    return Detector("squares", find, NAMES, kept=kept)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def tracked(video: Path, out: Path, kept: tuple[int, ...] = (0,), **more: object) -> SourceReport:
    job = Job(video, out, save=SAVE, regions=str(video.parent / "r.yaml"), camera="none", **more)
    return track_source(job, detect=finder(kept))


def test_everything_that_can_be_asked_of_a_result(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    told = tracked(video, out)
    assert told.summary == (
        "2 people, at most 2 at once; 1 crossed 'door' to the right; 1 person in 'hall', 0.7 s a visit"
    )
    assert told.record["answers"] == told.answers
    assert told.answers["lines"] == {"door": {"left": 0, "right": 1}}
    assert told.record["regions"]["lines"][0]["points"] == [[100.0, 0.0], [100.0, 96.0]]
    assert {path.name for path in out.iterdir()} == {path.name for path in told.files}
    boxes = rows(out / "squares.csv")
    assert len(boxes) == 2 * LENGTH
    assert (boxes[0]["class_id"], boxes[0]["class"]) == ("0", "person")
    people = rows(out / "squares.persons.csv")
    assert [(p["begin"], p["end"], p["class"]) for p in people] == [("0.000", "3.000", "person")] * 2
    assert float(people[0]["path_px"]) == pytest.approx(4 * (LENGTH - 1), abs=3)
    assert (out / people[0]["best_crop"]).is_file()
    assert len([*(out / "squares.crops" / "0001").iterdir()]) == 5
    assert [r["direction"] for r in rows(out / "squares.lines.csv")] == ["right"]
    assert rows(out / "squares.zones.csv")[0]["zone"] == "hall"
    assert json.loads((out / "squares.coco.json").read_text())["categories"] == [{"id": 1, "name": "person"}]
    assert cv2.imread(str(out / "squares.heat.png")).shape == (96, 192, 3)
    line = json.loads((out / "squares.jsonl").read_text().splitlines()[0])
    assert line["tracks"][0]["class"] == "person"


def test_classes_keep_their_names(video: Path, tmp_path: Path) -> None:
    told = tracked(video, tmp_path / "o", (0, 2))
    assert told.summary.startswith("2 objects (1 car, 1 person), at most 2 at once")
    assert {(r["class_id"], r["class"]) for r in rows(tmp_path / "o/squares.csv")} == {
        ("0", "person"),
        ("2", "car"),
    }
    only = track_source(Job(video, tmp_path / "p", save=("csv",)), detect=finder((2,)))
    assert only.summary.startswith("2 objects (2 car)")
    assert {r["class"] for r in rows(tmp_path / "p/squares.csv")} == {"car"}


@pytest.mark.parametrize("more", [{}, {"blur": "faces", "offline": "interpolate"}, {"codec": "vp9"}])
def test_going_on_leaves_the_same_bytes(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict
) -> None:
    whole = {p.name: p for p in tracked(video, tmp_path / "whole", (0, 2), **more).files}
    took = checkpoint.Checkpoint.took

    def die(self: checkpoint.Checkpoint, step: Step) -> None:
        took(self, step)
        if step.frame.index == 17:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "EVERY", 0.0)
        patch.setattr(checkpoint.Checkpoint, "took", die)
        with pytest.raises(KeyboardInterrupt):
            tracked(video, tmp_path / "o", (0, 2), **more)
    told = tracked(video, tmp_path / "o", (0, 2), resume=True, **more)
    assert "resumed at frame 17" in told.notes
    assert {p.name for p in (tmp_path / "o").iterdir()} == {*whole}
    for path in told.files:
        files = sorted(path.rglob("*.jpg")) if path.is_dir() else [path]
        assert files
        for file in files:
            other = tmp_path / "whole" / file.relative_to(tmp_path / "o")
            assert file.read_bytes() == other.read_bytes(), file.name


def test_saved_detections_give_the_same_tracks(video: Path, tmp_path: Path) -> None:
    tracked(video, tmp_path / "a")
    npz = tmp_path / "a" / "squares.detections.npz"
    track_source(Job(video, tmp_path / "b", detections=str(npz), camera="none"))
    assert (tmp_path / "b/squares.txt").read_bytes() == (tmp_path / "a/squares.txt").read_bytes()


def test_looks_are_saved_with_them(video: Path, tmp_path: Path) -> None:
    def look(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        return np.eye(4, dtype=np.float32)[: len(xyxy)]

    track_source(Job(video, tmp_path, save=("detections",)), detect=finder(), embed=look)
    again = open_detections(tmp_path / "squares.detections.npz")(Frame(3, 0.3, None))
    assert again.embedding is not None
    assert again.embedding.tolist() == np.eye(4)[:2].tolist()


def test_the_rate_of_the_answers_is_the_frames_own(video: Path, tmp_path: Path) -> None:
    """A source that says 10 frames/s and gives 5: everybody was there for 6 s."""
    from dataclasses import replace

    from retrace.tracker.sources import open_source

    source = open_source(video)
    read = source._read
    slow = replace(source, _read=lambda one, at: (replace(f, time=2 * f.time) for f in read(one, at)))
    told = track_source(Job(video, tmp_path, save=("persons",)), source=slow, detect=finder())
    assert told.record["measured_fps"] == pytest.approx(5)
    assert any("5 frames/s by the frames' times (10 stated)" in note for note in told.notes)
    assert rows(tmp_path / "squares.persons.csv")[0]["end"] == "6.000"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label": ("di",), "save": ("video",)}, "`label` di: did you mean 'id'"),
        ({"label": ("id",)}, "`label` does nothing without"),
        ({"blur": "faces"}, "`blur` does nothing without"),
        ({"blur": "face", "save": ("video",)}, "`blur` face: did you mean 'faces'"),
        ({"blur": "people", "save": ("crops",)}, "leaves nothing to see in crops"),
        ({"codec": "vp9"}, "`codec` vp9 does nothing without"),
        ({"crops": 0, "save": ("crops",)}, "`crops` must be at least 1"),
        ({"crops": 3}, "`crops` does nothing without"),
        ({"codec": "vp8", "save": ("video",)}, "`codec` vp8: did you mean 'vp9'"),
        ({"regions": "{cross}"}, "zone 'z' crosses itself"),
        ({"regions": "{far}"}, "'door' lies outside the picture of 192x96 px"),
        ({"regions": "nowhere.yaml"}, "nowhere.yaml: no such file"),
    ],
)
def test_mistakes_leave_nothing(video: Path, tmp_path: Path, wrong: dict, message: str) -> None:
    (tmp_path / "cross.yaml").write_text("zones: [{name: z, points: [[0, 0], [9, 9], [9, 0], [0, 9]]}]")
    (tmp_path / "far.yaml").write_text(REGIONS.replace("[100, ", "[900, "))
    given = {
        key: str(tmp_path / value.replace("{", "").replace("}", ".yaml")) if key == "regions" else value
        for key, value in wrong.items()
    }
    with pytest.raises(InputError) as caught:
        track_source(Job(video, tmp_path / "o", **given), detect=finder())
    assert message in str(caught.value)
    assert not (tmp_path / "o").exists()


def test_a_codec_that_is_not_there(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libsvtav1"})
    with pytest.raises(InputError, match="no encoder for it \\(libsvtav1\\); it has h264, vp9"):
        track_source(Job(video, tmp_path / "o", save=("video",), codec="av1"), detect=finder())
    assert not (tmp_path / "o").exists()


def test_no_screen(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="this machine has no screen"):
        track_source(Job(video, tmp_path / "o", show=True), detect=finder())
    monkeypatch.setenv("DISPLAY", ":97")  # nobody listens there
    with pytest.raises(InputError, match="no window can be opened here"):
        track_source(Job(video, tmp_path / "o", show=True), detect=finder())
    assert not (tmp_path / "o").exists()
