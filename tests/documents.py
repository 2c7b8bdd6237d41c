"""What the README, docs/ and the docstrings say can be typed: their blocks of code, and a folder to type them in."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from retrace.tracker.mot_file import write_results
from tests.conftest import ROOT
from tests.passers_by import passers_by
from tests.reid.mini_market import write_mini_market
from tests.small_video import LENGTH, boxes, make_video, write_boxes
from tests.tools.looking_sequences import write_sequence
from tests.tracker.site.walkers import site


class YOLO:
    """Stands for ultralytics': sees the same person and the same car in every picture."""

    def __init__(self, weights: str) -> None:
        assert weights.endswith(".pt")

    def __call__(self, image: np.ndarray) -> list[Any]:
        boxes = SimpleNamespace(
            xyxy=np.array([[10.0, 20, 34, 70], [100, 20, 150, 60]]),
            conf=np.array([0.9, 0.8]),
            cls=np.array([0.0, 2.0]),
        )
        masks = SimpleNamespace(data=np.ones((2, *image.shape[:2])))
        names = {0: "person", 2: "car"}
        return [SimpleNamespace(boxes=boxes, masks=masks, names=names, orig_shape=image.shape[:2])]


def blocks(path: Path) -> list[tuple[str, str]]:
    """(language, code) of every fenced block."""
    return re.findall(r"^ *```(\w+)[^\n]*\n(.*?)^ *```", path.read_text(encoding="utf-8"), re.S | re.M)


def typed(code: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the code prints in that folder, where no weights but the shipped ones are to be had."""
    ready(code, place, monkeypatch)
    exec(compile(code, "block", "exec"), {"__name__": "block"})
    return capsys.readouterr().out


def ready(code: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to that folder, where the code is to be typed."""
    monkeypatch.chdir(place)
    without_downloads(place, monkeypatch)
    if "import YOLO" in code:
        stand_in = ModuleType("ultralytics")
        stand_in.YOLO = YOLO  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "ultralytics", stand_in)


def without_downloads(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No detector there but HOG."""
    monkeypatch.setenv("RETRACE_CACHE", str(place / "cache"))
    monkeypatch.setenv("RETRACE_OFFLINE", "1")
    monkeypatch.setenv("YOLO_OFFLINE", "true")


def furnish(folder: Path) -> Path:
    """Put every file into the folder that the README, the pages of docs/ and the docstrings name."""
    import onnx
    from onnx import TensorProto, helper

    for name in ("video.mp4", "a.mp4"):
        make_video(folder / name)
    sequence = folder / "MOT17-02-FRCNN"
    for part in ("det", "gt"):
        (sequence / part).mkdir(parents=True)
    write_boxes(sequence / "det" / "det.txt")
    gt = [
        f"{k + 1},{i},{x},{y},{w},{h},1,1,1"
        for k in range(LENGTH)
        for i, (x, y, w, h) in enumerate(boxes(k), 1)
    ]
    (sequence / "gt" / "gt.txt").write_text("\n".join(gt) + "\n")
    (sequence / "seqinfo.ini").write_text(
        f"[Sequence]\nname=MOT17-02-FRCNN\nframeRate=10\nseqLength={LENGTH}\nimWidth=192\nimHeight=96\n"
    )
    shutil.copytree(sequence, folder / "gt" / "MOT17-02-FRCNN")
    shutil.copytree(sequence, folder / "MOT17-train" / "MOT17-02-FRCNN")
    shutil.copytree(sequence, folder / "MOT17-train" / "MOT17-04-FRCNN")
    for seed, name in enumerate(("A", "B")):
        write_sequence(folder / "MOT15-train" / name, seed)
    (folder / "runs" / "test").mkdir(parents=True)
    for number in ("01", "03", "06", "07", "08", "12", "14"):
        (folder / "runs" / "test" / f"MOT17-{number}.txt").write_text("1,1,5,5,20,50,0.9,-1,-1,-1\n")
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["images"], ["out"], axes=[2, 3], keepdims=0)],
        "mean_colour",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 64, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    onnx.save(model, folder / "osnet.onnx")
    write_boxes(folder / "boxes.txt")
    shutil.copy(sequence / "gt" / "gt.txt", folder / "gt.txt")
    passers_by(folder, "monday")
    for name, seen in site(noise=1.0).items():
        (folder / "runs" / "site").mkdir(parents=True, exist_ok=True)
        write_results(folder / "runs" / "site" / f"{name}.txt", seen)
    picture = cv2.imread(str(ROOT / "docs" / "tracked.jpg"))
    cv2.imwrite(str(folder / "photo.jpg"), picture[:128, :64])
    (folder / "regions.yaml").write_text("lines: [{name: door, points: [[90, 0], [90, 96]]}]\n")
    for seed, name in enumerate(("Market-1501", "my-people")):
        write_mini_market(folder / name, ids=16, seed=seed)  # as many people as the preset's batch
    return folder
