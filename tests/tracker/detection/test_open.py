"""Detectors by name: which one is taken and why, classes, and YOLO through ultralytics."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Frame
from retrace.tracker.detection import open as detector
from retrace.tracker.detection.open import choose_classes, open_detector

ROOT = Path(__file__).resolve().parents[3]
NAMES = {0: "person", 1: "bicycle", 2: "traffic light"}
needs_ultralytics = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs ultralytics: pip install -e .[yolo]"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder, and no network."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RETRACE_CACHE", str(folder))
    monkeypatch.delenv("YOLO_OFFLINE", raising=False)
    monkeypatch.setattr(detector, "_answers", lambda *a, **k: False)
    before = dict(os.environ)
    yield folder
    for key in set(os.environ) - set(before):  # what ultralytics is told through the environment
        del os.environ[key]


@pytest.fixture
def yolo(shared: Path) -> Path:
    if importlib.util.find_spec("ultralytics") is None:
        pytest.skip("needs ultralytics: pip install -e .[yolo]")
    return shared / "weights" / "yolov8n_640.onnx"


@pytest.fixture(scope="module")
def picture(shared: Path) -> np.ndarray:
    import cv2

    return cv2.VideoCapture(str(shared / "videos" / "vtest.avi")).read()[1]


# Which detector


def test_none_finds_nothing_even_without_an_image() -> None:
    detect = open_detector("none")
    assert len(detect(Frame(0, 0.0, None))) == 0
    assert detect.description == "no detector"


def test_hog_says_what_it_is_and_wants_an_image() -> None:
    detect = open_detector("hog")
    assert detect.description == "HOG people detector of OpenCV (as asked)"
    assert detect.names == {0: "person"}
    with pytest.raises(InputError, match=r"^frame 7: the source has no images .*--detections FILE"):
        detect(Frame(7, 0.0, None))
    with pytest.raises(InputError, match="class 'car'"):
        open_detector("hog", classes="car")


@needs_ultralytics
def test_auto_without_weights_or_network_is_hog_and_says_how_to_get_yolo(cache: Path) -> None:
    said = open_detector("auto").description
    assert said.startswith("HOG people detector of OpenCV (no yolo11n.pt in ")
    assert str(cache) in said
    assert "github.com does not answer" in said
    assert "give --detector FILE" in said
    assert "\n" not in said


def test_auto_without_ultralytics_is_hog_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "_installed", lambda package: package != "ultralytics")
    assert "ultralytics is not installed (pip install -e .[yolo])" in open_detector("auto").description


def test_auto_takes_cached_weights(yolo: Path, cache: Path, picture: np.ndarray) -> None:
    cache.mkdir()
    shutil.copy(yolo, cache / "yolov8n.onnx")
    detect = open_detector("auto", device="cpu")
    assert detect.description.startswith("YOLO yolov8n.onnx on cpu, keeps person (found in ")
    assert len(detect(Frame(0, 0.0, picture))) >= 3


@needs_ultralytics
def test_a_known_name_is_downloaded_into_the_cache_or_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"no yolo11s\.pt in .*, and github\.com does not answer"):
        open_detector("yolo11s.pt")
    detector._import_ultralytics()
    import ultralytics.utils.downloads as downloads

    monkeypatch.setattr(detector, "_answers", lambda *a, **k: True)
    monkeypatch.setattr(
        downloads, "attempt_download_asset", lambda file, **k: Path(file).write_text("weights")
    )
    assert detector._named_weights("yolo11s.pt") == (cache / "yolo11s.pt", f"downloaded to {cache}")
    assert detector._named_weights("yolo11s.pt") == (cache / "yolo11s.pt", f"found in {cache}")

    def broken(file: str, **options: Any) -> None:
        raise ConnectionError("cut\noff")

    monkeypatch.setattr(downloads, "attempt_download_asset", broken)
    with pytest.raises(InputError, match=r"yolo11m\.pt could not be downloaded to .*cut off"):
        detector._named_weights("yolo11m.pt")
    (cache / "yolo11s.pt").unlink()
    assert "cut off; for YOLO give --detector FILE" in open_detector("auto").description
    monkeypatch.setattr(downloads, "attempt_download_asset", lambda file, **k: file)
    with pytest.raises(InputError, match=r"yolo99z\.pt: ultralytics has no weights of that name"):
        detector._named_weights("yolo99z.pt")


def test_the_user_s_wish_to_stay_offline_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setattr(detector, "_answers", lambda *a, **k: pytest.fail("asked the network"))
    with pytest.raises(InputError, match="no yolo11n"):
        open_detector("yolo11n.pt")


def test_a_probe_ends_in_time_whatever_the_network_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    answers = detector._answers

    def silent(*_: object, **__: object) -> None:
        time.sleep(5)
        raise OSError

    monkeypatch.setattr(detector.socket, "create_connection", silent)
    begin = time.monotonic()
    assert not answers("example.invalid", seconds=0.05)
    assert time.monotonic() - begin < 20  # not the thirty of a resolver that hangs

    def refused(*a: Any, **k: Any) -> None:
        raise OSError

    monkeypatch.setattr(detector.socket, "create_connection", refused)
    assert not answers("example.invalid")


def test_a_probe_reaches_a_port_that_listens() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        spec = importlib.util.spec_from_file_location("fresh_open", detector.__file__)
        assert spec is not None
        assert spec.loader is not None
        fresh = importlib.util.module_from_spec(spec)  # its _answers is not the fixture's
        spec.loader.exec_module(fresh)
        assert fresh._answers("127.0.0.1", server.getsockname()[1])


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("hoog", {}, "detector 'hoog': no such weights file; did you mean 'hog'"),
        ("missing/yolo.onnx", {}, "no such weights file"),
        ("hog", {"device": "gpu"}, "device must be auto, cpu, cuda or cuda:N"),
        ("hog", {"min_score": 1.5}, r"min_score must lie in \[0, 1\], got 1.5"),
        ("hog", {"min_score": float("nan")}, "min_score must lie"),
    ],
)
def test_wrong_wishes_are_refused_in_one_line(spec: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        open_detector(spec, **options)
    assert "\n" not in str(caught.value)


# Classes


def test_people_are_kept_by_default_and_everything_where_there_are_none() -> None:
    assert choose_classes(NAMES, None) == [0]
    assert choose_classes({0: "car", 4: "Pedestrian"}, None) == [4]
    assert choose_classes({0: "car", 4: "dog"}, None) == [0, 4]


def test_classes_are_named_or_numbered() -> None:
    assert choose_classes(NAMES, "all") == [0, 1, 2]
    assert choose_classes(NAMES, "Traffic Light, 0") == [0, 2]
    assert choose_classes(NAMES, "1,bicycle") == [1]


@pytest.mark.parametrize("word", ["bicicle", "3", "", "-1"])
def test_an_unknown_class_is_refused(word: str) -> None:
    with pytest.raises(InputError, match=f"class '{word}': the detector does not know it"):
        choose_classes(NAMES, word)
    with pytest.raises(InputError, match="did you mean 'bicycle'"):
        choose_classes(NAMES, "bicicle")


# YOLO


def test_yolo_finds_the_people_of_a_real_frame(yolo: Path, picture: np.ndarray, shared: Path) -> None:
    from retrace.tracker.boxes import iou_matrix
    from retrace.tracker.mot_file import read_ground_truth

    detect = open_detector(str(yolo), device="cpu")
    assert detect.description == "YOLO yolov8n_640.onnx on cpu, keeps person (as asked)"
    assert len(detect.names) == 80  # the file has none: the 80 of COCO
    found = detect(Frame(0, 0.0, picture))
    truth = read_ground_truth(shared / "MOT15-train" / "PETS09-S2L1" / "gt" / "gt.txt")
    overlap = iou_matrix(truth.xyxy[truth.frame == 0], found.xyxy.astype(float))
    assert (overlap.max(1) > 0.5).all()
    assert (found.class_id == 0).all()
    assert found.score.min() >= 0.1
    assert found.index.tolist() == list(range(len(found)))
    again = detect(Frame(1, 0.1, picture))
    assert again.xyxy.tobytes() == found.xyxy.tobytes()
    with pytest.raises(InputError, match="frame 3: the source has no images"):
        detect(Frame(3, 0.3, None))


def test_yolo_keeps_the_classes_that_are_asked_for(yolo: Path, picture: np.ndarray) -> None:
    everything = open_detector(str(yolo), classes="all", device="cpu", min_score=0.05)(Frame(0, 0.0, picture))
    cars = open_detector(str(yolo), classes="car,bus", device="cpu", min_score=0.05)(Frame(0, 0.0, picture))
    assert set(cars.class_id) <= {2, 5}
    assert len(everything) > len(cars)
    with pytest.raises(InputError, match=r"class 'peron': .* did you mean 'person'"):
        open_detector(str(yolo), classes="peron", device="cpu")


def test_networks_of_another_layout_are_refused(yolo: Path, shared: Path) -> None:
    with pytest.raises(InputError, match=r"yolox_nano_416\.onnx: expected a YOLO as ultralytics exports it"):
        open_detector(str(shared / "weights" / "yolox_nano_416.onnx"))
    with pytest.raises(InputError, match=r"osnet_x0_25_msmt17\.onnx: expected a YOLO"):
        open_detector(str(shared / "weights" / "osnet_x0_25_msmt17.onnx"))


@needs_ultralytics
@pytest.mark.parametrize("name", ["broken.onnx", "broken.pt", "broken.xyz"])
def test_unreadable_weights_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(InputError, match=name) as caught:
        open_detector(str(tmp_path / name), device="cpu")
    assert "\n" not in str(caught.value)


def test_onnx_weights_on_a_gpu_need_an_onnxruntime_that_has_it(yolo: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(InputError, match="device 'cuda': this onnxruntime has no CUDA"):
            open_detector(str(yolo), device="cuda")
        assert " on cpu, " in open_detector(str(yolo), device="auto").description


@needs_ultralytics
def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    import torch

    if torch.cuda.device_count() < 9:
        (tmp_path / "some.pt").write_bytes(b"x")
        with pytest.raises(InputError, match=r"device 'cuda:8': torch sees no such GPU"):
            open_detector(str(tmp_path / "some.pt"), device="cuda:8")


@needs_ultralytics
def test_pt_weights_load_with_their_own_names_and_say_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An untrained YOLO11n of two classes: it finds nothing sure, but all of the path is walked."""
    monkeypatch.chdir(tmp_path)
    ultralytics = detector._import_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    model = ultralytics.YOLO("yolo11n.yaml")
    model.model = DetectionModel("yolo11n.yaml", nc=2, verbose=False)
    model.model.names = {0: "cat", 1: "pedestrian"}
    model.save("tiny.pt")
    capfd.readouterr()
    detect = open_detector("tiny.pt", device="cpu")
    found = detect(Frame(0, 0.0, np.zeros((60, 80, 3), np.uint8)))
    assert detect.description == "YOLO tiny.pt on cpu, keeps pedestrian (as asked)"
    assert len(found) == 0
    assert capfd.readouterr() == ("", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "tiny.pt"]  # no runs/ folder


@needs_ultralytics
def test_importing_ultralytics_leaves_the_process_as_it_was() -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
import cv2, numpy as np
from retrace.tracker.detection.open import _import_ultralytics
cv2.setNumThreads(2)
os.environ.pop("OMP_NUM_THREADS", None)
printed = str(np.array([1.0]))
_import_ultralytics()
print(cv2.getNumThreads(), os.environ.get("OMP_NUM_THREADS"), str(np.array([1.0])) == printed)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2 None True", done.stderr


def test_without_ultralytics_its_weights_are_refused_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "some.pt").write_bytes(b"x")
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules["ultralytics"] = None  # importing it fails
import retrace.tracker.detection.open as d
heavy = {{"torch", "cv2", "onnxruntime", "torchvision"}} & set(sys.modules)
assert not heavy, heavy
print(d.open_detector("hog").description)
try:
    d.open_detector({str(tmp_path / "some.pt")!r})
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    hog, refusal = done.stdout.splitlines() or [done.stderr, ""]
    assert hog == "HOG people detector of OpenCV (as asked)"
    assert refusal == "this detector needs ultralytics: pip install -e .[yolo], or --detector hog"
