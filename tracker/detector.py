"""Where boxes come from: YOLO through ultralytics, OpenCV's HOG, or a file. Each is a callable Frame -> Detections.

ultralytics is AGPL-3.0 and optional: this is the only file that imports it, and only when it is asked for.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from configs.load import nearest
from tracker.boxes import iou_matrix
from tracker.data import Detections, Frame, MotTable
from tracker.mot_file import read_detections, scores_to_unit

PERSON = ("person", "pedestrian")  # kept by default where a model knows one
DEFAULT_YOLO = "yolo11n.pt"  # what "auto" downloads
YOLO_NAME = re.compile(r"(yolo|rtdetr)[\w.-]*\.pt")  # a name ultralytics may know how to download
COCO_CLASSES = 80

# HOG, chosen on every tenth frame of PETS09-S2L1 (768x576) and looked at on the TUD sequences of MOT15.
HOG_ROWS = 960  # px; every image is resized to this height, so people above a tenth of it are found
HOG_UPSCALE = 2.0  # at most; beyond it blur is all that is gained
HOG_LEVEL = 1.12  # size ratio of neighbouring pyramid levels; 1.05 costs twice the time for .01 of AP
HOG_STRIDE = (8, 8)  # px
HOG_PADDING = (8, 8)  # px
HOG_PERSON = np.array([0.6, 0.75])  # width and height of the person within the 64x128 window
HOG_SLOPE, HOG_MIDDLE = (
    3.0,
    1.0,
)  # logistic fit of P(box is a person) to the SVM margin; 3.0-3.5, 0.8-1.1 by video
HOG_SAME, HOG_MERGE = (
    0.4,
    0.5,
)  # IoU: above the first a weaker window goes, above the second it is averaged in
HOG_LOWEST = 0.01  # score; below it windows come by the thousand


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector as a callable.

    Attributes:
        description: one line: what was taken and why.
        find: the detector itself; the call adds the frame's number to what it refuses.
        names: the class names by ``class_id``, where they are known.
    """

    description: str
    find: Callable[[Frame], Detections]
    names: Mapping[int, str] = field(default_factory=dict)

    def __call__(self, frame: Frame) -> Detections:
        """The boxes of one frame, in the detector's order.

        Raises:
            InputError: a box that is not finite, a score outside [0, 1], or a frame without an image where one
                is needed; the message begins with the (0-based) frame number.
        """
        try:
            return self.find(frame)
        except InputError as error:
            raise InputError(f"frame {frame.index}: {error}") from None


def open_detector(
    spec: str = "auto", *, device: str = "auto", classes: str | None = None, min_score: float = 0.1
) -> Detector:
    """A detector by name or weights.

    Args:
        spec: "auto" (YOLO weights from the cache folder, or downloaded when github.com answers, otherwise HOG),
            "hog", "none", weights that ultralytics loads (.pt, .onnx, .engine, ...), or a name such as
            "yolo11n.pt" that it can download. The cache folder is $RETRACE_CACHE, or ~/.cache/retrace.
        device: "auto", "cpu", "cuda" or "cuda:N", for YOLO; HOG runs on the CPU.
        classes: what to keep: names or ids separated by commas, or "all". None: people, if the model has such a
            class, otherwise all.
        min_score: lowest score to report, in [0, 1]; low, so that the tracker's own thresholds decide.

    Raises:
        InputError: no such weights, weights that cannot be read, an unknown class, a device that is not there,
            a missing package.
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
    raise InputError(f"detector {spec!r}: no such weights file; {nearest(spec, ('auto', 'hog', 'none'))}")


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
    if importlib.util.find_spec("ultralytics") is None:
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
    _import_ultralytics(offline=False)
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
    """Whether a TCP connection comes about in time; in a thread, for looking up a name knows no time limit."""
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


def _import_ultralytics(offline: bool = True) -> Any:
    """ultralytics, kept from talking: it installs nothing, sends nothing, prints nothing.

    Raises:
        InputError: it is not installed.
    """
    from torchvision_cure import cure_torchvision

    config = cache_folder() / "ultralytics"
    try:
        config.mkdir(parents=True, exist_ok=True)
    except OSError:
        config = Path(tempfile.gettempdir()) / "retrace-ultralytics"
    quiet = {"YOLO_OFFLINE": str(offline).lower(), "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    for key, value in (*quiet.items(), ("YOLO_CONFIG_DIR", str(config))):
        os.environ.setdefault(key, value)  # it reads them once, when it is imported
    try:
        cure_torchvision()
        import ultralytics
    except ImportError as error:
        raise InputError(
            f"this detector needs {error.name}: pip install -e .[yolo], or --detector hog"
        ) from None
    if ultralytics.settings.get("sync"):
        ultralytics.settings.update(sync=False)
    return ultralytics


def _open_yolo(weights: Path, why: str, device: str, classes: str | None, min_score: float) -> Detector:
    """Weights as ultralytics loads them. One blank image runs through, so what is wrong shows at once."""
    ultralytics = _import_ultralytics()
    options: dict[str, Any] = {"conf": min_score, "verbose": False, "device": _torch_device(device)}
    names: dict[int, str] | None = None
    if weights.suffix.lower() == ".onnx":
        options["imgsz"], names = _onnx_layout(weights, device, Path(ultralytics.__file__).parent)
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


def _onnx_layout(weights: Path, device: str, package: Path) -> tuple[Any, dict[int, str] | None]:
    """What ultralytics cannot tell from an ONNX file without its metadata: input size and class names.

    Returns:
        imgsz (640 where the file leaves it open), and the names; None: the file has its own.

    Raises:
        InputError: not a YOLO as ultralytics exports it; it would be read as nonsense, silently.
    """
    import onnxruntime

    if device.startswith("cuda") and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise InputError(
            f"device {device!r}: this onnxruntime has no CUDA; install onnxruntime-gpu, or use 'cpu'"
        )
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
    """OpenCV's people detector (Dalal and Triggs, CVPR 2005): a linear SVM on gradients in a 64x128 window."""
    import cv2

    if not hasattr(cv2, "HOGDescriptor"):
        raise InputError(
            f"OpenCV {cv2.__version__} has no HOG detector ({why}): pip install 'opencv-python<5', or give weights"
        )
    names = {0: PERSON[0]}
    choose_classes(names, classes)
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())
    floor = float(np.clip(min_score, HOG_LOWEST, 1 - HOG_LOWEST))
    lowest = HOG_MIDDLE + float(np.log(floor / (1 - floor))) / HOG_SLOPE

    def find(frame: Frame) -> Detections:
        image = _image(frame)
        scale = min(HOG_ROWS / len(image), HOG_UPSCALE)
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        windows, margin = hog.detectMultiScale(image, lowest, HOG_STRIDE, HOG_PADDING, HOG_LEVEL, 0)
        if not len(windows):
            return Detections.empty()
        return people_in_windows(np.asarray(windows, np.float64) / scale, np.ravel(margin))

    return Detector(f"HOG people detector of OpenCV ({why})", find, names)


def people_in_windows(tlwh: np.ndarray, margin: np.ndarray) -> Detections:
    """HOG windows as boxes of people, best first.

    A window is shrunk to the person inside it. Then greedy non-maximum suppression; a kept box becomes the mean,
    weighted by score, of all boxes that overlap it well: HOG looks only every 8 px, their mean is finer.

    Args:
        tlwh: (M, 4) px; positive sizes.
        margin: (M,) distance from the SVM's plane.

    Returns:
        Boxes with score 1 / (1 + exp(-3 (margin - 1))).
    """
    order = np.lexsort((*tlwh.T, -margin))  # OpenCV's order is its threads'; ties must not depend on it
    tlwh, score = tlwh[order], 1 / (1 + np.exp(-HOG_SLOPE * (margin[order] - HOG_MIDDLE)))
    centre, half = tlwh[:, :2] + tlwh[:, 2:] / 2, tlwh[:, 2:] * HOG_PERSON / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    iou = iou_matrix(boxes, boxes)
    kept, open_rows = [], np.ones(len(boxes), bool)
    while open_rows.any():
        best = int(np.argmax(open_rows))
        kept.append(best)
        open_rows &= iou[best] <= HOG_SAME
    weight = (iou[kept] > HOG_MERGE) * score
    return Detections(weight @ boxes / weight.sum(axis=1, keepdims=True), score[kept])


def open_detections(path: str | Path) -> Detector:
    """Detections from a file instead of a detector: a MOT ``det.txt``, or an .npz.

    The .npz holds ``frame`` (R,) whole numbers from 0, ``xyxy`` (R, 4) px, ``score`` (R,) in [0, 1], and may
    hold ``class_id`` (R,) and ``embedding`` (R, D) unit rows. Rows of one frame keep their order; a frame
    that has none is empty.

    Raises:
        InputError: no such file, malformed, other keys or shapes, values out of range.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz":
        return _by_frame(path, **_read_npz(path))
    return detections_from_table(read_detections(path), str(path))


def detections_from_table(table: MotTable, origin: str = "table") -> Detector:
    """The boxes of a table, frame by frame; raw scores are mapped into [0, 1] and the description says so."""
    score, note = scores_to_unit(table.score)
    return _by_frame(origin, table.frame, table.xyxy, score, table.class_id, note=note)


def _by_frame(
    origin: str | Path,
    frame: np.ndarray,
    xyxy: np.ndarray,
    score: np.ndarray,
    class_id: np.ndarray | None = None,
    embedding: np.ndarray | None = None,
    note: str | None = None,
) -> Detector:
    try:
        Detections(xyxy, score, class_id, embedding)  # every row is checked now, not in the middle of a run
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    order = np.argsort(frame, kind="stable")
    frame = frame[order]
    columns = [None if c is None else c[order] for c in (xyxy, score, class_id, embedding)]

    def find(wanted: Frame) -> Detections:
        start, stop = np.searchsorted(frame, (wanted.index, wanted.index + 1))
        return Detections(*(None if c is None else c[start:stop] for c in columns))  # type: ignore[arg-type]

    count = f"{len(frame)} boxes in {len(np.unique(frame))} frames"
    return Detector(f"detections of {origin}: {count}" + (f"; {note}" if note else ""), find)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    known, needed = ("frame", "xyxy", "score", "class_id", "embedding"), ("frame", "xyxy", "score")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise InputError(f"{path}: no such detections file") from None
    except (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: not readable as .npz: {_line(error)}") from None
    for key, values in arrays.items():
        if key not in known:
            raise InputError(f"{path}: unknown array {key!r}; {nearest(key, known)}")
        if values.dtype.kind not in "biuf":
            raise InputError(f"{path}: {key} must hold numbers, got {values.dtype}")
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise InputError(
            f"{path}: no array {missing[0]!r}; expected {', '.join(needed)}[, class_id, embedding]"
        )
    frame = arrays["frame"]
    whole = frame.ndim == 1 and len(frame) == len(arrays["xyxy"]) and (frame == np.floor(frame)).all()
    if not whole or (frame < 0).any():
        raise InputError(f"{path}: frame must be one whole number from 0 for each row of xyxy")
    return {**arrays, "frame": frame.astype(np.int64)}


def _image(frame: Frame) -> np.ndarray:
    if frame.image is None:
        raise InputError("the source has no images to detect in: give --detections FILE")
    return frame.image


def _line(error: Exception) -> str:
    """An error of another library in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
