"""Global ids from a run: the same people in a second source, resume, and what is refused."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools.runs.memories import check_memory
from retrace.tracker.ledger.by_identity import read_history
from retrace.tracker.ledger.explain import tell_frame
from retrace.tracker.ledger.file import LedgerFile
from retrace.tracker.memory import Memory
from retrace.tracker.memory.engines import open_engine
from retrace.tracker.mot_file import read_results
from retrace.tracker.run import Job, track_source
from retrace.tracker.run.opened import Appearance, open_job_source
from retrace.tracker.run.remember import GlobalIds, last_line
from tests.conftest import ROOT

LENGTH, FPS = 60, 10


def clip(folder: Path, name: str, people: Mapping[int, Sequence[int]]) -> Path:
    """A sequence without images: people stand apart and are seen in these frames."""
    sequence = folder / name
    (sequence / "det").mkdir(parents=True)
    (sequence / "seqinfo.ini").write_text(
        f"[Sequence]\nname={name}\nframeRate={FPS}\nseqLength={LENGTH}\nimWidth=600\nimHeight=200\n"
    )
    frame, xyxy, vectors = [], [], []
    for k in range(LENGTH):
        for person, seen in people.items():
            if k in seen:
                frame.append(k)
                xyxy.append([100 * person, 20, 100 * person + 40, 120])
                vector = np.random.default_rng(person).normal(size=64)
                vector += np.random.default_rng([person, k, len(name)]).normal(size=64) * 0.2
                vectors.append(vector / np.linalg.norm(vector))
    np.savez(
        sequence / "det.npz",
        frame=np.array(frame, int),
        xyxy=np.array(xyxy, float).reshape(-1, 4),
        score=np.full(len(frame), 0.9),
        embedding=np.array(vectors, np.float32).reshape(-1, 64),
    )
    return sequence


LOOKS = Appearance(
    lambda image, xyxy: np.zeros((len(xyxy), 64), np.float32), "by hand", {"net.onnx": "ab" * 32}
)


def job(folder: Path, sequence: Path, **other: object) -> Job:
    given: dict = {
        "source": str(sequence), "out": str(folder / "out"), "detections": "det.npz", "reid": "net.onnx",
        "memory": str(folder / "people.db"), "save": ("mot", "jsonl"), "overrides": {"max_age": 1.0},
    }  # fmt: skip
    return Job(**{**given, **other})


def test_who_comes_back_has_the_id_of_before(tmp_path: Path) -> None:
    """Person 1 leaves for three seconds: two tracks, one person. Somebody new in the second source is new."""
    first = clip(tmp_path, "first", {1: range(60), 2: range(60), 3: range(10)})
    again = clip(tmp_path, "again", {3: range(30), 1: range(5, 60), 5: range(60)})
    report = track_source(job(tmp_path, first), embed=LOOKS)
    track_source(job(tmp_path, again), embed=LOOKS)
    one, other = (read_results(tmp_path / "out" / f"{name}.txt") for name in ("first", "again"))

    def id_at(table, place: int) -> int:
        (found,) = set(table.id[table.xyxy[:, 0] == 100 * place].tolist())
        return int(found)

    ids = {place: id_at(one, place) for place in (1, 2, 3)}
    assert set(ids.values()) == {1, 2, 3}
    assert id_at(other, 1) == ids[1]
    assert id_at(other, 3) == ids[3]
    assert id_at(other, 5) == 4
    assert any("3 tracklets of 3 people" in note for note in report.notes)
    kept = read_results(tmp_path / "out" / "again.tracks.txt")
    assert sorted(set(kept.id.tolist())) == [1, 2, 3]  # as the tracker counts
    line = json.loads((tmp_path / "out" / "first.jsonl").read_text().splitlines()[5])
    assert {track["person"] for track in line["tracks"]} == {1, 2, 3}


def test_every_join_is_told_with_its_reason_in_the_frame_in_which_it_is_decided(tmp_path: Path) -> None:
    """In JSON lines while the source runs, in the ledger, and by explain; what is decided at its end stands in the last
    frame. A run again tells the same bytes."""
    sequence = clip(tmp_path, "clip", {1: [*range(20), *range(50, 60)], 2: range(60)})
    config = tmp_path / "quick.yaml"
    text = (ROOT / "configs" / "memory" / "default.yaml").read_text()
    config.write_text(text.replace("split_gap: 6.0", "split_gap: 1.0").replace("window: 2.0", "window: 0.1"))
    made = job(tmp_path, sequence, save=("mot", "jsonl", "ledger"), memory_config=str(config))
    report = track_source(made, embed=LOOKS)
    assert {path.name for path in report.files} >= {"clip.jsonl", "clip.ledger.jsonl", "clip.txt"}
    out = tmp_path / "out"
    lines = [json.loads(line) for line in (out / "clip.jsonl").read_text().splitlines()]
    told = {line["frame"]: line["people"] for line in lines if "people" in line}
    first = {
        "track": 1,
        "begin": 0.0,
        "end": 1.9,
        "person": 1,
        "new": True,
        "probability": 1.0,
        "reason": "like nobody",
    }
    assert [*told] == [31, 59]  # 1.1 s after the end of the first visit, and at the end
    assert told[31] == [first]
    again = next(row for row in told[59] if row["person"] == 1)
    assert (again["person"], again["new"], again["reason"]) == (1, False, "by looks")
    assert again["probability"] > 0.9
    ledger = LedgerFile(out / "clip.ledger.jsonl")
    assert {frame.frame: frame.people for frame in ledger.frames() if frame.people} == told
    history = read_history(ledger)
    assert (
        tell_frame(history, 10, 1)[-1] == "  for the memory a new person 1, from 0.00 to 1.90 s: like nobody"
    )
    assert (
        f"for the memory person 1, from 5.20 to 5.90 s: by looks ({100 * again['probability']:.1f} %"
        in (tell_frame(history, 55, again["track"])[-1])
    )
    before = (out / "clip.ledger.jsonl").read_bytes(), (out / "clip.jsonl").read_bytes()
    track_source(made, embed=LOOKS)
    assert before == ((out / "clip.ledger.jsonl").read_bytes(), (out / "clip.jsonl").read_bytes())


def test_of_a_live_source_it_is_told_whom_those_in_view_seem_to_be(tmp_path: Path) -> None:
    """From two boxes with looks on, once a second; somebody new seems to be nobody. A recording has no such guesses:
    it is told at its end."""
    track_source(job(tmp_path, clip(tmp_path, "before", {1: range(60), 2: range(60)})), embed=LOOKS)
    made = job(tmp_path, clip(tmp_path, "now", {2: range(60), 5: range(60)}), save=("mot", "jsonl"))
    live = replace(open_job_source(made), live=True)
    track_source(made, source=live, embed=LOOKS)
    lines = [json.loads(line) for line in (tmp_path / "out" / "now.jsonl").read_text().splitlines()]
    seems = [[track.get("seems", {}).get("person") for track in line["tracks"]] for line in lines]
    assert seems[0] == [None, None]
    assert seems[11:] == [[2, None]] * 49
    assert lines[30]["tracks"][0]["seems"]["probability"] > 0.9
    assert [track["person"] for track in lines[30]["tracks"]] == [2, 3]
    recorded = (tmp_path / "out" / "before.jsonl").read_text()
    assert "seems" not in recorded


def test_what_is_written_of_a_video_makes_it_no_other_recording(tmp_path: Path) -> None:
    sequence = clip(tmp_path, "clip", {1: range(60), 2: range(10, 50)})
    track_source(job(tmp_path, sequence), embed=LOOKS)
    track_source(job(tmp_path, sequence, save=("mot", "csv"), out=str(tmp_path / "other")), embed=LOOKS)
    with Memory(tmp_path / "people.db") as memory:
        assert memory.people.size == 2


def test_what_limits_took_and_whose_clock_may_be_wrong_is_said(tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    text = (ROOT / "configs" / "memory" / "default.yaml").read_text()
    config.write_text(text.replace("most_people: null", "most_people: 1"))
    first = clip(tmp_path, "first", {1: range(60), 2: range(60), 3: range(10)})
    report = track_source(job(tmp_path, first, memory_config=str(config), memory_start=5000.0), embed=LOOKS)
    assert any("its limits: 2 people forgotten, 0 tracklets reduced" in note for note in report.notes)
    early = track_source(
        job(tmp_path, clip(tmp_path, "early", {4: range(60)}), memory_start=0.0), embed=LOOKS
    )
    assert not any("came late" in note for note in early.notes)  # a recording: cameras are tracked one by one
    wrong = track_source(
        job(tmp_path, clip(tmp_path, "wrong", {5: range(60)}), memory_start=1e6), embed=LOOKS
    )
    (told,) = (note for note in wrong.notes if "clock" in note)
    assert told.startswith("wrong is 995,000 s ahead of all other cameras there")


def test_cameras_of_one_clock_that_are_tracked_one_after_the_other_know_their_people(tmp_path: Path) -> None:
    """Both begin at 0 s, and the second is tracked when the first has ended: nobody in it is late."""
    for name in ("first", "second"):
        sequence = clip(tmp_path, name, {1: range(60), 2: range(10, 50)})
        report = track_source(job(tmp_path, sequence, memory_start=0.0), embed=LOOKS)
        assert any("2 tracklets of 2 people" in note for note in report.notes)
    with Memory(tmp_path / "people.db") as memory:
        assert memory.people.count == 2


def test_an_empty_recording_ends_well_in_a_memory_that_does_not_know_its_camera(tmp_path: Path) -> None:
    track_source(job(tmp_path, clip(tmp_path, "first", {1: range(60)})), embed=LOOKS)
    empty = clip(tmp_path, "empty", {})
    for start in (None, 0.0):
        report = track_source(job(tmp_path, empty, memory_start=start), embed=LOOKS)
        assert any("0 tracklets of 0 people" in note for note in report.notes)


def test_a_live_source_that_begins_again_begins_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another session of the same camera by the same options is no repetition of the first."""
    made = job(tmp_path, clip(tmp_path, "camera", {1: range(60), 2: range(60)}))
    for begin, tracklets in ((1.7e9, 2), (1.7e9 + 500, 4)):
        monkeypatch.setattr("retrace.tracker.run.remember.time.time", lambda begin=begin: begin)
        report = track_source(made, source=replace(open_job_source(made), live=True), embed=LOOKS)
        assert any("2 tracklets of 2 people" in note for note in report.notes)
        with Memory(tmp_path / "people.db") as memory:
            assert (memory.people.size, memory.people.count) == (tracklets, 2)
            assert memory.people.begin_of[tracklets - 1] == begin


def test_a_run_by_a_clock_of_its_own_gets_no_start_afterwards(tmp_path: Path) -> None:
    sequence = clip(tmp_path, "clip", {1: range(60)})
    track_source(job(tmp_path, sequence), embed=LOOKS)  # from 0 s on, by its own clock
    with pytest.raises(
        InputError, match=r"`memory_start` 0: this run is in .* from 0 s on by a clock of its own"
    ):
        track_source(job(tmp_path, sequence, memory_start=0.0), embed=LOOKS)


def test_another_start_of_a_run_that_is_there_is_refused(tmp_path: Path) -> None:
    sequence = clip(tmp_path, "clip", {1: range(60)})
    track_source(job(tmp_path, sequence, memory_start=10.0), embed=LOOKS)
    track_source(job(tmp_path, sequence, memory_start=10.0), embed=LOOKS)
    with pytest.raises(InputError, match=r"`memory_start` 500: this run is in .* already, from 10 s on"):
        track_source(job(tmp_path, sequence, memory_start=500.0), embed=LOOKS)


def test_the_last_line_of_a_long_file() -> None:
    for text in (b"", b"one\n", b"one\ntwo\n", b"a" * 70_000 + b"\n" + b"b" * 70_000 + b"\n"):
        begin = last_line(io.BytesIO(text))
        assert text[begin:] == (text.splitlines(keepends=True) or [b""])[-1]


@pytest.mark.parametrize("offline", [None, "default"])
def test_nothing_has_its_name_before_it_has_the_ids_of_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: str | None
) -> None:
    """A run that dies in between leaves no NAME.txt with the tracker's ids."""
    made = job(tmp_path, clip(tmp_path, "clip", {1: range(60)}), offline=offline)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("retrace.tracker.run.track.rename_results", die)
        with pytest.raises(KeyboardInterrupt):
            track_source(made, embed=LOOKS)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert not left & {"clip.txt", "clip.jsonl"}
    assert "clip.tracks.txt" in left
    report = track_source(replace(made, resume=True), embed=LOOKS)
    names = [path.name for path in report.files]
    assert names[:2] == ["clip.txt", "clip.tracks.txt"]
    assert sorted(names) == sorted({*names})
    assert {"clip.jsonl", *names} == {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("weights", ["", "net.onnx abab"])
def test_vectors_of_a_file_do_without_a_network(tmp_path: Path, weights: str) -> None:
    sequence = clip(tmp_path, "clip", {1: range(60), 2: range(10, 50)})
    with np.load(sequence / "det.npz") as arrays:
        np.savez(sequence / "det.npz", **arrays, weights=weights)
    made = job(tmp_path, sequence, reid="none")
    if weights:
        assert any("2 tracklets of 2 people" in note for note in track_source(made).notes)
    else:
        with pytest.raises(InputError, match="needs vectors of known weights"):
            track_source(made)


@pytest.mark.parametrize("left", ["nothing", "no tables"])
def test_a_memory_that_died_while_it_was_made_is_made(tmp_path: Path, left: str) -> None:
    (tmp_path / "people.db").touch()
    if left == "no tables":
        with closing(sqlite3.connect(tmp_path / "people.db")) as db:
            db.execute("PRAGMA journal_mode = WAL")
        assert (tmp_path / "people.db").stat().st_size
    with pytest.raises(InputError, match="is empty; track"):
        check_memory(str(tmp_path / "people.db"))
    report = track_source(job(tmp_path, clip(tmp_path, "clip", {1: range(60)})), embed=LOOKS)
    assert any("1 tracklets of 1 people" in note for note in report.notes)


def test_the_same_run_again_adds_nothing(tmp_path: Path) -> None:
    sequence = clip(tmp_path, "clip", {1: range(60), 2: range(10, 50)})
    for _ in range(2):
        track_source(job(tmp_path, sequence), embed=LOOKS)
    with Memory(tmp_path / "people.db") as memory:
        assert memory.people.size == 2


def test_a_stopped_run_goes_on_to_the_same_people(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    people = {1: range(20), 2: range(60), 3: range(40, 60)}
    for folder in (whole, parts):
        clip(folder, "clip", people)
    track_source(job(whole, whole / "clip"), embed=LOOKS)
    stop = threading.Event()
    ask = lambda step: stop.set() if step.frame.index == 30 else None  # noqa: E731
    assert track_source(job(parts, parts / "clip"), embed=LOOKS, on_step=ask, stop=stop).stopped
    track_source(job(parts, parts / "clip", resume=True), embed=LOOKS)
    for name in ("clip.txt", "clip.tracks.txt", "clip.jsonl"):
        assert (whole / "out" / name).read_bytes() == (parts / "out" / name).read_bytes()
    with Memory(whole / "people.db") as one, Memory(parts / "people.db") as other:
        assert (one.people.vectors[:3] == other.people.vectors[:3]).all()


def test_an_engine_is_kept_in_step(tmp_path: Path) -> None:
    """Results do not depend on it; its graph lies beside the memory, with every tracklet in it."""
    pytest.importorskip("faiss")
    people = {1: range(60), 2: range(10, 50)}
    for name, engine in (("without", None), ("with", "hnsw")):
        clip(tmp_path / name, "clip", people)
        track_source(job(tmp_path / name, tmp_path / name / "clip", memory_engine=engine), embed=LOOKS)
    told = [(tmp_path / name / "out" / "clip.txt").read_bytes() for name in ("without", "with")]
    assert told[0] == told[1]
    kept = open_engine("hnsw", tmp_path / "with" / "people.db", "", 64, 2)
    assert sorted(kept.held()[0].tolist()) == [1, 2]


def test_a_person_at_a_time() -> None:
    people = GlobalIds(np.array([7, 7, 9]), np.array([1.0, 5.0, 0.0]), np.array([100, 200, 300]))
    assert people.of(np.array([7, 7, 7, 9, 7]), np.array([1.0, 4.9, 5.0, 3.0, 0.5])).tolist() == [
        100,
        100,
        200,
        300,
        100,
    ]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"memory": None, "memory_engine": "exact"}, "`memory_engine` does nothing without `memory`"),
        ({"memory_engine": "ivf"}, "engine ivf: .*known: auto"),
        ({"memory_engine": "postgres"}, "takes an address"),
        ({"memory": None, "memory_start": 3.0}, "does nothing without `memory`"),
        ({"reid": "none", "detections": "det.txt"}, "needs `reid`, or `detections` FILE.npz with vectors"),
        ({"reid_norm": "video"}, "compares vectors over videos"),
    ],
)
def test_jobs_that_cannot_be(tmp_path: Path, other: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        job(tmp_path, tmp_path, **other)


@pytest.mark.parametrize("name", ["clip.txt", "clip.tracks.txt", "clip.jsonl", "run.json"])
def test_a_memory_is_no_result(tmp_path: Path, name: str) -> None:
    made = job(tmp_path, clip(tmp_path, "clip", {1: range(60)}), memory=str(tmp_path / "out" / name))
    with pytest.raises(InputError, match="is where a result goes; name another file"):
        track_source(made, embed=LOOKS)


def test_memories_that_cannot_be(tmp_path: Path) -> None:
    sequence = clip(tmp_path, "clip", {1: range(60)})
    (tmp_path / "people.db").write_text("somebody's notes" * 999)
    with pytest.raises(InputError, match=r"people\.db"):
        track_source(job(tmp_path, sequence), embed=LOOKS)
    (tmp_path / "people.db").unlink()
    track_source(job(tmp_path, sequence), embed=LOOKS)
    others = Appearance(LOOKS.embed, "another", {"net.onnx": "cd" * 32})
    with pytest.raises(InputError, match="vectors of two networks do not compare"):
        track_source(job(tmp_path, sequence), embed=others)
    with pytest.raises(InputError, match="cannot be written"):
        track_source(job(tmp_path, sequence, memory="/proc/nowhere/people.db"), embed=LOOKS)
    with pytest.raises(InputError, match="vectors of known weights"):
        track_source(job(tmp_path, sequence), embed=Appearance(LOOKS.embed, "unknown"))


def site(folder: Path, name: str, shift: int) -> Path:
    """Two people walk in opposite directions, seen without looks; one camera's picture is the other's, shifted."""
    sequence = folder / name
    (sequence / "det").mkdir(parents=True)
    head = f"[Sequence]\nname={name}\nframeRate={FPS}\nseqLength={LENGTH}\nimWidth=900\nimHeight=300\n"
    (sequence / "seqinfo.ini").write_text(head)
    rows = [(k, 100 + shift + 4 * k, 400 + shift - 4 * k) for k in range(LENGTH)]
    frame = np.repeat([k for k, *_ in rows], 2)
    left = np.array([xs for _, *xs in rows], float).ravel()
    top = np.tile([20.0, 90.0], LENGTH)
    looks = np.random.default_rng(shift).normal(size=(len(frame), 64))  # of nobody
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    boxes = {"xyxy": np.stack([left, top, left + 40, top + 100], axis=1), "score": np.full(len(frame), 0.9)}
    np.savez(sequence / "det.npz", frame=frame, embedding=looks.astype(np.float32), **boxes)
    return sequence


def ids_by_height(folder: Path, name: str) -> dict[int, set[int]]:
    table = read_results(folder / "out" / f"{name}.txt")
    return {top: {*table.id[table.xyxy[:, 1] == top].tolist()} for top in (20, 90)}


def test_two_cameras_that_see_one_place(tmp_path: Path) -> None:
    """The ground is given by files; the second camera is read after the first, from the same time on."""
    ground = tmp_path / "ground.yaml"
    ground.write_text(
        "cameras:\n  a: {homography: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}\n"
        "  b: {points: [[200, 0, 0, 0], [1000, 0, 800, 0], [200, 300, 0, 300], [1000, 300, 800, 300]]}\n"
    )
    for place in (None, str(ground)):
        folder = tmp_path / ("looks" if place is None else "place")
        given: dict = {"memory_start": 0.0, "homography": place, "tracker": "bytetrack", "overrides": {}}
        for name, shift in (("a", 0), ("b", 200)):
            track_source(job(folder, site(folder, name, shift), **given), embed=LOOKS)
        one, other = (ids_by_height(folder, name) for name in "ab")
        assert all(len(ids) == 1 for ids in (*one.values(), *other.values()))
        assert (one == other) == (place is not None)
    with pytest.raises(InputError, match="no homography of camera c; there are a, b"):
        track_source(job(tmp_path, site(tmp_path, "c", 0), homography=str(ground)), embed=LOOKS)


def test_paths_go_on_after_a_stop(tmp_path: Path) -> None:
    ground = tmp_path / "ground.yaml"
    ground.write_text("cameras:\n  a: {homography: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}\n")
    paths = []
    for name, where in (("whole", LENGTH), ("parts", 30)):
        folder = tmp_path / name
        stop = threading.Event()
        ask = lambda step, where=where, stop=stop: stop.set() if step.frame.index == where else None  # noqa: E731
        given = job(folder, site(folder, "a", 0), homography=str(ground))
        if track_source(given, embed=LOOKS, on_step=ask, stop=stop).stopped:
            track_source(replace(given, resume=True), embed=LOOKS)
        with Memory(folder / "people.db") as memory:
            paths.append(memory.store.read("SELECT * FROM path ORDER BY tracklet"))
    assert paths[0] == paths[1] != []


def test_limits_of_its_own(tmp_path: Path) -> None:
    """People who are forgotten while the run goes on keep the ids that they were given."""
    text = (ROOT / "configs/memory/default.yaml").read_text()
    own = tmp_path / "short.yaml"
    own.write_text(
        text.replace("forget_after: null", "forget_after: 1.0").replace("split_gap: 6.0", "split_gap: 0.2")
    )
    people = {1: range(5), 2: range(10, 15), 3: range(20, 25), 4: range(55, 60)}
    report = track_source(job(tmp_path, clip(tmp_path, "clip", people), memory_config=str(own)), embed=LOOKS)
    table = read_results(tmp_path / "out" / "clip.txt")
    assert len(np.unique(table.id)) == 4
    assert any("4 tracklets of 4 people" in note for note in report.notes)
    with Memory(tmp_path / "people.db") as memory:
        assert memory.people.count < 4
