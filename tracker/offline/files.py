"""Result files through the offline passes: settings and looks read, a file or a folder improved, the result written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrace.configs import InputError, load_preset
from retrace.configs.files import atomic_write, path_for, writing
from retrace.configs.reading import read_npz
from retrace.tracker.boxes import iou_matrix
from retrace.tracker.data import Frame, MotTable, frame_rate
from retrace.tracker.detection.boxes_file import open_detections
from retrace.tracker.mot_file import read_results, read_sequence_info, write_results
from retrace.tracker.offline.passes import OfflineConfig, improve
from retrace.tracker.offline.reconnect import Looks

LOOKS = ".looks.npz"  # NAME.looks.npz beside a result: id (K,), total (K, D), count (K,)
SAME_BOX = 0.5  # intersection over union from which a detection is what a result's box was made of
BESIDE = (".online.txt", ".tracks.txt", ".gmc.txt")  # what a tracking run writes beside a result


@dataclass(frozen=True, slots=True, eq=False)
class Improved:
    """One result after the passes."""

    table: MotTable
    fps: float
    note: str  # in words what the passes did
    known: int  # how many ids' looks were known: those that reconnect could compare


def read_passes(given: str, overrides: Mapping[str, Any]) -> OfflineConfig:
    """The default, a YAML file, or the default with other passes: names separated by commas.

    Raises:
        InputError: no such file or pass, an unknown key, a value out of range.
    """
    if given == "default" or given.lower().endswith((".yaml", ".yml")):
        return load_preset(given, OfflineConfig, "offline", overrides)
    passes = [name.strip() for name in given.split(",")]
    return load_preset("default", OfflineConfig, "offline", {**overrides, "passes": passes})


def improve_folder(
    results: Path,
    config: OfflineConfig,
    manifest: Mapping[str, Any],
    *,
    fps: float | None = None,
    sequences: Path | None = None,
    vectors: str | None = None,
) -> dict[str, Improved]:
    """Every ``SEQUENCE.txt`` of a folder after the passes, by name; nothing is written.

    Args:
        results: the folder.
        config: the passes.
        manifest: what run.json says of the folder; may be empty.
        fps: frames a second of all; None: of each one's ``seqinfo.ini`` in ``sequences``, or of the manifest.
        sequences: folder of MOTChallenge sequence folders.
        vectors: .npz of detections with embedding; ``{name}`` in it is the result's. None: SEQUENCE.looks.npz.

    Raises:
        InputError: no results, a frame rate or a size that nobody knows, a fault of a file.
    """
    paths = sorted(p for p in results.glob("*.txt") if not p.name.endswith(BESIDE))
    if not paths:
        raise InputError(f"`results` {results}: no SEQUENCE.txt there")
    rates = {path: _frame_rate(path.stem, manifest, fps, sequences) for path in paths}
    looks = {path: _find_looks(path, manifest, config, vectors) for path in paths}
    found = {}
    for path in paths:
        edges = config.reconnect.edge is not None and looks[path]
        size = _picture(path.stem, manifest, sequences) if edges else None
        table, note = improve_file(path, rates[path], config, looks[path], size)
        found[path.stem] = Improved(table, rates[path], note, len(looks[path] or ()))
    return found


def improve_file(
    path: Path,
    fps: float,
    config: OfflineConfig,
    looks: Looks | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[MotTable, str]:
    """The table of a result file after the passes (:func:`improve`), and in words what they did.

    Raises:
        InputError: a file that is no result, or what :func:`improve` refuses.
    """
    before = read_results(path)
    try:
        after = improve(before, fps, config, looks, size)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    ids = [len(set(table.id.tolist())) for table in (before, after)]
    blind = "reconnect" in config.passes and not looks
    note = f"{len(before)} -> {len(after)} boxes, {ids[0]} -> {ids[1]} tracks"
    return after, note + ("; nobody's looks are known, so nobody reconnected" if blind else "")


def write_table(path: Path, table: MotTable) -> Path:
    """A result file; what the operating system refuses is an InputError."""
    with writing(path):
        write_results(path, table)
    return path


def looks_by_overlap(result: Path, vectors: Path) -> Looks:
    """The looks of a result's ids, from the detections (.npz with embedding) that its boxes overlap most.

    Raises:
        InputError: no such file, not one of detections, or one without vectors.
    """
    rows, detector = read_results(result), open_detections(vectors)
    ids, found = [np.zeros(0, np.int64)], [np.zeros((0, 0), np.float32)]
    for number in np.unique(rows.frame).tolist():
        here = rows.take(slice(*np.searchsorted(rows.frame, (number, number + 1))))
        boxes = detector(Frame(number, 0.0, None))
        if boxes.embedding is None:
            raise InputError(f"`vectors` {vectors}: has no array 'embedding'")
        if not len(boxes):
            continue
        overlap = iou_matrix(here.xyxy, boxes.xyxy)
        same = overlap.max(1) >= SAME_BOX
        ids.append(here.id[same])
        found.append(boxes.embedding[overlap.argmax(1)[same]])
    return Looks.of(np.concatenate(ids), np.concatenate(found[1:] or found))


def read_looks(path: Path) -> Looks:
    """What :func:`write_looks` wrote.

    Raises:
        InputError: another kind of file.
    """
    try:
        found, _ = read_npz(path, "looks")
        looks = Looks(found["id"], found["total"], found["count"])
        sound = looks.total.ndim == 2 and looks.id.shape == looks.count.shape == looks.total.shape[:1]
        sound &= looks.id.dtype.kind == looks.count.dtype.kind == "i" and looks.total.dtype.kind == "f"
        if (
            sound
            and (looks.count > 0).all()
            and np.isfinite(looks.total).all()
            and (np.diff(looks.id) > 0).all()
        ):
            return looks
    except (ValueError, KeyError, TypeError):  # an InputError is a ValueError
        pass
    raise InputError(f"{path}: expected id, total and count as a tracking run saves looks; delete it")


def write_looks(path: Path, looks: Looks) -> Path:
    """``id``, ``total`` and ``count`` of every identity as an .npz."""
    with writing(path), atomic_write(path, "wb") as file:
        np.savez(file, id=looks.id, total=looks.total, count=looks.count)
    return path


def _frame_rate(name: str, manifest: Mapping[str, Any], fps: float | None, sequences: Path | None) -> float:
    """Frames a second of one sequence: as said, of its seqinfo.ini, or of the run that tracked it."""
    if fps is not None:
        return frame_rate(fps)
    if sequences is not None:
        return read_sequence_info(sequences / name).fps
    try:
        return frame_rate(manifest["sequences"][name]["fps"])
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{name}: frame rate unknown, and durations are seconds; give `sequences` DIR or `fps` F"
        ) from None


def _picture(name: str, manifest: Mapping[str, Any], sequences: Path | None) -> tuple[int, int]:
    """(height, width) px of one sequence's picture, of its seqinfo.ini or of the run that tracked it."""
    if sequences is not None:
        info = read_sequence_info(sequences / name)
        return info.height, info.width
    try:
        height, width = manifest["sequences"][name]["size"]
        return int(height), int(width)
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{name}: size of the picture unknown, and reconnect must see who leaves it; "
            "give `sequences` DIR, or `passes` without reconnect"
        ) from None


def _find_looks(
    path: Path, manifest: Mapping[str, Any], config: OfflineConfig, vectors: str | None
) -> Looks | None:
    """What the ids of a result look like; None: nobody knows, or needs to.

    A run's own file is of the ids that it gave online, so it is not taken for results that were joined since.
    """
    if "reconnect" not in config.passes:
        if vectors is not None:
            raise InputError("`vectors` is for the pass reconnect, which `passes` leaves out")
        return None
    if vectors is not None:
        return looks_by_overlap(path, Path(path_for(path.stem, "vectors", vectors)))
    own = path.with_name(path.stem + LOOKS)
    return read_looks(own) if own.is_file() and manifest.get("online") is not False else None
