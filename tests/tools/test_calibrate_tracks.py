"""calibrate.py --labels tracks: who a box shows without ground truth, on scenes that can be followed by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from retrace.configs import InputError
from retrace.tools.calibrate import main
from retrace.tools.terminal.console import guarded
from retrace.tools.tuning import tracklets
from retrace.tools.tuning.calibrating import calibrate
from retrace.tools.tuning.clips import Clip
from retrace.tools.tuning.log_odds import tracklet_pairs
from retrace.tools.tuning.tracklets import Believed, find_tracklets, hide
from retrace.tracker import Detections, Tracker
from retrace.tracker.data import MotTable
from tests.tools.looking_sequences import write_sequence

FPS = 10
ODDS = Tracker.from_config("odds").config
Where = Callable[[int], float | None]  # frame -> left edge of a box of 30 x 70, px; None: not there


def scene(*people: Where, frames: int = 60, score: float = 0.9, looks: bool = True) -> Clip:
    """Each of these people has a look of his own: an axis of the space."""
    found = []
    for k in range(frames):
        there = [(n, x) for n, at in enumerate(people) if (x := at(k)) is not None]
        boxes = np.array([(x, 100, x + 30, 170) for _, x in there], np.float32).reshape(-1, 4)
        vectors = np.eye(8, dtype=np.float32)[[n for n, _ in there]] if looks else None
        found.append(Detections(boxes, np.full(len(boxes), score), embedding=vectors))
    return Clip(FPS, found, None, MotTable.of([]))


def standing(x: float, first: int = 0, stop: int = 1000) -> Where:
    return lambda k: x if first <= k < stop else None


def shown_of(*people: Where, frames: int = 60) -> list[list[int]]:
    return [one.tolist() for one in find_tracklets(scene(*people, frames=frames)).shown]


def test_two_people_apart_are_two_strangers() -> None:
    found = find_tracklets(scene(standing(0), standing(200)))
    assert [one.tolist() for one in found.shown] == [[1, 2]] * 60
    assert found.strangers.tolist() == [[False] * 3, [False, False, True], [False, True, False]]
    assert (len(found), found.tracks) == (2, 2)


def test_who_was_never_seen_beside_the_other_is_no_stranger() -> None:
    """The second one may be the first who has come back; the third stands at the second's shoulder throughout."""
    found = find_tracklets(scene(standing(0, 0, 20), standing(400, 30), standing(420, 30)))
    assert len(found) == 3
    assert not found.strangers.any()


def test_what_one_of_the_two_runs_would_not_follow_is_not_believed() -> None:
    """From 4 s on her boxes score .3: a track goes on with them, but none begins. Backwards she begins at 4 s, and is
    believed from her third box on."""
    clip = scene(standing(0), standing(200))
    frames = [Detections(one.xyxy, [0.9, 0.9 if k < 40 else 0.3]) for k, one in enumerate(clip.frames)]
    shown = find_tracklets(replace(clip, frames=frames)).shown
    assert [one.tolist() for one in shown] == [[1, 2]] * 38 + [[1, 0]] * 22


def test_a_tracklet_ends_where_the_two_runs_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwards one track, backwards two: two tracklets, and nobody knows whether they are one person."""
    runs = [[np.array([1])] * 60, [np.array([5])] * 30 + [np.array([7])] * 30]
    monkeypatch.setattr(tracklets, "_tracked", lambda *given: runs.pop(0))
    found = find_tracklets(scene(standing(0)))
    assert [one.tolist() for one in found.shown] == [[2]] * 30 + [[1]] * 30
    assert not found.strangers.any()
    assert found.tracks == 1


@pytest.mark.parametrize(("frames", "score"), [(10, 0.9), (60, 0.55)], ids=["under a second", "low scores"])
def test_what_is_short_or_scores_low_is_not_believed(frames: int, score: float) -> None:
    found = find_tracklets(scene(standing(0), standing(200), frames=frames, score=score))
    assert len(found) == 0
    assert not np.concatenate(found.shown).any()


def test_a_camera_that_moves_is_undone_backwards_too() -> None:
    """40 px a frame to the left, more than a box is wide: followed by the warps alone."""
    clip = scene(lambda k: 3000 - 40.0 * k, lambda k: 3400 - 40.0 * k, frames=30, looks=False)
    warps = {k: np.array([[1.0, 0, -40], [0, 1, 0]]) for k in range(30)}
    found = find_tracklets(Clip(FPS, clip.frames, warps, clip.truth))
    assert [one.tolist() for one in found.shown] == [[1, 2]] * 30


def test_everybody_is_hidden_in_turns() -> None:
    """For a second: the second one from 1 s on (10 to 19, 30 to 39, 50 to 59), the first one half a turn later."""
    clip = scene(standing(0), standing(200), standing(201), standing(400))
    first, second = 1, 2
    shown = [np.array([first, second, 0, 0])] * 60  # a second box of the second person, and somebody unknown
    some, left = hide(clip, Believed(shown, np.zeros((3, 3), bool), 2), 1.0)
    for k in range(60):
        expected = [first, second, 0, 0]
        if k // 10 in (1, 3, 5):
            expected = [first, 0]
        elif k // 10 in (2, 4):
            expected = [second, 0, 0]
        assert left[k].tolist() == expected
        assert len(some.frames[k]) == len(expected)
    whole, same = hide(clip, Believed(shown, np.zeros((3, 3), bool), 2), 0.0)
    assert [len(one) for one in whole.frames] == [4] * 60
    assert [one.tolist() for one in same] == [[first, second, 0, 0]] * 60


def test_who_comes_back_is_the_one_who_was_hidden() -> None:
    clip = scene(standing(0), standing(200), standing(400), frames=100)
    pairs = tracklet_pairs(clip, find_tracklets(clip), ODDS)
    assert [int(pairs.same[pairs.age == age].sum()) > 0 for age in range(4)] == [True] * 4
    looks = pairs.values["look"]
    assert np.nanmax(looks[pairs.same]) < 0.01 < 0.99 < np.nanmin(looks[~pairs.same])


def test_what_comes_after_a_tracklet_says_nothing_of_it() -> None:
    """The third one leaves after 2 s; whether he will be back nobody knows, so nobody is a stranger to his track any
    more. In 6 s nobody else is hidden for 2 s and seen again."""
    clip = scene(standing(0), standing(200), standing(400, 0, 20), frames=60)
    pairs = tracklet_pairs(clip, find_tracklets(clip), ODDS)
    assert {*pairs.age.tolist()} == {0, 1, 2}


def test_two_of_whom_nothing_is_known_are_no_pair() -> None:
    clip = scene(standing(0), standing(20))
    pairs = tracklet_pairs(clip, find_tracklets(clip), ODDS)
    assert pairs.same.all()
    assert len(pairs.same) > 100


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, seed in (("A", 1), ("B", 2)):
        write_sequence(tmp_path / "data" / name, seed)
    return tmp_path / "data"


def test_ground_truth_scores_and_teaches_nothing(data: Path, tmp_path: Path) -> None:
    told = [calibrate(data, ["det.npz"], tmp_path / "with.yaml", labels="tracks")]
    shutil.rmtree(data / "A/gt")
    told.append(calibrate(data, ["det.npz"], tmp_path / "half.yaml", labels="tracks"))
    shutil.rmtree(data / "B/gt")
    told.append(calibrate(data, ["det.npz"], tmp_path / "without.yaml", labels="tracks"))
    texts = [(tmp_path / f"{name}.yaml").read_text() for name in ("with", "half", "without")]
    assert texts[0] == texts[1] == texts[2]
    rows = [[line.split() for line in lines[0].splitlines()] for lines in told]
    assert [row[2:4] for row in rows[2][1:3]] == [["-", "-"]] * 2
    assert rows[1][1][2:4] == ["-", "-"]
    assert rows[1][2] == rows[0][2]
    assert [row[0] for row in rows[0]] == ["HOTA", "A", "B", "combined"]
    assert [row[4] for row in rows[2][1:3]] == [row[4] for row in rows[0][1:3]], (
        "errors by held-out tracklets"
    )
    assert "they are no truth" in told[2][1]
    assert yaml.safe_load(texts[0])["source"].startswith(
        "Tables fitted by tools/calibrate.py label-free (by tracklets that a tracker found) on A det.npz, B"
    )


def test_by_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("A", "B"):
        shutil.rmtree(data / name / "gt")
    given = ["--data", str(data), "--detections", "det.npz", "--out", str(tmp_path / "a.yaml")]
    assert main([*given, "--labels", "tracks"]) == 0
    assert "label-free: 16 tracklets are believed" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        guarded(main, given)
    assert ended.value.code == 2
    assert "no sequence folder with gt/gt.txt in it" in capsys.readouterr().err


def write(folder: Path, clip: Clip) -> None:
    folder.mkdir(parents=True)
    frame = np.repeat(np.arange(len(clip.frames)), [len(one) for one in clip.frames])
    parts = {
        name: np.concatenate([getattr(one, name) for one in clip.frames])
        for name in ("xyxy", "score", "embedding")
    }
    np.savez(folder / "det.npz", frame=frame, **parts)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nframeRate={FPS}\nseqLength={len(clip.frames)}\nimWidth=640\nimHeight=480\n"
    )


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (scene(standing(0)), "2 tracklets are believed, of 2 tracks .*no two of them are in one frame"),
        (scene(standing(0, 0, 25), standing(300, 35)), "4 tracklets are believed, of 4 tracks .*no two"),
        (scene(standing(0), standing(200), frames=9), "0 tracklets are believed, of 4 tracks"),
        (scene(standing(0), standing(200), frames=12), r"pairs of one person and \d+ of two: at least 100"),
    ],
    ids=["one person", "nobody together", "too short", "too few pairs"],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, clip: Clip, message: str) -> None:
    for name in ("A", "B"):
        write(tmp_path / "data" / name, clip)
    with pytest.raises(InputError, match=message) as refused:
        calibrate(tmp_path / "data", ["det.npz"], tmp_path / "a.yaml", labels="tracks")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "a.yaml").exists()


def test_labels_of_another_kind_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`labels` track: .*tracks"):
        calibrate(data, ["det.npz"], tmp_path / "a.yaml", labels="track")
