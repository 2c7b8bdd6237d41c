"""Weights and their calibration: refitted on one's own video without labels, told, and written into the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from retrace.configs import InputError
from retrace.configs.reading import read_json
from retrace.reid.calibration import Calibration, fingerprint, refit_pairs, video_pairs
from retrace.reid.calibration.card import KEY
from retrace.reid.calibration.maps import LEAST
from retrace.reid.embedder import Embedder, find_weights
from retrace.reid.recipe import KEY as RECIPE
from retrace.reid.runtime.onnx_file import read_onnx
from retrace.tools.scoring.reid_pay import embedded
from retrace.tracker.data import Detections, MotTable
from retrace.tracker.run.manifest import expect_to_reach, results_of
from retrace.tracker.sources import Source, open_source

RATE = 1e-3  # of false matches, whose limit is told


@dataclass(frozen=True, slots=True)
class VideoCalibration:
    """What a video made of a calibration.

    Attributes:
        calibration: refitted.
        before: as it was; None: the weights had none.
        boxes: that were looked at.
    """

    calibration: Calibration
    before: Calibration | None
    boxes: int


def calibrate_on_video(
    embedder: Embedder,
    video: str,
    results: str | Path,
    every: int = 1,
    advance: Callable[[int, int], object] = lambda done, total: None,
) -> VideoCalibration:
    """Refit the calibration of some weights on a tracked video.

    Args:
        embedder: with the weights, and with their calibration where they have one.
        video: what `open_source` takes, live ones apart.
        results: a tracker's result file of it.
        every: look at one frame in so many.
        advance: told of frames, as (done, of how many).

    Raises:
        InputError: results that do not fit the video, or too few pairs in it.
    """
    if every < 1:
        raise InputError(f"`every` {every}: expected a number of frames from 1")
    source = open_source(video)
    if source.live:
        raise InputError(f"{source.name}: is live; record it, and track the recording")
    table = _tracks_of(source, Path(results))
    table = table.take((table.xyxy[:, 2:] > table.xyxy[:, :2]).all(axis=1) & (table.frame % every == 0))
    frames = int(table.frame.max(initial=-1)) + 1
    edges = np.searchsorted(table.frame, np.arange(frames + 1))
    boxes = [
        Detections(table.xyxy[start:stop], table.score[start:stop].clip(0, 1))
        for start, stop in zip(edges[:-1], edges[1:], strict=True)
    ]
    read = 0

    def tell(done: int) -> None:
        nonlocal read
        read = done
        advance(done, frames)

    looks, _ = embedded(source, boxes, {"": embedder}, 0, tell)
    expect_to_reach(source, read, Path(results), frames)
    features = np.concatenate([np.zeros((0, embedder.dim)), *looks[""]])
    before = embedder.calibration
    pairs = video_pairs(features, table.id, table.frame / source.fps, table.xyxy, table.score)
    same = int(pairs.same.sum())
    if every > 1 and min(same, len(pairs.same) - same) < LEAST:
        raise InputError(
            f"{same:,} pairs of one person and {len(pairs.same) - same:,} of two where one frame in {every} is looked "
            f"at: at least {LEAST:,} of each are wanted; take a smaller `every`"
        )
    found = refit_pairs(before, pairs, source.name)
    seen = int((features != 0).any(axis=1).sum())
    return VideoCalibration(replace(found, print=fingerprint(embedder.crops, embedder.size)), before, seen)


def _tracks_of(source: Source, results: Path) -> MotTable:
    """The tracks of a video as a tracker saw them.

    Raises:
        InputError: results of offline passes, of nobody, or of another video.
    """
    try:
        offline = read_json(results.parent / "run.json").get("online") is False
    except InputError:
        offline = False
    if offline and not results.stem.endswith(".online"):
        online = results.with_name(f"{results.stem}.online.txt").name
        raise InputError(
            f"{results}: went through offline passes, which join tracks by looks and add boxes; "
            f"give what the tracker itself said, {online}"
        )
    table = results_of(source, results)
    if not len(table):
        raise InputError(f"{results}: is empty, nobody was tracked there: nothing to calibrate on")
    return table


def told(found: VideoCalibration) -> str:
    """What it stands on, how far apart strangers are, and two lines a relation."""
    here, before = found.calibration, found.before
    own, known = here.map("tracklet"), None if before is None else before.strangers
    there = "not known" if known is None else f"{known:.3f}"
    apart = (
        "at a distance that is not known"
        if here.strangers is None
        else f"{here.strangers:.3f} apart on average"
    )
    lines = [
        f"{own.same:,} pairs of one person, {own.different:,} of two, of {found.boxes:,} boxes",
        f"two people are {apart}; where the calibration was fitted: {there}",
    ]
    for name in here.maps:
        lines.append(f"{name}: even odds at {_even(before, name)} -> {_even(here, name)}")
        lines.append(f"{name}: false matches {RATE:g} at {_limit(before, name)} -> {_limit(here, name)}")
    return "\n".join(lines)


def _even(card: Calibration | None, relation: str) -> str:
    return "none" if card is None or relation not in card.maps else f"{card.map(relation).distance(0):.3f}"


def _limit(card: Calibration | None, relation: str) -> str:
    known = {} if card is None else card.thresholds.get(relation, {})
    return f"{known[RATE]:.3f}" if RATE in known else "none"


def open_weights(
    weights: str, out: str | None, device: str = "auto", uncalibrated: bool = False
) -> tuple[Path, Embedder]:
    """The file, of the format in which it is to be written, and its network.

    Args:
        uncalibrated: as `Embedder.from_weights` takes it.

    Raises:
        InputError: no such weights, or none that a calibration can be written into.
    """
    path, ending = find_weights(weights), Path(out or "").suffix
    if ending == ".safetensors":
        path = path.with_suffix(ending)
    if out and Path(out).resolve() == path.resolve():
        raise InputError(f"`out` {out}: is the file of the weights; name another, they keep what they say")
    if out and (ending not in (".safetensors", ".onnx") or path.suffix != ending or not path.is_file()):
        raise InputError(
            f"`out` {out}: needs weights as .safetensors or .onnx, and ends as they do; export afterwards"
        )
    embedder = Embedder.from_weights(path, device, uncalibrated=uncalibrated)
    if out and ending == ".onnx" and RECIPE not in read_onnx(path).texts:
        raise InputError(
            f"{path}: does not say which network it is, so it takes no calibration; leave `out` away"
        )
    return path, embedder


def write_calibration(weights: Path, out: Path, found: Calibration, uncalibrated: bool = False) -> None:
    """The weights again, with this calibration.

    Args:
        uncalibrated: leave the rest of a card that is damaged out; else it is an error.

    Raises:
        InputError: the file cannot be written.
    """
    if out.suffix == ".onnx":
        from retrace.reid.exporting.convert import add_to_onnx_card as add
    else:
        from retrace.reid.weights.files import add_to_card as add
    add(weights, out, KEY, found.to_card(), uncalibrated)
