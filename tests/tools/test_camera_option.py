"""tools/track.py --camera and --save camera."""

import json

import cv2
import numpy as np
import pytest

from retrace.tools.terminal.console import OK
from retrace.tracker.camera.warps import read_warps
from tests.tools.run_track import fails, run, stop_at
from tests.tracker.camera.moved import seen_from, shift

LENGTH, PAN = 16, 6  # frames; px a frame, from frame 5 on


@pytest.fixture
def folder(tmp_path):
    """Images of a camera that begins to pan, frame 9 unreadable, and boxes of somebody who stands in the street."""
    place = tmp_path / "pan"
    place.mkdir()
    boxes = []
    for k in range(LENGTH):
        x = PAN * max(0, k - 4)
        cv2.imwrite(str(place / f"{k:03}.png"), seen_from(x))
        boxes.append(f"{k + 1},-1,{200 - x},60,30,80,0.9")
    (place / "009.png").write_bytes(b"broken")
    (tmp_path / "det.txt").write_text("\n".join(boxes) + "\n")
    return place


def track(folder, out, *more):
    return run(folder, "--detections", folder.parent / "det.txt", "--out", folder.parent / out, *more)


def record_of(folder, out):
    return json.loads((folder.parent / out / "run.json").read_text())["sequences"]["pan"]


def said_of(folder, out):
    return record_of(folder, out)["camera"]


def test_auto_estimates_and_what_it_told_can_be_used_again(folder, tmp_path, capsys):
    assert track(folder, "auto", "--save", "mot,camera") == OK
    assert "camera motion: sparse-flow, estimated" in capsys.readouterr().out
    warps = read_warps(tmp_path / "auto" / "pan.gmc.txt")
    assert list(warps) == list(range(LENGTH))
    for k, warp in warps.items():
        gone = 0 if k < 5 or k == 9 else 2 * PAN if k == 10 else PAN
        assert np.allclose(warp, shift(-gone), atol=0.5), k
    given = tmp_path / "auto" / "pan.gmc.txt"
    assert track(folder, "again", "--camera", given, "--save", "mot,camera") == OK
    for name in ("pan.txt", "pan.gmc.txt"):
        assert (tmp_path / "auto" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert said_of(folder, "auto") == "sparse-flow, estimated from the pictures"
    assert said_of(folder, "again") == "warps of pan.gmc.txt"
    # 15 frames are read: 0 has none before it, 1-4 stand, 5-8 and 10-15 move
    assert record_of(folder, "auto")["camera_frames"] == pytest.approx(
        {"moving": 10 / 15, "still": 4 / 15, "unknown": 1 / 15}, abs=1e-4
    )
    assert record_of(folder, "again")["camera_frames"]["moving"] == pytest.approx(10 / 15, abs=1e-4)
    assert not list((tmp_path / "auto").glob("*.partial"))


@pytest.mark.parametrize("method", ["orb", "ecc"])
def test_other_methods(folder, tmp_path, method):
    assert track(folder, "out", "--camera", method, "--save", "camera") == OK
    assert read_warps(tmp_path / "out" / "pan.gmc.txt")[12][0, 2] == pytest.approx(-PAN, abs=1)
    assert said_of(folder, "out").startswith(method)


def test_none(folder):
    assert track(folder, "out", "--camera", "none") == OK
    assert said_of(folder, "out") == "none"
    assert record_of(folder, "out")["camera_frames"] is None


def test_a_standing_camera_is_as_none(folder, tmp_path):
    for k in range(LENGTH):
        cv2.imwrite(str(folder / f"{k:03}.png"), seen_from(0, noise=np.random.default_rng(k)))
    assert track(folder, "auto") == track(folder, "none", "--camera", "none") == OK
    assert (tmp_path / "auto" / "pan.txt").read_bytes() == (tmp_path / "none" / "pan.txt").read_bytes()
    assert record_of(folder, "auto")["camera_frames"]["still"] == 15 / 16


@pytest.mark.parametrize("stop", [3, 6, 8])
def test_a_stopped_run_goes_on_with_the_same_warps(folder, tmp_path, monkeypatch, stop):
    arguments = ("--save", "mot,camera")
    assert track(folder, "whole", *arguments) == OK
    stop_at(
        monkeypatch,
        stop,
        folder,
        "--detections",
        folder.parent / "det.txt",
        "--out",
        folder.parent / "out",
        *arguments,
    )
    assert track(folder, "out", *arguments, "--resume") == OK
    for name in ("pan.txt", "pan.gmc.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert record_of(folder, "out")["camera_frames"] == record_of(folder, "whole")["camera_frames"]


def test_mistakes(folder, tmp_path, capsys):
    bare = tmp_path / "MOT99-01"
    (bare / "det").mkdir(parents=True)
    (bare / "det" / "det.txt").write_text("1,-1,5,5,20,50,0.9\n")
    (bare / "seqinfo.ini").write_text("[Sequence]\nframeRate=9\nseqLength=3\nimWidth=192\nimHeight=96\n")
    out = ("--out", tmp_path / "o")
    assert "has no images to estimate from" in fails(capsys, bare, "--camera", "ecc", *out)
    assert "no camera motion to save" in fails(capsys, bare, "--save", "camera", *out)
    assert "no camera motion to save" in fails(capsys, folder, "--save", "camera", "--camera", "none", *out)
    assert "expected auto, none, sparse-flow, orb, ecc or a file" in fails(
        capsys, folder, "--camera", "flow", *out
    )
    assert run(bare, *out) == OK
