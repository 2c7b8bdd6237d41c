"""track_source: one source into its files, from Python."""

import pickle
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.configs.files import locked
from retrace.tracker.data import Detections, Frame, Step
from retrace.tracker.mot_file import read_results
from retrace.tracker.run import Appearance, Job, SourceReport, checkpoint, track_source
from tests.small_video import LENGTH, make_video, squares, write_boxes
from tests.tools.runs.sequences import sequence


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return make_video(tmp_path / "squares.mp4")


@pytest.fixture
def det(tmp_path: Path) -> Path:
    return write_boxes(tmp_path / "det.txt")


def colours(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """An embedder: the colour in the middle of a box."""
    x, y = ((xyxy[:, :2] + xyxy[:, 2:]) / 2).astype(int).T
    found = image[y, x].astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_a_file_of_boxes_and_a_function_give_the_same(video: Path, det: Path, tmp_path: Path) -> None:
    seen: list[Step] = []
    told = track_source(Job(video, tmp_path / "a", detections=str(det)), on_step=seen.append)
    assert (told.name, told.frames, told.new, told.tracks) == ("squares", LENGTH, LENGTH, 2)
    assert told.files == [tmp_path / "a" / "squares.txt"]
    assert [step.frame.index for step in seen] == list(range(LENGTH))
    assert told.record["complete"] is True
    assert told.record["files"] == ["squares.txt"]
    track_source(Job(video, tmp_path / "b", name="mine"), detect=squares)
    assert (tmp_path / "a/squares.txt").read_bytes() == (tmp_path / "b/mine.txt").read_bytes()
    assert pickle.loads(pickle.dumps(told)) == told


def test_any_function_may_embed(video: Path, tmp_path: Path) -> None:
    calls = []

    def counted(image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        calls.append(len(xyxy))
        return colours(image, xyxy)

    job = Job(video, tmp_path, save=("looks",))
    track_source(job, detect=squares, embed=counted)
    assert calls == [2] * LENGTH
    with np.load(tmp_path / "squares.looks.npz") as file:
        assert file["id"].tolist() == [1, 2]
        assert file["count"].min() >= LENGTH - 2


def test_the_first_frames_only(video: Path, det: Path, tmp_path: Path) -> None:
    told = track_source(Job(video, tmp_path / "few", detections=str(det), length=7))
    assert told.frames == 7
    assert not told.stopped
    assert told.unreadable == []
    track_source(Job(video, tmp_path / "all", detections=str(det)))
    few, whole = (read_results(tmp_path / name / "squares.txt") for name in ("few", "all"))
    np.testing.assert_array_equal(few.xyxy, whole.xyxy[whole.frame < 7])


def test_stopped_and_gone_on(video: Path, det: Path, tmp_path: Path) -> None:
    """In the middle, by the event that a caller sets; what went before is neither lost nor done twice."""
    stop = threading.Event()

    def at_twelve(step: Step) -> None:
        if step.frame.index == 12:
            stop.set()

    job = Job(video, tmp_path / "o", detections=str(det), save=("jsonl", "ledger"))
    told = track_source(job, on_step=at_twelve, stop=stop)
    assert (told.stopped, told.frames, told.files) == (True, 13, [])
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert names == {
        "squares.checkpoint.npz",
        *(f"squares.{e}.partial" for e in ("txt", "jsonl", "ledger.jsonl")),
    }
    again = Job(video, tmp_path / "o", detections=str(det), save=("jsonl", "ledger"), resume=True)
    rest = track_source(again)
    assert (rest.frames, rest.new, rest.notes[0]) == (LENGTH, LENGTH - 13, "resumed at frame 13")
    track_source(Job(video, tmp_path / "whole", detections=str(det), save=("jsonl", "ledger")))
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "o" / path.name).read_bytes()


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]


def test_who_was_only_predicted_is_drawn_alike_after_going_on(video: Path, tmp_path: Path) -> None:
    """Nobody is seen in frames 8 to 13; boxes coast, dashed. The whole video is drawn again from where it stood."""
    det = write_boxes(tmp_path / "det.txt", hidden=range(8, 14))
    save = ("mot", "video", "sheet", "jsonl")
    how = {"detections": str(det), "overrides": {"coast": 1.0}, "save": save}
    track_source(Job(video, tmp_path / "whole", **how))
    assert '"det_index":-1' in (tmp_path / "whole" / "squares.jsonl").read_text()
    stop = threading.Event()

    def at(step: Step) -> None:
        if step.frame.index == 20:
            stop.set()

    track_source(Job(video, tmp_path / "o", **how), on_step=at, stop=stop)
    track_source(Job(video, tmp_path / "o", **how, resume=True))
    for name in ("squares.txt", "squares.jsonl", "squares.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "o" / name).read_bytes()
    ours, theirs = (pictures(tmp_path / name / "squares.mp4") for name in ("o", "whole"))
    assert len(ours) == len(theirs) == LENGTH
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list((tmp_path / "o").glob("*.partial"))


def test_one_run_at_a_time(video: Path, det: Path, tmp_path: Path) -> None:
    job = Job(video, tmp_path / "o", detections=str(det))
    with locked(tmp_path / "o" / "squares.lock", "tracks squares"), pytest.raises(InputError) as caught:
        track_source(job)
    assert "tracks squares; wait for it, or choose another output folder" in str(caught.value)
    assert track_source(job).frames == LENGTH
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"squares.txt"}


def stopped(video: Path, det: Path, out: Path) -> Path:
    """A run that stands at frame 5: its checkpoint."""
    stop = threading.Event()
    stop.set()
    track_source(Job(video, out, detections=str(det)), stop=stop)
    return out / "squares.checkpoint.npz"


def resumed(video: Path, det: Path, out: Path) -> SourceReport:
    return track_source(Job(video, out, detections=str(det), resume=True))


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_damaged_checkpoint_is_refused(video: Path, det: Path, tmp_path: Path, place: float) -> None:
    path = stopped(video, det, tmp_path / "o")
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.npz: damaged .*; delete it to begin anew"):
        resumed(video, det, tmp_path / "o")
    path.unlink()
    assert resumed(video, det, tmp_path / "o").frames == LENGTH


def test_a_changed_number_in_a_checkpoint_is_refused(video: Path, det: Path, tmp_path: Path) -> None:
    """Well formed, with CRCs that fit: only the checksum tells."""
    path = stopped(video, det, tmp_path / "o")
    with np.load(path) as file:
        arrays = dict(file)
    name = next(key for key in arrays if arrays[key].dtype.kind == "f" and arrays[key].size)
    np.savez(path, **{**arrays, name: arrays[name] + 1})
    with pytest.raises(InputError, match="its checksum differs"):
        resumed(video, det, tmp_path / "o")
    np.savez(path, **{key: value for key, value in arrays.items() if key != "checksum"})
    with pytest.raises(InputError, match="damaged"):
        resumed(video, det, tmp_path / "o")


def test_a_whole_checkpoint_of_another_state_is_refused(video: Path, det: Path, tmp_path: Path) -> None:
    path = stopped(video, det, tmp_path / "o")
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files if key not in ("checksum", "frame")}
    np.savez(path, checksum=checkpoint._checksum(arrays), **arrays)
    with pytest.raises(InputError, match=r"left by another version .*frame.* delete it"):
        resumed(video, det, tmp_path / "o")


def test_what_a_job_names_must_fit(video: Path, det: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`reid` mine\.onnx: names weights, so an open embedder must come"):
        track_source(Job(video, tmp_path / "o", detections=str(det), reid="mine.onnx"))
    with pytest.raises(InputError, match="no such file or folder"):
        track_source(Job(tmp_path / "none.mp4", tmp_path / "o"))
    assert not (tmp_path / "o").exists()


def test_a_given_function_finds_the_boxes_or_is_refused(video: Path, det: Path, tmp_path: Path) -> None:
    """Also where there is no picture, and never beside another detector."""
    folder = sequence(tmp_path / "bare", 6)  # with a det.txt of its own
    called: list[int] = []

    def detect(frame: Frame) -> Detections:
        called.append(frame.index)
        return Detections([[10 + frame.index, 10, 50 + frame.index, 90]], [0.9])

    report = track_source(Job(folder, tmp_path / "o", reid="none"), detect=detect)
    assert (called, report.tracks) == ([*range(6)], 1)
    with pytest.raises(InputError, match="`detections` replaces the detector: leave `detect` out"):
        track_source(Job(video, tmp_path / "p", detections=str(det)), detect=detect)
    for told in ({"detector": "hog"}, {"conf": 0.5}, {"classes": "car"}):
        with pytest.raises(InputError, match=f"`{next(iter(told))}`: `detect` finds the boxes"):
            track_source(Job(video, tmp_path / "p", **told), detect=detect)  # type: ignore[arg-type]
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "video.mp4"}, "`source` must be what open_source returns, got str"),
        ({"detect": "yolo"}, "`detect` must be a function, got str"),
        ({"embed": "osnet.onnx"}, "`embed` must be a function, got str"),
        ({"on_step": []}, "`on_step` must be a function, got list"),
        ({"stop": False}, "`stop` must be a threading.Event, got bool"),
    ],
)
def test_what_comes_beside_a_job_is_of_the_right_kind(
    video: Path, tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        track_source(Job(video, tmp_path / "o"), **given)
    assert not (tmp_path / "o").exists()


def test_it_is_said_that_nobody_looked(video: Path, det: Path, tmp_path: Path) -> None:
    """`reid` auto asks for looks, and this library opens no weights."""

    def notes(**given: Any) -> list[str]:
        detect = None if "detections" in given else squares
        return track_source(Job(video, tmp_path / "o", **given), detect=detect).notes

    assert notes() == [
        'appearance was not looked at: `reid` auto needs an open embedder, embed=Embedder.from_weights("auto")'
    ]
    assert notes(reid="none") == notes(tracker="sort") == []
    looked = track_source(Job(video, tmp_path / "o", save=("detections",)), detect=squares, embed=colours)
    assert not any("not looked at" in note for note in looked.notes)
    kept = (tmp_path / "o" / "squares.detections.npz").rename(tmp_path / "kept.npz")
    assert not any("not looked at" in note for note in notes(detections=str(kept)))


def test_an_embedders_alarm_is_heard(video: Path, tmp_path: Path) -> None:
    class Alarmed:
        alarm = "net.onnx: different people of one frame look alike"

        def __call__(self, image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
            return colours(image, xyxy)

    assert track_source(Job(video, tmp_path), detect=squares, embed=Alarmed()).warnings == [Alarmed.alarm]


@pytest.mark.parametrize("embed", [None, colours])
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"reid_norm": "frame"}, "`reid_norm` frame: says how weights are opened.* open them with `norm`"),
        ({"reid_input": "raw"}, "`reid_input` raw: says how weights are opened.* open them with `input`"),
        ({"reid_uncalibrated": True}, "`reid_uncalibrated` True: .* open them with `uncalibrated`"),
        ({"embed": "always", "tracker": "sort"}, "`embed` always: nobody looks at appearance here"),
        ({"memory": "people.db"}, "`memory` needs vectors of known weights, and appearance "),
        ({"memory": "people.db", "tracker": "sort"}, "and appearance off: tracker 'sort' does not use it"),
    ],
)
def test_what_nobody_would_do_is_refused(
    video: Path, tmp_path: Path, asked: dict[str, Any], message: str, embed: Any
) -> None:
    with pytest.raises(InputError, match=message):
        track_source(Job(video, tmp_path / "o", **asked), detect=squares, embed=embed)
    assert not (tmp_path / "o").exists()


def test_the_source_is_not_overwritten(video: Path, det: Path, tmp_path: Path) -> None:
    before = video.read_bytes()
    with pytest.raises(InputError, match=r"`out` .*: squares\.mp4 there is the source; name another"):
        track_source(Job(video, tmp_path, detections=str(det), save=("video",)))
    assert video.read_bytes() == before
    other = write_boxes(tmp_path / "squares.txt")
    with pytest.raises(InputError, match=r"squares\.txt there is a file that the run reads; name another"):
        track_source(Job(video, tmp_path, detections=str(other)))


def test_saved_vectors_are_of_the_network_that_is_named(video: Path, tmp_path: Path) -> None:
    """Else a memory would call them those of a network that never saw anybody."""

    def appearance(weights: str) -> Appearance:
        def embed(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
            return np.tile(np.eye(4, dtype=np.float32)[:1], (len(boxes), 1))

        return Appearance(embed, weights, {weights: "ab" * 32})

    def track(out: str, weights: str, embed: str = "always", **given: object) -> None:
        job = Job(video, tmp_path / out, save=("mot", "detections"), camera="none", embed=embed, **given)
        track_source(job, detect=None if job.detections else squares, embed=appearance(weights))

    track("a", "one.onnx")
    saved = tmp_path / "a" / "squares.detections.npz"
    assert str(np.load(saved)["weights"]) == "one.onnx " + "ab" * 16
    track("b", "one.onnx", detections=str(saved))
    again = tmp_path / "b" / "squares.detections.npz"
    assert str(np.load(again)["weights"]) == "one.onnx " + "ab" * 16
    with pytest.raises(
        InputError, match=r"its vectors are of one\.onnx, `reid` is another network, two\.onnx"
    ):
        track("c", "two.onnx", detections=str(saved))
    with pytest.raises(InputError, match="`embed` ambiguous saves nothing"):
        track("d", "one.onnx", "ambiguous", detections=str(saved))
