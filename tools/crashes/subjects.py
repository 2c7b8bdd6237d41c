"""What is disturbed: a tracking with every sink, one that remembers people, a training; and how two of their folders
are compared."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SAVED = "mot,video,jsonl,sheet,camera,ledger,looks"
SECONDS, FPS, PEOPLE = 8.0, 10.0, 5  # of the drawn scene
UNSEEN = range(30, 42)  # frames in which nobody is detected: boxes coast
TIMES = ("seconds", "seconds_by_stage")  # of run.json: never alike
PRESET = """
source: made for crashes
model: {name: osnet_x0_25, embedding: 16}
size: [32, 16]
augment: {flip: 0.5, pad: 2, erase: 0.3}
batch: {identities: 4, images: 2}
losses: {cross_entropy: {}, batch_hard_triplet: {}, centre: {weight: 5e-4, lr: 0.1}}
optimizer: {name: sgd, lr: 0.02}
schedule: {kind: cosine, warmup: 1}
ema: 0.5
epochs: 6
evaluate_every: 1
checkpoint_every: 0.5
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A tool's work into one folder.

    Attributes:
        tool: NAME of tools/NAME.py.
        begin, go_on: the arguments that write into a folder, anew or after a stop there.
        differences: of two folders' results: one line each.
        growing: endings of files that are not whole before the end, under their own name.
    """

    tool: str
    begin: Callable[[Path], list[str]]
    go_on: Callable[[Path], list[str]]
    differences: Callable[[Path, Path], list[str]]
    growing: tuple[str, ...]


def tracking(work: Path, seed: int) -> Subject:
    """Every sink and the offline passes, on a drawn scene with boxes and looks from a file."""
    what = [*_scene(work, seed), "--save", SAVED, "--camera", "sparse-flow", "--offline"]

    def begin(out: Path) -> list[str]:
        return [*what, "--out", str(out)]

    return Subject("track", begin, lambda out: [*begin(out), "--resume"], unlike_tracks, ())


def remembering(work: Path, seed: int) -> Subject:
    """A scene whose people go into an identity memory, OUT.db."""
    what = [*_scene(work, seed), "--save", "mot,jsonl", "--camera", "none"]

    def begin(out: Path) -> list[str]:
        return [*what, "--memory", str(_memory(out)), "--out", str(out)]

    return Subject("track", begin, lambda out: [*begin(out), "--resume"], unlike_memories, ())


def _memory(out: Path) -> Path:
    return out.with_name(out.name + ".db")


def _scene(work: Path, seed: int) -> list[str]:
    """A drawn scene with boxes and looks from a file, as arguments."""
    from retrace.tools.scenes.drawing import save_scene
    from retrace.tracker.mot_file import read_ground_truth

    video = save_scene(work / "scene", SECONDS, FPS, PEOPLE, seed)
    truth = read_ground_truth(work / "scene" / "scene" / "gt" / "gt.txt")
    rng = np.random.default_rng(seed)
    seen = ~np.isin(truth.frame, UNSEEN) & (rng.random(len(truth.frame)) < 0.9)
    looks = rng.normal(size=(truth.id.max() + 1, 16))[truth.id] + rng.normal(0, 0.2, (len(truth.id), 16))
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    boxes = work / "boxes.npz"
    score = np.full(seen.sum(), 0.9)
    columns = {"frame": truth.frame, "xyxy": truth.xyxy, "embedding": looks}
    np.savez(boxes, **{name: c[seen] for name, c in columns.items()}, score=score, weights="drawn")
    return [str(video), "--detections", str(boxes), "--reid", "none", "--set", "coast=0.5"]


def training(work: Path, seed: int) -> Subject:
    """A few seconds of a small network on made-up people."""
    import cv2

    rng = np.random.default_rng(seed)
    for person in range(1, 13):
        look = rng.integers(0, 255, (4, 2, 3), dtype=np.uint8)
        for camera in (1, 2):
            for k in range(2):
                part = "bounding_box_train" if person <= 6 else "bounding_box_test" if k else "query"
                noise = rng.normal(0, 12, (32, 16, 3))
                image = np.clip(cv2.resize(look, (16, 32)) + noise, 0, 255).astype(np.uint8)
                path = work / "people" / part / f"{person:04}_c{camera}s1_{k:06}_00.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)
    (work / "preset.yaml").write_text(PRESET)
    more = [
        "--log-every",
        "1",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--cache",
        str(work / "cache"),
        "--quiet",
    ]
    what = ["--config", str(work / "preset.yaml"), "--data", str(work / "people"), *more]

    def begin(out: Path) -> list[str]:
        return [*what, "--out", str(out)]

    def go_on(out: Path) -> list[str]:
        return ["--resume", str(out), *more] if (out / "checkpoint.pt").exists() else begin(out)

    return Subject("train_reid", begin, go_on, unlike_trainings, (".csv", "checkpoint.pt"))


SUBJECTS = {"tracking": tracking, "memory": remembering, "training": training}


def unlike_tracks(one: Path, other: Path) -> list[str]:
    """Text and pictures by their bytes, the video by its pixels, run.json by all but times."""
    kinds = {".mp4": pictures, ".json": results}
    return _unlike(one, other, lambda path: kinds.get(path.suffix, Path.read_bytes)(path))


def unlike_memories(one: Path, other: Path) -> list[str]:
    """Results as of :func:`unlike_tracks`, and what the memories beside them hold."""
    same = remembered(_memory(one)) == remembered(_memory(other))
    return unlike_tracks(one, other) + ([] if same else [f"{_memory(other).name} differs"])


def remembered(path: Path) -> Any:
    """Every tracklet of a memory but its crop, which a checkpoint does not hold, and who it is."""
    from retrace.tracker.memory.store import Store

    store = Store(path, readonly=True)
    try:
        query = "SELECT id, camera, source, track, begin, end, boxes, vector FROM tracklet ORDER BY id"
        return store.read(query), store.partition()
    finally:
        store.close()


def unlike_trainings(one: Path, other: Path) -> list[str]:
    """Weights and evaluations by their bytes, the checkpoint by those of its tensors, the log by all but speeds."""
    kinds = {"log.csv": steps, "run.json": lambda path: None, "checkpoint.pt": state}
    return _unlike(one, other, lambda path: kinds.get(path.name, Path.read_bytes)(path))


def _unlike(one: Path, other: Path, content: Callable[[Path], Any]) -> list[str]:
    names, others = ({path.name for path in folder.iterdir()} for folder in (one, other))
    found = [f"{name} is in one folder only" for name in sorted(names ^ others)]
    shared = [(name, one / name, other / name) for name in sorted(names & others)]
    differ = [name for name, a, b in shared if a.read_bytes() != b.read_bytes() and content(a) != content(b)]
    return found + [f"{name} differs" for name in differ]


def pictures(path: Path) -> list[str]:
    """A hash of every frame's pixels, as they are stored."""
    import av

    with av.open(str(path)) as file:
        return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in file.decode(video=0)]


def results(path: Path) -> Any:
    """What a run.json says of its sequences, without times."""
    told = json.loads(path.read_text())["sequences"]
    return {name: {k: v for k, v in record.items() if k not in TIMES} for name, record in told.items()}


def steps(path: Path) -> list[dict[str, str]]:
    """The rows of a training's log, without speeds."""
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "images_per_s"} for row in csv.DictReader(file)]


def state(path: Path) -> Any:
    """A checkpoint's numbers, words, and tensors as their bytes; pickling itself is not the same after loading."""
    import torch

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    return plain(torch.load(path, map_location="cpu", weights_only=True))
