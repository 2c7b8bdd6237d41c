"""Does appearance pay: labels, perfect looks, and a scene where only looks can tell."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.mot import evaluate
from retrace.eval.mot.oracle import shown_people
from retrace.tools import does_reid_pay
from retrace.tools.scoring import reid_pay
from retrace.tools.scoring.pay_report import (
    advice,
    as_svg,
    early_ends,
    open_embedders,
    open_trials,
    read_gaps,
    sections,
)
from retrace.tools.scoring.reid_pay import (
    LOST,
    OFF,
    ORACLE,
    SCORE_OFF,
    SHAKEN,
    SHOWN,
    Contender,
    Gain,
    Gap,
    compare,
    noisy,
    perfect_looks,
    track,
)
from retrace.tracker import Detections, Tracker
from retrace.tracker.data import MotTable
from tests.reid.resealed import CARD, changed, resealed

FRAMES, FPS, GONE = 80, 10, range(25, 50)  # longer than a predicted box is believed
COLOURS = ((0, 0, 255), (255, 0, 0))


class Colours:
    """Looks by the mean colour; no network needed."""

    dim = 3

    def reset(self) -> None: ...

    def __call__(self, image: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        means = [
            image[int(y1) : int(y2), int(x1) : int(x2)].reshape(-1, 3).mean(0) + 1 for x1, y1, x2, y2 in xyxy
        ]
        rows = np.array(means, np.float32).reshape(-1, 3)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Two people who are gone for a while and change places meanwhile."""
    folder = tmp_path / "swap"
    (folder / "img1").mkdir(parents=True)
    (folder / "gt").mkdir()
    (folder / "det").mkdir()
    truth, boxes = [], []
    for k in range(FRAMES):
        image = np.full((120, 300, 3), 90, np.uint8)
        for person, colour in enumerate(COLOURS):
            left = (40, 200) if k < GONE.start else (200, 40)
            x = left[person]
            cv2.rectangle(image, (x, 20), (x + 29, 99), colour, -1)
            if k not in GONE:
                truth.append(f"{k + 1},{person + 1},{x},20,30,80,1,1,1\n")
                boxes.append(f"{k + 1},-1,{x},20,30,80,0.9\n")
        cv2.imwrite(str(folder / "img1" / f"{k + 1:06d}.png"), image)
    (folder / "gt" / "gt.txt").write_text("".join(truth))
    (folder / "det" / "det.txt").write_text("".join(boxes))
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=swap\nimDir=img1\nframeRate={FPS}\nseqLength={FRAMES}\nimWidth=300\nimHeight=120\nimExt=.png\n"
    )
    return folder


def test_looks_tell_who_came_back_where(scene: Path) -> None:
    trials = open_trials([str(scene)], None, None, "none")
    ticks = []
    config = Tracker.from_config("default").config
    gaps = [Gap(5, "f"), Gap(3), Gap(3), Gap(9), Gap(30, "f")]
    found = compare(trials, {"colours": Colours()}, config, gaps, lambda k, n: ticks.append((k, n)))  # type: ignore[dict-item]
    off, colours, oracle = found
    assert [each.name for each in found] == [OFF, "colours", ORACLE]
    assert off.combined.row()["IDF1"] < 0.8  # places say that nobody moved
    assert colours.combined.row()["IDF1"] == oracle.combined.row()["IDF1"] == 1.0
    assert ticks[-1] == (FRAMES, FRAMES)
    assert [one.gap for one in colours.gaps.values()] == [5, 3 * FPS, 9 * FPS, 30]
    soon, later, *_ = colours.gaps.values()
    assert soon.rank1 == later.rank1 == 1.0
    assert soon.chance == 0.5
    assert later.queries == 10  # two people, in their last five frames; a gap counts once
    assert not off.gaps
    for name in ("HOTA", "AssA", "IDF1"):
        gain = colours.gained[name]
        assert 0 < gain.low <= gain.value <= gain.high, name
        assert gain.value == colours.combined.row()[name] - off.combined.row()[name]
    assert not off.gained
    tracking, after = sections(found)
    assert [line[0] for line in tracking.lines[1:]] == [
        OFF,
        "colours",
        ORACLE,
        "colours - off",
        "oracle - off",
    ]
    assert tracking.lines[4][3] == "+48.1 [+48.1, +48.1]"  # IDF1; the two people fare alike
    assert after.lines[1][:3] == ["colours, 5 frames", soon.queries, 1.0]
    assert after.lines[3] == ["colours, 9 s", 0, None, None, None, 0, None]
    assert after.notes[-1].startswith("0 queries: nobody is there again")
    assert advice(found).endswith("it pays.")
    picture = as_svg(found)
    assert picture.count("<polyline") == 2
    assert picture.count("<circle") == 3  # 9 s after there is nobody
    assert all(f">{gap}</text>" in picture for gap in gaps)
    same = re.findall(r'<text x="([\d.]+)" y="(\d+)" text-anchor="middle">(?:3 s|30 frames)<', picture)
    assert len({x for x, _ in same}) == 1
    assert len({y for _, y in same}) == 2  # so neither hides the other


def test_intervals_over_sequences(scene: Path) -> None:
    """From three on: all alike, so any draw of them is as far apart as they are; a draw of three has three times the
    switches of one."""
    (trial,) = open_trials([str(scene)], None, None, "none")
    trials = [replace(trial, name=name) for name in "abc"]
    off, oracle = compare(trials, {}, Tracker.from_config("default").config, [])
    for name in SHOWN:
        value, low, high = oracle.gained[name]
        assert low == pytest.approx(value)
        assert high == pytest.approx(value)
    assert oracle.gained["IDSW"].value == -off.combined.row()["IDSW"]


def test_reading_compiled_loops_is_no_time_of_whoever_is_first(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def slow_at_first(*args: object) -> MotTable:
        clock[0] = 1.0
        return track(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(reid_pay, "track", slow_at_first)
    monkeypatch.setattr(reid_pay, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    trials = open_trials([str(scene)], None, None, "none")
    off, _ = compare(trials, {}, Tracker.from_config("default").config, [])
    assert off.track_ms == 0


def test_a_copy_has_other_boxes_with_their_own_vectors() -> None:
    """By hand: each box is told by its vector, so what became of it can be measured."""
    count, sides = 20_000, np.array([40, 100, 40, 100])
    left = np.arange(count, dtype=np.float32)[:, None] * 50
    angle = np.arange(count) * np.pi / count
    boxes = Detections(
        left + np.array([0, 0, 40, 100], np.float32),
        np.full(count, 0.5),
        embedding=np.c_[np.cos(angle), np.sin(angle)],
    )
    (one,), (same,), (other,) = (noisy([boxes], seed) for seed in (3, 3, 4))
    assert np.array_equal(one.xyxy, same.xyxy)
    assert np.array_equal(one.score, same.score)
    assert one.embedding is not None
    assert len(one) != len(other)
    assert 1 - len(one) / count == pytest.approx(LOST, abs=0.005)
    rows = np.rint(np.arctan2(*one.embedding.T[::-1]) * count / np.pi).astype(int)
    off = (one.xyxy - boxes.xyxy[rows]) / sides
    np.testing.assert_allclose(off.std(0), SHAKEN, rtol=0.03)
    np.testing.assert_allclose(off.mean(0), 0, atol=0.001)
    assert (one.score - 0.5).std() == pytest.approx(SCORE_OFF, rel=0.03)
    assert noisy([boxes.take(np.arange(0))], 0)[0].xyxy.shape == (0, 4)


def known_colours(known: list[np.ndarray]) -> list[np.ndarray]:
    """What `Colours` sees of the two: unit vectors of their colours, a little grey."""
    seen = np.array([[1, 1, 256], [256, 1, 1]], np.float32)
    unit = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    return [unit[one - 1] for one in known]


def test_copies_are_tracked_beside_the_boxes(scene: Path) -> None:
    trials = open_trials([str(scene)], None, None, "none")
    config = Tracker.from_config("default").config
    plain = compare(trials, {"net": Colours()}, config, [Gap(1)])  # type: ignore[dict-item]
    found = compare(trials, {"net": Colours()}, config, [Gap(1)], copies=3)  # type: ignore[dict-item]
    for before, each in zip(plain, found, strict=True):
        assert each.combined.row() == before.combined.row()
        assert repr(each.gaps) == repr(before.gaps)  # with NaN
        for seed in range(3):
            boxes = noisy(trials[0].boxes, seed)
            known = shown_people(trials[0].truth, trials[0].boxes, trials[0].benchmark)
            vectors = {OFF: None, "net": known_colours(known), ORACLE: perfect_looks(known)}[each.name]
            if vectors is not None:
                boxes = noisy(
                    [one.with_embedding(v) for one, v in zip(trials[0].boxes, vectors, strict=True)], seed
                )
            by_hand = evaluate(trials[0].truth, track(replace(trials[0], boxes=boxes), config), FRAMES)
            assert each.copies[seed][0].row() == by_hand.row()
        assert each.on_copies("HOTA").shape == (3,)
    off, net, _ = found
    section = sections(found)[1]
    assert section.title == "On 3 copies of the boxes with noise"
    gained = 100 * (net.on_copies("HOTA") - off.on_copies("HOTA"))
    assert section.lines[2][-3:] == [f"{gained.mean():+.1f}", f"{gained.std(ddof=1):.1f}", "3 of 3"]
    assert advice(found).endswith(
        f"\nOn copies with noise, 3, it brings {gained.mean():+.1f} (deviation {gained.std(ddof=1):.1f})."
    )
    assert advice(plain) in advice(found).replace(f"{net.embed_ms:.1f} ms", f"{plain[1].embed_ms:.1f} ms")
    assert [one.key for one in sections(plain)] == ["tracking", "gaps"]
    with pytest.raises(InputError, match=r"`copies` must be a whole number in 0\.\.10000, got -1"):
        compare(trials, {}, config, [], copies=-1)


def looks(name: str, hota: Gain, identities: Gain) -> Contender:
    return Contender(name, gained={**dict.fromkeys(SHOWN, identities), "HOTA": hota})


UP, DOWN, OPEN = Gain(0.05, 0.02, 0.08), Gain(-0.05, -0.08, -0.02), Gain(0.01, -0.02, 0.03)


@pytest.mark.parametrize(
    ("hota", "identities", "said"),
    [
        (UP, UP, ": it pays."),
        (UP, OPEN, ": it pays."),
        (UP, DOWN, "it costs identities, AssA -5.0 [-8.0, -2.0], IDF1 -5.0 [-8.0, -2.0]: leave it off."),
        (OPEN, DOWN, "it costs identities, AssA -5.0 [-8.0, -2.0], IDF1 -5.0 [-8.0, -2.0]: leave it off."),
        (DOWN, UP, ": it costs: leave it off."),
        (OPEN, UP, "identities gain, AssA +5.0 [+2.0, +8.0], IDF1 +5.0 [+2.0, +8.0]: look if they are what you need."),
        (OPEN, OPEN, "leave it off unless people return."),
    ],
)  # fmt: skip
def test_advice_is_of_hota_and_no_gain_costs_identities(hota: Gain, identities: Gain, said: str) -> None:
    row = [Contender(OFF), looks("net", hota, identities), looks(ORACLE, UP, UP)]
    assert advice(row).endswith(said)


def test_advice_is_of_what_pays_before_what_has_most() -> None:
    most = looks("most", Gain(0.09, 0.08, 0.1), DOWN)
    found = advice([Contender(OFF), most, looks("net", UP, OPEN), looks(ORACLE, UP, UP)])
    assert "; net brings +5.0 [+2.0, +8.0] for" in found


def test_gaps_are_seconds_or_frames() -> None:
    assert read_gaps("1f, 0.5,30s") == [Gap(1, "f"), Gap(0.5), Gap(30)]
    assert [str(gap) for gap in read_gaps("1f,30f,0.5")] == ["1 frame", "30 frames", "0.5 s"]
    assert [gap.frames(25.0) for gap in read_gaps("30f,2s,0.001")] == [30, 50, 1]


def test_who_is_shown_and_perfect_looks(scene: Path) -> None:
    (trial,) = open_trials([str(scene)], None, None, "none")
    known = shown_people(trial.truth, trial.boxes, trial.benchmark)
    assert known[0].tolist() == [1, 2]
    assert known[26].tolist() == []
    assert perfect_looks([np.array([2, 0, 1])])[0].tolist() == [[0, 1], [0, 0], [1, 0]]
    assert perfect_looks([np.zeros(0, int)])[0].shape == (0, 1)


def test_the_tool(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = [tmp_path / name for name in ("pay.json", "pay.md", "pay.svg")]
    code = does_reid_pay.main([
        str(scene), "--gaps", "1,30f", "--copies", "2",
        "--json", str(out[0]), "--markdown", str(out[1]), "--plot", str(out[2])
    ])  # fmt: skip
    assert code == 0
    told = json.loads(out[0].read_text())
    assert [*told["looks"]] == ["off", "auto", "oracle"]
    assert told["looks"]["oracle"]["combined"]["IDF1"] == 1.0
    assert [*told["looks"]["auto"]["gained"]["IDSW"]] == ["value", "low", "high"]
    shown = capsys.readouterr().out
    assert "Perfect looks would be worth" in shown
    assert max(map(len, shown.splitlines())) <= 120
    assert out[1].read_text().count("| oracle |") == 2  # of the boxes and of their copies
    assert "On 2 copies of the boxes with noise" in shown
    assert len(told["copies"]["rows"]) == 3


def test_truth_and_boxes_that_end_long_before_the_video_are_told(scene: Path) -> None:
    (trial,) = open_trials([str(scene)], None, None, "none")
    assert early_ends([trial]) == []
    early = replace(
        trial,
        truth=trial.truth.take(trial.truth.frame < 9),
        boxes=[*trial.boxes[:7], *(one.take(slice(0, 0)) for one in trial.boxes[7:])],
    )
    told = [
        f"swap: the ground truth ends at frame 9 of {FRAMES}",
        f"swap: the boxes end at frame 7 of {FRAMES}",
    ]
    assert early_ends([early]) == told
    found = compare([early], {}, Tracker.from_config("default").config, [])
    assert sections(found, told)[0].notes[1:] == told


def test_refusals(scene: Path) -> None:
    for text in ("", "a", "0", "-1,2", "inf", "infs", "0f", "1.5f", "f", "5m", "2e6f"):
        with pytest.raises(InputError, match="expected seconds above 0"):
            read_gaps(text)
    trials = open_trials([str(scene)], None, None, "none")
    with pytest.raises(InputError, match="does not compare appearance"):
        compare(trials, {}, Tracker.from_config("sort").config, [])
    with pytest.raises(InputError, match="a row of its own"):
        compare(trials, {"off": Colours()}, Tracker.from_config("default").config, [])  # type: ignore[dict-item]
    for people, who in ((0, "nobody"), (1, "one person")):
        truth = trials[0].truth
        few = [replace(trials[0], truth=truth.take(truth.id <= people))]
        with pytest.raises(
            InputError, match=f"swap: the ground truth has {who} who counts .*expected 2 or more"
        ):
            compare(few, {}, Tracker.from_config("default").config, [])
    with pytest.raises(InputError, match="no such file for swap"):
        open_trials([str(scene)], "elsewhere/{name}.txt", None, "none")
    with pytest.raises(InputError, match="two sources are called alike"):
        open_trials([str(scene), str(scene)], None, None, "none")
    with pytest.raises(InputError, match="`reid` auto: is given twice"):
        open_embedders(["auto", "auto"], "cpu")


def test_weights_with_a_damaged_card(scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing here looks at a calibration."""
    path = changed(resealed(tmp_path / "whole.onnx"), tmp_path, CARD)
    words = [str(scene), "--reid", str(path), "--gaps", "1", "--device", "cpu"]
    with pytest.raises(InputError, match=r"its card does not match .*--uncalibrated"):
        does_reid_pay.main(words)
    assert does_reid_pay.main([*words, "--uncalibrated"]) == 0
