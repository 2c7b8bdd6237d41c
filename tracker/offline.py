"""Offline passes over a whole sequence's result: link, interpolate, smooth, remove.

They look into the future, so what they made is never compared with what a tracker reported frame by frame.
Every pass is a pure function MotTable -> MotTable; :func:`improve` runs them one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.linalg import cho_factor, cho_solve

from configs import InputError
from configs.load import nearest
from tracker.config import Seconds, Unit
from tracker.data import MotTable
from tracker.linking import LinkLimits, Merge, link

PASSES = ("link", "interpolate", "smooth", "remove_weak", "remove_short")  # in the order that makes sense
DEFAULT = ("interpolate", "smooth", "remove_weak", "remove_short")
MARGIN = 8  # length scales beside a window of a long track; what lies farther moves a box by < 0.01 px
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class OfflineConfig(BaseModel):
    """What the passes may be told. One set for all sequences; how it was found is in LOG.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link_gap: Seconds = 1.0  # s from the end of one tracklet to the begin of the next
    link_distance: Positive = 0.5  # box heights between where one is expected and where the other is
    link_size: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 1.6  # ratio of heights, either way
    link_appearance: Annotated[float, Field(gt=0, le=2)] = 0.3  # cosine distance of mean vectors
    link_cost: Unit = (
        0.5  # mean of the four, each as a share of its limit; raising it joins more, and errs more
    )
    link_window: Seconds = 0.5  # s of boxes beside the gap that velocity and height come from

    max_gap: Seconds = 0.8  # longer gaps stay open

    smooth_length: Annotated[Seconds, Field(gt=0)] | Literal["gsi"] = (
        1 / 3
    )  # s; "gsi": by the paper's formula
    smooth_tau: Positive = 10.0  # of that formula; frames
    smooth_noise: Positive = (
        0.001  # variance of a box's error, as a share of the movement's; more smooths more
    )

    min_score: Unit = 0.6  # tracks whose scores are lower on average go
    min_seconds: Seconds = 0.3  # tracks that are shorter go, first to last box

    def link_limits(self) -> LinkLimits:
        return LinkLimits(
            self.link_gap,
            self.link_distance,
            self.link_size,
            self.link_appearance,
            self.link_cost,
            self.link_window,
        )

    def of(self, name: str) -> dict[str, Any]:
        """What one pass is told, for a manifest."""
        own = {
            "link": "link_",
            "interpolate": "max_gap",
            "smooth": "smooth_",
            "remove_weak": "min_score",
            "remove_short": "min_seconds",
        }
        return {key: value for key, value in self.model_dump().items() if key.startswith(own[name])}


def parse_passes(text: str) -> tuple[str, ...]:
    """ "link,interpolate" -> names, in the order given; "" or "default": DEFAULT.

    Raises:
        InputError: a name that is no pass; the message lists them.
    """
    names = tuple(filter(None, (name.strip() for name in text.split(","))))
    if names in ((), ("default",)):
        return DEFAULT
    for name in names:
        if name not in PASSES:
            raise InputError(f"offline pass {name!r}: {nearest(name, PASSES)}")
    return names


def describe(passes: Iterable[str], config: OfflineConfig, camera: bool) -> list[dict[str, Any]]:
    """The passes with their parameters and whether camera motion was taken out, for a manifest."""
    return [{"pass": name, **config.of(name), "camera": camera} for name in passes]


def improve(
    table: MotTable,
    fps: float,
    passes: Sequence[str] = DEFAULT,
    config: OfflineConfig | None = None,
    warps: Mapping[int, np.ndarray] | None = None,
    appearance: Mapping[int, np.ndarray] | None = None,
) -> tuple[MotTable, list[Merge]]:
    """Run the passes in the order given.

    Args:
        table: a whole sequence's result; any order.
        fps: frames a second.
        passes: of PASSES.
        config: parameters; default: OfflineConfig().
        warps: frame -> (2, 3), pixels of the frame before -> pixels of this one; left-out frames: a still
            camera. Boxes are carried into the first frame's pixels, where a person's path is smooth, and back.
        appearance: see :func:`tracker.linking.link`; a later pass has no use for it.

    Returns:
        The table, sorted by frame, then id; and what ``link`` merged.

    Raises:
        InputError: fps not positive, an id twice in a frame, an unknown pass, a warp that cannot be inverted.
    """
    if not 0 < fps < np.inf:
        raise InputError(f"fps must be a number above 0, got {fps}")
    passes, config = parse_passes(",".join(passes)), config or OfflineConfig()
    table = table.take(np.lexsort((table.id, table.frame)))
    refuse_doubles(table)
    path = camera_path(warps, int(table.frame.max())) if warps and len(table) else None
    table = table if path is None else carried(table, np.linalg.inv(path))
    log: list[Merge] = []
    for name in passes:
        if name == "link":
            table, merges = link(table, fps, config.link_limits(), appearance)
            log += merges
        elif name == "interpolate":
            table = interpolate(table, fps, config.max_gap)
        elif name == "smooth":
            gsi = config.smooth_length == "gsi"
            length = None if gsi else float(config.smooth_length) * fps
            table = smooth(table, length, config.smooth_noise, config.smooth_tau)
        elif name == "remove_weak":
            table = remove_weak(table, config.min_score)
        else:
            table = remove_short(table, fps, config.min_seconds)
    return (table if path is None else carried(table, path)), log


def refuse_doubles(table: MotTable) -> None:
    """InputError for a table (sorted by frame, id) in which a frame has an id twice."""
    twice = np.flatnonzero((np.diff(table.frame) == 0) & (np.diff(table.id) == 0))
    if len(twice):
        frame, i = int(table.frame[twice[0]]), int(table.id[twice[0]])
        raise InputError(f"frame {frame} (from 0): expected each id once, id {i} comes twice")


def interpolate(table: MotTable, fps: float, max_gap: float) -> MotTable:
    """Fill gaps of a track by straight lines between the boxes on either side.

    Args:
        table: no id twice in a frame.
        fps: frames a second.
        max_gap: s between the two boxes; longer gaps stay open. 1 frame is no gap.

    Returns:
        The table, sorted by frame, then id. A new box's score and visibility lie on the line between its
        neighbours', too, so that a filter by score treats it as it does them; its class is the earlier's.
    """
    t = by_track(table)
    step = np.diff(t.frame)
    inside = (np.diff(t.id) == 0) & (step > 1) & (step <= max_gap * fps + 1e-9)
    missing = np.where(inside, step - 1, 0)
    left = np.repeat(np.arange(len(step)), missing)  # row before each new box
    k = np.arange(len(left)) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    share = k / step[left]

    def between(values: np.ndarray) -> np.ndarray:
        part = share if values.ndim == 1 else share[:, None]
        return values[left] + (values[left + 1] - values[left]) * part

    new = MotTable(
        t.frame[left] + k,
        t.id[left],
        between(t.xyxy),
        between(t.score),
        t.class_id[left],
        between(t.visibility),
    )
    return by_frame(joined(t, new))


def smooth(table: MotTable, length: float | None, noise: float, tau: float = 10.0) -> MotTable:
    """Every track's centre and size as a Gaussian process of time; scores and frames stay.

    GSI (StrongSORT, Du 2023, arXiv 2202.13514, eq. 8-9): y = f(t) + e with the kernel
    exp(-(t - t')^2 / (2 length^2)) and white noise e; the boxes become K (K + noise I)^-1 y. Gaps should have
    been filled before. Two differences: y is taken relative to the track's own straight line, so that nobody is
    drawn towards 0; a track much longer than the kernel is solved in windows that overlap (MARGIN).

    Args:
        table: no id twice in a frame.
        length: of the kernel, frames; None: by the paper's formula, tau ln(tau^3 / boxes) inside
            [1 / tau, tau^2], which does not smooth tracks of tau^3 boxes or more at all.
        noise: variance of e over that of f.
        tau: frames.

    Returns:
        The table, sorted by frame, then id.
    """
    t = by_track(table)
    half = (t.xyxy[:, 2:] - t.xyxy[:, :2]) / 2
    values = np.hstack((t.xyxy[:, :2] + half, half))
    begin = np.flatnonzero(np.diff(t.id, append=t.id[-1:] + 1, prepend=t.id[:1] - 1))
    for a, b in pairwise(begin.tolist()):  # a few hundred small systems; no hot path
        if b - a > 2:
            scale = gsi_length(b - a, tau) if length is None else length
            values[a:b] = smooth_track(t.frame[a:b], values[a:b], scale, noise)
    size = np.maximum(values[:, 2:], half * 0.1)  # a wild extrapolation must not turn a box inside out
    return by_frame(replace(t, xyxy=np.hstack((values[:, :2] - size, values[:, :2] + size))))


def gsi_length(boxes: int, tau: float) -> float:
    """The kernel's length in frames for a track of so many boxes (StrongSORT, eq. 10)."""
    return float(np.clip(tau * np.log(tau**3 / boxes), 1 / tau, tau**2))


def smooth_track(frame: np.ndarray, values: np.ndarray, length: float, noise: float) -> np.ndarray:
    """The Gaussian process of one track, at its own frames: (n,), (n, 4) -> (n, 4)."""
    x = frame - frame.mean()
    line = np.stack((np.ones(len(x)), x / max(np.abs(x).max(), 1)), 1)
    trend = line @ np.linalg.lstsq(line, values, rcond=None)[0]
    rest, out = values - trend, np.empty_like(values)
    core = max(round(MARGIN * length), 64)
    for start in range(int(frame[0]), int(frame[-1]) + 1, core):
        inner = slice(*np.searchsorted(frame, (start, start + core)))
        outer = slice(*np.searchsorted(frame, (start - core, start + 2 * core)))
        if inner.start == inner.stop:
            continue
        t = frame[outer] / length
        kernel = np.exp(-0.5 * (t[:, None] - t) ** 2)
        kernel[np.diag_indices_from(kernel)] += noise
        weights = cho_solve(cho_factor(kernel, overwrite_a=True, check_finite=False), rest[outer])
        # K (K + noise I)^-1 y = y - noise (K + noise I)^-1 y
        out[inner] = (rest[outer] - noise * weights)[inner.start - outer.start : inner.stop - outer.start]
    return trend + out


def remove_weak(table: MotTable, min_score: float) -> MotTable:
    """Without the tracks whose boxes score less than ``min_score`` on average: mostly nobody was there."""
    _, track, boxes = np.unique(table.id, return_inverse=True, return_counts=True)
    mean = np.bincount(track, table.score, len(boxes)) / boxes
    return table.take(mean[track] >= min_score - 1e-9)


def remove_short(table: MotTable, fps: float, min_seconds: float = 0.0, min_boxes: int = 1) -> MotTable:
    """Without the tracks that last less than ``min_seconds``, first to last frame, or have too few boxes."""
    _, track, boxes = np.unique(table.id, return_inverse=True, return_counts=True)
    first, last = np.full(len(boxes), np.iinfo(np.int64).max), np.full(len(boxes), -1)
    np.minimum.at(first, track, table.frame)
    np.maximum.at(last, track, table.frame)
    long = (last - first + 1 >= min_seconds * fps - 1e-9) & (boxes >= min_boxes)
    return table.take(long[track])


def camera_path(warps: Mapping[int, np.ndarray], last: int) -> np.ndarray:
    """(last + 1, 3, 3): pixels of frame 0 -> pixels of each frame.

    Raises:
        InputError: a warp that is no finite, invertible (2, 3) matrix; its frame is named.
    """
    path = np.tile(np.eye(3), (last + 1, 1, 1))
    for frame in range(1, last + 1):
        path[frame] = path[frame - 1]
        if frame in warps:
            warp = np.asarray(warps[frame], np.float64)
            if warp.shape != (2, 3) or not np.isfinite(warp).all() or np.linalg.det(warp[:, :2]) == 0:
                raise InputError(f"warp of frame {frame} must be a finite, invertible (2, 3) matrix")
            path[frame, :2] = warp @ path[frame - 1]
    return path


def carried(table: MotTable, matrices: np.ndarray) -> MotTable:
    """Each box through its frame's (3, 3) matrix: the centre as a point, width and height by the scale."""
    matrix = matrices[table.frame]
    half = (table.xyxy[:, 2:] - table.xyxy[:, :2]) / 2
    centre = np.einsum("rij,rj->ri", matrix[:, :2, :2], table.xyxy[:, :2] + half) + matrix[:, :2, 2]
    half = half * np.sqrt(np.abs(np.linalg.det(matrix[:, :2, :2])))[:, None]
    return replace(table, xyxy=np.hstack((centre - half, centre + half)))


def by_track(table: MotTable) -> MotTable:
    """Sorted by id, then frame."""
    return table.take(np.lexsort((table.frame, table.id)))


def by_frame(table: MotTable) -> MotTable:
    """Sorted by frame, then id."""
    return table.take(np.lexsort((table.id, table.frame)))


def joined(a: MotTable, b: MotTable) -> MotTable:
    """The rows of both."""
    return MotTable(*(np.concatenate((getattr(a, n), getattr(b, n))) for n in MotTable.__dataclass_fields__))
