"""Detectors by name: ONNX and OpenVINO files, torch weights through ultralytics, OpenCV's HOG."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrace.configs import InputError
from retrace.configs.errors import expect, nearest, number, path_text
from retrace.configs.files import cache_folder
from retrace.tracker.data import Detections
from retrace.tracker.detection.boxes_file import Detector
from retrace.tracker.detection.classes import PERSON, choose_classes
from retrace.tracker.detection.download import OFFERS, answers, fetch, offered

ONNX = (".onnx", ".xml")  # what ONNX Runtime and OpenVINO read; everything else is ultralytics'
TORCH_NAME = re.compile(r"(yolo|rtdetr)[\w.-]*\.pt")  # a name ultralytics may know how to download
# What `auto` takes from the cache folder, by name: permissive licences first. ReID networks may lie there too.
CACHED = (
    "yolox*",
    "nanodet*",
    "picodet*",
    "rtdetr*",
    "rfdetr*",
    "rf-detr*",
    "dfine*",
    "deim*",
    "ssd*",
    "yolo*",
)


def open_detector(
    spec: str | Path = "auto",
    *,
    device: str = "auto",
    classes: str | None = None,
    min_score: float = 0.1,
    conf: float | None = None,
    detector_format: str | Path | Mapping[str, Any] | None = None,
    runtime: str = "auto",
    threads: int | None = None,
) -> Detector:
    """A detector by name or weights.

    Args:
        spec: "auto" (weights from the cache folder, or YOLOX-tiny downloaded when its host answers, otherwise HOG),
            "hog", "none", a file (.onnx, OpenVINO's .xml, or what ultralytics loads: .pt, .engine, ...), a name
            that `retrace models` lists, or one such as "yolo11n.pt" that ultralytics can download. The cache
            folder is $RETRACE_CACHE, or ~/.cache/retrace.
        device: "auto", "cpu", "cuda" or "cuda:N", for networks; HOG runs on the CPU.
        classes: what to keep: names or ids separated by commas, or "all". None: people, if the model has
            such a class, otherwise all.
        min_score: lowest score to report, in [0, 1]; low, so that the tracker's own thresholds decide. Scores
            are calibrated by family (`tracker/detection/scores.py`).
        conf: the same as the network itself counts, instead of ``min_score``.
        detector_format: of an ONNX or OpenVINO file that is not recognised: a family's name, a mapping or a YAML
            file (`tracker/detection/formats.py` says which keys). None: a YAML of the weights' name beside them,
            where there is one.
        runtime: "onnxruntime", "tensorrt" (its TensorRT provider), "openvino", or "auto": what the file's ending
            says.
        threads: CPU threads of one run of an ONNX or OpenVINO network; None: the runtime's default, one a core.

    Raises:
        InputError: no such weights, weights that cannot be read, an unknown class, a device that is not
            there, a missing package.

    Example:
        >>> from retrace import open_detector, open_source
        >>> detect = open_detector("hog")  # "auto", "yolox_tiny", "mine.onnx" ...
        >>> detect.description
        'HOG people detector of OpenCV (as asked)'
        >>> detections = detect(next(iter(open_source("video.mp4"))))
        >>> len(detections)  # squares are no people
        0
    """
    spec = path_text("spec", spec)
    for name, value in (("min_score", min_score), ("conf", conf)):
        if value is not None:
            number(name, value, 0, 1)
    for name, word in (("device", device), ("runtime", runtime), ("classes", classes)):
        expect(name, word, (str, type(None)) if name == "classes" else str, "a word")
    if threads is not None:
        number("threads", threads, 1, whole=True)
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", device) is None:
        raise InputError(f"`device` must be auto, cpu, cuda or cuda:N, got {device!r}")
    if spec == "none":
        return Detector("no detector", lambda frame: Detections.empty())
    why = "as asked"
    weights: Path | None = Path(spec)
    if spec == "auto":
        weights, why = _automatic()
    elif spec == "hog":
        weights = None
    elif not os.path.exists(spec):  # Path.exists raises where a name is too long
        weights, why = _by_name(spec)
    if weights is None:
        if detector_format is not None or runtime != "auto":
            raise InputError("HOG has no format and no runtime: leave them out, or name weights")
        return _open_hog(why, classes, min_score if conf is None else conf)
    wish: dict[str, Any] = {"device": device, "classes": classes, "min_score": min_score, "conf": conf}
    if weights.suffix.lower() in ONNX:
        from retrace.tracker.detection.onnx_model import open_onnx

        return open_onnx(weights, why, form=detector_format, runtime=runtime, threads=threads, **wish)
    if detector_format is not None or runtime != "auto":
        raise InputError(
            f"{weights}: only ONNX and OpenVINO files have a format and a runtime; leave them out"
        )
    from retrace.tracker.detection.yolo_torch import open_torch

    return open_torch(weights, why, **wish)


def in_cache() -> list[Path]:
    """Weights in the cache folder that `auto` may take, the one it takes first."""
    from retrace.tracker.detection.yolo_torch import installed

    endings = (*ONNX, ".pt") if installed() else ONNX
    names = [offer.name for offer in OFFERS]
    found = [file for pattern in (*names, *CACHED) for file in sorted(cache_folder().glob(pattern))]
    return [file for file in dict.fromkeys(found) if file.suffix in endings]


def _automatic() -> tuple[Path | None, str]:
    """Weights without being told which, and one phrase that says why these, or why none."""
    found = in_cache()
    if found:
        return found[0], f"found in {found[0].parent}"
    try:
        return fetch(OFFERS[0])
    except InputError as error:
        return None, str(error)


def _by_name(spec: str) -> tuple[Path, str]:
    """The file of a name, from the cache folder or downloaded into it, and where it came from.

    Raises:
        InputError: it is in neither place, or nobody knows the name.
    """
    offer = offered(spec)
    if offer is not None:
        return fetch(offer)
    if TORCH_NAME.fullmatch(spec):
        return _torch_weights(spec)
    known = [Path(offer.name).stem for offer in OFFERS]
    hint = "check the path" if Path(spec).suffix else nearest(spec, ("auto", "hog", "none", *known))
    raise InputError(f"detector {spec!r}: no such weights file; {hint}")


def _torch_weights(name: str) -> tuple[Path, str]:
    target = cache_folder() / name
    if target.is_file():
        return target, f"found in {target.parent}"
    offline = os.environ.get("YOLO_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    if offline or not answers("https://github.com"):
        raise InputError(f"no {name} in {target.parent}, and github.com does not answer")
    from retrace.tracker.detection.yolo_torch import named_weights

    named_weights(name, target)
    return target, f"downloaded to {target.parent}"


def _open_hog(why: str, classes: str | None, min_score: float) -> Detector:
    from retrace.tracker.detection.hog import PeopleWatch

    names = {0: PERSON[0]}
    choose_classes(names, classes)
    watch = PeopleWatch(min_score)
    return Detector(f"HOG people detector of OpenCV ({why})", watch, names, memory=watch)
