"""What a tracker makes of each network: IDF1 and HOTA on a video with given boxes.

The boxes are cut out of the video once; every network is asked for their vectors, and the tracker follows by its
preset. The preset's thresholds were found with the shipped network: an objective that spreads its distances otherwise
pays for that here, as it would with a user who changes nothing but the weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from retrace.configs import InputError, load_preset
from retrace.eval.mot import evaluate
from retrace.reid.embedder import Embedder
from retrace.tools.loss_bench import frozen
from retrace.tools.loss_bench.entrants import Bench
from retrace.tools.loss_bench.jobs import (
    FINAL,
    NOBODY,
    REFERENCE,
    STORED,
    TRACK,
    TrainingJob,
    read_bench_results,
)
from retrace.tools.loss_bench.trained import KEPT
from retrace.tools.loss_bench.work import Places, slug, write
from retrace.tools.tuning.clips import Clip, find_clips, load_clip
from retrace.tools.tuning.clips import track as followed
from retrace.tracker.config import TrackerConfig
from retrace.tracker.sources import open_source

SEQUENCE, BOXES, BENCHMARK, PRESET = "PETS09-S2L1", "det_nanodet/det.txt", "MOT15", "default"
FIGURES = ("IDF1", "HOTA", "IDSW")


@dataclass(frozen=True, slots=True, eq=False)
class Street:
    """A video with its boxes and its truth."""

    clip: Clip
    crops: list[np.ndarray]  # of all boxes, frame after frame: (h, w, 3) uint8 BGR


def read_street(sequences: Path, video: Path) -> Street:
    """Cut every box out of the video once.

    Args:
        sequences: folder with `SEQUENCE`: ground truth and boxes.
        video: its pictures; frame i is ground truth's frame i + 1.

    Raises:
        InputError: something is missing, or the video is shorter than the boxes.
    """
    clip = load_clip(find_clips(sequences, BOXES, "none", names=[SEQUENCE])[0], BENCHMARK)
    crops, seen = [], 0
    for frame, found in zip(open_source(video), clip.frames, strict=False):
        if frame.image is None:
            raise InputError(f"{video}: frame {frame.index} cannot be decoded")
        crops += cut(frame.image, found.xyxy)
        seen += 1
    if seen < len(clip.frames):
        raise InputError(f"{video}: {seen} frames, the boxes of {SEQUENCE} are of {len(clip.frames)}")
    return Street(clip, crops)


def cut(image: np.ndarray, xyxy: np.ndarray) -> list[np.ndarray]:
    """Boxes out of a picture, cut to it and widened to whole pixels, as the embedder does."""
    height, width = image.shape[:2]
    boxes = np.clip(xyxy, 0, (width, height, width, height))
    corners = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], 1).astype(int)
    return [image[y1:y2, x1:x2].copy() for x1, y1, x2, y2 in corners.tolist()]


def follow(street: Street, vectors: np.ndarray | None) -> dict[str, float]:
    """IDF1, HOTA and IDSW by the preset `PRESET`; vectors (N, D) unit rows of all boxes, or None: nobody looks."""
    frames = street.clip.frames
    if vectors is not None:
        parts = np.split(vectors, np.cumsum([len(found) for found in frames])[:-1])
        frames = [found.with_embedding(part) for found, part in zip(frames, parts, strict=True)]
    table = followed(replace(street.clip, frames=frames), load_preset(PRESET, TrackerConfig, "tracker"))
    row = evaluate(street.clip.truth, table, len(frames), BENCHMARK).row()
    return {name: round(float(row[name]), 6) for name in FIGURES}


def track_all(
    bench: Bench,
    regime: str,
    names: Sequence[str],
    places: Places,
    street: Street,
    *,
    hours: float | None = None,
    most: int | None = None,
    tell: Callable[[str], None],
) -> int:
    """Every final of a regime that no tracker has used and whose network is at hand, seed by seed; a line each.

    Before all, what they are to be compared with: nobody looks, and the network that everybody begins from.

    Returns:
        How many were done.
    """
    end = time.monotonic() + 3600 * hours if hours is not None else float("inf")
    looks = StreetEmbedder(bench, places, street, tell)
    count = 0
    for job in left(regime, names, places):
        if time.monotonic() >= end or count == most:
            break
        row = follow(street, looks.of(job))
        write(places, {"key": f"{job.key}/{TRACK}", **asdict(job), **row, "stage": TRACK})
        tell(f"{job.key}: IDF1 {100 * row['IDF1']:.1f}, HOTA {100 * row['HOTA']:.1f}")
        count += 1
    return count


def left(regime: str, names: Sequence[str], places: Places) -> list[TrainingJob]:
    """Whom no tracker has used yet."""
    found = read_bench_results(places.results)
    done = {one["key"] for one in found}
    jobs = [
        TrainingJob(**{field.name: one[field.name] for field in fields(TrainingJob)})
        for one in found
        if one["stage"] == FINAL
        and one["regime"] == regime
        and one["entrant"] in names
        and "failed" not in one
    ]
    jobs.sort(key=lambda job: (job.seed, names.index(job.entrant)))
    jobs = [TrainingJob(REFERENCE, name, FINAL, 0, 0, 0) for name in (NOBODY, STORED)] + [
        job for job in jobs if regime == "frozen" or network_of(job, places).is_file()
    ]
    return [job for job in jobs if f"{job.key}/{TRACK}" not in done]


def network_of(job: TrainingJob, places: Places) -> Path:
    """Where a final of a trained network left it."""
    return places.work / KEPT / f"{slug(job)}.safetensors"


@dataclass(frozen=True)
class StreetEmbedder:
    """What networks say of the boxes of a street."""

    bench: Bench
    places: Places
    street: Street
    tell: Callable[[str], None]

    def of(self, job: TrainingJob) -> np.ndarray | None:
        """(N, D) unit rows; None: nobody looks. Frozen heads are not kept: each is trained again, in seconds."""
        if job.entrant == NOBODY:
            return None
        if job.entrant == STORED:
            return self.stored
        if job.regime != "frozen":
            return Embedder.from_weights(network_of(job, self.places), "cpu", threads=1).crops(
                self.street.crops
            )
        run = frozen.trained(self.people, self.bench, job.entrant, job.setting, job.seed, round(job.length))
        return run.of(self.stored)

    @cached_property
    def stored(self) -> np.ndarray:
        """Of the network that frozen heads stand on, as it is."""
        return Embedder.from_weights(self.weights, "cpu", threads=1).crops(self.street.crops)

    @cached_property
    def people(self) -> frozen.EmbeddedPeople:
        places = self.places
        return frozen.embed_people(self.weights, places.data, places.other, places.work, self.tell)

    @property
    def weights(self) -> Path:
        return self.places.weights / self.bench.frozen.weights
