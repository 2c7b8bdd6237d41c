"""Features of a query and a gallery with all that is known of them, and the .npz files that hold them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError
from retrace.configs.files import atomic_write, file_hash, writing
from retrace.configs.reading import read_npz
from retrace.eval.ranking.pairing import DISTRACTOR, checked_features, pair_up, unit_rows
from retrace.eval.ranking.retrieval import pool_queries

ARRAYS = tuple(f"{side}_{what}" for side in ("query", "gallery") for what in ("features", "ids", "cameras"))
PATHS = ("query_paths", "gallery_paths")
CENTRES = ("set", "camera")  # whose mean may be taken off
CENTRED_LEAST = 30  # images, below which their mean is rather theirs than their camera's
LARGEST = 64_000_000_000  # bytes unpacked: ten million vectors of 1,536 numbers
ABOUT, NOTES = "about", "notes"  # JSON: which weights on which data, mirrored or not; lines about the data


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """N images: the queries, or the gallery."""

    features: np.ndarray  # (N, D) float
    ids: np.ndarray  # (N,) whole numbers; -1 junk, 0 distractor
    cameras: np.ndarray  # (N,) whole numbers
    paths: tuple[str, ...] | None  # None: not known


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What one network makes of a query and a gallery."""

    name: str
    query: Side
    gallery: Side
    notes: tuple[str, ...]  # lines about the data
    about: dict[str, Any]  # where they come from, for JSON

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The six positional arguments of ``evaluate_ranking``."""
        q, g = self.query, self.gallery
        return q.features, q.ids, q.cameras, g.features, g.ids, g.cameras

    @property
    def everybody(self) -> Side:
        """Queries and gallery together, people only: no junk, no distractors."""
        q, g = self.query, self.gallery
        ids = np.concatenate([q.ids, g.ids])
        mine = ids > DISTRACTOR
        features = np.concatenate([q.features, g.features])[mine]
        return Side(features, ids[mine], np.concatenate([q.cameras, g.cameras])[mine], None)


def read_features(path: Path) -> Features:
    """A features file: the arrays of `ARRAYS`, and if it has them the `PATHS` of the images.

    Raises:
        InputError: no such file, not such a file, arrays that are missing, not numbers, or do not fit each other.
    """
    found = _read_arrays(path)
    about = _read_about(found.get(ABOUT))
    try:
        query, gallery = (_read_side(found, name) for name in ("query", "gallery"))
        pair_up(query.ids, query.cameras, gallery.ids, gallery.cameras)
        if query.features.shape[1] != gallery.features.shape[1]:
            raise InputError(
                f"query_features have {query.features.shape[1]} numbers a row, gallery_features "
                f"{gallery.features.shape[1]}: both must come from one model"
            )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    notes = about.pop(NOTES, None) or [_count_line("query", query), _count_line("gallery", gallery)]
    about |= {"features": path.name, "features_sha256": file_hash(path)}
    return Features(path.name.removesuffix(".npz"), query, gallery, tuple(map(str, notes)), about)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What the file has of the arrays that are known here."""
    found, names = read_npz(path, "features", (*ARRAYS, *PATHS, ABOUT), LARGEST)
    missing = [key for key in ARRAYS if key not in found]
    if missing:
        there = ", ".join(sorted(names)[:12])[:200] or "nothing"
        raise InputError(
            f"{path}: has no {', '.join(missing)} (it has {there}); a features file "
            "has query_features, gallery_features (N, D), query_ids, gallery_ids, query_cameras, gallery_cameras (N,)"
        )
    return found


def _read_side(found: dict[str, np.ndarray], name: str) -> Side:
    ids, cameras, paths = (found.get(f"{name}_{what}") for what in ("ids", "cameras", "paths"))
    assert ids is not None
    assert cameras is not None
    features, _ = checked_features(found[f"{name}_features"], f"{name}_features")
    count = (len(features),)
    if not count == ids.shape == cameras.shape:
        raise InputError(
            f"expected {name}_features (N, D), {name}_ids (N,) and {name}_cameras (N,), got "
            f"{features.shape}, {ids.shape} and {cameras.shape}"
        )
    if paths is not None and paths.shape != count:
        raise InputError(f"expected {name}_paths {count}, got {paths.shape}")
    return Side(features, ids, cameras, None if paths is None else tuple(map(str, paths.tolist())))


def _read_about(text: np.ndarray | None) -> dict[str, Any]:
    """What `save_features` noted; others may use that name for something else."""
    try:
        about = json.loads(str(text))
    except ValueError:
        return {}
    return about if isinstance(about, dict) and isinstance(about.get(NOTES, []), list) else {}


def save_features(path: Path, features: Features) -> None:
    """Write what `read_features` reads; beside, then renamed."""
    values: dict[str, Any] = dict(zip(ARRAYS, features.arrays, strict=True))
    for name, side in zip(PATHS, (features.query, features.gallery), strict=True):
        if side.paths is not None:
            values[name] = np.array(side.paths, dtype=np.str_)
    values[ABOUT] = np.array(json.dumps(features.about | {NOTES: features.notes}))
    with writing(path), atomic_write(path, "wb") as file:
        np.savez(file, **values)


def multi_query(features: Features) -> Features:
    """One query for all query images of an identity on a camera: the mean of their features."""
    side = features.query
    pooled, ids, cameras = pool_queries(side.features, side.ids, side.cameras)
    labels = np.stack([side.ids, side.cameras], 1)
    first = np.unique(labels, axis=0, return_index=True)[1]  # sorted as pool_queries sorts
    paths = None if side.paths is None else tuple(side.paths[k] for k in first)
    notes = features.notes
    if len(ids) == len(side.ids):
        notes += ("multi-query: nothing to pool, every identity has one query image by each camera",)
    about = features.about | {"multi_query": True}
    return replace(features, query=Side(pooled, ids, cameras, paths), notes=notes, about=about)


def centred(features: Features, by: str) -> Features:
    """Unit vectors less the mean of all images, or of all of the same camera, as unit rows again.

    What a camera's light gives to everybody tells nobody apart, and on cameras that a network has never seen it is
    much. No label but the camera is looked at; but results depend on all images, so they are flagged as transductive.

    Args:
        by: "set" or "camera"; query and gallery count together.

    Raises:
        InputError: fewer than CENTRED_LEAST images to take a mean of.
    """
    if by not in CENTRES:
        raise InputError(f"`centre`: expected {' or '.join(CENTRES)}, got {by!r}")
    sides, names = (features.query, features.gallery), ("query_features", "gallery_features")
    parts = [(*checked_features(s.features, name), name) for s, name in zip(sides, names, strict=True)]
    vectors = np.concatenate([unit_rows(*part) for part in parts])
    cameras = np.concatenate([side.cameras for side in sides])
    groups = cameras if by == "camera" else np.zeros_like(cameras)
    which, group, count = np.unique(groups, return_inverse=True, return_counts=True)
    if count.min() < CENTRED_LEAST:
        of = f"camera {which[count.argmin()]}" if by == "camera" else "a set"
        raise InputError(
            f"`centre`: a mean of {count.min()} images says little of {of}; expected {CENTRED_LEAST} or more"
        )
    sums = np.zeros((len(count), vectors.shape[1]))
    np.add.at(sums, group, vectors)
    moved = (vectors - (sums / count[:, None])[group]).astype(np.float32)
    moved, norms = checked_features(moved, "centred features")
    if not norms.min() > 0:
        raise InputError(
            f"`centre`: a vector is the mean of its {by}, and nothing is left of it; leave `centre` out"
        )
    moved = unit_rows(moved, norms)
    query, gallery = np.split(moved, [len(features.query.ids)])
    return replace(
        features,
        query=replace(features.query, features=query),
        gallery=replace(features.gallery, features=gallery),
        about=features.about | {"centre": by},
    )


def check_same_images(mine: Features, other: Features) -> None:
    """Raises InputError unless both are of the same images in the same order."""
    for name in ("query", "gallery"):
        a: Side = getattr(mine, name)
        b: Side = getattr(other, name)
        same = np.array_equal(a.ids, b.ids) and np.array_equal(a.cameras, b.cameras)
        if same and a.paths is not None and b.paths is not None:  # the names are known; folders may differ
            same = all(Path(x).stem == Path(y).stem for x, y in zip(a.paths, b.paths, strict=True))
        if not same:
            raise InputError(
                f"{mine.name} and {other.name} are not of the same {name} images in the same order "
                f"({len(a.ids)} and {len(b.ids)} images); make both from the same data"
            )


def tell_apart(found: Sequence[Features]) -> list[Features]:
    """Two files of one name (runs/a/weights, runs/b/weights) get numbers."""
    if len({each.name for each in found}) == len(found):
        return list(found)
    return [replace(each, name=f"{each.name} ({k})") for k, each in enumerate(found, 1)]


def _count_line(name: str, side: Side) -> str:
    people, cameras = len(np.unique(side.ids[side.ids > DISTRACTOR])), len(np.unique(side.cameras))
    return f"{name}: {len(side.ids):,} images, {people:,} people, {cameras} camera{'s' * (cameras != 1)}"
