"""The ledger of a run: what is written, what is read back, births followed through every preset."""

import json

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker import Tracker
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Detections, Frame, Step
from retrace.tracker.ledger.file import NEAREST, LedgerFile, ledger_header, ledger_line
from retrace.tracker.outputs.text import ledger_sink
from retrace.tracker.tracks import shown
from retrace.tracker.tracks.state import LiveTracks
from tests.conftest import ROOT
from tests.scenes import walk

PRESETS = sorted(path.stem for path in (ROOT / "configs" / "tracker").glob("*.yaml"))
BOX = np.array([100.0, 100, 140, 200])


def config(**changes):
    base = {
        "stages": [
            {"tracks": ["active", "lost", "tentative"], "detections": "high", "cost": "iou", "limit": 0.7}
        ]
    }
    return TrackerConfig(**(base | {"start_frames": 0, "tentative_max_age": 0.1} | changes))


def detections(*rows):
    """Rows (shift to the right of BOX in px, score)."""
    xyxy = [BOX + np.array([shift, 0, shift, 0]) for shift, _ in rows]
    return Detections(np.array(xyxy).reshape(-1, 4), np.array([score for _, score in rows]))


def write(path, frames, settings, fps=10.0):
    """Track; returns the ledger read back and the tracks of every frame."""
    tracker = Tracker(settings, fps, ledger=True)
    sink = ledger_sink(tracker, "scene", path)
    steps = []
    for k, found in enumerate(frames):
        tracks = tracker.update(found, k / fps)
        steps.append(Step(Frame(k, k / fps, None), found, tracks))
        sink.write(steps[-1])
    sink.finish()
    return LedgerFile(path), steps


def test_a_life_by_hand(tmp_path):
    """Born, confirmed, lost, found again 24 px off, lost for good."""
    frames = [
        detections((0, 0.9), (300, 0.65), (600, 0.05)),  # a birth; below new (0.7); below low (0.1)
        detections((0, 0.9), (200, 0.9)),  # confirmed: it gets id 1; a false alarm, that is not seen again
        detections((20, 0.3)),  # low scores are in no stage
        detections((24, 0.9)),
        *[detections()] * 4,
    ]
    file, _ = write(tmp_path / "a.jsonl", frames, config(max_age=0.25))
    first, second, third, fourth, *rest = file.frames()
    assert first.detections["fate"].tolist() == ["unconfirmed", "below new", "below low"]
    assert first.detections["id"].tolist() == [-1, 0, 0], "birth 1 has no name"
    assert np.isnan(first.detections["stage"]).all()
    assert second.detections["fate"].tolist() == ["matched", "unconfirmed"]
    assert second.detections["id"].tolist() == [1, -2]
    assert second.named == {-1: 1}
    assert second.tracks["id"].tolist() == [1]
    assert third.detections["fate"].tolist() == ["below high"]
    assert np.isnan(third.tracks["detection"]).all()
    pair = fourth.stages[0]
    assert pair["id"].tolist() == [1]
    # 16 of 40 px are shared: IoU 16 / 64 (the filter stands still)
    assert pair["cost"][0] == pair["iou"][0] == pytest.approx(1 - 16 / 64, abs=0.02)
    assert pair["cost"][0] >= pair["limit"][0] == 0.7
    assert not pair["joined"][0]
    assert fourth.tracks["id"].tolist() == [1, -2]
    assert fourth.tracks["missed"].tolist() == [1, 1]
    assert fourth.detections["fate"].tolist() == ["unconfirmed"]
    ends = {
        int(one): str(why)
        for frame in (third, fourth, *rest)
        for one, why in zip(frame.ended.get("id", []), frame.ended.get("why", []), strict=True)
    }
    assert ends == {-2: "expired", -3: "expired", 1: "expired"}


def test_what_the_lines_look_like(tmp_path):
    write(tmp_path / "a.jsonl", [detections((0, 0.9), (300, 0.9))] * 2, config())
    head, _, line = (json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines())
    assert (head["ledger"], head["source"], head["fps"]) == (1, "scene", 10.0)
    assert head["tracker"] == config().model_dump(mode="json")
    pairs = line["stages"][0]["pairs"]
    assert pairs["limit"] == 0.7, "one value where all are equal"
    assert pairs["joined"] == 1
    assert pairs["detection"] == [0, 1]
    assert line["detections"]["stage"] == 0
    assert line["detections"]["xyxy"][0] == [100, 100, 140, 200]
    assert "by" not in line["detections"]
    assert "ended" not in line


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dimension", [0, 8])
def test_every_detection_has_its_fate(preset, dimension, tmp_path):
    scene = walk(3, people=10, frames=30, dimension=dimension)
    settings = Tracker.from_config(preset).config
    file, steps = write(tmp_path / "a.jsonl", scene, settings, fps=30.0)
    plain = Tracker(settings, 30.0)
    blind_or_not = set()
    for step, account in zip(steps, file.frames(), strict=True):
        tracks = plain.update(step.detections, step.frame.time)
        assert np.array_equal(tracks.id, step.tracks.id), "keeping a ledger changes nothing"
        assert np.array_equal(tracks.xyxy, step.tracks.xyxy)
        table = account.detections
        assert table["count"] == len(step.detections)
        blind_or_not.add(account.blind)
        shown = dict(zip(step.tracks.det_index.tolist(), step.tracks.id.tolist(), strict=True))
        for index, fate, name in zip(
            table["index"].tolist(), table["fate"], table["id"].tolist(), strict=True
        ):
            if index in shown:
                assert name == shown[index]
                assert fate in ("matched", "new")
            if fate.startswith("below"):
                assert name == 0
        stages = (settings.blind_stages if account.blind else ()) or settings.stages
        for number, pairs in account.stages.items():
            stage = stages[number]
            joined = {
                (i, d) for i, d, j in zip(pairs["id"], pairs["detection"], pairs["joined"], strict=True) if j
            }
            assert len(joined) == len({i for i, _ in joined}) == len({d for _, d in joined})
            weighted = sum(weight * pairs[name] for name, weight in stage.terms.items())
            added = np.round(pairs["cost"] - weighted, 2)
            assert set(added[np.isfinite(added)]) <= set(stage.bands.values())
            assert (pairs["cost"] < pairs["limit"])[pairs["joined"] == 1].all()
            for name, most in stage.gates.items():
                assert (pairs[name] <= most)[pairs["joined"] == 1].all()
    assert True in blind_or_not or dimension or not settings.blind_stages


@pytest.mark.parametrize("preset", PRESETS)
def test_births_are_followed(preset, monkeypatch):
    """A birth number is the same track's for all its life: beside an engine that is watched row by row."""
    rng = np.random.default_rng(5)
    settings = Tracker.from_config(preset, max_age=0.3).config
    tracker = Tracker(settings, 30.0, ledger=True)
    watched = Watched(tracker, monkeypatch)
    for k, found in enumerate(walk(7, people=14, frames=60)):
        # doubles, some of them identical: what is hardest to tell apart
        twice = np.concatenate((np.arange(len(found)), rng.integers(0, max(len(found), 1), 3)))
        xyxy = found.xyxy[twice] + rng.integers(0, 2, (len(twice), 1))
        tracker.update(Detections(xyxy, found.score[twice]), k / 30)
        assert tracker.ledger.labels(tracker._live).tolist() == watched.labels()
    assert tracker.ledger.births == watched.births > 14


class Watched:
    """Numbers births by standing in the way of whatever takes and appends rows, which the ledger does not."""

    def __init__(self, tracker, monkeypatch):
        self.tracker, self.numbers, self.births = tracker, [], 0
        take, append, report = LiveTracks.take, LiveTracks.append, shown.report

        def watched_take(live, rows):
            if len(self.numbers) == len(live):
                self.numbers = [self.numbers[row] for row in rows]
            return take(live, rows)

        def watched_append(live, new, vectors):
            self.numbers += [None] * len(new)
            return append(live, new, vectors)

        def watched_report(*arguments):
            for k, number in enumerate(self.numbers):  # a birth counts when it outlives its frame
                if number is None:
                    self.births += 1
                    self.numbers[k] = self.births
            return report(*arguments)

        monkeypatch.setattr(LiveTracks, "take", watched_take)
        monkeypatch.setattr(LiveTracks, "append", watched_append)
        monkeypatch.setattr(shown, "report", watched_report)

    def labels(self):
        names = self.tracker._live.id.tolist()
        return [name or -number for name, number in zip(names, self.numbers, strict=True)]


def test_suppressed_by_a_better_box(tmp_path):
    found = detections((0, 0.9), (2, 0.8))  # IoU 38 / 42
    file, _ = write(tmp_path / "a.jsonl", [found], config(nms=0.8))
    table = file[0].detections
    assert table["fate"].tolist() == ["unconfirmed", "suppressed nms"]
    assert table["by"][1] == 0, "the detection"
    assert np.isnan(table["by"][0])
    turned = Detections(found.xyxy[::-1], found.score[::-1])
    file, _ = write(tmp_path / "b.jsonl", [turned], config(nms=0.8))
    assert file[0].detections["fate"].tolist() == ["suppressed nms", "unconfirmed"]
    assert file[0].detections["by"][0] == 1


def test_suppressed_by_a_live_track_and_by_a_birth(tmp_path):
    frames = [detections((0, 0.9)), detections((0, 0.9), (8, 0.8), (300, 0.9), (304, 0.8))]
    file, _ = write(tmp_path / "a.jsonl", frames, config(birth_iou=0.5, confirm_hits=1))
    table = file[1].detections
    assert table["fate"].tolist() == ["matched", "suppressed live", "new", "suppressed birth"]
    assert table["by"][[1, 3]].tolist() == [1, 2], "id 1; detection 2"


def test_a_duplicate_is_dropped(tmp_path):
    """Somebody begins where a lost one returns to: of the two the younger goes."""
    # the lost one cannot match
    stage = {"tracks": ["active"], "detections": "high", "cost": "iou", "limit": 0.7}
    settings = config(stages=[stage], duplicate_iou=0.85, confirm_hits=1, start_frames=5)
    frames = [*[detections((0, 0.9))] * 4, detections(), detections((0, 0.9), (400, 0.9))]
    file, steps = write(tmp_path / "a.jsonl", frames, settings)
    assert steps[-1].tracks.id.tolist() == [2], "400 px away"
    table = file[5].detections
    assert table["fate"].tolist() == ["suppressed duplicate", "new"]
    assert table["by"][0] == 1
    older = write(tmp_path / "b.jsonl", [*frames[:4], detections(), *[detections((40, 0.9))] * 6], settings)
    assert "duplicate" not in older[0].path.read_text().split("\n", 1)[1]


def test_a_track_is_dropped_as_a_duplicate(tmp_path):
    """Two active tracks; the younger is lost behind the older, drifts onto it, and is dropped."""
    settings = config(duplicate_iou=0.6, confirm_hits=1, max_age=5)
    frames = [detections((0, 0.9))] * 3 + [detections((0, 0.9), (80 - 10 * k, 0.9)) for k in range(6)]
    frames += [detections((0, 0.9))] * 6
    file, _ = write(tmp_path / "a.jsonl", frames, settings)
    ended = [(f.frame, f.ended) for f in file.frames() if f.ended["count"]]
    assert len(ended) == 1
    assert ended[0][1]["id"].tolist() == [2]
    assert ended[0][1]["why"].tolist() == ["duplicate"]
    assert ended[0][1]["by"].tolist() == [1]


def test_only_the_nearest_refused_pairs_are_told(tmp_path):
    """Nine boxes all over one track: the joined one, the possible ones, and NEAREST in all at least."""
    close = [(0, 0.9), *((36 - k, 0.9) for k in range(8))]  # IoU 4 / 76 and more: all refused at 0.7
    file, _ = write(tmp_path / "a.jsonl", [detections((0, 0.9)), detections(*close)], config())
    pairs = file[1].stages[0]
    assert pairs["count"] == NEAREST
    assert file[1].left_out[0] == 9 - NEAREST
    assert sorted(pairs["detection"].tolist()) == [0, 6, 7, 8]


def test_blind_stages_and_the_number_of_the_stage(tmp_path):
    stages = [{"tracks": ["active"], "detections": "high", "cost": "appearance", "limit": 0.5}]
    blind = [
        {"tracks": ["tentative"], "detections": "low", "cost": "iou", "limit": 0.5},
        {"tracks": ["active"], "detections": "high", "cost": "iou", "limit": 0.5},
    ]
    settings = config(stages=stages, blind_stages=blind, confirm_hits=1)
    file, _ = write(tmp_path / "a.jsonl", [detections((0, 0.9))] * 2, settings)
    assert file[1].blind
    assert file[1].detections["stage"].tolist() == [1]
    vector = np.eye(4)[:1]
    seeing = Detections(BOX[None], np.array([0.9]), embedding=vector)
    file, _ = write(tmp_path / "b.jsonl", [seeing, seeing], settings)
    assert not file[1].blind
    assert file[1].detections["cost"].tolist() == [0.0]


def test_an_infinite_cost_is_null(tmp_path):
    """Looks unknown on one side: the pair overlaps and cannot be."""
    stage = {
        "tracks": ["active"],
        "detections": "high",
        "cost": {"iou": 0.5, "appearance": 0.5},
        "limit": 0.9,
    }
    looks = np.eye(4)[:2].copy()
    frames = [Detections(BOX[None] + [[0], [300]], np.full(2, 0.9), embedding=looks)]
    looks = looks.copy()
    looks[0] = 0
    frames.append(Detections(frames[0].xyxy, np.full(2, 0.9), embedding=looks))
    file, _ = write(tmp_path / "a.jsonl", frames, config(stages=[stage], confirm_hits=1))
    pairs = file[1].stages[0]
    assert np.isnan(pairs["cost"][0])
    assert np.isnan(pairs["appearance"][0])
    assert pairs["iou"][0] == pytest.approx(0)
    assert pairs["joined"].tolist() == [0, 1]


def test_boosted_scores_are_the_ones_that_decided(tmp_path):
    settings = config(boost={"likely": 0.65, "unlikely": False}, confirm_hits=1)
    file, _ = write(tmp_path / "a.jsonl", [detections((0, 0.9)), detections((0, 0.3))], settings)
    assert file[1].detections["score"].tolist() == [0.65]
    assert file[1].detections["fate"].tolist() == ["matched"]


def test_boxes_of_no_size_are_counted_and_keep_their_index(tmp_path):
    found = Detections(np.array([[5.0, 5, 5, 9], BOX]), np.array([0.9, 0.9]))
    file, _ = write(tmp_path / "a.jsonl", [found], config())
    assert file[0].detections["index"].tolist() == [1]
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[1])["dropped"] == 1


def test_empty_frames_and_an_empty_run(tmp_path):
    file, _ = write(tmp_path / "a.jsonl", [Detections.empty()] * 3, config())
    assert [frame.detections["count"] for frame in file.frames()] == [0, 0, 0]
    file, _ = write(tmp_path / "b.jsonl", [], config())
    assert len(file) == 0


@pytest.mark.parametrize("preset", ["default", "bytetrack", "tracktrack"])
def test_a_state_in_the_middle_gives_the_same_lines(preset):
    scene, settings = walk(11, people=8, frames=40), Tracker.from_config(preset).config
    whole, half = (Tracker(settings, 30.0, ledger=True) for _ in range(2))
    lines = [line(whole, k, found) for k, found in enumerate(scene)]
    for k, found in enumerate(scene[:20]):
        half.update(found, k / 30)
    state, own = half.state_dict(), half.ledger.state_dict()
    later = Tracker(settings, 30.0, ledger=True)
    later.load_state_dict(state)
    later.ledger.load_state_dict(own)
    assert [line(later, 20 + k, found) for k, found in enumerate(scene[20:])] == lines[20:]
    forgetful = Tracker(settings, 30.0, ledger=True)  # without its ledger's state it counts anew, and goes on
    forgetful.load_state_dict(state)
    assert json.loads(line(forgetful, 20, scene[20]))["detections"]["fate"]


def line(tracker, k, found):
    tracks = tracker.update(found, k / 30)
    return ledger_line(Step(Frame(k, k / 30, None), found, tracks), tracker.ledger, tracker.config)


def test_no_ledger_no_sink(tmp_path):
    with pytest.raises(InputError, match="keeps no ledger"):
        ledger_sink(Tracker(config()), "a", tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no ledger"),
        ('{"frame": 0}\n', "is no ledger"),
        ("3\n", "is no ledger"),
        ('{"ledger": 99, "source": "a", "fps": 10, "tracker": {}}\n', "version 99"),
    ],
)
def test_files_that_are_no_ledger(text, message, tmp_path):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(InputError, match=message):
        LedgerFile(tmp_path / "a.jsonl")


def test_a_damaged_line_and_a_missing_file(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(ledger_header("a", 10.0, config()) + '{"frame": 0, "time": 0}\n{"frame": 1, "ti\n')
    with pytest.raises(InputError, match="line 3 is damaged"):
        list(LedgerFile(path).frames())
    with pytest.raises(InputError, match="cannot be read"):
        LedgerFile(tmp_path / "b.jsonl")
