"""Other projects' whole pipelines on one clip, each run by the Python it is installed in, from a script written here.

They get the same detector file, the same ReID file and the same frames; whether vectors are fed as the network was
trained is theirs to know, so this compares speed only. Each keeps its own defaults, but for one thread a process where
one core is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from retrace.tools import ROOT

HEAD = '''
import json, os, sys, time
os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")
video, detector, reid, frames = sys.argv[1:4] + [int(sys.argv[4])]
import cv2, numpy as np, torch
try:
    import torchvision
except RuntimeError:  # PyPI's torchvision beside a torch without CUDA
    sys.path.append(sys.argv[5])
    from retrace.torchvision_cure import cure_torchvision
    cure_torchvision()
from ultralytics import YOLO
model = YOLO(detector, task="detect")

def told(go, how, version):
    """One number a frame, so that nothing is made lazily; the first frame warms up."""
    reader = cv2.VideoCapture(video)
    go(reader.read()[1])
    wall, cpu, boxes = time.perf_counter(), time.process_time(), 0
    for _ in range(frames - 1):
        ok, image = reader.read()
        boxes += go(image)
    share = frames / (frames - 1)
    memory = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
    print(json.dumps({"wall": share * (time.perf_counter() - wall), "cpu": share * (time.process_time() - cpu),
                      "memory": memory, "boxes": boxes, "how": how, "version": version}))
'''
SCRIPTS = {
    "ultralytics": HEAD
    + """
import tempfile, ultralytics, yaml
from pathlib import Path
told_by = yaml.safe_load((Path(ultralytics.__file__).parent / "cfg/trackers/botsort.yaml").read_text())
if reid != "none":
    told_by.update(with_reid=True, model=reid)
place = Path(tempfile.mkdtemp()) / "botsort.yaml"
place.write_text(yaml.safe_dump(told_by))
how = dict(persist=True, tracker=str(place), classes=[0], verbose=False, device="cpu")
go = lambda image: len(model.track(image, **how)[0])
told(go, "BoT-SORT" + (" with ReID" if reid != "none" else ""), ultralytics.__version__)
""",
    "boxmot": HEAD
    + """
import boxmot
from boxmot.structures import Boxes, Detections
from boxmot.trackers import TrackerSpec
from boxmot.trackers.factory import create_tracker
looks = None
if reid != "none":
    from boxmot.reid.core.runtime import ReID
    looks = ReID(reid)
options = (("use_embeddings", looks is not None),)
tracker = create_tracker(TrackerSpec(name="botsort", backend="python", geometry="aabb", options=options))
count = 0

def go(image):
    global count
    count += 1
    boxes = model.predict(image, classes=[0], verbose=False, device="cpu")[0].boxes.cpu()
    vectors = None if looks is None else torch.from_numpy(looks(image, boxes.xyxy.numpy()))
    given = Detections(geometry=Boxes(boxes.xyxy.contiguous()), scores=boxes.conf.contiguous(),
                       class_ids=boxes.cls.long(), sample_id=str(count), embeddings=vectors)
    return len(tracker.update(given, image).track_ids)

told(go, "BoT-SORT, Python" + (" with ReID" if looks is not None else ""), boxmot.__version__)
""",
    "roboflow": HEAD
    + """
import supervision, trackers
tracker = trackers.BoTSORTTracker()

def go(image):
    found = model.predict(image, classes=[0], verbose=False, device="cpu")[0]
    return len(tracker.update(supervision.Detections.from_ultralytics(found), image))

from importlib.metadata import version
told(go, "trackers' BoT-SORT, which has no looks", version("trackers"))
""",
}


def run_peer(name: str, video: str, detector: str, reid: str, frames: int) -> dict[str, Any]:
    """One round of one peer in a process of its own: s of wall and CPU time, what it was; or why it could not be.

    Args:
        name: of ``SCRIPTS``.
        video: a clip.
        detector: an ONNX file.
        reid: an ONNX file, or "none".
        frames: of the clip.
    """
    work = Path(os.environ.get("BENCH_WORK") or Path(tempfile.gettempdir()) / "retrace-bench")
    own = work / "venvs" / "torchv" / "bin" / "python"
    python = str(own) if own.is_file() else sys.executable
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "peer.py"
        script.write_text(SCRIPTS[name])
        given = [video, detector, reid, str(frames), str(ROOT)]
        done = subprocess.run([python, str(script), *given], capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {"error": (done.stderr.strip() or "no answer").splitlines()[-1][:200]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found
