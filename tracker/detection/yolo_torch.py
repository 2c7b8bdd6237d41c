"""YOLO weights for torch (.pt, .engine, ...) through ultralytics.

ultralytics is AGPL-3.0 and optional: this is the only file that imports it, and only when such weights are asked for.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.errors import install, one_line
from retrace.configs.files import cache_folder
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection.boxes_file import Detector, image_of
from retrace.tracker.detection.classes import choose_classes
from retrace.tracker.detection.scores import calibrated, fit_of, raw

FAMILY = "yolo"  # whose scores these are


def installed() -> bool:
    """Whether ultralytics can be used at all; says nothing about weights."""
    return _missing() is None


def open_torch(
    weights: Path,
    why: str,
    *,
    device: str = "auto",
    classes: str | None = None,
    min_score: float = 0.1,
    conf: float | None = None,
) -> Detector:
    """Weights as ultralytics loads them. One blank image runs through, so what is wrong shows at once.

    Raises:
        InputError: ultralytics is missing, the weights are not its own, or find no boxes.
    """
    ultralytics = import_ultralytics()
    fit = fit_of(FAMILY)
    floor = float(raw(min_score, fit)) if conf is None else conf
    options: dict[str, Any] = {"conf": floor, "verbose": False, "device": _torch_device(device)}
    try:
        model = ultralytics.YOLO(weights, task=None if weights.suffix.lower() == ".pt" else "detect")
        blank = model.predict(np.zeros((64, 64, 3), np.uint8), **options)[0]
    except Exception as error:  # torch, pickle, TensorRT: a kind each
        raise InputError(f"{weights}: ultralytics cannot load these weights: {one_line(error)}") from None
    if blank.boxes is None:
        raise InputError(
            f"{weights}: a model of task {model.task!r} gives no boxes; expected a detection model"
        )
    names = dict(blank.names)
    keep = choose_classes(names, classes)
    if len(keep) < len(names):
        options["classes"] = keep

    def find(frame: Frame) -> Detections:
        boxes = model.predict(image_of(frame), **options)[0].boxes.cpu().numpy()
        return Detections(boxes.xyxy, calibrated(boxes.conf, fit), boxes.cls)

    kept = ", ".join(names[k] for k in keep) if len(keep) <= 5 else f"{len(keep)} classes"
    place = f"ultralytics on {options['device']}"
    return Detector(
        f"{weights.name} (YOLO, {place}), keeps {kept} ({why})",
        find,
        names,
        weights=weights,
        kept=tuple(keep),
        fit=fit,
        callers=1,  # ultralytics keeps a predictor's state in the model
    )


def named_weights(name: str, target: Path) -> None:
    """Download weights that ultralytics knows by name.

    Raises:
        InputError: ultralytics is missing, knows no such name, or the download failed.
    """
    import_ultralytics()
    from ultralytics.utils.downloads import attempt_download_asset

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        attempt_download_asset(str(target), progress=False)
    except Exception as error:  # whatever requests, ssl and the file system raise
        raise InputError(f"{name} could not be downloaded to {target.parent}: {one_line(error)}") from None
    if not target.is_file():
        raise InputError(f"{name}: ultralytics has no weights of that name to download")


def import_ultralytics() -> Any:
    """ultralytics, kept to itself: it installs nothing, sends nothing, prints nothing.

    Raises:
        InputError: it is not installed.
    """
    missing = _missing()
    if missing:
        raise InputError(
            f"this detector needs {missing}: {install('yolo')}, or give ONNX weights, which need neither"
        )
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


def _missing() -> str | None:
    return next((n for n in ("ultralytics", "torch", "torchvision") if not _installed(n)), None)


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _torch_device(device: str) -> Any:
    from ultralytics.utils.torch_utils import select_device

    try:
        return select_device("" if device == "auto" else device, verbose=False)
    except (ValueError, AssertionError):
        raise InputError(f"`device` {device!r}: torch sees no such GPU; use device 'cpu'") from None
