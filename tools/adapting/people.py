"""Whose tracklets are whose: crops of unlabelled tracklets become a training set of people.

A tracklet is one person, a person often several tracklets. Whom an identity memory takes for one person, by looks with
its calibrated maps and by who was seen beside whom, is one identity of the training set (pseudo-labels across time, as
Cluster-Contrast's and SpCL's clusters: Dai et al. 2021, Ge et al. 2020). Blurred crops teach nothing and are left out.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_write, read_image
from retrace.reid.crops import resize
from retrace.reid.embedder import Embedder
from retrace.tracker.memory import Memory, Tracklet
from retrace.tracker.outputs.best_crops import sharpness
from retrace.tracker.run.opened import name_of_weights

SHARP = 0.5  # of the middle one of its tracklet, below which a crop is blurred
CHUNK = 256


@dataclass(frozen=True, slots=True)
class Identities:
    """What became of the crops that train."""

    tracklets: int
    people: int
    blurred: int  # crops that were left out


def to_people(crops: Path, embedder: Embedder, fps: Mapping[str, float]) -> Identities:
    """Rewrite CROPS/images.csv: tracklets of the training part that are one person get one identity, and blurred crops
    are left out. Query and gallery stay as they are.

    Args:
        crops: what `cut_crops` wrote.
        embedder: whose vectors tell people apart.
        fps: frames a second of each sequence, by its name.
    """
    with open(crops / "images.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    train = [row for row in rows if row["split"] == "train"]
    tracks, of = np.unique([row["id"] for row in train], return_inverse=True)
    detail, vectors = _look(crops, train, embedder)
    middle = np.array([np.median(detail[of == k]) for k in range(len(tracks))])
    sharp = detail >= SHARP * middle[of] if len(of) else np.zeros(0, bool)
    frame = np.array([int(row["frame"]) for row in train])
    person = _people(list(tracks), of[sharp], frame[sharp], vectors[sharp], fps, embedder)
    kept = [{**row, "id": str(person[k])} for row, k, good in zip(train, of, sharp, strict=True) if good]
    rest = [row for row in rows if row["split"] != "train"]
    with atomic_write(crops / "images.csv") as out:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *rest])
    return Identities(len(tracks), len({*person}), len(train) - len(kept))


def _look(crops: Path, rows: list[dict[str, str]], embedder: Embedder) -> tuple[np.ndarray, np.ndarray]:
    """(N,) sharpness and (N, D) unit vectors of crops."""
    detail, vectors = np.zeros(len(rows)), np.zeros((len(rows), embedder.dim), np.float32)
    for start in range(0, len(rows), CHUNK):
        images = [_read(crops / row["path"]) for row in rows[start : start + CHUNK]]
        detail[start : start + len(images)] = [sharpness(image) for image in images]
        vectors[start : start + len(images)] = embedder.crops(resize(images, embedder.size))
    return detail, vectors


def _read(path: Path) -> np.ndarray:
    image = read_image(path)
    if image is None:
        raise InputError(f"{path}: cannot be read, though it was just written; is the disk full?")
    return image


def _people(
    tracks: list[str],
    of: np.ndarray,
    frame: np.ndarray,
    vectors: np.ndarray,
    fps: Mapping[str, float],
    embedder: Embedder,
) -> list[str]:
    """Of each tracklet, SEQUENCE/ID, the identity: the name of that person's first one to end.

    Args:
        of: (N,) whose crop, index into ``tracks``.
        frame, vectors: (N,) and (N, D) of the crops.
    """
    place = np.array([name.rpartition("/")[0] for name in tracks])
    first, last = np.full(len(tracks), np.inf), np.full(len(tracks), -np.inf)
    np.minimum.at(first, of, frame)
    np.maximum.at(last, of, frame)
    total, count = np.zeros((len(tracks), vectors.shape[1])), np.bincount(of, minlength=len(tracks))
    np.add.at(total, of, vectors)
    mean = (total / np.linalg.norm(total, axis=1, keepdims=True)).astype(np.float32)
    told = []
    for k, name in enumerate(place.tolist()):
        beside = (place == name) & (first <= last[k]) & (last >= first[k])
        beside[k] = False
        apart = frozenset(beside.nonzero()[0].tolist())
        times = float(first[k]) / fps[name], float(last[k]) / fps[name]
        told.append(Tracklet(name, name, k, *times, int(count[k]), mean[k], apart, clock=name))
    found = [""] * len(tracks)
    owner: dict[int, str] = {}
    weights = " ".join(name_of_weights(*one) for one in embedder.hashes.items())
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory(Path(folder) / "people.db", weights, embedder.dim) as memory,
    ):
        for one in sorted(told, key=lambda one: (one.end, one.track)):
            (decision,) = memory.add([one])
            found[one.track] = owner.setdefault(decision.person, tracks[one.track])
    return found
