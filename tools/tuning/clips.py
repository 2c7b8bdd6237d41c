"""Sequences in memory, and what a tracker configuration scores on them, in this process or in many.

Boxes go through the two decimals of a result file, so that a figure here is, to the last bit, what
tools/track.py and tools/eval_mot.py give.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import path_for
from retrace.eval.mot.clear import Clear
from retrace.eval.mot.hota import Hota
from retrace.eval.mot.identity import Identity
from retrace.eval.mot.preprocess import prepare
from retrace.eval.mot.score import Count, Metrics, score_prepared
from retrace.eval.mot.sequences import Sequence, base_name, find_truth, read_truth
from retrace.tracker import Detections, Tracker
from retrace.tracker.camera.warps import FileCamera, read_warps
from retrace.tracker.config import TrackerConfig
from retrace.tracker.data import Frame, MotTable
from retrace.tracker.detection.boxes_file import open_detections
from retrace.tracker.mot_file import read_sequence_info
from retrace.tracker.pipeline import run_on_boxes


@dataclass(frozen=True, slots=True)
class ClipFiles:
    """One sequence to tune on: where everything of it lies."""

    sequence: Sequence  # its ground truth; the result file is nowhere
    fps: float
    detections: Path
    warps: Path | None  # of the camera; None: it is taken to stand
    labelled: bool = True  # has ground truth

    @property
    def name(self) -> str:
        return self.sequence.name

    @property
    def video(self) -> str:
        """What must not be on both sides of a fold: MOT17-02-FRCNN and MOT17-02-SDP are one video."""
        return base_name(self.name)


@dataclass(frozen=True, slots=True)
class Clip:
    """One sequence in memory."""

    fps: float
    frames: list[Detections]
    warps: dict[int, np.ndarray] | None  # frame -> (2, 3) from the frame before
    truth: MotTable  # no row where the files are not labelled


@dataclass(frozen=True, slots=True)
class Score:
    """What a configuration scored."""

    metrics: dict[str, Metrics]  # by sequence
    seconds: dict[str, float]  # of CPU: load, track, evaluate


def find_clips(
    data: Path,
    detections: str,
    camera: str = "auto",
    split: str = "all",
    names: Iterable[str] = (),
    labelled: bool = True,
) -> list[ClipFiles]:
    """The sequence folders of ``data`` with ground truth, by name.

    Args:
        data: folder of MOTChallenge sequence folders.
        detections: file inside each sequence folder, or a path with ``{name}`` in it, which is the sequence's.
        camera: "auto" (gmc.txt in the folder, where there is one), "none", or a file named like detections.
        split: "val-half" keeps the frames after the first floor(N/2) + 1, as `retrace.eval.mot.sequences` has it.
        names: only these; default: all.
        labelled: False: those with seqinfo.ini, ground truth or none.

    Raises:
        InputError: something named is missing.
    """
    if not data.is_dir():
        raise InputError(f"`data` {data}: no such folder of sequences")
    sign = "gt/gt.txt" if labelled else "seqinfo.ini"
    folders = {f.name: f for f in sorted(data.iterdir()) if (f / sign).is_file()}
    for name in names:
        if name not in folders:
            raise InputError(f"`data` {data}: no sequence {name!r}; it has: {', '.join(folders) or 'none'}")
    wanted = list(names) or list(folders)
    return [_clip_files(folders[name], detections, camera, split) for name in wanted]


def _clip_files(folder: Path, detections: str, camera: str, split: str) -> ClipFiles:
    boxes = _inside(folder, "detections", detections)
    warps = _inside(folder, "camera", "gmc.txt" if camera == "auto" else camera)
    if not boxes.is_file():
        raise InputError(f"`detections` {detections}: no such file for {folder.name} (looked for {boxes})")
    truth = find_truth(folder, split)
    fps, labelled = read_sequence_info(folder).fps, truth.gt_path.is_file()
    if camera == "none" or (camera == "auto" and not warps.is_file()):
        return ClipFiles(truth, fps, boxes, None, labelled)
    if not warps.is_file():
        raise InputError(f"`camera` {camera}: no such file for {folder.name} (looked for {warps})")
    return ClipFiles(truth, fps, boxes, warps, labelled)


def _inside(folder: Path, argument: str, given: str) -> Path:
    path = Path(path_for(folder.name, argument, given))
    return path if "{name}" in given else folder / path


@cache
def load_clip(files: ClipFiles, benchmark: str) -> Clip:
    """Read once in a process, checked. Detections and warps may be the full sequence's or cut to the split.

    Raises:
        InputError: a fault of a file, named.
    """
    sequence, detect = files.sequence, open_detections(files.detections)
    last = -1 if detect.last_frame is None else detect.last_frame
    skip = _skip(sequence, last + 1, files.detections)
    frames = [detect(Frame(skip + k, 0.0, None)) for k in range(sequence.length)]
    warps = None
    if files.warps is not None:
        given = read_warps(files.warps)
        skip = _skip(sequence, max(given, default=-1) + 1, files.warps)
        missing = set(range(1, sequence.length)) - {k - skip for k in given}
        if missing:
            raise InputError(f"{files.warps}: no warp for frame {min(missing) + skip}")
        warps = {k - skip: warp for k, warp in given.items() if k >= skip}
    truth = read_truth(sequence, benchmark) if files.labelled else MotTable.of([])
    return Clip(files.fps, frames, warps, truth)


def _skip(sequence: Sequence, last: int, path: Path) -> int:
    try:
        return sequence.split_skip(last)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def track(clip: Clip, config: TrackerConfig) -> MotTable:
    """The result that tools/track.py would write, and tools/eval_mot.py read."""
    camera = None if clip.warps is None else FileCamera(clip.warps)
    return MotTable.of(run_on_boxes(clip.frames, Tracker(config, clip.fps), camera), as_file=True)


def score(files: tuple[ClipFiles, ...], benchmark: str, config: TrackerConfig) -> Score:
    """Track and evaluate; the unit of work that processes are given."""
    found: dict[str, Metrics] = {}
    seconds = dict.fromkeys(("load", "track", "evaluate"), 0.0)
    for one in files:
        marks = [time.thread_time()]
        clip = load_clip(one, benchmark)
        marks.append(time.thread_time())
        result = track(clip, config)
        marks.append(time.thread_time())
        found[one.name] = score_prepared(prepare(clip.truth, result, one.sequence.length, benchmark))
        marks.append(time.thread_time())
        for k, stage in enumerate(seconds):
            seconds[stage] += marks[k + 1] - marks[k]
    return Score(found, seconds)


def metrics_to_json(metrics: Metrics) -> dict[str, Any]:
    """All that combining sequences needs, numbers to the last bit."""
    parts = asdict(metrics)
    parts["hota"] = {name: values.tolist() for name, values in parts["hota"].items()}
    return parts


def metrics_from_json(parts: Mapping[str, Any]) -> Metrics:
    hota = Hota(**{name: np.array(values, np.float64) for name, values in parts["hota"].items()})
    return Metrics(hota, Clear(**parts["clear"]), Identity(**parts["identity"]), Count(**parts["count"]))
