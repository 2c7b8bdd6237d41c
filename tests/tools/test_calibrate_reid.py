"""tools/calibrate_reid.py: weights in, the same weights with a calibration in their card out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from retrace.reid import Embedder
from retrace.reid.calibration import fit
from retrace.tools.calibrate_reid import main
from retrace.tools.terminal.console import guarded
from tests.passers_by import passers_by, with_ids
from tests.reid.mini_market import write_mini_market
from tests.reid.networks_by_hand import channel_means
from tests.reid.resealed import CARD, changed, resealed


def test_weights_leave_with_a_calibration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        write_mini_market(tmp_path / name, seed=seed)
    out, told = tmp_path / "c.safetensors", tmp_path / "c.json"
    data = ["--data", str(tmp_path / "a"), "--data", str(tmp_path / "b"), "--cache", str(tmp_path / "cache")]
    arguments = ["--weights", "auto", *data, "--out", str(out), "--json", str(told), "--device", "cpu"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "camera: even odds at" in said
    assert "calibration error on a, camera:" in said
    before, after = Embedder.from_weights("auto", "cpu"), Embedder.from_weights(out, "cpu")
    found = after.calibration
    assert found is not None
    assert json.loads(told.read_text()) == found.to_card()
    assert {*after.card} == {*before.card, "calibration"}
    # two sets of 8 people, 3 pairs of cameras, 4 by 4 images
    assert found.map("camera").same == 2 * 8 * 3 * 16


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    video, boxes = passers_by(tmp_path_factory.mktemp("door"), "door", slots=8)
    return video, with_ids(boxes)


@pytest.mark.parametrize("ending", ["onnx", "safetensors"])
def test_a_tracked_video_refits_without_labels(
    door: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    """The file opens strictly: its checksum, and a calibration that belongs to its network."""
    pytest.importorskip("onnx")
    out, told = tmp_path / f"here.{ending}", tmp_path / "here.json"
    options = ["--video", str(door[0]), "--results", str(door[1]), "--out", str(out), "--json", str(told)]
    assert main(["--weights", "auto", *options, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "256 pairs of one person, 104 of two, of 208 boxes" in said
    before, after = Embedder.from_weights("auto", "cpu"), Embedder.from_weights(out, "cpu")
    old, new = before.calibration, after.calibration
    assert old is not None
    assert new is not None
    assert (
        f"two people are {new.strangers:.3f} apart on average; where the calibration was fitted: {old.strangers:.3f}"
        in said
    )
    assert (
        f"later: even odds at {old.map('later').distance(0):.3f} -> {new.map('later').distance(0):.3f}"
        in said
    )
    assert json.loads(told.read_text()) == new.to_card()
    assert (new.map("tracklet").source, new.map("tracklet").same) == ("video", 256)
    assert {key: value for key, value in after.card.items() if key != "calibration"} == {
        key: value for key, value in before.card.items() if key != "calibration"
    }
    crops = np.random.default_rng(0).integers(0, 256, (3, *after.size, 3), np.uint8)
    assert (before.crops(crops) * after.crops(crops)).sum(1) == pytest.approx(1, abs=1e-3)


def test_a_video_that_refits_nothing(
    door: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    lines = door[1].read_text().splitlines(keepends=True)
    (tmp_path / "few.txt").write_text("".join(lines[:50]))
    foreign = channel_means(tmp_path / "foreign.onnx", ["B", 3, 8, 4])
    video, out = ["--video", str(door[0])], str(tmp_path / "here.onnx")
    tracked = [*video, "--results", str(door[1])]
    expected = "expected --data (labelled sets), or --video and --results (a tracked video)"
    for weights, options, said in (
        (
            "auto",
            [*video, "--results", str(tmp_path / "few.txt"), "--out", out],
            "at least 100 of each are wanted",
        ),
        ("auto", [*tracked, "--every", "0"], "--every 0: expected a number of frames from 1"),
        ("auto", [*tracked, "--memory", str(tmp_path / "m.yaml")], "--memory does nothing without --data"),
        ("auto", [*tracked, "--data", str(tmp_path)], expected),
        ("auto", video, expected),
        ("auto", [], expected),
        ("auto", ["--data", "x", "--results", str(door[1])], "--results does nothing without --video"),
        (str(foreign), [*tracked, "--out", out], "takes no calibration; leave --out away"),
    ):
        with pytest.raises(SystemExit) as ended:
            guarded(main, ["--weights", weights, "--quiet", *options])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert not Path(out).exists()


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mini_market(tmp_path / "a", ids=2)
    for options, said in (
        (["--data", str(tmp_path / "none")], "no such folder"),
        (["--data", str(tmp_path / "a"), "--out", "x.pth"], "needs weights as .safetensors or .onnx"),
        (["--data", str(tmp_path / "a"), "--data", str(tmp_path / "a")], "is given twice"),
    ):
        with pytest.raises(SystemExit) as ended:
            guarded(main, ["--weights", "auto", "--quiet", "--cache", str(tmp_path / "cache"), *options])
        assert ended.value.code == 2
        error = capsys.readouterr().err.strip()
        assert said in error
        assert "\n" not in error


def test_two_folders_of_one_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are two sets, and the card says which; one that is given twice is refused before anything is embedded."""
    for place, seed in (("a/door/people", 0), ("b/door/people", 1), ("mall", 2)):
        write_mini_market(tmp_path / place, seed=seed)
    given = [["--data", str(tmp_path / place)] for place in ("a/door/people", "b/door/people", "mall")]
    out = ["--out", str(tmp_path / "c.safetensors"), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    assert main(["--weights", "auto", *given[0], *given[1], *given[2], *out]) == 0
    assert "calibration error on b/door/people, camera:" in capsys.readouterr().out
    card = Embedder.from_weights(tmp_path / "c.safetensors", "cpu").calibration
    assert card is not None
    assert card.data == "a/door/people, b/door/people, mall"
    monkeypatch.setattr(fit, "_embedded", lambda *_: pytest.fail("embedded all the same"))
    (tmp_path / "link").symlink_to(tmp_path / "a/door/people")
    with pytest.raises(SystemExit):
        guarded(main, ["--weights", "auto", "--quiet", *given[0], "--data", str(tmp_path / "link")])
    assert "is given twice" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["onnx", "safetensors"])
def test_weights_with_a_damaged_card_are_calibrated_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    """When asked: nothing of the old card is in the new one."""
    pytest.importorskip("onnx")
    (tmp_path / "whole").mkdir()
    path = changed(resealed(tmp_path / "whole" / f"w.{ending}"), tmp_path, CARD)
    write_mini_market(tmp_path / "a")
    out = tmp_path / f"new.{ending}"
    data = ["--data", str(tmp_path / "a"), "--cache", str(tmp_path / "cache"), "--device", "cpu", "--quiet"]
    arguments = ["--weights", str(path), *data, "--out", str(out)]
    with pytest.raises(SystemExit):
        guarded(main, arguments)
    assert "its card does not match" in (said := capsys.readouterr().err)
    assert "(--uncalibrated)" in said
    assert not out.exists()
    assert main([*arguments, "--uncalibrated"]) == 0
    mended = Embedder.from_weights(out, "cpu")
    assert mended.calibration is not None
    assert {*mended.card} == {"calibration"}
