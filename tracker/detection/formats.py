"""Which family of detectors a network belongs to: what it wants to see, and how its outputs are read.

An export rarely says what it is. So it is shown one blank picture, and names, shapes and values of what comes out
are compared with what each family is known to put out; `FAMILIES` is the whole list. What is not recognised, or
was trained otherwise than its family, is described: see `Format`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic

from retrace.configs import InputError
from retrace.configs.errors import nearest
from retrace.configs.loader import Strict, validate
from retrace.configs.reading import read_yaml
from retrace.tracker.detection import decode
from retrace.tracker.detection.classes import coco_names, named, names_from_file, names_in
from retrace.tracker.detection.decode import Decode
from retrace.tracker.detection.letterbox import Size
from retrace.tracker.detection.network import DetectorNetwork

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))  # of the grids that heads use
COCO_CLASSES, COCO_COLUMNS = 80, 91  # the latter with holes, by COCO's own ids from 1
BINS = 8  # of NanoDet's and PicoDet's distances: reg_max 7
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet: RGB, grey levels
MAKERS: dict[str, dict[str, Any]] = {  # LibreYOLO's "model_family" -> what its training saw
    "picodet": {"resize": "stretch", "mean": MEAN, "std": STD, "nms": 0.6},
    "rtmdet": {"resize": "corner", "colour": "bgr", "mean": MEAN[::-1], "std": STD[::-1], "nms": 0.65},
}
Three = tuple[float, float, float]


class Format(Strict):
    """What a network wants and how it is read; in a YAML beside the weights, or as ``detector_format``.

    Everything may be left out: then it is the family's, and the family is what the file looks like.
    """

    family: str | None = None
    size: int | tuple[int, int] | None = None  # px, side or (height, width), where the file leaves it open
    resize: Literal["letterbox", "corner", "stretch", "none"] = "letterbox"
    pad: Annotated[int, pydantic.Field(ge=0, le=255)] = 114  # grey level of the border
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: Three = (0, 0, 0)  # in the order of `colour`, in grey levels
    std: Three = (255, 255, 255)
    # IoU above which the weaker goes; None: none
    nms: Annotated[float | None, pydantic.Field(ge=0, le=1)] = None
    scores: tuple[float, float] | None = None  # slope and shift, as `tools/bench.py scores` fits them
    names: list[str] | dict[int, str] | str | None = None  # a list, a mapping, or a file with one a line

    @pydantic.field_validator("family")
    @classmethod
    def _known(cls, family: str | None) -> str | None:
        if family is not None and family not in FAMILIES:
            raise ValueError(f"no such family; {nearest(family, FAMILIES)}")
        return family

    @pydantic.field_validator("scores")
    @classmethod
    def _rising(cls, scores: tuple[float, float] | None) -> tuple[float, float] | None:
        if scores is not None and not (np.isfinite(scores).all() and scores[0] > 0):
            raise ValueError("must be a slope above 0 and a shift, both finite")
        return scores

    @pydantic.field_validator("std")
    @classmethod
    def _positive(cls, std: Three) -> Three:
        if min(std) <= 0:
            raise ValueError("must be above 0")
        return std

    @pydantic.field_validator("size")
    @classmethod
    def _some(cls, size: Any) -> Any:
        if size is not None and min(size if isinstance(size, tuple) else (size,)) < 1:
            raise ValueError("must be at least 1 px")
        return size


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What is known of a network after its first blank picture."""

    network: DetectorNetwork
    arrays: Mapping[str, np.ndarray]  # all outputs, of one picture, by name
    size: Size  # of that picture
    names: dict[int, str] | None  # classes, where somebody tells

    def tables(self, columns: int | None = None) -> list[tuple[str, np.ndarray]]:
        """Float outputs (1, N, C), by name."""
        return [
            (name, array)
            for name, array in self.arrays.items()
            if array.ndim == 3
            and len(array) == 1
            and columns in (None, array.shape[2])
            and array.dtype.kind == "f"
        ]

    def named(self, *words: str) -> list[str]:
        """The output whose name has each word in it; empty where one is missing."""
        lower = {name.lower(): name for name in self.arrays}
        found = [next((name for low, name in lower.items() if word in low), None) for word in words]
        return [name for name in found if name] if None not in found else []

    def strides(self, rows: int, anchors: int = 1) -> tuple[int, ...] | None:
        """The strides whose grids have that many cells together."""
        for strides in STRIDES:
            count = sum(np.prod(decode.grid_of(self.size, stride)) for stride in strides)
            if rows == anchors * count:
                return strides
        return None


@dataclass(frozen=True, slots=True)
class Reading:
    """A network understood."""

    family: str
    outputs: tuple[str, ...]  # those that are needed
    decode: Decode
    format: Format
    names: dict[int, str]
    whole: bool  # the outputs have no batch axis


@dataclass(frozen=True, slots=True)
class Match:
    """What a family says of a network that is one of its own."""

    outputs: tuple[str, ...]
    decode: Decode
    classes: int | None = None  # None: the outputs do not tell
    changes: Mapping[str, Any] | None = None  # from the family's format
    own_ids: bool = False  # classes are COCO's own category ids, where nobody tells names
    whole: bool = False  # no batch axis: one picture at a time


@dataclass(frozen=True, slots=True)
class Family:
    """How networks of one kind are recognised, and what they want unless told otherwise."""

    match: Callable[[FirstLook], Match | None]
    format: Format
    looks: str  # its outputs in words, for a refusal
    models: str  # who puts them out


def read_format(given: str | Path | Mapping[str, Any] | None, weights: Path) -> Format:
    """The caller's description: a family's name, a YAML file, a mapping, or a YAML of the weights' name beside them.

    Raises:
        InputError: no such family or file, an unknown key, a value out of range.
    """
    if isinstance(given, Mapping):
        return validate(given, Format, "`detector_format`")
    if given is not None and str(given) in FAMILIES:
        return Format(family=str(given))
    beside = weights.with_suffix(".yaml")
    path = beside if given is None else Path(given)
    if given is not None and not path.is_file():
        raise InputError(
            f"`detector_format` {str(given)!r}: no such file or family; {nearest(str(given), FAMILIES)}"
        )
    if not path.is_file():
        return Format()
    found = validate(read_yaml(path), Format, str(path))
    if isinstance(found.names, str):  # a file named in a file lies beside it
        return found.model_copy(update={"names": str(path.parent / found.names)})
    return found


def told_names(told: Format, network: DetectorNetwork) -> dict[int, str] | None:
    """Class names from the description, a NAME.names beside the weights, or the file's metadata; None: nobody tells."""
    if told.names is not None:
        return (
            names_from_file(Path(told.names)) if isinstance(told.names, str) else named(told.names, "names")
        )
    beside = network.path.with_suffix(".names")
    return names_from_file(beside) if beside.is_file() else names_in(network.metadata, network.path)


def recognise(seen: FirstLook, told: Format) -> Reading:
    """The family of a network, or of the one the caller names, with the caller's own values.

    Raises:
        InputError: none fits; the message says what was found.
    """
    _refuse_other_tasks(seen)
    for name in [told.family] if told.family else FAMILIES:
        family = FAMILIES[name]
        match = family.match(seen)
        if match is not None:
            own = {key: getattr(told, key) for key in told.model_fields_set - {"family"}}
            form = family.format.model_copy(update={**(match.changes or {}), **_maker(seen), **own})
            return Reading(name, match.outputs, match.decode, form, _names(seen, match), match.whole)
    if told.family:
        raise InputError(
            f"{seen.network.path}: {told.family} puts out {FAMILIES[told.family].looks}; got {_found(seen)}"
        )
    raise InputError(
        f"{seen.network.path}: no known detector puts out {_found(seen)}; if it is one, say which with "
        f"`detector_format` ({', '.join(FAMILIES)})"
    )


def _maker(seen: FirstLook) -> Mapping[str, Any]:
    """What LibreYOLO writes into its exports and the outputs do not tell."""
    told = seen.network.metadata
    corner = {"resize": "corner"} if told.get("letterbox_pad") == "topleft" else {}
    return {**MAKERS.get(told.get("model_family", ""), {}), **corner}


def _found(seen: FirstLook) -> str:
    """Outputs in words, at most six."""
    told = [f"{name} {'x'.join(map(str, array.shape))}" for name, array in seen.arrays.items()]
    more = f" and {len(told) - 6} more" if len(told) > 6 else ""
    return ", ".join(told[:6])[:200] + f"{more} for a picture of {seen.size[0]}x{seen.size[1]}"


def _refuse_other_tasks(seen: FirstLook) -> None:
    path, task = seen.network.path, seen.network.metadata.get("task", "detect")
    if task not in ("detect", "segment", "pose"):  # the latter two have boxes as well
        raise InputError(
            f"{path}: a model of task {task!r} gives no upright boxes; expected a detection model"
        )
    if all(array.ndim == 2 and len(array) == 1 and array.shape[1] > 7 for array in seen.arrays.values()):
        raise InputError(
            f"{path}: gives one vector a picture ({_found(seen)}): a classifier or a ReID network, "
            "expected a detection model"
        )


def _names(seen: FirstLook, match: Match) -> dict[int, str]:
    """Names by column: the told ones, COCO's, or "class0" and so on.

    Raises:
        InputError: more names, or fewer, than the network has classes.
    """
    count = match.classes
    if seen.names is not None:
        if count is not None and count not in (len(seen.names), max(seen.names) + 1):
            raise InputError(
                f"{seen.network.path}: {len(seen.names)} class names for {count} classes; give as many as there are"
            )
        return seen.names
    if count in (None, COCO_CLASSES):
        return coco_names(match.own_ids)
    if count == COCO_COLUMNS:
        return coco_names(own_ids=True)
    return {number: f"class{number}" for number in range(count)}


# The families, as their exports look


def _channels_first(seen: FirstLook) -> Match | None:
    for name, array in seen.tables():
        channels, rows = array.shape[1:]
        if rows <= channels or channels < 5 or not (seen.strides(rows) or _counted(seen, channels)):
            continue
        # keypoints may follow, which nothing else tells
        own = names_in(seen.network.metadata, seen.network.path)
        classes = len(own) if own else channels - 4 - _masks(seen)
        return Match((name,), decode.yolo(classes), classes)
    return None


def _objectness(seen: FirstLook) -> Match | None:
    """YOLOX and YOLOv5 to v7 put out the same columns: grid, values and number of rows tell them apart."""
    for name, array in seen.tables():
        rows, columns = array.shape[1:]
        one, three = seen.strides(rows), seen.strides(rows, anchors=3)
        if columns < 6 or not (one or three) or _outside(array[0, :, 4:]):
            continue
        classes = columns - 5 - (_masks(seen) if three else 0)
        constant = (array[0, :, 4] == 1).all()  # YOLOv6 has no objectness
        if three or constant:
            return Match((name,), decode.yolov5(classes), classes)
    return None


def _yolox(seen: FirstLook) -> Match | None:
    for name, array in seen.tables():
        rows, columns = array.shape[1:]
        strides = seen.strides(rows)
        if columns < 6 or not strides or _outside(array[0, :, 4:]):
            continue
        classes = columns - 5
        corner, stride = decode.cells(seen.size, strides)
        centre = corner * stride[:, None]
        apart = np.median(np.abs(array[0, :, :2] - centre)), np.median(np.abs(array[0, :, :2]))
        ready = apart[0] < apart[1]  # decoded inside: centres follow the grid; else they stay near 0
        return Match((name,), decode.yolov5(classes) if ready else decode.yolox(classes, strides), classes)
    return None


def _nanodet(seen: FirstLook) -> Match | None:
    pair = seen.named("scores", "distances")
    if pair:
        classes, strides = seen.arrays[pair[0]].shape[-1], seen.strides(seen.arrays[pair[0]].shape[1])
        if strides and seen.arrays[pair[1]].shape[-1] == 4:
            changes = {"mean": (0, 0, 0), "std": (1, 1, 1), "size": 416, "resize": "letterbox"}
            return Match(tuple(pair), decode.distances(classes, strides, 0.5, 1), classes, changes)
    for name, array in seen.tables():
        rows, columns = array.shape[1:]
        strides, classes = seen.strides(rows), columns - 4 * BINS
        if strides and classes > 0 and not _outside(array[0, :, :classes]):
            middle = 0.0 if len(strides) == 4 else 0.5  # NanoDet-Plus, NanoDet
            return Match((name,), decode.distances(classes, strides, middle, BINS), classes)
    return None


def _picodet(seen: FirstLook) -> Match | None:
    tables = seen.tables()
    half = len(tables) // 2
    if half not in (3, 4) or len(tables) % 2:
        return None
    tables.sort(key=lambda table: (table[1].shape[2] == 4 * BINS, -table[1].shape[1]))
    strides = seen.strides(sum(array.shape[1] for _, array in tables[:half]))
    shapes = {array.shape[2] for _, array in tables[:half]}
    if strides is None or len(shapes) != 1 or {array.shape[2] for _, array in tables[half:]} != {4 * BINS}:
        return None
    classes = shapes.pop()
    return Match(tuple(name for name, _ in tables), decode.levels(classes, strides, 0.5, BINS), classes)


def _shares(seen: FirstLook) -> Match | None:
    for name, array in seen.tables():
        columns = array.shape[2]
        told = seen.names is not None and columns == 4 + len(seen.names)
        small = array[0, :, :4].min() >= 0 and array[0, :, :4].max() <= 1.5
        if small and columns == 6 and array.any() and not told:  # its newer export: best class only
            return Match((name,), decode.rows(score=4, class_id=5, box=0, shares=True))
        if small and (told or columns == 4 + COCO_CLASSES) and not _outside(array[0, :, 4:]):
            return Match((name,), decode.shares(columns - 4), columns - 4)
    return None


def _rows(seen: FirstLook) -> Match | None:
    names = {port.name for port in seen.network.inputs}
    for name, array in seen.arrays.items():
        if array.dtype.kind != "f":
            continue
        columns = array.shape[-1] if array.ndim else 0
        # Paddle's multiclass_nms
        if array.ndim == 2 and columns == 6 and names & {"scale_factor", "im_shape"}:
            paddle = {"resize": "stretch", **({} if "im_shape" in names else {"mean": MEAN, "std": STD})}
            return Match((name,), decode.rows(score=1, class_id=0, box=2), None, paddle, whole=True)
        if array.ndim == 2 and columns == 7:  # batch, then box, class, score: YOLOv7's own end-to-end export
            return Match((name,), decode.rows(score=6, class_id=5, box=1), whole=True)
        more = _masks(seen) or (columns - 6 if "kpt_shape" in seen.network.metadata else 0)
        if array.ndim == 3 and columns == 6 + more and array.shape[1] <= 1000:
            return Match((name,), decode.rows(score=4, class_id=5, box=0))
    return None


def _queries(seen: FirstLook) -> Match | None:
    for words in (("logits", "boxes"), ("labels", "dets")):
        pair = seen.named(*words)
        if not pair:
            continue
        logits, boxes = (seen.arrays[name] for name in pair)
        if logits.ndim != 3 or logits.dtype.kind != "f" or boxes.shape != (*logits.shape[:2], 4):
            continue
        columns = logits.shape[2]
        softmax = columns == COCO_COLUMNS + 1  # DETR: COCO's own ids and "no object"
        imagenet = columns in (COCO_COLUMNS, COCO_COLUMNS + 1) or pair[0] == "labels"
        plain = {} if imagenet else {"mean": (0, 0, 0), "std": (255, 255, 255)}  # RT-DETR, D-FINE
        return Match(tuple(pair), decode.queries(softmax), columns - softmax, plain)
    return None


def _lists(seen: FirstLook) -> Match | None:
    dets = seen.named("dets", "labels")
    if dets and seen.arrays[dets[0]].shape[-1] == 5:
        changes = {"resize": "corner", "colour": "bgr", "mean": MEAN[::-1], "std": STD[::-1]}
        return Match(tuple(dets), decode.scored_boxes(), None, changes)
    for words in (
        ("boxes", "classes", "scores"),
        ("boxes", "labels", "scores"),
        ("bboxes", "labels", "scores"),
    ):
        found = seen.named(*words)
        if found and len(set(found)) == 3:
            break
    else:
        return None
    boxes, labels, scores = (seen.arrays[name] for name in found)
    if boxes.shape != (*scores.shape, 4) or labels.shape != scores.shape:
        return None
    tensorflow = "classes" in words
    # SSD of ONNX's model zoo, from MLPerf
    zoo: dict[str, Any] = {"mean": MEAN, "std": STD} if "bboxes" in words else {}
    contiguous = any(port.name == "orig_target_sizes" for port in seen.network.inputs)
    changes = {"resize": "stretch"} if contiguous else {"resize": "none" if _open_size(seen) else "stretch"}
    own = not contiguous
    changes |= zoo
    return Match(tuple(found), decode.lists(tensorflow), None, changes, own_ids=own, whole=boxes.ndim == 2)


def _dense(seen: FirstLook) -> Match | None:
    tables = seen.tables()
    for name, array in tables:
        rows, columns = array.shape[1:]
        if seen.strides(rows) and (_counted(seen, columns) or columns == 4 + COCO_CLASSES):
            # no centre is left and above of its own size
            corners = (array[0, :, 2:4] >= array[0, :, :2]).all()
            return Match((name,), decode.table(bool(corners)), columns - 4)
    boxes = next((name for name, array in tables if array.shape[2] == 4), None)
    scores = next((name for name, array in tables if array.shape[2] != 4), None)
    if boxes is None or scores is None:
        return None
    rows, classes = seen.arrays[scores].shape[1:]
    if rows != seen.arrays[boxes].shape[1] or not seen.strides(rows) or _outside(seen.arrays[scores]):
        return None
    return Match((boxes, scores), decode.dense(), classes)


def _outside(values: np.ndarray) -> bool:
    """Whether these cannot be probabilities."""
    return bool(values.size and (values.min() < 0 or values.max() > 1))


def _counted(seen: FirstLook, columns: int) -> bool:
    return seen.names is not None and columns == 4 + len(seen.names)


def _masks(seen: FirstLook) -> int:
    """Mask coefficients a box: as many as there are prototypes, at a quarter of the input's size."""
    quarter = (seen.size[0] // 4, seen.size[1] // 4)
    return next((a.shape[1] for a in seen.arrays.values() if a.ndim == 4 and a.shape[2:] == quarter), 0)


def _open_size(seen: FirstLook) -> bool:
    return any(None in port.shape[-3:] for port in seen.network.inputs[:1])


_STRETCHED = Format(resize="stretch")
FAMILIES: dict[str, Family] = {  # the order is that of trying: what has several outputs or tells names first
    "detr": Family(
        _queries,
        Format(resize="stretch", mean=MEAN, std=STD),
        "logits (1, queries, classes) and boxes (1, queries, 4)",
        "RT-DETR, D-FINE, DEIM, RF-DETR, DETR as transformers and their own repositories export them",
    ),
    "lists": Family(
        _lists,
        _STRETCHED,
        "boxes, labels and scores",
        "torchvision, SSD (TensorFlow, ONNX model zoo), RT-DETR, D-FINE and DEIM with postprocessing, mmdetection",
    ),
    "picodet": Family(
        _picodet,
        Format(resize="stretch", nms=0.6, mean=MEAN, std=STD),
        f"(1, cells, classes) and (1, cells, {4 * BINS}) a stride",
        "PicoDet without postprocessing",
    ),
    "nanodet": Family(
        _nanodet,
        Format(resize="stretch", colour="bgr", nms=0.6, mean=MEAN[::-1], std=STD[::-1]),
        f"(1, cells, classes + {4 * BINS})",
        "NanoDet, NanoDet-Plus",
    ),
    "dense": Family(
        _dense,
        Format(nms=0.7),
        "boxes (1, cells, 4) and scores (1, cells, classes), or both in one",
        "YOLO-NAS; LibreYOLO's RTMDet and PicoDet",
    ),
    "yolo": Family(
        _channels_first,
        Format(nms=0.7),
        "(1, 4 + classes, cells)",
        "YOLOv8, v9, 11, 12 (boxes, masks, poses); LibreYOLO's YOLOv9",
    ),
    "yolov5": Family(
        _objectness, Format(nms=0.6), "(1, 3 x cells, 5 + classes)", "YOLOv5, v6, v7; YOLOX decoded inside"
    ),
    "yolox": Family(
        _yolox,
        Format(resize="corner", colour="bgr", std=(1, 1, 1), nms=0.65),
        "(1, cells, 5 + classes)",
        "YOLOX",
    ),
    "rtdetr": Family(
        _shares,
        _STRETCHED,
        "(1, queries, 4 + classes) or (1, queries, 6), boxes in shares",
        "RT-DETR as Ultralytics exports it",
    ),
    "rows": Family(
        _rows,
        Format(),
        "(1, boxes, 6)",
        "YOLOv10, 26 and others with NMS inside, PaddleDetection, YOLOv7 end to end",
    ),
}
