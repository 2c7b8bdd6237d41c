"""Detectors by name: YOLO through ultralytics, OpenCV's HOG, or boxes from a file.

ultralytics is AGPL-3.0 and optional: this is the only file that imports it, and only when it is asked for.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import Detector, detections_from_table, open_detections
from retrace.tracker.detection.hog import open_hog

__all__ = [
    "Detector",
    "cache_folder",
    "choose_classes",
    "detections_from_table",
    "open_detections",
    "open_detector",
]

PERSON = ("person", "pedestrian")  # kept by default where a model knows one
DEFAULT_YOLO = "yolo11n.pt"  # what "auto" downloads
YOLO_NAME = re.compile(r"(yolo|rtdetr)[\w.-]*\.pt")  # a name ultralytics may know how to download
COCO_CLASSES = 80


def open_detector(
    spec: str = "auto", *, device: str = "auto", classes: str | None = None, min_score: float = 0.1
) -> Detector:
    """A detector by name or weights.

    Args:
        spec: "auto" (YOLO weights from the cache folder, or downloaded when github.com answers, otherwise
            HOG), "hog", "none", weights that ultralytics loads (.pt, .onnx, .engine, ...), or a name such as
            "yolo11n.pt" that it can download. The cache folder is $RETRACE_CACHE, or ~/.cache/retrace.
        device: "auto", "cpu", "cuda" or "cuda:N", for YOLO; HOG runs on the CPU.
        classes: what to keep: names or ids separated by commas, or "all". None: people, if the model has
            such a class, otherwise all.
        min_score: lowest score to report, in [0, 1]; low, so that the tracker's own thresholds decide.

    Raises:
        InputError: no such weights, weights that cannot be read, an unknown class, a device that is not
            there, a missing package.
    """
    if not 0 <= min_score <= 1:
        raise InputError(f"min_score must lie in [0, 1], got {min_score}")
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
    if spec == "none":
        return Detector("no detector", lambda frame: Detections.empty())
    if spec == "hog":
        return _open_hog("as asked", classes, min_score)
    if spec == "auto":
        weights, why = _automatic()
        if weights is None:
            return _open_hog(f"{why}; for YOLO give --detector FILE", classes, min_score)
        return _open_yolo(weights, why, device, classes, min_score)
    weights = Path(spec)
    if weights.exists():
        return _open_yolo(weights, "as asked", device, classes, min_score)
    if YOLO_NAME.fullmatch(spec):
        return _open_yolo(*_named_weights(spec), device, classes, min_score)
    hint = "check the path" if weights.suffix else nearest(spec, ("auto", "hog", "none"))
    raise InputError(f"detector {spec!r}: no such weights file; {hint}")


def cache_folder() -> Path:
    """Where downloaded weights are kept: $RETRACE_CACHE, or ~/.cache/retrace."""
    return Path(os.environ.get("RETRACE_CACHE") or Path.home() / ".cache" / "retrace")


def choose_classes(names: Mapping[int, str], classes: str | None) -> list[int]:
    """The class ids to keep; see :func:`open_detector`.

    Raises:
        InputError: a class that the model does not have; the message names the nearest.
    """
    by_name = {name.lower(): number for number, name in names.items()}
    if classes is None:
        return [by_name[name] for name in PERSON if name in by_name] or list(names)
    if classes.strip().lower() == "all":
        return list(names)
    chosen = []
    for word in (word.strip().lower() for word in classes.split(",")):
        number = int(word) if word.isdigit() else by_name.get(word)
        if number is None or number not in names:
            known = [*by_name, "all"] if len(by_name) <= COCO_CLASSES else ["all"]
            raise InputError(f"class {word!r}: the detector does not know it; {nearest(word, known)}")
        chosen.append(number)
    return sorted(set(chosen))


def _automatic() -> tuple[Path | None, str]:
    """YOLO weights without being told which, and one phrase that says why these, or why none."""
    cache = cache_folder()
    cached = sorted(file for file in cache.glob("yolo*") if file.suffix in (".pt", ".onnx"))
    if not _installed("ultralytics"):
        return None, "ultralytics is not installed (pip install -e .[yolo])"
    if cached:
        return cached[0], f"found in {cache}"
    try:
        return _named_weights(DEFAULT_YOLO)
    except InputError as error:
        return None, str(error)


def _named_weights(name: str) -> tuple[Path, str]:
    """The file of a YOLO name, from the cache folder or downloaded into it, and where it came from.

    Raises:
        InputError: it is in neither place.
    """
    target = cache_folder() / name
    if target.is_file():
        return target, f"found in {target.parent}"
    if os.environ.get("YOLO_OFFLINE", "").lower() in ("1", "true", "yes", "on") or not _answers("github.com"):
        raise InputError(f"no {name} in {target.parent}, and github.com does not answer")
    _import_ultralytics()
    from ultralytics.utils.downloads import attempt_download_asset

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        attempt_download_asset(str(target), progress=False)
    except Exception as error:  # whatever requests, ssl and the file system raise
        raise InputError(f"{name} could not be downloaded to {target.parent}: {_line(error)}") from None
    if not target.is_file():
        raise InputError(f"{name}: ultralytics has no weights of that name to download")
    return target, f"downloaded to {target.parent}"


def _answers(host: str, port: int = 443, seconds: float = 2.0) -> bool:
    """Whether a TCP connection comes about in time. In a thread: looking up a name knows no limit."""
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
        except OSError:
            return
        answered.set()

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(seconds)
    return answered.is_set()


def _import_ultralytics() -> Any:
    """ultralytics, kept to itself: it installs nothing, sends nothing, prints nothing.

    Raises:
        InputError: it is not installed.
    """
    missing = next((n for n in ("ultralytics", "torch", "torchvision") if not _installed(n)), None)
    if missing:
        raise InputError(f"this detector needs {missing}: pip install -e .[yolo], or --detector hog")
    import cv2

    from retrace.torchvision_cure import cure_torchvision

    config = cache_folder() / "ultralytics"
    try:
        config.mkdir(parents=True, exist_ok=True)
    except OSError:
        config = Path(tempfile.gettempdir()) / "retrace-ultralytics"
    for key, value in (("AUTOINSTALL", "false"), ("VERBOSE", "false"), ("CONFIG_DIR", str(config))):
        os.environ.setdefault(f"YOLO_{key}", value)
    environment, threads = dict(os.environ), cv2.getNumThreads()
    os.environ["YOLO_OFFLINE"] = "true"  # read once, at the import; downloads do not look at it
    try:
        with np.printoptions():
            cure_torchvision()
            import ultralytics
    finally:  # the import changes how NumPy prints, OpenCV's threads and OMP_NUM_THREADS for the whole process
        cv2.setNumThreads(threads)
        for key in set(os.environ) - set(environment):
            del os.environ[key]
        os.environ.update(environment)
    if ultralytics.settings.get("sync"):
        ultralytics.settings.update(sync=False)
    return ultralytics


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _open_yolo(weights: Path, why: str, device: str, classes: str | None, min_score: float) -> Detector:
    """Weights as ultralytics loads them. One blank image runs through, so what is wrong shows at once."""
    ultralytics = _import_ultralytics()
    options: dict[str, Any] = {"conf": min_score, "verbose": False}
    names: dict[int, str] | None = None
    if weights.suffix.lower() == ".onnx":
        device = _onnx_device(device)
        options["imgsz"], names = _onnx_layout(weights, Path(ultralytics.__file__).parent)
    options["device"] = _torch_device(device)
    try:
        model = ultralytics.YOLO(weights, task=None if weights.suffix.lower() == ".pt" else "detect")
        blank = model.predict(np.zeros((64, 64, 3), np.uint8), **options)[0]
    except Exception as error:  # torch, pickle, onnxruntime, TensorRT: a kind each
        raise InputError(f"{weights}: ultralytics cannot load these weights: {_line(error)}") from None
    if blank.boxes is None:
        raise InputError(
            f"{weights}: a model of task {model.task!r} gives no boxes; expected a detection model"
        )
    names = names or dict(blank.names)
    keep = choose_classes(names, classes)
    if len(keep) < len(names):
        options["classes"] = keep

    def find(frame: Frame) -> Detections:
        boxes = model.predict(_image(frame), **options)[0].boxes.cpu().numpy()
        return Detections(boxes.xyxy, boxes.conf, boxes.cls)

    kept = ", ".join(names[k] for k in keep) if len(keep) <= 5 else f"{len(keep)} classes"
    return Detector(f"YOLO {weights.name} on {options['device']}, keeps {kept} ({why})", find, names)


def _torch_device(device: str) -> Any:
    from ultralytics.utils.torch_utils import select_device

    try:
        return select_device("" if device == "auto" else device, verbose=False)
    except (ValueError, AssertionError):
        raise InputError(f"device {device!r}: torch sees no such GPU; use device 'cpu'") from None


def _onnx_device(device: str) -> str:
    """Where ONNX weights run; ultralytics would fall back to the CPU without a word."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return device
    if device.startswith("cuda"):
        raise InputError(
            f"device {device!r}: this onnxruntime has no CUDA; install onnxruntime-gpu, or use 'cpu'"
        )
    return "cpu"


def _onnx_layout(weights: Path, package: Path) -> tuple[Any, dict[int, str] | None]:
    """What ultralytics cannot tell from an ONNX file without its metadata: input size and class names.

    Returns:
        imgsz (640 where the file leaves it open), and the names; None: the file has its own.

    Raises:
        InputError: not a YOLO as ultralytics exports it; it would be read as nonsense, silently.
    """
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"{weights}: not readable as an ONNX network: {_line(error)}") from None
    given, out = session.get_inputs()[0].shape, session.get_outputs()[0].shape
    size = given[2:] if len(given) == 4 and all(isinstance(side, int) for side in given[2:]) else 640
    if "names" in session.get_modelmeta().custom_metadata_map:
        return size, None
    fixed = len(given) == 4 and len(out) == 3 and all(isinstance(side, int) for side in out[1:])
    if not fixed or not (out[2] == 6 or 4 < out[1] < out[2]):
        raise InputError(
            f"{weights}: expected a YOLO as ultralytics exports it, images -> (1, 4 + classes, boxes); "
            f"got {given} -> {out}"
        )
    if out[1] - 4 != COCO_CLASSES:
        count = 1000 if out[2] == 6 else out[1] - 4
        return size, {number: f"class{number}" for number in range(count)}
    import yaml

    coco = yaml.safe_load((package / "cfg" / "datasets" / "coco8.yaml").read_text(encoding="utf-8"))
    return size, dict(coco["names"])


def _open_hog(why: str, classes: str | None, min_score: float) -> Detector:
    names = {0: PERSON[0]}
    choose_classes(names, classes)
    find = open_hog(min_score)
    return Detector(f"HOG people detector of OpenCV ({why})", lambda frame: find(_image(frame)), names)


def _image(frame: Frame) -> np.ndarray:
    if frame.image is None:
        raise InputError("the source has no images to detect in: give --detections FILE")
    return frame.image


def _line(error: Exception) -> str:
    """An error of another library in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
