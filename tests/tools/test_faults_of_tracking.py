"""Every folder of shared/faults/track (and attack): its command gives what its expected.txt says must happen."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker import Detections, Tracker
from retrace.tracker.mot_file import read_results
from retrace.tracker.sources import open_source
from tests.conftest import ROOT
from tests.tools.called import Answer, called, refused

PLAIN = ("--reid", "none", "--camera", "none")


@pytest.fixture
def faults(shared: Path) -> Path:
    return shared.parent / "faults" / "track"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Tracking:
    """track.py, and what lies in its output folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], out: Path) -> None:
        self.capsys, self.out = capsys, out

    def __call__(self, *argv: object) -> Answer:
        return called(self.capsys, "track", *argv, *PLAIN, "--out", self.out)

    def rows(self, name: str) -> list[list[str]]:
        return [line.split(",") for line in (self.out / f"{name}.txt").read_text().splitlines()]

    def frames(self, name: str) -> list[int]:
        return [json.loads(line)["frame"] for line in (self.out / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture
def track(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Tracking:
    return Tracking(capsys, tmp_path / "o")


def test_no_folder_is_forgotten(faults: Path) -> None:
    have = {folder.name.replace("-", "_") for folder in faults.iterdir()}
    have |= {file.stem for file in (faults.parent / "attack").iterdir()}
    assert have <= {name.removeprefix("test_") for name in globals()}
    assert {folder.name for folder in faults.parent.iterdir() if folder.is_dir()} == {
        "track", "reid", "attack"
    }  # fmt: skip


def test_anamorphic(faults: Path, track: Tracking) -> None:
    folder = faults / "anamorphic"
    done = track(folder / "sar.mp4", "--detections", folder / "det.txt", "--save", "mot,video")
    assert done.code == 0
    assert "its pixels are 2 times as wide as high" in done.err
    with av.open(str(track.out / "sar.mp4")) as file:
        stream = file.streams.video[0]
        aspect = stream.codec_context.sample_aspect_ratio or Fraction(1)
        assert (stream.width * aspect, stream.height) == (640, 240)
    square = open_source(folder / "sar.mp4", square_pixels=True)  # as a detector sees it
    assert {f.image.shape for f in square if f.image is not None} == {(240, 640, 3)}


def test_classes_ignored(faults: Path, track: Tracking) -> None:
    folder = faults / "classes-ignored"
    what = (folder / "plain.mp4", "--detections", folder / "cls.npz", "--save", "mot,jsonl")
    for wanted in ("2", "nonsense"):
        assert "--classes does nothing with --detections" in refused(track(*what, "--classes", wanted))
    assert track(*what).code == 0
    rows = track.rows("plain")
    assert {row[7] for row in rows} == {"1", "3"}  # classes 0 and 2 in MOT's numbers, which count from 1
    for track_id in {row[1] for row in rows}:
        assert len({row[7] for row in rows if row[1] == track_id}) == 1
    named = json.loads((track.out / "run.json").read_text())["sequences"]["plain"]["classes"]
    assert {*named} == {"0", "2"}


@pytest.mark.parametrize("name", ["10:30.mp4", "data:x.mp4", "file:a.mp4", "cam-1:a.mp4"])
def test_colon_in_name(faults: Path, track: Tracking, name: str) -> None:
    folder = faults / "colon-in-name"
    shutil.copy(folder / "ten-thirty.mp4", name)
    done = track(name, "--detections", folder / "det.txt", "--save", "mot,video")
    assert done.code == 0, done.err
    assert {int(row[0]) for row in track.rows(name.removesuffix(".mp4"))} == set(range(1, 21))


def test_colon_in_the_name_of_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cam:1").mkdir()
    for k in range(3):
        cv2.imwrite(f"cam:1/{k}.png", np.full((64, 64, 3), 90, np.uint8))
    Path("det.txt").write_text("1,-1,5,5,20,40,0.9\n")
    what = ("cam:1", "--detections", "det.txt", *PLAIN, "--save", "video", "--out", ".")
    assert called(capsys, "track", *what).code == 0
    assert Path("cam:1.mp4").is_file()


@pytest.mark.parametrize("preset", ["default", "bytetrack", "sort"])
@pytest.mark.parametrize("scores", ["minus1.txt", "percent100.txt"])
def test_det_constant_score(faults: Path, track: Tracking, scores: str, preset: str) -> None:
    folder = faults / "det-constant-score"
    done = track(folder / "plain.mp4", "--detections", folder / scores, "--tracker", preset)
    assert done.code == 0
    rows = track.rows("plain")
    assert len(rows) == 40
    assert len({row[1] for row in rows}) == 2


def test_folder_named_0000(faults: Path, track: Tracking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(faults / "folder-named-0000")
    done = track("0000", "--detections", "det.txt")
    assert done.code == 0
    assert "0000: 10 frames" in done.out
    refused(track("²", "--detections", "det.txt"))


def test_library_types() -> None:
    torch = pytest.importorskip("torch")
    box, score = torch.tensor([[10.0, 20.0, 50.0, 120.0]]), torch.tensor([0.9])
    assert len(Detections(box.clone().requires_grad_(), score)) == 1
    looks = torch.nn.functional.normalize(torch.ones(1, 8, requires_grad=True))
    assert len(Detections(box, score, embedding=looks)) == 1
    assert Tracker.from_config("default", fps=Fraction(30000, 1001)).fps == pytest.approx(29.97, abs=0.01)
    for wrong in ("25", None):
        with pytest.raises(InputError, match="fps"):
            Tracker.from_config("default", fps=wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="class"):
        Detections(box, score, [2**40])


def test_mirrored_display_matrix(faults: Path) -> None:
    """The three show one picture; undone, they are the same again."""
    seen = {}
    for name in ("hflip", "vflip", "transpose"):
        frame = next(iter(open_source(faults / "mirrored-display-matrix" / f"{name}.mp4")))
        assert frame.image is not None
        seen[name] = frame.image
    stored = seen["hflip"][:, ::-1]
    assert np.array_equal(seen["vflip"], stored[::-1])
    assert np.array_equal(seen["transpose"], stored.swapaxes(0, 1))


@pytest.fixture
def camera(faults: Path) -> Iterator[str]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    command = [sys.executable, str(faults / "mjpeg-stream-clock" / "serve.py"), port]
    process = subprocess.Popen(command)
    try:
        for _ in range(200):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait()


def test_mjpeg_stream_clock(camera: str) -> None:
    """5 frames a second; FFmpeg would count 25."""
    source = open_source(camera, reconnect_for=1.0)
    assert source.fps == pytest.approx(5, abs=1.5)
    told: list[float] = []
    heard: list[float] = []
    frames = source.frames()
    for frame in frames:
        told.append(frame.time)
        heard.append(time.monotonic())
        if frame.index >= 30:
            break
    frames.close()
    assert np.diff(told).max() < 0.6
    drift = (np.array(told) - told[5]) - (np.array(heard) - heard[5])  # the first come as fast as they can
    assert np.abs(drift[5:]).max() < 0.6


def test_mot_images_numbered_elsewhere(faults: Path, track: Tracking) -> None:
    folder = faults / "mot-images-numbered-elsewhere"
    assert track(folder / "seq_half", "--detections", "det/det.txt").code == 0
    assert {int(row[0]) for row in track.rows("seq_half")} == set(range(1, 11))
    done = track(folder / "seq_more", "--detections", "det/det.txt")
    assert done.code == 0
    assert "left out 10 images" in done.err
    done = track(folder / "seq_gap_thumb", "--detections", "det/det.txt", "--save", "jsonl")
    assert done.code == 0
    assert "thumb.png" in done.err
    assert track.frames("seq_gap_thumb") == [0, 1, 2, 5, 6, 7, 8, 9]
    sixth = cv2.imread(str(folder / "seq_gap_thumb" / "img1" / "000006.png"))
    images = {f.index: f.image for f in open_source(folder / "seq_gap_thumb")}
    assert np.array_equal(images[5], sixth)


def test_reid_onnx_normalises_itself(
    faults: Path, shared: Path, track: Tracking, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same tracks as with the plain file, over the first frames (all of them: LOG.md)."""
    if importlib.util.find_spec("onnx") is None:
        pytest.skip("needs onnx")
    (tmp_path / "work").mkdir()
    (tmp_path / "shared").symlink_to(shared.parent)
    make = [sys.executable, str(faults / "reid-onnx-normalises-itself" / "make.py"), str(tmp_path / "w.onnx")]
    subprocess.run(make, cwd=tmp_path / "work", check=True)
    boxes = read_text_until(shared / "MOT15-train/PETS09-S2L1/det/det.txt", 12)
    (tmp_path / "det.txt").write_text(boxes)
    with av.open(str(shared / "videos/vtest.avi")) as file:
        images = [f.to_ndarray(format="bgr24") for f, _ in zip(file.decode(video=0), range(12), strict=False)]
    (tmp_path / "v").mkdir()
    for k, image in enumerate(images):
        cv2.imwrite(str(tmp_path / "v" / f"{k:03}.png"), image)
    texts = {}
    for weights in (tmp_path / "w.onnx", shared / "weights/osnet_x0_25_msmt17.onnx"):
        what = ("v", "--detections", "det.txt", "--camera", "none", "--fps", "10", "--reid", weights)
        done = called(capsys, "track", *what, "--save", "jsonl", "--out", track.out)
        assert done.code == 0
        assert "look alike" not in done.err
        texts[weights.name] = read_results(track.out / "v.txt")
        said = "it subtracts 123.7/116.3/103.5 itself"
        assert (said in done.out) == (weights.name == "w.onnx")
    one, other = texts.values()
    np.testing.assert_array_equal(one.id, other.id)
    np.testing.assert_allclose(one.xyxy, other.xyxy, atol=0.02)
    assert len({*one.id.tolist()}) >= 3


def read_text_until(path: Path, frame: int) -> str:
    """The lines of a MOT file up to a frame, from 1."""
    with path.open() as lines:
        return "".join(line for line in lines if int(line.split(",")[0]) <= frame)


def test_sixteen_bit(faults: Path) -> None:
    source = open_source(faults / "sixteen-bit" / "t16")
    assert min(float(f.image.std()) for f in source if f.image is not None) > 40  # it was 0.2


def test_top_level_names(faults: Path, tmp_path: Path) -> None:
    """Somebody's own configs/ and tools/ beside our package (installed as a wheel: tests/test_installation.py)."""
    project = shutil.copytree(faults / "top-level-names" / "project", tmp_path / "project")
    main = (project / "main.py").read_text().replace("from tracker import", "from retrace import")
    os.chmod(project / "main.py", 0o644)
    (project / "main.py").write_text(main)
    both = f".{os.pathsep}{ROOT}"

    def said(path: str, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=project,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert said(both, "main.py").startswith("both ")
    assert "--detections" in said(both, str(ROOT / "tools" / "track.py"), "--help")
    assert said("", "own_tools.py") == "1\n"


@pytest.mark.parametrize("name", ["rec.webm", "rec.wmv"])
def test_webm_1000fps(faults: Path, track: Tracking, name: str) -> None:
    folder = faults / "webm-1000fps"
    done = track(folder / name, "--detections", folder / "det.txt", "--save", "mot,jsonl")
    assert done.code == 0
    assert "unreadable" not in done.out + done.err
    assert track.frames("rec") == list(range(60))
    rows = track.rows("rec")
    assert 118 <= len(rows) <= 120
    assert len({row[1] for row in rows}) == 3  # the second of the two jumps from right to left at frame 48
    assert json.loads((track.out / "run.json").read_text())["sequences"]["rec"]["fps"] == pytest.approx(
        30, abs=0.5
    )


def test_jump(faults: Path) -> None:
    """632 bytes that said 20,000,000 frames were lost."""
    source = open_source(faults.parent / "attack" / "jump.ivf")
    assert [f.time for f in source] == pytest.approx([k / 25 for k in range(12)])
    assert source.corrupt == []
    [warning] = source.warnings
    assert warning.endswith("1 gap in its timestamps, 800000 s in all, taken for one frame each")
