"""Detectors from ONNX files: tiny exports of every family against slow twins, and the three real ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Detections, Frame
from retrace.tracker.detection import scores
from retrace.tracker.detection.open import open_detector
from tests.tracker.detection import slow_decode as slow
from tests.tracker.detection.exports import Shape, dazzled, echo, export

SIDE, SIZE = 64, (60, 100)  # px: the tiny networks' square input, the picture's height and width
CELLS = 64 + 16 + 4  # of strides 8, 16, 32
PICTURE = np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
PERSON = {0: "person", 1: "dog", 2: "cat"}
FLOOR = 0.3


def sure(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Probabilities, most of them low."""
    return (rng.uniform(0, 1, shape) ** 1.5).astype(np.float32)


def boxes(rng: np.random.Generator, rows: int, scale: float = SIDE) -> np.ndarray:
    """(rows, 4) centre and size."""
    return (np.hstack([rng.uniform(0.1, 0.9, (rows, 2)), rng.uniform(0.05, 0.5, (rows, 2))]) * scale).astype(
        np.float32
    )


def corners(rng: np.random.Generator, rows: int, scale: float = SIDE) -> np.ndarray:
    where = boxes(rng, rows, scale)
    return np.hstack([where[:, :2] - where[:, 2:] / 2, where[:, :2] + where[:, 2:] / 2]).astype(np.float32)


def logits(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(-1, 2, shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """An export and what must come out of it."""

    family: str
    make: Callable[[np.random.Generator], dict[str, np.ndarray]]
    twin: Callable[[list[np.ndarray]], Any]  # the arrays, without their batch axis -> slow boxes
    resize: str
    nms: float | None
    classes: int = 3
    options: dict[str, Any] = field(default_factory=dict)  # of export()
    names: dict[int, str] = field(default_factory=lambda: PERSON)


def whole(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array[None] for name, array in arrays.items()}


def in_rows(a: np.ndarray) -> list[slow.Box]:
    return [(*map(float, row[:4]), float(row[4]), int(row[5])) for row in a]  # type: ignore[misc]


def in_lists(boxes: np.ndarray, labels: np.ndarray, score: np.ndarray, scale: float = 1) -> list[slow.Box]:
    return [
        (*(float(v) * scale for v in box), float(s), int(label))  # type: ignore[misc]
        for box, label, s in zip(boxes, labels, score, strict=True)
    ]


NAMES = {"names": str(PERSON)}
COCO91 = {1: "person", 2: "bicycle", 90: "toothbrush"}
CASES = {
    "yolov8": Case(
        "yolo",
        lambda rng: whole({"output0": np.vstack([boxes(rng, CELLS).T, sure(rng, 3, CELLS)])}),
        lambda a: slow.yolo(a, SIDE, 3),
        "letterbox",
        0.7,
        options={"metadata": NAMES},
    ),
    "yolov8 without names": Case(
        "yolo",
        lambda rng: whole({"output0": np.vstack([boxes(rng, CELLS).T, sure(rng, 3, CELLS)])}),
        lambda a: slow.yolo(a, SIDE, 3),
        "letterbox",
        0.7,
        names={0: "class0", 1: "class1", 2: "class2"},
    ),
    "yolov8 segmentation": Case(
        "yolo",
        lambda rng: whole(
            {
                "output0": np.vstack([boxes(rng, CELLS).T, sure(rng, 3, CELLS), logits(rng, 32, CELLS)]),
                "output1": logits(rng, 32, SIDE // 4, SIDE // 4),
            }
        ),
        lambda a: slow.yolo(a, SIDE, 3),
        "letterbox",
        0.7,
        options={"metadata": {"task": "segment"}},
        names={0: "class0", 1: "class1", 2: "class2"},
    ),
    "yolov8 pose": Case(
        "yolo",
        lambda rng: whole(
            {"output0": np.vstack([boxes(rng, CELLS).T, sure(rng, 1, CELLS), logits(rng, 51, CELLS)])}
        ),
        lambda a: slow.yolo(a, SIDE, 1),
        "letterbox",
        0.7,
        1,
        options={"metadata": {"task": "pose", "names": "{0: 'person'}", "kpt_shape": "[17, 3]"}},
        names={0: "person"},
    ),
    "yolov5": Case(
        "yolov5",
        lambda rng: whole({"output0": np.hstack([boxes(rng, 3 * CELLS), sure(rng, 3 * CELLS, 4) ** 0.3])}),
        lambda a: slow.yolov5(a, SIDE, 3),
        "letterbox",
        0.6,
        options={"metadata": NAMES},
    ),
    "yolov6": Case(
        "yolov5",
        lambda rng: whole(
            {"outputs": np.hstack([boxes(rng, CELLS), np.ones((CELLS, 1), "f"), sure(rng, CELLS, 3)])}
        ),
        lambda a: slow.yolov5(a, SIDE, 3),
        "letterbox",
        0.6,
        options={"metadata": NAMES},
    ),
    "yolox": Case(
        "yolox",
        lambda rng: whole({"output": np.hstack([logits(rng, CELLS, 4) / 4, sure(rng, CELLS, 4) ** 0.3])}),
        lambda a: slow.yolox(a, SIDE, 3),
        "corner",
        0.65,
        options={"metadata": NAMES},
    ),
    "yolox decoded inside": Case(
        "yolox",
        lambda rng: whole({"output": np.hstack([near_cells(rng), sure(rng, CELLS, 4) ** 0.3])}),
        lambda a: slow.yolov5(a, SIDE, 3),
        "corner",
        0.65,
        options={"metadata": NAMES},
    ),
    "nanodet with distances": Case(
        "nanodet",
        lambda rng: whole(
            {"scores": sure(rng, CELLS, 3), "distances": rng.uniform(0, 3, (CELLS, 4)).astype("f")}
        ),
        lambda a: slow.gfl(a[0], a[1], SIDE, (8, 16, 32), 0.5),
        "letterbox",
        0.6,
        options={"metadata": NAMES},
    ),
    "nanodet": Case(
        "nanodet",
        lambda rng: whole({"output": np.hstack([sure(rng, CELLS, 3), logits(rng, CELLS, 32)])}),
        lambda a: slow.gfl(a[0][:, :3], a[0][:, 3:], SIDE, (8, 16, 32), 0.5),
        "stretch",
        0.6,
        options={"metadata": NAMES},
    ),
    "nanodet-plus": Case(
        "nanodet",
        lambda rng: whole({"output": np.hstack([sure(rng, CELLS + 1, 3), logits(rng, CELLS + 1, 32)])}),
        lambda a: slow.gfl(a[0][:, :3], a[0][:, 3:], SIDE, (8, 16, 32, 64), 0.0),
        "stretch",
        0.6,
        options={"metadata": NAMES},
    ),
    "picodet": Case(
        "picodet",
        lambda rng: whole(
            {f"score{n}": sure(rng, n, 3) for n in (64, 16, 4, 1)}
            | {f"box{n}": logits(rng, n, 32) for n in (64, 16, 4, 1)}
        ),
        lambda a: slow.gfl(np.vstack(a[:4]), np.vstack(a[4:]), SIDE, (8, 16, 32, 64), 0.5, inside=False),
        "stretch",
        0.6,
        options={"metadata": NAMES},
    ),
    "rf-detr": Case(
        "detr",
        lambda rng: whole({"dets": boxes(rng, 30, 1), "labels": logits(rng, 30, 91)}),
        lambda a: slow.queries([a[1], a[0]], SIDE, softmax=False),
        "stretch",
        None,
        91,
        names=COCO91,
    ),
    "d-fine by transformers": Case(
        "detr",
        lambda rng: whole({"logits": logits(rng, 30, 80), "pred_boxes": boxes(rng, 30, 1)}),
        lambda a: slow.queries(a, SIDE, softmax=False),
        "stretch",
        None,
        80,
        names={0: "person", 79: "toothbrush"},
    ),
    "detr": Case(
        "detr",
        lambda rng: whole(
            {
                "logits": logits(rng, 30, 92) * 2 + 9 * np.eye(92, dtype="f")[rng.choice([1, 2, 90, 91], 30)],
                "pred_boxes": boxes(rng, 30, 1),
            }
        ),
        lambda a: slow.queries(a, SIDE, softmax=True),
        "stretch",
        None,
        91,
        names=COCO91,
    ),
    "rt-detr by ultralytics": Case(
        "rtdetr",
        lambda rng: whole({"output0": np.hstack([boxes(rng, 30, 1), sure(rng, 30, 3)])}),
        lambda a: slow.shares(a, SIDE),
        "stretch",
        None,
        options={"metadata": NAMES},
    ),
    "rt-detr by newer ultralytics": Case(
        "rtdetr",
        lambda rng: whole(
            {
                "output0": np.hstack(
                    [boxes(rng, 30, 1), sure(rng, 30, 1), rng.choice([0, 1, 2], (30, 1))]
                ).astype("f")
            }
        ),
        lambda a: [
            (*slow.centre(*(float(v) * SIDE for v in row[:4])), float(row[4]), int(row[5])) for row in a[0]
        ],
        "stretch",
        None,
        options={"metadata": NAMES},
    ),
    "d-fine's own": Case(
        "lists",
        lambda rng: whole(
            {"labels": rng.choice([0, 1, 79], 30), "boxes": corners(rng, 30), "scores": sure(rng, 30)}
        ),
        lambda a: in_lists(a[1], a[0], a[2]),
        "stretch",
        None,
        80,
        options={"extra": ("orig_target_sizes",)},
        names={0: "person", 79: "toothbrush"},
    ),
    "torchvision": Case(
        "lists",
        lambda rng: {
            "boxes": corners(rng, 30),
            "labels": rng.choice([1, 2, 90], 30),
            "scores": sure(rng, 30),
        },
        lambda a: in_lists(*a),
        "none",
        None,
        91,
        options={"shape": (3, "h", "w"), "whole": True},
        names=COCO91,
    ),
    "ssd by tensorflow": Case(
        "lists",
        lambda rng: whole(
            {
                "detection_boxes": corners(rng, 30, 1)[:, [1, 0, 3, 2]],
                "detection_classes": rng.choice([1, 2, 90], 30).astype("f"),
                "detection_scores": sure(rng, 30),
                "num_detections": np.float32(30),
            }
        ),
        lambda a: in_lists(a[0][:, [1, 0, 3, 2]] * (SIZE[1], SIZE[0], SIZE[1], SIZE[0]), a[1], a[2]),
        "none",
        None,
        91,
        options={"shape": (1, "h", "w", 3), "dtype": np.uint8},
        names=COCO91,
    ),
    "ssd": Case(
        "lists",
        lambda rng: whole(
            {"bboxes": corners(rng, 30, 1), "labels": rng.choice([1, 2, 90], 30), "scores": sure(rng, 30)}
        ),
        lambda a: in_lists(a[0], a[1], a[2], SIDE),
        "stretch",
        None,
        91,
        names=COCO91,
    ),
    "mmdetection": Case(
        "lists",
        lambda rng: whole(
            {"dets": np.hstack([corners(rng, 30), sure(rng, 30, 1)]), "labels": rng.choice([0, 1, 79], 30)}
        ),
        lambda a: in_lists(a[0][:, :4], a[1], a[0][:, 4]),
        "corner",
        None,
        80,
        names={0: "person", 79: "toothbrush"},
    ),
    "nms inside, yolov10, yolo26": Case(
        "rows",
        lambda rng: whole(
            {
                "output0": np.hstack(
                    [corners(rng, 30), sure(rng, 30, 1), rng.integers(0, 3, (30, 1))]
                ).astype("f")
            }
        ),
        lambda a: in_rows(a[0]),
        "letterbox",
        None,
        options={"metadata": NAMES},
    ),
    "yolov7 end to end": Case(
        "rows",
        lambda rng: {
            "output": np.hstack(
                [np.zeros((30, 1)), corners(rng, 30), rng.choice([0, 1, 79], (30, 1)), sure(rng, 30, 1)]
            ).astype("f")
        },
        lambda a: in_rows(a[0][:, [1, 2, 3, 4, 6, 5]]),
        "letterbox",
        None,
        80,
        options={"whole": True},
        names={0: "person", 79: "toothbrush"},
    ),
    "paddle": Case(
        "rows",
        lambda rng: {
            "nms.tmp": np.hstack(
                [rng.choice([0, 1, 79], (30, 1)), sure(rng, 30, 1), corners(rng, 30)]
            ).astype("f"),
            "count": np.array([30], np.int32),
        },
        lambda a: in_rows(a[0][:, [2, 3, 4, 5, 1, 0]]),
        "stretch",
        None,
        80,
        options={"whole": True, "extra": ("scale_factor",)},
        names={0: "person", 79: "toothbrush"},
    ),
    "rtmdet by libreyolo": Case(
        "dense",
        lambda rng: whole({"output": np.hstack([corners(rng, CELLS), sure(rng, CELLS, 3)])}),
        lambda a: [(*map(float, row[:4]), *slow.best(row[4:])) for row in a[0]],
        "corner",
        0.65,
        options={"metadata": {**NAMES, "model_family": "rtmdet"}},
    ),
    "a yolo the other way round": Case(
        "dense",
        lambda rng: whole({"output": np.hstack([boxes(rng, CELLS), sure(rng, CELLS, 3)])}),
        lambda a: slow.yolo([a[0].T], SIDE, 3),
        "letterbox",
        0.7,
        options={"metadata": NAMES},
    ),
    "yolov9 by libreyolo": Case(
        "yolo",
        lambda rng: whole({"output": np.vstack([boxes(rng, CELLS).T, sure(rng, 3, CELLS)])}),
        lambda a: slow.yolo(a, SIDE, 3),
        "corner",
        0.7,
        options={"metadata": {**NAMES, "letterbox_pad": "topleft"}},
    ),
    "yolo-nas": Case(
        "dense",
        lambda rng: whole({"boxes": corners(rng, CELLS), "classes": sure(rng, CELLS, 3)}),
        lambda a: [(*map(float, box), *slow.best(row)) for box, row in zip(*a, strict=True)],
        "letterbox",
        0.7,
        options={"metadata": NAMES},
    ),
}


def near_cells(rng: np.random.Generator) -> np.ndarray:
    """(CELLS, 4) boxes in px about the middle of their cells."""
    grid = np.array([[(x + 0.5) * s, (y + 0.5) * s] for x, y, s in slow.cells(SIDE, (8, 16, 32))])
    return np.hstack([grid + rng.normal(0, 3, grid.shape), rng.uniform(4, 30, grid.shape)]).astype(np.float32)


def pictured(boxes: list[slow.Box], size: tuple[int, int], side: int, resize: str) -> list[slow.Box]:
    """In px of the picture; what lies outside has no size left and is gone."""
    there = [slow.back(box, size, side, resize) for box in boxes]
    return [box for box in there if box[2] > box[0] and box[3] > box[1]]


def same(found: Detections, want: list[slow.Box]) -> None:
    assert len(found) == len(want) > 0
    order = sorted(range(len(want)), key=lambda n: (-round(want[n][4], 5), want[n][0]))
    mine = sorted(range(len(found)), key=lambda n: (-round(float(found.score[n]), 5), found.xyxy[n, 0]))
    np.testing.assert_allclose(found.xyxy[mine], [want[n][:4] for n in order], atol=0.1)
    np.testing.assert_allclose(found.score[mine], [want[n][4] for n in order], atol=1e-5)
    assert found.class_id[mine].tolist() == [want[n][5] for n in order]


@pytest.fixture(autouse=True)
def uncalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "FITS", {})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("classes", ["all", "0", "1"])
def test_every_family_as_its_slow_twin(tmp_path: Path, name: str, classes: str) -> None:
    case = CASES[name]
    if classes == "0" and 0 not in case.names:
        classes = "90"
    if classes == "1" and case.classes == 1:
        return
    arrays = case.make(np.random.default_rng(len(name)))
    arrays = {key: np.asarray(a, a.dtype if a.dtype.kind == "i" else np.float32) for key, a in arrays.items()}
    path = export(tmp_path / "net.onnx", arrays, **case.options)
    detect = open_detector(str(path), classes=classes, conf=FLOOR, device="cpu")
    assert detect.description.startswith(
        f"net.onnx ({case.family}, onnxruntime on cpu, scores as they are), keeps "
    )
    assert {number: detect.names[number] for number in case.names} == case.names
    inner = [a if case.options.get("whole") else a[0] for a in arrays.values()]
    keep = set(detect.names) if classes == "all" else {int(classes)}
    want = slow.suppressed(case.twin(inner), case.nms, FLOOR, keep)
    same(detect(Frame(0, 0.0, PICTURE)), pictured(want, SIZE, SIDE, case.resize))


@pytest.mark.parametrize("shape", [("b", 3, SIDE, SIDE), (4, 3, SIDE, SIDE), (1, 3, SIDE, SIDE)])
@pytest.mark.parametrize("name", ["yolov8", "d-fine's own", "rf-detr"])
def test_many_pictures_are_as_one_after_the_other(tmp_path: Path, name: str, shape: Shape) -> None:
    case = CASES[name]
    options = {**case.options, "shape": shape}
    detect = open_detector(
        str(export(tmp_path / "net.onnx", case.make(np.random.default_rng(3)), **options)),
        conf=FLOOR,
        device="cpu",
    )
    sizes = [SIZE, SIZE, (40, 40), SIZE, SIZE, SIZE]  # another size in between
    frames = [Frame(n, n / 10, np.full((*size, 3), n, np.uint8)) for n, size in enumerate(sizes)]
    together = detect.many(frames)
    for frame, found in zip(frames, together, strict=True):
        alone = detect(frame)
        assert len(found) > 0
        assert found.xyxy.tobytes() == alone.xyxy.tobytes()
        assert found.score.tobytes() == alone.score.tobytes()
    assert detect.many([]) == []


def test_half_precision_in_and_out(tmp_path: Path) -> None:
    case = CASES["yolov8"]
    arrays = {key: a.astype(np.float16) for key, a in case.make(np.random.default_rng(1)).items()}
    path = export(tmp_path / "half.onnx", arrays, dtype=np.float16, metadata=NAMES)
    found = open_detector(str(path), classes="all", conf=FLOOR, device="cpu")(Frame(0, 0.0, PICTURE))
    want = slow.suppressed(case.twin([a[0].astype(float) for a in arrays.values()]), 0.7, FLOOR, {0, 1, 2})
    same(found, pictured(want, SIZE, SIDE, "letterbox"))


def test_a_network_that_answers_nan_is_no_network_that_sees_nobody(tmp_path: Path) -> None:
    arrays = CASES["yolov8"].make(np.random.default_rng(1))
    arrays["output0"][0, 0, 0] = np.nan
    detect = open_detector(str(export(tmp_path / "net.onnx", arrays, metadata=NAMES)), device="cpu")
    with pytest.raises(InputError, match=f"output 'output0' holds NaN for a {SIZE[0]}x{SIZE[1]} picture"):
        detect(Frame(0, 0.0, PICTURE))


def test_colours_scale_and_border_reach_the_network_as_its_format_says(tmp_path: Path) -> None:
    """The echo's box is left, top = means of its first two channels, and the third's as its size."""
    image = np.empty((8, 8, 3), np.uint8)
    image[:] = (20, 10, 30)  # BGR
    path = echo(tmp_path / "echo.onnx")

    def seen(**form: Any) -> list[float]:
        box = open_detector(str(path), classes="all", detector_format={"family": "rows", **form})(
            Frame(0, 0.0, image)
        )
        return box.xyxy[0].tolist()

    assert seen(colour="rgb", std=[15, 5, 10], mean=[15, 0, 0]) == [1, 2, 3, 4]  # (30-15)/15, 10/5, 20/10
    assert seen(colour="bgr", std=[10, 10, 10]) == [2, 1, 5, 4]  # 20/10, 10/10, 30/10


def test_a_description_beside_the_file_is_taken(tmp_path: Path) -> None:
    path = export(tmp_path / "net.onnx", CASES["yolov8"].make(np.random.default_rng(2)))
    (tmp_path / "net.yaml").write_text("family: yolo\nresize: stretch\nnames: classes.txt\n")
    (tmp_path / "classes.txt").write_text("person\ndog\ncat\n")
    detect = open_detector(str(path), conf=FLOOR)
    assert detect.names == PERSON
    want = slow.suppressed(
        slow.yolo([CASES["yolov8"].make(np.random.default_rng(2))["output0"][0]], SIDE, 3), 0.7, FLOOR, {0}
    )
    same(detect(Frame(0, 0.0, PICTURE)), pictured(want, SIZE, SIDE, "stretch"))


def test_scores_are_mapped_as_it_says(tmp_path: Path) -> None:
    """logit 0.8 = log 4; 2 log 4 - log 4 = log 4: 0.8 stays; logit 0.5 = 0 becomes -log 4: 0.2."""
    rows = np.array([[[10, 10, 20, 30, 0.8, 0], [30, 10, 40, 30, 0.5, 0]]], np.float32)
    path = export(tmp_path / "net.onnx", {"output0": rows})
    frame = Frame(0, 0.0, PICTURE)
    as_it_is = open_detector(str(path), device="cpu")
    assert "scores as they are" in as_it_is.description
    np.testing.assert_allclose(as_it_is(frame).score, [0.8, 0.5])
    path.with_suffix(".yaml").write_text(f"scores: [2, {-np.log(4)}]")
    told = open_detector(str(path), device="cpu")
    assert "scores as they are" not in told.description
    np.testing.assert_allclose(told(frame).score, [0.8, 0.2], rtol=1e-5)
    assert len(open_detector(str(path), device="cpu", min_score=0.21)(frame)) == 1  # as the tracker counts
    assert len(open_detector(str(path), device="cpu", conf=0.45)(frame)) == 2  # as the network does


def test_names_lie_in_the_file_beside_it_or_are_told(tmp_path: Path) -> None:
    path = export(tmp_path / "net.onnx", CASES["yolov8"].make(np.random.default_rng(2)))
    assert open_detector(str(path)).names == {0: "class0", 1: "class1", 2: "class2"}
    (tmp_path / "net.names").write_text("person\ndog\ncat\n")
    assert open_detector(str(path)).names == PERSON
    told = open_detector(str(path), detector_format={"names": {0: "a", 1: "b", 2: "pedestrian"}})
    assert told.names == {0: "a", 1: "b", 2: "pedestrian"}
    assert "keeps pedestrian" in told.description


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"names": ["person"]}, "1 class names for 3 classes"),
        ({"names": []}, "class names must be a list"),
        ({"names": "nowhere.txt"}, "nowhere.txt: cannot be read"),
        ({"family": "yolo9000"}, "no such family; did you mean"),
        ({"famly": "yolo"}, "unknown key 'famly'; did you mean 'family'"),
        ({"family": "yolox"}, r"yolox puts out \(1, cells, 5 \+ classes\); got output0 1x7x84"),
        ({"size": 128}, "takes only 64x64 pictures"),
        ({"size": 0}, "must be at least 1 px"),
        ({"std": [0, 1, 1]}, "must be above 0"),
        ({"nms": 2}, "at most 1"),
        ({"scores": [0, 1]}, "must be a slope above 0 and a shift"),
        ({"scores": [1, float("nan")]}, "must be a slope above 0 and a shift"),
        ("yolo9000", "no such file or family"),
    ],
)
def test_a_wrong_description_is_refused_in_one_line(tmp_path: Path, form: Any, message: str) -> None:
    path = export(tmp_path / "net.onnx", CASES["yolov8"].make(np.random.default_rng(2)))
    with pytest.raises(InputError, match=message) as caught:
        open_detector(str(path), detector_format=form)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize("text", ["- a\n", "family: [", ""])
def test_a_broken_description_is_refused(tmp_path: Path, text: str) -> None:
    path = export(tmp_path / "net.onnx", CASES["yolov8"].make(np.random.default_rng(2)))
    (tmp_path / "net.yaml").write_text(text)
    with pytest.raises(InputError, match=r"net\.yaml: ") as caught:
        open_detector(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("outputs", "options", "message"),
    [
        (
            {"logits": np.zeros((1, 1000), "f")},
            {},
            "a classifier or a ReID network, expected a detection model",
        ),
        ({"output0": np.zeros((1, 7, 84), "f")}, {"metadata": {"task": "obb"}}, "a model of task 'obb'"),
        (
            {"map": np.zeros((1, 2, 64, 64), "f")},
            {},
            r"no known detector puts out map 1x2x64x64 for a picture of 64x64",
        ),
        (
            {"output0": np.zeros((1, 7, 84), "f")},
            {"shape": (1, 1, 64, 64)},
            "expected one input of colour pictures",
        ),
    ],
)
def test_networks_of_another_kind_are_refused(
    tmp_path: Path, outputs: dict[str, np.ndarray], options: dict[str, Any], message: str
) -> None:
    path = export(tmp_path / "net.onnx", outputs, **options)
    with pytest.raises(InputError, match=rf"net\.onnx: .*{message}") as caught:
        open_detector(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500


def test_what_is_no_network_is_refused(tmp_path: Path, shared: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not weights")
    with pytest.raises(InputError, match=r"broken\.onnx: not readable as an ONNX network") as caught:
        open_detector(str(tmp_path / "broken.onnx"))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"osnet_x0_25_msmt17\.onnx: gives one vector a picture"):
        open_detector(str(shared / "weights" / "osnet_x0_25_msmt17.onnx"))


# Real files


@pytest.fixture(scope="module")
def street(shared: Path) -> list[np.ndarray]:
    """Frames of three videos of different shapes."""
    import cv2

    found = []
    for name, frames in (("vtest.avi", (0, 30)), ("people-walking.mp4", (40,)), ("ADL-Rundle-6.mp4", (10,))):
        video = cv2.VideoCapture(str(shared / "videos" / name))
        for index in range(max(frames) + 1):
            assert video.grab()
            if index in frames:
                found.append(video.retrieve()[1])
    return found


REAL = {"yolov8n_640.onnx": "yolo", "yolox_nano_416.onnx": "yolox", "nanodet_g_coco.onnx": "nanodet"}


@pytest.mark.parametrize("name", REAL)
def test_the_people_of_a_real_frame(shared: Path, name: str, street: list[np.ndarray]) -> None:
    from retrace.tracker.boxes import iou_matrix
    from retrace.tracker.mot_file import read_ground_truth

    detect = open_detector(str(shared / "weights" / name), device="cpu")
    told = f"{REAL[name]}, onnxruntime on cpu, scores as they are"
    assert detect.description == f"{name} ({told}), keeps person (as asked)"
    assert len(detect.names) == 80
    assert detect.weights == shared / "weights" / name
    found = detect(Frame(0, 0.0, street[0]))
    truth = read_ground_truth(shared / "MOT15-train" / "PETS09-S2L1" / "gt" / "gt.txt")
    overlap = iou_matrix(truth.xyxy[truth.frame == 0], found.xyxy.astype(float))
    assert (overlap.max(1) > 0.5).all()
    assert (found.class_id == 0).all()
    assert (np.diff(found.score) <= 0).all()
    again = detect(Frame(1, 0.1, street[0]))
    assert again.xyxy.tobytes() == found.xyxy.tobytes()
    with pytest.raises(InputError, match="frame 3: the source has no images"):
        detect(Frame(3, 0.3, None))


def test_yolo_keeps_the_classes_that_are_asked_for(shared: Path, street: list[np.ndarray]) -> None:
    path = str(shared / "weights" / "yolov8n_640.onnx")
    everything = open_detector(path, classes="all", device="cpu", conf=0.05)(Frame(0, 0.0, street[0]))
    cars = open_detector(path, classes="car,bus", device="cpu", conf=0.05)(Frame(0, 0.0, street[0]))
    assert set(cars.class_id) <= {2, 5}
    assert len(everything) > len(cars)
    with pytest.raises(InputError, match=r"class 'peron': .* did you mean 'person'"):
        open_detector(path, classes="peron", device="cpu")


@pytest.fixture(scope="module")
def by_ultralytics(shared: Path, street: list[np.ndarray]) -> list[np.ndarray]:
    """What Ultralytics finds on one frame of each shape: (N, 6) float32 of x1, y1, x2, y2 px, score, class."""
    from retrace.tracker.detection.yolo_torch import import_ultralytics

    theirs = import_ultralytics().YOLO(shared / "weights" / "yolov8n_640.onnx", task="detect")
    results = [theirs.predict(one, imgsz=640, conf=0.1, device="cpu", verbose=False)[0] for one in street[1:]]
    return [one.boxes.data.numpy() for one in results]


@pytest.mark.skipif(importlib.util.find_spec("ultralytics") is None, reason="needs ultralytics")
@pytest.mark.parametrize("classes", [None, "all"])
def test_yolov8_as_ultralytics_decodes_it(
    shared: Path, street: list[np.ndarray], by_ultralytics: list[np.ndarray], classes: str | None
) -> None:
    ours = open_detector(
        str(shared / "weights" / "yolov8n_640.onnx"), classes=classes, conf=0.1, device="cpu"
    )
    for image, every in zip(street[1:], by_ultralytics, strict=True):
        found = ours(Frame(0, 0.0, image))
        boxes = every if classes else every[every[:, 5] == 0]
        assert len(found) == len(boxes) > 3
        np.testing.assert_allclose(found.xyxy, boxes[:, :4], atol=0.01)
        np.testing.assert_allclose(found.score, boxes[:, 4], atol=1e-5)
        assert found.class_id.tolist() == boxes[:, 5].astype(int).tolist()


def test_yolox_as_its_slow_twin(shared: Path, street: list[np.ndarray]) -> None:
    import cv2
    import onnxruntime

    path = shared / "weights" / "yolox_nano_416.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    detect = open_detector(str(path), classes="all", conf=0.2, device="cpu")
    for image in street[:2]:
        ratio = min(416 / len(image), 416 / image.shape[1])
        canvas = np.full((416, 416, 3), 114, np.uint8)
        small = cv2.resize(image, (int(image.shape[1] * ratio), int(len(image) * ratio)))
        canvas[: len(small), : small.shape[1]] = small
        out = session.run(None, {"images": canvas.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        want = slow.suppressed(slow.yolox([out], 416, 80), 0.65, 0.2, set(range(80)))
        same(detect(Frame(0, 0.0, image)), pictured(want, image.shape[:2], 416, "corner"))


def test_openvino_reads_the_same_files(shared: Path, street: list[np.ndarray]) -> None:
    pytest.importorskip("openvino")
    path = str(shared / "weights" / "yolox_nano_416.onnx")
    ours = open_detector(path, conf=0.2, device="cpu")(Frame(0, 0.0, street[0]))
    detect = open_detector(path, conf=0.2, device="cpu", runtime="openvino")
    assert "openvino on cpu" in detect.description
    there = detect(Frame(0, 0.0, street[0]))
    np.testing.assert_allclose(there.xyxy, ours.xyxy, atol=0.1)
    np.testing.assert_allclose(there.score, ours.score, atol=1e-3)
    with pytest.raises(InputError, match="OpenVINO has no CUDA"):
        open_detector(path, device="cuda", runtime="openvino")
    with pytest.raises(InputError, match="runtime must be one of"):
        open_detector(path, runtime="onnx")


# Numbers of other people's decoders


def references(tmp_path: Path, network: str) -> tuple[Path, np.ndarray]:
    """An export that puts out recorded arrays, and what the decoder of another project made of them: (N, 6) box in px
    of a picture of 100x60, score, class.

    ``rfdetr``: 30 queries of RF-DETR nano as rfdetr 1.11.2 exports it (random weights, logits spread), by its own
    PostProcess. ``picodet``: drawn scores and distances, by PaddleDetection's PicoDetPostProcess as rapid-layout
    0.0.1 carries it. Both projects are Apache-2.0.
    """
    with np.load(Path(__file__).with_name("references.npz")) as file:
        kept = {name.partition("_")[2]: file[name] for name in file.files if name.startswith(network)}
    want = kept.pop("want")
    options: dict[str, Any] = {"metadata": NAMES} if network == "picodet" else {}
    return export(tmp_path / "net.onnx", kept, **options), want


@pytest.mark.parametrize(("network", "family"), [("rfdetr", "detr"), ("picodet", "picodet")])
def test_boxes_of_another_project(tmp_path: Path, network: str, family: str) -> None:
    path, want = references(tmp_path, network)
    detect = open_detector(str(path), classes="all", conf=FLOOR, device="cpu")
    assert detect.description.startswith(f"net.onnx ({family}, ")
    found = detect(Frame(0, 0.0, PICTURE))
    want = want[np.isin(want[:, 5], [*detect.names])]  # columns that are no class of COCO
    assert len(want) > 50
    same(found, [(*map(float, row[:5]), int(row[5])) for row in want])


def test_a_network_is_recognised_by_a_picture_within_its_range(tmp_path: Path) -> None:
    detect = open_detector(str(dazzled(tmp_path / "net.onnx")), device="cpu")
    found = detect(Frame(0, 0.0, np.full((64, 64, 3), 255, np.uint8)))
    np.testing.assert_allclose(found.xyxy, [[8, 8, 24, 40], [32, 8, 48, 40]])
    np.testing.assert_allclose(found.score, [0.75, 0.5])
