"""tools/bench.py scores: boxes judged by hand, a fit that is known, a detector that promises too much."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tools import bench
from retrace.tools.benchmarks.scores import Judged, fitted, judge, measure, off
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import Detector
from retrace.tracker.detection.scores import Fit
from retrace.tracker.mot_file import read_ground_truth
from tests.small_video import LENGTH, boxes, make_video


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """The left square of every frame of the small video, and one box that does not count."""
    rows = [f"{k + 1},1,{','.join(map(str, boxes(k)[0]))},1,1,1" for k in range(LENGTH)]
    (tmp_path / "gt.txt").write_text("\n".join([*rows, "1,9,150,5,20,20,0,1,1"]) + "\n")
    return tmp_path / "gt.txt"


def finder(frame: Frame) -> Detections:
    """The square twice, its double first; the other square; all in a family that says 0.5 for 0.5."""
    x, y, w, h = boxes(frame.index)[0]
    return Detections([[x, y, x + w, y + h], [x + 1, y, x + w, y + h], [100, 20, 124, 70]], [0.6, 0.9, 0.5])


def test_a_person_is_found_once_by_the_box_of_the_higher_score(tmp_path: Path, truth: Path) -> None:
    video = make_video(tmp_path / "v.mp4")
    found = judge(Detector("two", finder), video, read_ground_truth(truth), every=10)
    assert found.people == 3  # frames 0, 10, 20
    np.testing.assert_allclose(found.score, [0.6, 0.9, 0.5] * 3, rtol=1e-6)
    assert found.right.tolist() == [False, True, False] * 3


def test_a_fit_is_found_again() -> None:
    """Boxes that are right as often as sigmoid(2 logit(s) - 1) says, drawn evenly: 4,000 of each score."""
    score = np.repeat(np.linspace(0.1, 0.9, 17), 4000)
    chance = 1 / (1 + np.exp(-2 * np.log(score / (1 - score)) + 1))
    right = np.tile(np.arange(4000) / 4000, 17) < chance
    # equal scores must not come with all right ones first
    mixed = np.random.default_rng(0).permutation(len(score))
    one = Judged(score[mixed], right[mixed], 1)
    np.testing.assert_allclose(fitted([one]), [2, -1], atol=5e-3)
    assert off(one, Fit(2, -1)) < 0.01
    # each video counts alike: a second one, a tenth as large and all of it right, still moves it
    more = Judged(score[::10], np.ones(len(score[::10]), bool), 1)
    assert fitted([one, more])[1] > 0


def test_off_by_hand() -> None:
    """Ten boxes of 0.8, half of them right: each tenth promises 0.8 and keeps 0 or 1."""
    assert off(Judged(np.full(10, 0.8), np.arange(10) < 5, 1), Fit()) == pytest.approx(
        (5 * 0.8 + 5 * 0.2) / 10
    )


def test_the_tool(
    tmp_path: Path, truth: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video = make_video(tmp_path / "v.mp4")

    def opened(spec: str, conf: float) -> Detector:
        assert spec == "mine.onnx"
        return Detector(f"mine, from {conf}", lossy, fit=Fit(1.0, 0.0, "x"))

    def lossy(frame: Frame) -> Detections:
        """Of the boxes of 0.9 every third lies elsewhere, of those of 0.3 two of three."""
        x, y, w, h = boxes(frame.index)[0]
        there, elsewhere = [x, y, x + w, y + h], [150, 60, 180, 90]
        first, second = (there, elsewhere) if frame.index % 3 else (elsewhere, there)
        return Detections([first, second], [0.9, 0.3])

    monkeypatch.setattr("retrace.tools.benchmarks.scores.open_detector", opened)
    words = ["scores", "--detector", "mine.onnx", "--data", f"{video}={truth}"]
    assert bench.main([*words, "--json", str(tmp_path / "s.json")]) == 0
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["videos"]["v"]["right"] == LENGTH
    # logit 2/3 and 1/3 at logit 0.9 and 0.3: a straight line through two points
    steep = 2 * np.log(2) / (np.log(9) - np.log(3 / 7))
    assert told["fit"] == pytest.approx([steep, np.log(2) - steep * np.log(9)], abs=1e-3)
    assert f"scores: [{told['fit'][0]:.2f}, {told['fit'][1]:.2f}]" in capsys.readouterr().out
    with pytest.raises(InputError, match="no video with 20 right and 20 wrong"):
        bench.main([*words, "--every", "3"])
    with pytest.raises(InputError, match="expected VIDEO=GT"):
        bench.main(["scores", "--detector", "x", "--data", "v.mp4"])


def test_two_videos_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two videos are called a; give each once"):
        measure("hog", ["x/a.mp4=a.txt", "y/a.mp4=b.txt"])
