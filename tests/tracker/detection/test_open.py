"""Detectors by name: which one is taken and why."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.configs.errors import install
from retrace.tracker.data import Frame
from retrace.tracker.detection import download, yolo_torch
from retrace.tracker.detection import open as opening
from retrace.tracker.detection.open import open_detector
from tests.tracker.detection.exports import export

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no network."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RETRACE_CACHE", str(folder))
    for name in ("YOLO_OFFLINE", "RETRACE_OFFLINE", "RETRACE_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    for module in (opening, download):
        monkeypatch.setattr(module, "answers", lambda *a, **k: False)
    return folder


def tiny(path: Path) -> Path:
    """A network that finds one person."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = np.array([[[10, 10, 30, 50, 0.9, 0]]], np.float32)
    return export(path, {"output0": row}, metadata={"names": "{0: 'person', 1: 'dog'}"})


def test_none_finds_nothing_even_without_an_image() -> None:
    detect = open_detector("none")
    assert len(detect(Frame(0, 0.0, None))) == 0
    assert detect.description == "no detector"


def test_hog_says_what_it_is_and_wants_an_image() -> None:
    detect = open_detector("hog")
    assert detect.description == "HOG people detector of OpenCV (as asked)"
    assert detect.names == {0: "person"}
    with pytest.raises(InputError, match=r"^frame 7: the source has no images .* from a file"):
        detect(Frame(7, 0.0, None))
    with pytest.raises(InputError, match="class 'car'"):
        open_detector("hog", classes="car")


def test_auto_without_weights_or_network_is_hog_and_says_how_to_get_better(cache: Path) -> None:
    said = open_detector("auto").description
    assert said.startswith("HOG people detector of OpenCV (no yolox_tiny.onnx in ")
    assert str(cache) in said
    assert "github.com does not answer" in said
    assert "RETRACE_MIRROR" in said
    assert "\n" not in said


def test_auto_takes_what_lies_in_the_cache_permissive_first(cache: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    # each is preferred to those before
    for name in ("yolov8n.onnx", "nanodet.onnx", "yolox_mine.onnx", "yolox_tiny.onnx"):
        tiny(cache / name)
        detect = open_detector("auto", device="cpu")
        kept = f"keeps person (found in {cache})"
        assert detect.description == f"{name} (rows, onnxruntime on cpu, scores as they are), {kept}"
        assert detect.weights == cache / name
        assert len(detect(Frame(0, 0.0, image))) == 1
    for other in ("osnet_x0_25.onnx", "yolox_tiny.onnx.partial"):
        shutil.copy(cache / "yolov8n.onnx", cache / other)
    for name in ("yolov8n.onnx", "nanodet.onnx", "yolox_mine.onnx", "yolox_tiny.onnx"):
        (cache / name).unlink()
    # a ReID network and half a file are no detectors
    assert open_detector("auto").description.startswith("HOG")


def test_torch_weights_in_the_cache_are_taken_only_where_ultralytics_is(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    (cache / "yolo11n.pt").write_bytes(b"x")
    monkeypatch.setattr(yolo_torch, "_installed", lambda package: package != "ultralytics")
    assert open_detector("auto").description.startswith("HOG")
    monkeypatch.setattr(yolo_torch, "_installed", lambda package: True)
    assert opening._automatic() == (cache / "yolo11n.pt", f"found in {cache}")


def test_an_offer_is_fetched_by_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"no yolox_s\.onnx in .*, and github\.com does not answer"):
        open_detector("yolox_s")
    monkeypatch.setattr(opening, "fetch", lambda offer: (tiny(cache / offer.name), "downloaded"))
    for name in ("yolox_nano", "yolox_nano.onnx"):
        assert open_detector(name, device="cpu").description.endswith("keeps person (downloaded)")


def test_a_name_of_ultralytics_is_downloaded_into_the_cache_or_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"no yolo11s\.pt in .*, and github\.com does not answer"):
        open_detector("yolo11s.pt")
    monkeypatch.setattr(opening, "answers", lambda *a, **k: True)
    monkeypatch.setattr(yolo_torch, "named_weights", lambda name, target: None)
    assert opening._torch_weights("yolo11s.pt") == (cache / "yolo11s.pt", f"downloaded to {cache}")
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setattr(opening, "answers", lambda *a, **k: pytest.fail("asked the network"))
    with pytest.raises(InputError, match="no yolo11n"):
        open_detector("yolo11n.pt")


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("hoog", {}, "detector 'hoog': no such weights file; did you mean 'hog'"),
        ("yolox_tny", {}, "did you mean 'yolox_tiny'"),
        ("missing/yolo.onnx", {}, "no such weights file"),
        ("hog", {"device": "gpu"}, "`device` must be auto, cpu, cuda or cuda:N"),
        ("hog", {"min_score": 1.5}, r"`min_score` must be a number in 0..1, got 1.5"),
        ("hog", {"min_score": float("nan")}, "`min_score` must be a number in 0..1, got nan"),
        ("hog", {"conf": -1}, "`conf` must be a number in 0..1, got -1"),
        ("hog", {"detector_format": "yolox"}, "HOG has no format"),
        ("hog", {"runtime": "openvino"}, "HOG has no format and no runtime"),
    ],
)
def test_wrong_wishes_are_refused_in_one_line(spec: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_detector(spec, **options)
    assert "\n" not in str(caught.value)


def test_a_format_is_for_files_that_need_one(tmp_path: Path) -> None:
    (tmp_path / "some.pt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"some\.pt: only ONNX and OpenVINO files have a format"):
        open_detector(str(tmp_path / "some.pt"), detector_format="yolox")


def test_onnx_weights_on_a_gpu_need_an_onnxruntime_that_has_it(tmp_path: Path) -> None:
    import onnxruntime

    path = str(tiny(tmp_path / "net.onnx"))
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(InputError, match="`device` 'cuda': this onnxruntime has no CUDA"):
            open_detector(path, device="cuda")
        assert "onnxruntime on cpu" in open_detector(path, device="auto").description


def test_the_base_install_alone_detects(tmp_path: Path) -> None:
    """Without ultralytics and torch; and nothing heavy is imported before it is needed."""
    (tmp_path / "some.pt").write_bytes(b"x")
    net = tiny(tmp_path / "net.onnx")
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
for name in ("ultralytics", "torch", "torchvision", "openvino"):
    sys.modules[name] = None  # importing it fails
import retrace.tracker.detection as d
heavy = {{"cv2", "onnxruntime"}} & set(sys.modules)
assert not heavy, heavy
print(d.open_detector("hog").description)
print(d.open_detector({str(net)!r}).description)
for spec, runtime in (({str(tmp_path / "some.pt")!r}, "auto"), ({str(net)!r}, "openvino")):
    try:
        d.open_detector(spec, runtime=runtime)
    except ValueError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    hog, onnx, torch, openvino = done.stdout.splitlines() or [done.stderr, "", "", ""]
    assert hog == "HOG people detector of OpenCV (as asked)"
    assert onnx.startswith("net.onnx (rows, onnxruntime on ")
    assert (
        torch
        == f"this detector needs ultralytics: {install('yolo')}, or give ONNX weights, which need neither"
    )
    assert openvino.endswith(f"runtime 'openvino' needs openvino: {install('openvino')}")
