"""Does appearance pay: labels, perfect looks, and a scene where only looks can tell."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.eval.mot.oracle import shown_people
from retrace.tools import does_reid_pay
from retrace.tools.scoring.pay_report import advice, as_svg, open_trials, read_gaps, sections
from retrace.tools.scoring.reid_pay import OFF, ORACLE, compare, perfect_looks
from retrace.tracker import Tracker

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
    found = compare(trials, {"colours": Colours()}, config, [0.5, 3.0], lambda k, n: ticks.append((k, n)))  # type: ignore[dict-item]
    off, colours, oracle = found
    assert [each.name for each in found] == [OFF, "colours", ORACLE]
    assert off.combined.row()["IDF1"] < 0.8  # places say that nobody moved
    assert colours.combined.row()["IDF1"] == oracle.combined.row()["IDF1"] == 1.0
    assert ticks[-1] == (FRAMES, FRAMES)
    assert colours.gaps[0.5].rank1 == 1.0
    assert colours.gaps[0.5].chance == 0.5
    assert not off.gaps
    value, low, high = colours.gain(off)
    assert 0 < low <= value <= high
    tracking, gaps = sections(found, [0.5, 3.0])
    assert [line[0] for line in tracking.lines[1:]] == [OFF, "colours", ORACLE]
    assert gaps.lines[1][:3] == ["colours, 0.5 s", colours.gaps[0.5].queries, 1.0]
    assert advice(found).endswith("it pays.")
    assert as_svg(found, [0.5, 3.0]).count("<polyline") == 2


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
        str(scene), "--gaps", "1,3", "--json", str(out[0]), "--markdown", str(out[1]), "--plot", str(out[2])
    ])  # fmt: skip
    assert code == 0
    told = json.loads(out[0].read_text())
    assert [*told["looks"]] == ["off", "auto", "oracle"]
    assert told["looks"]["oracle"]["combined"]["IDF1"] == 1.0
    assert "Perfect looks would be worth" in capsys.readouterr().out
    assert out[1].read_text().count("| oracle |") == 1


def test_refusals(scene: Path) -> None:
    for text in ("", "a", "0", "-1,2", "inf"):
        with pytest.raises(InputError, match="expected seconds above 0"):
            read_gaps(text)
    trials = open_trials([str(scene)], None, None, "none")
    with pytest.raises(InputError, match="does not compare appearance"):
        compare(trials, {}, Tracker.from_config("sort").config, [1.0])
    with pytest.raises(InputError, match="a row of its own"):
        compare(trials, {"off": Colours()}, Tracker.from_config("default").config, [1.0])  # type: ignore[dict-item]
    with pytest.raises(InputError, match="no such file for swap"):
        open_trials([str(scene)], "elsewhere/{name}.txt", None, "none")
    with pytest.raises(InputError, match="two sources are called alike"):
        open_trials([str(scene), str(scene)], None, None, "none")
