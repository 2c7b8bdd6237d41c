"""Torch weights through ultralytics."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrace.configs import InputError
from retrace.tracker.data import Frame
from retrace.tracker.detection.open import open_detector
from retrace.tracker.detection.yolo_torch import import_ultralytics, named_weights

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="needs ultralytics: pip install -e .[yolo]"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder."""
    monkeypatch.setenv("RETRACE_CACHE", str(tmp_path / "cache"))
    before = dict(os.environ)
    yield tmp_path / "cache"
    for key in set(os.environ) - set(before):  # what ultralytics is told through the environment
        del os.environ[key]


def test_a_download_is_whole_or_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_ultralytics()
    import ultralytics.utils.downloads as downloads

    target = cache / "yolo11s.pt"
    monkeypatch.setattr(
        downloads, "attempt_download_asset", lambda file, **k: Path(file).write_text("weights")
    )
    named_weights("yolo11s.pt", target)
    assert target.read_text() == "weights"

    def broken(file: str, **options: Any) -> None:
        raise ConnectionError("cut\noff")

    monkeypatch.setattr(downloads, "attempt_download_asset", broken)
    with pytest.raises(InputError, match=r"yolo11m\.pt could not be downloaded to .*cut off"):
        named_weights("yolo11m.pt", cache / "yolo11m.pt")
    monkeypatch.setattr(downloads, "attempt_download_asset", lambda file, **k: file)
    with pytest.raises(InputError, match=r"yolo99z\.pt: ultralytics has no weights of that name"):
        named_weights("yolo99z.pt", cache / "yolo99z.pt")


@pytest.mark.parametrize("name", ["broken.pt", "broken.xyz"])
def test_unreadable_weights_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(InputError, match=name) as caught:
        open_detector(str(tmp_path / name), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    import torch

    if torch.cuda.device_count() < 9:
        (tmp_path / "some.pt").write_bytes(b"x")
        with pytest.raises(InputError, match=r"`device` 'cuda:8': torch sees no such GPU"):
            open_detector(str(tmp_path / "some.pt"), device="cuda:8")


def test_pt_weights_load_with_their_own_names_and_say_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An untrained YOLO11n of two classes: it finds nothing sure, but all of the path is walked."""
    monkeypatch.chdir(tmp_path)
    ultralytics = import_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    model = ultralytics.YOLO("yolo11n.yaml")
    model.model = DetectionModel("yolo11n.yaml", nc=2, verbose=False)
    model.model.names = {0: "cat", 1: "pedestrian"}
    model.save("tiny.pt")
    capfd.readouterr()
    detect = open_detector("tiny.pt", device="cpu")
    found = detect(Frame(0, 0.0, np.zeros((60, 80, 3), np.uint8)))
    assert detect.description == "tiny.pt (YOLO, ultralytics on cpu), keeps pedestrian (as asked)"
    assert len(found) == 0
    assert capfd.readouterr() == ("", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "tiny.pt"]  # no runs/ folder


def test_importing_ultralytics_leaves_the_process_as_it_was() -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
import cv2, numpy as np
from retrace.tracker.detection.yolo_torch import import_ultralytics
cv2.setNumThreads(2)
os.environ.pop("OMP_NUM_THREADS", None)
printed = str(np.array([1.0]))
import_ultralytics()
print(cv2.getNumThreads(), os.environ.get("OMP_NUM_THREADS"), str(np.array([1.0])) == printed)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2 None True", done.stderr
